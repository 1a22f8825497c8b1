"""A client's session: opening, asking, asking again (OSDI'99 section 4.1; design 4.2, 4.11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.client_table import opened_ms
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.group import Limits
from pbft.core.messages import Request, unpack
from pbft.core.settings import SessionSettings
from tests.core import strategies
from tests.core.builders import WALL_MS, Scene, at, session_id
from tests.core.desk import Desk, completed, greeting, receivers, sends

DRIFT_MS = Limits().clock_drift_ms


# Opening.


def test_a_session_greets_every_replica():
    """With its id, no cookie yet, and padding, so that no answer is larger than what was sent (K5)."""
    desk = Desk(Scene(7))
    assert desk.deadline() == 0
    sent = desk.tick()
    assert receivers(sent, Kind.HELLO) == list(range(7))
    assert {greeting(each).session for each in sent} == {desk.session.id}
    assert {greeting(each).cookie for each in sent} == {b""}
    assert all(len(greeting(each).padding) >= 64 for each in sent)
    assert opened_ms(desk.session.id) == WALL_MS


def test_an_address_is_proven_by_echoing_the_cookie():
    """To whoever asked, and only about this session."""
    desk = Desk()
    desk.tick()
    (answer,) = sends(desk.challenge(2, b"cookie of two..."))
    assert (answer.to, greeting(answer).cookie, greeting(answer).session) == (2, b"cookie of two...", desk.session.id)
    assert desk.challenge(2, session=session_id(99)) == []


def test_a_session_opens_once_n_minus_f_replicas_know_it():
    """Then, and not before, requests leave."""
    desk = Desk(Scene(7))
    desk.tick()
    desk.submit()
    for replica in (6, 1, 2, 3, 3, 3):
        desk.welcome(replica)
        assert not desk.session.opened
        assert receivers(desk.tick(), Kind.REQUEST) == []
    desk.welcome(4)
    assert desk.session.opened
    assert receivers(desk.tick(), Kind.REQUEST) == [0]


def test_greetings_are_repeated_at_growing_intervals_to_those_who_have_not_answered():
    """Until the session is open."""
    desk = Desk(settings=SessionSettings(retransmit_ms=100, retransmit_max_ms=400))
    desk.tick()
    desk.welcome(1)
    found = [(desk.deadline(), receivers(desk.tick(desk.deadline()), Kind.HELLO)) for _ in range(6)]
    assert found == [(time, [0, 2, 3]) for time in (100, 300, 700, 1_100, 1_500, 1_900)]
    assert desk.tick(1_950) == []


def test_a_silent_replica_is_greeted_again_only_while_somebody_waits():
    """An open session with nothing to do is quiet; with a request in flight it tries the missing one again."""
    desk = Desk()
    desk.open()
    assert desk.session.deadline_ms is None
    desk.submit()
    desk.tick(5_000)
    assert receivers(desk.tick(), Kind.HELLO) == [3]
    for replica in (1, 2):
        desk.reply(replica)
    assert desk.session.deadline_ms is None


def test_a_welcome_of_another_session_is_not_ours():
    """Two programs of one key are told apart by session ids."""
    desk = Desk()
    desk.tick()
    for replica in range(4):
        assert desk.welcome(replica, session=session_id(99)) == []
    assert not desk.session.opened


@pytest.mark.parametrize("n", [4, 7])
def test_f_liars_cannot_keep_a_session_from_opening(n):
    """Floors in the future, clocks at zero or at the end of time, views from nowhere: the (f+1)-th highest decides."""
    lies = [
        {"floor": b"\xff" * 16, "time_ms": 2**63 - 1, "view": 2**63 - 1},
        {"floor": b"\xff" * 16, "time_ms": 0, "view": 0},
        {"floor": bytes(16), "time_ms": 0, "view": 5},
        {"floor": bytes(16), "time_ms": 2**63 - 1, "view": 7},
    ]
    for lie in lies:
        desk = Desk(Scene(n))
        faults = desk.scene.group.quorums.faults
        before = desk.session.id
        desk.tick()
        for replica in range(faults):
            desk.welcome(replica, **lie)  # type: ignore[arg-type]
        for replica in range(faults, n - faults):
            desk.welcome(replica)
        assert desk.session.opened
        assert desk.session.id == before
        assert desk.session.view_hint == 0


def test_a_floor_that_f_plus_1_tell_is_believed():
    """Our id lies below it, so a new one above it is taken, and everybody greeted anew."""
    desk = Desk()
    floor = session_id(2**63, WALL_MS + 40)
    desk.tick()
    for replica in range(3):
        desk.welcome(replica, floor=floor if replica else bytes(16))
    assert not desk.session.opened
    assert desk.session.id > floor
    assert opened_ms(desk.session.id) == WALL_MS + 41
    assert receivers(desk.tick(), Kind.HELLO) == [0, 1, 2, 3]
    for replica in range(3):
        desk.welcome(replica, floor=floor)
    assert desk.session.opened


@pytest.mark.parametrize("told_ms", [WALL_MS, 0, 2**63 - 1])
@pytest.mark.parametrize("offset_ms", [-(10**12), -3_600_000, DRIFT_MS // 2 + 1, 3_600_000, 10**12])
def test_a_wrong_clock_is_set_right_by_the_group(offset_ms, told_ms):
    """A client whose clock is ahead takes the group's time for its id, whatever f tell; one behind needs nothing."""
    desk = Desk(clock_offset_ms=offset_ms)
    desk.tick()
    for replica in range(3):
        desk.welcome(replica, time_ms=WALL_MS if replica else told_ms)
    if offset_ms > 0:
        assert not desk.session.opened
        assert desk.deadline() == desk.ms
        desk.open()
        assert opened_ms(desk.session.id) == WALL_MS
    assert desk.session.opened


def test_a_clock_within_half_the_drift_is_good_enough():
    """Half, so that the request is still within the whole drift when it is executed."""
    desk = Desk(clock_offset_ms=DRIFT_MS // 2)
    desk.open()
    assert opened_ms(desk.session.id) == WALL_MS + DRIFT_MS // 2


def test_a_floor_ahead_of_the_groups_clocks_is_waited_for():
    """Nothing but time helps: the session tries again at growing intervals instead of greeting without a pause."""
    desk = Desk(settings=SessionSettings(retransmit_ms=100, retransmit_max_ms=400))
    floor = session_id(7, WALL_MS + DRIFT_MS)
    waits = []
    while not desk.session.opened:
        waits.append(desk.deadline() - desk.ms)
        assert receivers(desk.tick(desk.deadline()), Kind.HELLO) == [0, 1, 2, 3]
        desk.ms += 1
        for replica in range(3):
            desk.welcome(replica, floor=floor, time_ms=WALL_MS + desk.ms)
    assert waits[:6] == [0, 0, 100, 200, 300, 400]
    assert set(waits[6:]) == {400}
    assert desk.ms > DRIFT_MS // 2
    assert desk.session.id > floor


def test_more_liars_than_f_cannot_crash_a_client():
    """Nothing is promised then, but even the last id of all and the end of time are only numbers."""
    desk = Desk()
    for _ in range(5):
        desk.tick(desk.deadline())
        for replica in range(3):
            desk.welcome(replica, floor=b"\xff" * 16, time_ms=2**63 - 1)
        assert not desk.session.opened


def test_each_id_is_new():
    """A session that has to open again never takes an id it had."""
    desk = Desk()
    ids = []
    for number in range(300):
        ids.append(desk.session.id)
        desk.tick(desk.deadline())
        for replica in range(3):
            desk.welcome(replica, floor=session_id(2**64 - 1, WALL_MS + number))
    assert len(set(ids)) == len(ids)


# Asking.


def test_a_request_goes_to_the_primary_alone():
    """Signed, with the session and its first timestamp."""
    desk = Desk()
    desk.open()
    desk.submit(b"add 5")
    assert desk.deadline() == desk.ms
    (sent,) = [each for each in desk.tick() if each.envelope.kind is Kind.REQUEST]
    assert sent.to == 0
    assert genuine(desk.scene.group, desk.scene.keyring.verifier, sent.envelope)
    assert unpack(Request, sent.envelope.body) == Request(desk.scene.key("alice"), desk.session.id, 1, (b"add 5",))


def test_operations_submitted_together_ride_together():
    """One signature and one timestamp serve all that wait when the driver ticks (design 4.2)."""
    desk = Desk()
    desk.open()
    tickets = [desk.submit(b"%d" % number) for number in range(5)]
    desk.tick()
    assert desk.operations == (b"0", b"1", b"2", b"3", b"4")
    desk.reply(1, range(5))
    found = completed(desk.reply(2, range(5)))
    assert [(each.ticket, each.index, each.result.value) for each in found] == [
        (ticket, number, number) for number, ticket in enumerate(tickets)
    ]


def test_one_request_is_in_flight_at_a_time():
    """What is submitted meanwhile waits for the answer, then rides in the next request with the next timestamp."""
    desk = Desk()
    desk.ask(b"first")
    first = desk.request
    for number in range(3):
        desk.submit(b"%d" % number)
        assert receivers(desk.tick(), Kind.REQUEST) == []
    desk.reply(1)
    desk.reply(2)
    assert desk.deadline() == desk.ms
    desk.tick()
    assert desk.request != first
    assert desk.operations == (b"0", b"1", b"2")
    assert unpack(Request, desk.request.body).timestamp == 2


def test_a_request_carries_no_more_than_the_limits_allow():
    """Neither in number nor in bytes; the rest rides next, in order."""
    limits = Limits(operations_per_request=3, operation_bytes=400, request_bytes=1_200)
    for payload, counts in [(b"", [3, 3, 1]), (bytes(399), [1, 1, 1, 1, 1, 1, 1]), (bytes(300), [2, 2, 2, 1])]:
        desk = Desk(Scene(limits=limits))
        desk.open()
        for number in range(7):
            desk.submit(b"%d" % number + payload)
        found = []
        for _ in counts:
            desk.tick()
            assert len(desk.request.to_bytes()) <= limits.request_bytes
            found.append([operation[:1] for operation in desk.operations])
            desk.reply(1)
            desk.reply(2)
        assert [len(each) for each in found] == counts
        assert b"".join(operation for each in found for operation in each) == b"0123456"


def test_the_largest_operation_fits_a_request():
    """Alone it always rides, within the group's bound; one byte more is refused in words."""
    limits = Limits(operation_bytes=1_000, request_bytes=1_512)
    desk = Desk(Scene(limits=limits))
    desk.ask(bytes(1_000))
    assert desk.operations == (bytes(1_000),)
    assert len(desk.request.to_bytes()) <= limits.request_bytes
    with pytest.raises(ValueError, match="at most 1000 bytes in this group; this one has 1001"):
        desk.submit(bytes(1_001))


@given(st.lists(st.integers(0, 400), min_size=1, max_size=12))
def test_any_sizes_ride_in_order_within_the_limits(sizes):
    """Every operation rides once, in the order of submission, and every request is one a replica accepts."""
    limits = Limits(operations_per_request=4, operation_bytes=400, request_bytes=1_000)
    desk = Desk(Scene(limits=limits))
    desk.open()
    tickets = [desk.submit(bytes(size)) for size in sizes]
    done: list[int] = []
    rode: list[int] = []
    while len(done) < len(tickets):
        desk.tick()
        assert len(desk.request.to_bytes()) <= limits.request_bytes
        assert len(desk.operations) <= limits.operations_per_request
        rode += [len(operation) for operation in desk.operations]
        desk.reply(1)
        done += [each.ticket for each in completed(desk.reply(2))]
    assert rode == sizes
    assert done == tickets


# Asking again.


def test_a_late_request_goes_to_all_byte_for_byte_at_growing_intervals():
    """First to the primary; then to every replica, the interval doubling up to its bound (design 4.2, 4.11)."""
    desk = Desk(settings=SessionSettings(retransmit_ms=100, retransmit_max_ms=400))
    desk.ask()
    first = desk.request
    found = []
    while desk.deadline() <= 1_500:
        sent = desk.tick(desk.deadline())
        if receivers(sent, Kind.REQUEST):
            found.append((desk.ms, receivers(sent, Kind.REQUEST)))
    assert found == [(time, [0, 1, 2, 3]) for time in (100, 300, 700, 1_100, 1_500)]
    assert {each.envelope for each in desk.sent if each.envelope.kind is Kind.REQUEST} == {first}


def test_who_has_answered_is_not_asked_again():
    """A retransmission is for those still silent."""
    desk = Desk()
    desk.ask()
    desk.reply(2)
    assert receivers(desk.tick(desk.deadline()), Kind.REQUEST) == [0, 1, 3]


def test_the_next_request_goes_to_the_primary_that_f_plus_1_replicas_know():
    """The (f+1)-th highest view told counts; one liar's does not (design 4.11)."""
    desk = Desk(Scene(7))
    desk.ask()
    for replica, view in [(0, 2**63 - 1), (1, 2**63 - 1), (2, 5)]:
        desk.reply(replica, view=view)
    assert desk.session.view_hint == 5
    desk.submit()
    assert receivers(desk.tick(), Kind.REQUEST) == [5]


def test_a_view_hint_does_not_go_back_with_an_old_reply():
    """A late reply from an earlier view is no news."""
    desk = Desk()
    desk.ask()
    for replica in (1, 2):
        desk.reply(replica, view=3)
    late = desk.request
    desk.reply(1, view=1, request=late)
    assert desk.session.view_hint == 3


# A replica that was restarted.


def test_a_replica_that_forgot_us_gets_cookie_and_request_again():
    """It challenges; the cookie is echoed, and once it knows us the request in flight is sent to it again."""
    desk = Desk()
    desk.ask()
    desk.tick(desk.deadline())
    first = desk.request
    (answer,) = sends(desk.challenge(1, b"k" * 16))
    assert (answer.to, greeting(answer).cookie) == (1, b"k" * 16)
    (again,) = sends(desk.welcome(1))
    assert (again.to, again.envelope) == (1, first)


def test_a_replica_that_joins_late_gets_the_request_if_it_was_meant_for_it():
    """The primary was silent while the session opened; once it welcomes us, it has the request again."""
    desk = Desk()
    desk.tick()
    for replica in (1, 2, 3):
        desk.welcome(replica)
    desk.submit()
    assert receivers(desk.tick(), Kind.REQUEST) == [0]
    assert [each.to for each in sends(desk.welcome(0))] == [0]


def test_a_welcome_alone_makes_nobody_resend():
    """Welcomes repeated without end, or by replicas that were not asked or have answered, cost the client nothing."""
    desk = Desk()
    desk.ask()
    for _ in range(3):
        assert desk.welcome(0) == []
    assert desk.welcome(3) == []
    desk.tick(desk.deadline())
    desk.reply(2)
    desk.challenge(2)
    assert desk.welcome(2) == []


# Hostile input.


@given(st.data())
def test_whatever_a_replica_says_raises_nothing(data):
    """Damaged and invented messages of every kind, on any link: no exception, nothing concluded from fewer than f+1."""
    desk = Desk()
    desk.ask()
    before = len(desk.sent)
    for _ in range(data.draw(st.integers(1, 5))):
        kind = data.draw(st.sampled_from(Kind))
        body = data.draw(strategies.messages_of_all_kinds.map(strategies.packed) | st.binary(max_size=60))
        beside = data.draw(strategies.messages_of_all_kinds.map(strategies.packed) | st.binary(max_size=60))
        sender = data.draw(st.sampled_from([2, 2, 2, 1, desk.scene.key("bob")]))
        envelope = Envelope(kind, sender, body, bytes(64), beside)
        effects = desk.session.receive(envelope, 2, at(desk.ms))
        assert completed(effects) == []
    desk.reply(0)
    desk.reply(1)
    assert len(desk.sent) - before <= 5
