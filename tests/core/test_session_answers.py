"""What a client believes: f+1 equal answers of distinct replicas, and no less (design 4.11; attacks R8, K1)."""

from __future__ import annotations

from itertools import permutations

import pytest

from pbft.core.effects import Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import RefusalReason, Request, unpack
from pbft.core.session import Lost
from tests.core.builders import WALL_MS, Scene, at
from tests.core.desk import Desk, completed, lost, receivers, relabelled, sends

FINAL = [RefusalReason.UNKNOWN_SESSION, RefusalReason.SESSION_IN_FUTURE, RefusalReason.TOO_LARGE]


# Believing.


@pytest.mark.parametrize(("n", "needed"), [(4, 2), (7, 3), (10, 4)])
def test_f_plus_1_equal_answers_are_believed(n, needed):
    """One less is not; the answer says who agreed, how many it took, and how long."""
    desk = Desk(Scene(n))
    ticket = desk.ask()
    desk.ms = 30
    for replica in range(needed - 1):
        assert completed(desk.reply(replica, [b"yes"], sequence=9, view=4)) == []
    desk.ms = 42
    (done,) = completed(desk.reply(n - 1, [b"yes"], sequence=9, view=4))
    assert (done.ticket, done.result.value, done.sequence, done.timestamp, done.view) == (ticket, b"yes", 9, 1, 4)
    assert done.matching == (*range(needed - 1), n - 1)
    assert done.silent == tuple(range(needed - 1, n - 1))
    assert (done.differing, done.needed, done.elapsed_ms, done.receipt) == ((), needed, 42, None)


def test_one_replica_is_one_word_however_often_it_speaks():
    """The same reply again, or another one, adds nothing; its first word stands."""
    desk = Desk()
    desk.ask()
    desk.reply(3, [b"lie"])
    assert desk.reply(3, [b"lie"]) == desk.reply(3, [b"yes"]) == []
    assert completed(desk.reply(1, [b"yes"])) == []
    (done,) = completed(desk.reply(2, [b"yes"]))
    assert (done.result.value, done.matching, done.differing, done.silent) == (b"yes", (1, 2), (3,), (0,))


def test_nobody_answers_in_anothers_name():
    """The link says who speaks: an envelope that names somebody else counts for nobody."""
    desk = Desk()
    desk.ask()
    for named in (0, 1, 2):
        assert desk.reply(named, [b"lie"], sender=3) == []
    assert completed(desk.reply(1)) == []
    assert completed(desk.reply(2))


def test_a_signed_reply_that_another_brings_is_not_two_words():
    """A liar cannot add another's genuine reply to the other's own, neither for the answer nor for its receipt."""
    desk = Desk()
    desk.ask(receipt=True)
    assert desk.reply(1, sender=3) == []
    assert completed(desk.reply(1)) == []
    (done,) = completed(desk.reply(2))
    assert done.matching == (1, 2)


@pytest.mark.parametrize("n", [4, 7])
def test_f_liars_are_outvoted_in_whatever_order_they_speak(n):
    """They agree among themselves and with nobody else: no order of replies makes a client believe them (R8)."""
    scene = Scene(n)
    faults = scene.group.quorums.faults
    speakers = ["lie"] * faults + ["yes"] * (faults + 1)
    for order in sorted(set(permutations(speakers))):
        desk = Desk(scene)
        desk.ask()
        found = []
        for replica, word in enumerate(order):
            found += completed(desk.reply(replica, [word]))
        assert [done.result.value for done in found] == ["yes"]


def test_answers_must_agree_in_the_sequence_too():
    """Equal results at different places in the order are different answers."""
    desk = Desk()
    desk.ask()
    desk.reply(0, sequence=1)
    assert completed(desk.reply(1, sequence=2)) == []
    assert completed(desk.reply(2, sequence=2))[0].matching == (1, 2)


def test_answers_must_be_to_the_very_request():
    """A reply to an earlier request, or to other operations under this timestamp, is no answer (K1)."""
    desk = Desk()
    desk.ask(b"first")
    first = desk.request
    for replica in (1, 2):
        desk.reply(replica)
    desk.ask(b"second")
    body = Request(desk.scene.key("alice"), desk.session.id, 2, (b"other",))
    other = desk.scene.request("alice", body.timestamp, body.operations, body.session)
    for request in (first, other):
        for replica in range(4):
            assert desk.reply(replica, request=request) == []
    assert completed([*desk.reply(0), *desk.reply(1)])


def test_results_of_another_number_than_the_operations_are_never_believed():
    """Even f+1 replicas that say so together do not make the client invent or drop a result."""
    desk = Desk()
    desk.open()
    desk.submit(b"one")
    desk.submit(b"two")
    desk.tick()
    for replica in range(4):
        assert desk.reply(replica, [b"yes"]) == []
    desk = Desk()
    desk.ask()
    for replica in range(4):
        assert desk.reply(replica, [b"yes", b"more"]) == []


def test_answers_after_the_end_change_nothing():
    """A late reply is no second result."""
    desk = Desk()
    desk.ask()
    desk.reply(1)
    assert completed(desk.reply(2))
    assert desk.reply(3) == desk.reply(0) == []


def test_kinds_that_are_not_for_clients_are_nothing():
    """Whatever else a replica sends here is passed over."""
    desk = Desk()
    desk.ask()
    before = desk.session.deadline_ms
    for kind in (Kind.PREPARE, Kind.COMMIT, Kind.PRE_PREPARE, Kind.STATUS, Kind.REPORT):
        assert desk.give(Envelope(kind, 2, b"\x80", bytes(64))) == []
    assert desk.session.deadline_ms == before


# Who answered after the answer is believed.


def test_late_replies_are_counted_and_change_nothing():
    """Equal ones match and others differ, one word a replica; what was completed stays as it was."""
    desk = Desk(Scene(7))
    desk.ask()
    for replica in (0, 1):
        desk.reply(replica, [b"yes"])
    (done,) = completed(desk.reply(2, [b"yes"]))
    tally = desk.session.tally(done.timestamp, done.sequence)
    assert tally is not None
    assert (tally.matching, tally.differing, tally.silent) == (done.matching, done.differing, done.silent)
    assert desk.reply(6, [b"lie"]) == desk.reply(6, [b"yes"]) == []
    assert desk.reply(5, [b"yes"]) == desk.reply(5, [b"lie"]) == desk.reply(0, [b"lie"]) == []
    assert desk.reply(4, [b"yes"], sequence=2) == desk.reply(3, [b"yes"], sender=4) == []
    assert (tally.matching, tally.differing, tally.silent) == ((0, 1, 2, 5), (4, 6), (3,))
    assert (done.result.value, done.matching, done.silent) == (b"yes", (0, 1, 2), (3, 4, 5, 6))
    assert desk.session.deadline_ms is None


def test_only_the_request_completed_last_is_counted():
    """While the next one is in flight the last one's replies still are; when that is completed they are not."""
    desk = Desk()
    desk.ask(b"first")
    first = desk.request
    desk.reply(0)
    (one,) = completed(desk.reply(1))
    tally = desk.session.tally(one.timestamp, one.sequence)
    assert tally is not None
    desk.ask(b"second")
    assert desk.reply(2, request=first) == []
    assert tally.silent == (3,)
    # What was said to the first request says nothing about the second.
    assert completed(desk.reply(2, sequence=2)) == []
    (two,) = completed(desk.reply(0, sequence=2))
    assert two.matching == (0, 2)
    assert desk.reply(3, request=first) == []
    assert tally.silent == (3,)
    assert desk.session.tally(one.timestamp, one.sequence) is None
    later = desk.session.tally(two.timestamp, two.sequence)
    assert later is not None
    assert later.silent == (1, 3)


def test_for_a_receipt_late_replies_count_as_the_others_did():
    """One whose signature does not verify is no word, and leaves its replica free to do better."""
    desk = Desk()
    desk.ask(receipt=True)
    desk.reply(0)
    (done,) = completed(desk.reply(1))
    tally = desk.session.tally(done.timestamp, done.sequence)
    assert tally is not None
    desk.reply(2, bad=True)
    assert (tally.matching, tally.differing) == ((0, 1), ())
    desk.reply(2)
    desk.reply(3, [b"lie"])
    assert [tally.matching, tally.differing, tally.silent] == [(0, 1, 2), (3,), ()]


def test_the_silent_are_greeted_when_somebody_asks_and_who_forgot_us_gets_the_request():
    """One restarted asks for proof of our address: only then, and only to it, the request goes once more."""
    desk = Desk()
    assert desk.session.greet_silent(at(0)) == []
    desk.ask()
    request = desk.request
    desk.reply(0)
    desk.reply(1)
    greetings = sends(desk.session.greet_silent(at(0)))
    assert receivers(greetings, Kind.HELLO) == [2, 3]
    assert receivers(greetings, Kind.REQUEST) == []
    # One that knows us says so, and has nothing to hear.
    assert desk.welcome(2) == []
    assert receivers(sends(desk.challenge(2)), Kind.HELLO) == [2]
    assert desk.welcome(2) == [Send(2, request)]
    desk.challenge(0)
    assert desk.welcome(0) == []
    assert completed(desk.reply(2)) == []


def test_nobody_who_did_not_ask_sends_a_completed_request_again():
    """A welcome that comes late is only that."""
    desk = Desk()
    desk.ask()
    desk.reply(0)
    desk.reply(1)
    assert desk.welcome(3) == []


# Receipts.


def test_with_a_receipt_only_replies_whose_signatures_verify_count():
    """A bad one is remembered in words and leaves its replica free to do better; the receipt verifies offline."""
    desk = Desk()
    desk.ask(b"op", receipt=True)
    assert desk.reply(0, bad=True) == desk.reply(1) == desk.reply(3, bad=True) == []
    assert desk.session.heard() == {
        0: "answered with a bad signature",
        1: "answered",
        2: "silent",
        3: "answered with a bad signature",
    }
    (done,) = completed(desk.reply(3))
    assert done.receipt is not None
    assert done.receipt.verify(desk.scene.group, desk.scene.keyring.verifier) == (1, 3)
    assert done.receipt.request().envelope == desk.request
    assert done.receipt.outcomes()[done.index] == done.result


def test_without_a_receipt_nothing_is_verified():
    """A reply counts on its replica's link (design 4.4)."""
    desk = Desk()
    desk.ask()
    before = desk.scene.verifier.count
    desk.reply(0, bad=True)
    assert completed(desk.reply(1, bad=True))
    assert desk.scene.verifier.count == before


def test_who_rides_with_a_receipt_gets_one_only_if_asked():
    """Operations of one request share its replies; the receipt goes to those that wanted it, with their place in it."""
    desk = Desk()
    desk.open()
    desk.submit(b"one")
    desk.submit(b"two", receipt=True)
    desk.tick()
    desk.reply(0, [1, 2])
    plain, proven = completed(desk.reply(1, [1, 2]))
    assert plain.receipt is None
    assert proven.receipt is not None
    assert proven.receipt.outcomes()[proven.index].value == 2


# Refusals.


@pytest.mark.parametrize("reason", FINAL)
@pytest.mark.parametrize(("n", "needed"), [(4, 2), (7, 3)])
def test_f_plus_1_equal_refusals_end_a_request(reason, n, needed):
    """Of distinct replicas, for one reason; then every operation of it is lost, and says why."""
    desk = Desk(Scene(n))
    desk.open()
    tickets = [desk.submit(b"one"), desk.submit(b"two")]
    desk.tick()
    for replica in range(needed - 1):
        assert desk.refuse(replica, reason) == desk.refuse(replica, reason) == []
    other = FINAL[FINAL.index(reason) - 1]
    assert desk.refuse(needed, other) == []
    assert desk.refuse(n - 1, reason) == [Lost(ticket, reason) for ticket in tickets]
    assert lost(desk.refuse(n - 2, reason)) == []


@pytest.mark.parametrize("reason", FINAL)
def test_after_a_loss_the_session_goes_on(reason):
    """With a new id where the old one was refused; what waits rides in the next request."""
    desk = Desk()
    desk.ask()
    old = desk.session.id
    waiting = desk.submit(b"next")
    desk.ms = 7
    for replica in (0, 1):
        desk.refuse(replica, reason)
    if reason is not RefusalReason.TOO_LARGE:
        assert desk.session.id != old
        assert not desk.session.opened
        desk.open()
    desk.tick()
    request = unpack(Request, desk.request.body)
    assert request.operations == (b"next",)
    assert request.session == desk.session.id
    assert request.timestamp == (2 if reason is RefusalReason.TOO_LARGE else 1)
    desk.reply(0)
    assert [done.ticket for done in completed(desk.reply(1))] == [waiting]


def test_being_busy_is_a_hint():
    """However many replicas are busy, the request stays in flight, is sent again, and may still be answered."""
    desk = Desk()
    desk.ask()
    for replica in range(4):
        assert desk.refuse(replica, RefusalReason.BUSY) == []
    assert set(desk.session.heard().values()) == {"busy"}
    assert receivers(desk.tick(desk.deadline()), Kind.REQUEST) == [0, 1, 2, 3]
    desk.reply(0)
    assert completed(desk.reply(1))


def test_one_refusal_does_not_outweigh_answers():
    """f liars that refuse change nothing for those who answer."""
    desk = Desk()
    desk.ask()
    desk.refuse(3, RefusalReason.UNKNOWN_SESSION)
    desk.reply(0)
    assert completed(desk.reply(1))


def test_refusals_of_another_request_are_not_ours():
    """What was said about an earlier request says nothing about this one."""
    desk = Desk()
    desk.ask(b"first")
    first = desk.request
    for replica in (1, 2):
        desk.reply(replica)
    desk.ask(b"second")
    for replica in range(4):
        assert desk.refuse(replica, RefusalReason.UNKNOWN_SESSION, first) == []


def test_a_session_reopened_by_its_clock_is_above_what_was_refused():
    """The new id is of the present, so an evicted session's place below the floor is left behind."""
    desk = Desk()
    desk.ask()
    desk.ms = 5_000
    for replica in (0, 1):
        desk.refuse(replica, RefusalReason.UNKNOWN_SESSION)
    assert int.from_bytes(desk.session.id[:8], "big") == WALL_MS + 5_000
    assert receivers(desk.tick(), Kind.HELLO) == [0, 1, 2, 3]


# Giving up.


def test_an_abandoned_operation_is_not_reported_but_its_companions_are():
    """Whoever stopped waiting hears nothing; the others of that request still do."""
    desk = Desk()
    desk.open()
    tickets = [desk.submit(b"one"), desk.submit(b"two")]
    desk.tick()
    desk.session.abandon(tickets[0])
    desk.reply(0, [1, 2])
    assert [(done.ticket, done.result.value) for done in completed(desk.reply(1, [1, 2]))] == [(tickets[1], 2)]


def test_what_nobody_waits_for_any_more_gives_way_to_the_next_request():
    """It is not sent again; the next one has a later timestamp, so replicas tell the two apart."""
    desk = Desk()
    ticket = desk.ask(b"first")
    first = desk.request
    waiting = desk.submit(b"second")
    desk.session.abandon(ticket)
    assert receivers(desk.tick(), Kind.REQUEST) == [0]
    assert unpack(Request, desk.request.body).timestamp == 2
    for replica in range(4):
        assert desk.reply(replica, request=first) == []
    desk.reply(0)
    assert [done.ticket for done in completed(desk.reply(1))] == [waiting]


def test_what_never_left_is_simply_forgotten():
    """An operation abandoned in the queue rides nowhere."""
    desk = Desk()
    desk.open()
    first, _ = desk.submit(b"one"), desk.submit(b"two")
    desk.session.abandon(first)
    desk.session.abandon(999)
    desk.tick()
    assert desk.operations == (b"two",)


def test_an_abandoned_session_is_quiet():
    """With nothing in flight and nothing queued there is no deadline."""
    desk = Desk()
    desk.session.abandon(desk.ask())
    assert desk.session.deadline_ms is None
    assert desk.tick(60_000) == []


# In words, for a timeout.


def test_what_was_heard_from_whom_is_told_in_words():
    """Nobody is left out: who answered, who refused and why, who said rubbish, and who said nothing (design 4.11)."""
    desk = Desk(Scene(7))
    assert set(desk.session.heard().values()) == {"silent"}
    desk.open()
    assert desk.session.heard() == {**dict.fromkeys(range(5), "alive"), 5: "silent", 6: "silent"}
    desk.submit()
    desk.tick()
    desk.reply(0)
    desk.refuse(1, RefusalReason.BUSY)
    desk.refuse(2, RefusalReason.SESSION_IN_FUTURE)
    desk.give(Envelope(Kind.REPLY, 3, b"\x80", bytes(64)))
    assert desk.session.heard() == {
        0: "answered",
        1: "busy",
        2: "session in future",
        3: "answered with something malformed",
        4: "silent",
        5: "silent",
        6: "silent",
    }


def test_rubbish_does_not_stop_a_replica_from_answering():
    """Something malformed on its link is not its answer."""
    desk = Desk()
    desk.ask()
    reply = desk.scene.say(1, Kind.REPLY, Request(desk.scene.key("alice"), bytes(16), 1, (b"op",)))
    assert desk.give(reply) == desk.give(relabelled(reply, 2)) == []
    desk.reply(1)
    assert completed(desk.reply(2))


# Two programs, one key.


def test_two_sessions_of_one_client_do_not_hear_each_other():
    """Each gets its own answers: replies name the request, whose digest covers the session."""
    scene = Scene()
    one, two = Desk(scene), Desk(scene, clock_offset_ms=1)
    one.ask(b"same")
    two.ask(b"same")
    for replica in range(4):
        assert two.reply(replica, request=one.request) == []
    two.reply(0)
    assert completed(two.reply(1))


def test_time_is_only_what_is_handed_in():
    """A session that is told of no later time sends nothing by itself."""
    desk = Desk()
    desk.ask()
    assert desk.tick() == []
    effects = desk.session.tick(at(desk.deadline() - 1))
    assert [each for each in effects if isinstance(each, Send) and each.envelope.kind is Kind.REQUEST] == []
    assert sends(desk.session.tick(at(desk.deadline())))
