"""The replica as its clients see it (OSDI'99 section 4.1; design 4.2, 4.11; attacks K1–K4)."""

from __future__ import annotations

import pytest

from pbft.core.effects import Answer, Reason, Send
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.group import Limits
from pbft.core.messages import Hello, Refusal, RefusalReason, Welcome, pack, unpack
from pbft.core.replies import read_reply
from pbft.core.settings import ReplicaSettings
from tests.core.builders import WALL_MS, Microscope, Scene, Turn, forged, session_id


def backup(limits: Limits | None = None, settings: ReplicaSettings | None = None) -> Microscope:
    return Scene(limits=limits).watch(1, settings)


def refusal(turn: Turn) -> Refusal:
    """Return the one refusal that a turn told a client."""
    (envelope,) = turn.answers(Kind.REFUSAL)
    return unpack(Refusal, envelope.body)


# Greetings.


def hello(scene: Scene, client: str = "alice", session: int = 1) -> Envelope:
    return Envelope(Kind.HELLO, scene.key(client), pack(Hello(session_id(session), b"c" * 16, bytes(64))))


def test_a_greeting_is_welcomed_with_what_a_session_needs_to_open():
    """The view, our clock, and the floor of that client (design 4.2)."""
    watched = backup(Limits(sessions_per_client=1))
    for number in (1, 2):
        request = watched.scene.request("alice", session=session_id(number))
        watched.agree(watched.scene.pre_prepare(number, request))
    (welcome,) = watched.give(hello(watched.scene, session=7)).answers(Kind.WELCOME)
    assert unpack(Welcome, welcome.body) == Welcome(session_id(7), 0, WALL_MS, session_id(1))
    (welcome,) = watched.give(hello(watched.scene, "bob")).answers(Kind.WELCOME)
    assert unpack(Welcome, welcome.body).floor == bytes(16)


# Exactly once.


def test_an_executed_request_is_answered():
    """One reply to its session, signed, with its results under the root (design 4.4)."""
    watched = backup()
    request = watched.scene.request("alice", 3, (b"one", b"two"))
    turn = watched.agree(watched.scene.pre_prepare(1, request))
    (reply,) = turn.answers()
    assert genuine(watched.scene.group, watched.scene.keyring.verifier, reply)
    read = read_reply(reply)
    assert (read.sequence, read.detail.timestamp, read.detail.session) == (1, 3, session_id())
    assert [result.value for result in read.results] == [(1, b"one"), (2, b"two")]


def test_the_last_reply_is_sent_again_byte_for_byte():
    """A retransmission of what ran last gets the reply of then on its client's own link; nothing runs again."""
    watched = backup()
    request = watched.scene.request()
    (reply,) = watched.agree(watched.scene.pre_prepare(1, request)).answers()
    watched.agree(watched.scene.pre_prepare(2, watched.scene.request("bob"), time_ms=WALL_MS + 9))
    for _ in range(3):
        watched.ms += 1_000
        turn = watched.give(request)
        assert turn.reasons == [Reason.DUPLICATE]
        assert [answer.to_bytes() for answer in turn.answers()] == [reply.to_bytes()]
    assert len(watched.application.ran) == 2


def test_what_a_replica_brings_of_what_ran_is_not_answered():
    """One liar's copies of an old request draw nothing towards its client, however many come and go by (K4)."""
    watched = backup()
    request = watched.scene.request(operations=(bytes(60_000),))
    watched.agree(watched.scene.pre_prepare(1, request))
    for _ in range(100):
        watched.ms += 1_000
        turn = watched.give(request, 3)
        assert turn.reasons == [Reason.STALE]
        assert turn.of(Answer) == []
    assert len(watched.give(request).answers()) == 1


def test_a_flood_of_retransmissions_is_not_answered_at_its_own_rate():
    """A small request must not pull a large reply out of us as often as somebody likes to send it (K4)."""
    watched = backup(settings=ReplicaSettings(reply_gap_ms=50))
    request = watched.scene.request()
    watched.agree(watched.scene.pre_prepare(1, request))
    answers = 0
    for now_ms in range(200):
        watched.ms = now_ms
        turn = watched.give(request)
        assert turn.reasons == [Reason.DUPLICATE]
        answers += len(turn.answers())
    assert answers == 4


def test_a_request_ordered_twice_runs_and_is_answered_once():
    """One request at two sequences: the second is a no-op without a reply (P3)."""
    watched = backup()
    request = watched.scene.request()
    assert len(watched.agree(watched.scene.pre_prepare(1, request)).answers()) == 1
    turn = watched.agree(watched.scene.pre_prepare(2, request))
    assert turn.answers() == []
    assert len(watched.application.ran) == 1
    assert len(watched.give(request).answers()) == 1


def test_requests_of_one_batch_are_answered_each_to_its_own_session():
    """Stale copies among them get nothing and do not disturb the tree."""
    watched = backup()
    first = watched.scene.request("alice", 1)
    watched.agree(watched.scene.pre_prepare(1, first))
    others = [
        watched.scene.request("bob", 1),
        first,
        watched.scene.request("alice", 2),
        watched.scene.request("bob", 2),
    ]
    answers = watched.agree(watched.scene.pre_prepare(2, *others)).answers()
    assert [(each.detail.timestamp, each.detail.leaf, each.detail.leaves) for each in map(read_reply, answers)] == [
        (1, 0, 3),
        (2, 1, 3),
        (2, 2, 3),
    ]


def test_a_newer_request_of_a_session_takes_the_place_of_the_older():
    """A client that gave up waiting asks anew; one request a session waits."""
    watched = backup()
    watched.give(watched.scene.request("alice", 1))
    assert watched.give(watched.scene.request("alice", 2)).reasons == []
    assert watched.replica.status().waiting == 1
    assert watched.give(watched.scene.request("alice", 1)).reasons == [Reason.DUPLICATE]


def test_a_replacement_is_bounded_in_bytes_as_well():
    """Small requests cannot hold places for large ones beyond the bound (K4)."""
    small, large = 300, 5_000
    watched = backup(settings=ReplicaSettings(waiting_bytes=small + large))
    for number in (1, 2):
        assert watched.give(watched.scene.request("alice", 1, session=session_id(number))).reasons == []
    grown = [watched.scene.request("alice", 2, (bytes(large - 300),), session_id(number)) for number in (1, 2)]
    assert watched.give(grown[0]).reasons == []
    assert watched.give(grown[1]).reasons == [Reason.BUSY]
    assert watched.replica.status().waiting == 2


# What clients are told.


def test_a_request_of_an_evicted_session_is_told_so():
    """At reception, and again when it was ordered before anybody knew."""
    watched = backup(Limits(sessions_per_client=1))
    for number in (1, 2):
        watched.agree(watched.scene.pre_prepare(number, watched.scene.request("alice", session=session_id(number))))
    late = watched.scene.request("alice", 2, session=session_id(1))
    told = refusal(watched.give(late))
    assert (told.reason, told.timestamp, told.session) == (RefusalReason.UNKNOWN_SESSION, 2, session_id(1))
    told = refusal(watched.agree(watched.scene.pre_prepare(3, late)))
    assert told.reason == RefusalReason.UNKNOWN_SESSION
    assert len(watched.application.ran) == 2


def test_a_session_of_the_future_is_told_so_by_execution_only():
    """Our clock alone is no reason to tell a client that nothing ran: others may order the request meanwhile."""
    watched = backup()
    early = watched.scene.request("alice", session=session_id(1, WALL_MS + Limits().clock_drift_ms + 1))
    turn = watched.give(early)
    assert turn.reasons == [Reason.SESSION_IN_FUTURE]
    assert turn.answers(Kind.REFUSAL) == []
    assert refusal(watched.agree(watched.scene.pre_prepare(1, early))).reason == RefusalReason.SESSION_IN_FUTURE
    assert watched.application.ran == []


def test_a_session_opened_on_a_clock_ahead_of_agreed_time_is_let_in():
    """Agreed time stands still while a group is idle; until execution our own clock stands in for it."""
    watched = backup()
    watched.agree(watched.scene.pre_prepare(1, watched.scene.request("bob")))
    watched.ms = 3_600_000
    later = watched.scene.request("alice", session=session_id(1, WALL_MS + 3_600_000))
    assert watched.give(later).reasons == []


@pytest.mark.parametrize("told", [RefusalReason.TOO_LARGE, RefusalReason.BUSY])
def test_a_client_hears_why_its_request_is_not_taken(told):
    """Too large for the group, or too much waiting here: named by timestamp and request digest."""
    watched = backup(settings=ReplicaSettings(waiting_requests=1))
    if told is RefusalReason.BUSY:
        watched.give(watched.scene.request("bob"))
    count = 1_025 if told is RefusalReason.TOO_LARGE else 1
    assert refusal(watched.give(watched.scene.request("alice", 4, (b"",) * count))).reason == told


def test_nobody_hears_refusals_for_what_another_brought():
    """A replica cannot make us write to a client on the strength of an unverified request (K5)."""
    watched = backup(settings=ReplicaSettings(waiting_requests=1))
    watched.give(watched.scene.request("bob"))
    for envelope in (watched.scene.request("alice"), watched.scene.request("alice", 4, (b"",) * 1_025)):
        turn = watched.give(forged(envelope), 2)
        assert turn.reasons
        assert turn.answers(Kind.REFUSAL) == []


# To the primary.


def relayed(turn: Turn) -> list[tuple[int, Envelope]]:
    return [(send.to, send.envelope) for send in turn.of(Send)]


def test_a_backup_relays_a_clients_request_to_the_primary():
    """A client that cannot reach the primary is served all the same (OSDI'99 section 4.1; K3)."""
    watched = backup()
    request = watched.scene.request()
    assert relayed(watched.give(request)) == [(0, request)]


def test_a_retransmission_is_relayed_again_but_not_at_any_rate():
    """The first copy may have been lost; a client that sends it a thousand times is not amplified."""
    watched = backup(settings=ReplicaSettings(relay_gap_ms=100))
    request = watched.scene.request()
    sent = []
    for now_ms in range(0, 300, 10):
        watched.ms = now_ms
        sent += relayed(watched.give(request))
    assert sent == [(0, request)] * 3


def test_only_what_was_verified_is_relayed_and_only_for_its_client():
    """Neither forgeries, nor other bytes under the same timestamp, nor what a replica brought; nor by the primary."""
    watched = backup(settings=ReplicaSettings(relay_gap_ms=0))
    request, other = watched.scene.request(), watched.scene.request(operations=(b"other",))
    assert relayed(watched.give(forged(request))) == []
    assert relayed(watched.give(request, 2)) == []
    assert relayed(watched.give(forged(request))) == []
    assert relayed(watched.give(other)) == []
    assert relayed(watched.give(request)) == [(0, request)]
    assert relayed(Scene().watch(0).give(request)) == []


def test_the_primary_takes_what_a_backup_relays():
    """It waits there as if its client had brought it, and is proposed once."""
    watched = Scene().watch(0)
    request = watched.scene.request()
    assert watched.give(request, 2).reasons == []
    assert watched.give(request, 3).reasons == [Reason.DUPLICATE]
    assert len(watched.tick().said(Kind.PRE_PREPARE)) == 1


def test_what_waits_without_progress_is_relayed_by_and_by():
    """The relay may have been lost and the client gone: with each status so many requests go to the primary again."""
    watched = backup(settings=ReplicaSettings(repair_slots=2, view_timeout_ms=60_000))
    requests = [watched.scene.request("alice", session=session_id(number)) for number in range(3)]
    for each in requests:
        watched.give(each, 2)
    found = []
    for _ in range(3):
        assert watched.replica.deadline_ms is not None
        watched.ms = watched.replica.deadline_ms
        turn = watched.tick()
        assert len(turn.said(Kind.STATUS)) == 1
        found.append(relayed(turn))
    assert [len(each) for each in found] == [2, 2, 2]
    assert {request.body for each in found for _, request in each} == {each.body for each in requests}
    assert {to for each in found for to, _ in each} == {0}


@pytest.mark.parametrize("bringer", [None, 3])
def test_what_the_primary_never_took_is_offered_to_it_again_and_again(bringer):
    """Also what a liar alone brought and kept from the primary: it is not held here for ever in silence (K3)."""
    watched = backup(settings=ReplicaSettings(view_timeout_ms=10**9))
    request = watched.scene.request()
    watched.give(request, bringer)
    for _ in range(100):
        assert watched.replica.deadline_ms is not None
        watched.ms = watched.replica.deadline_ms
        assert relayed(watched.tick()) == [(0, request)]
    watched.agree(watched.scene.pre_prepare(1, request))
    assert watched.replica.status().waiting == 0
    assert watched.replica.deadline_ms is None


def test_the_primary_relays_nothing_to_itself():
    """What waits there is proposed instead."""
    watched = Scene().watch(0, ReplicaSettings(window=1))
    for number in (1, 2):
        watched.give(watched.scene.request("alice", session=session_id(number)))
        watched.tick()
    assert watched.replica.deadline_ms is not None
    watched.ms = watched.replica.deadline_ms
    turn = watched.tick()
    assert turn.said(Kind.STATUS)
    assert relayed(turn) == []


# Memory.


def test_what_can_never_run_any_more_waits_no_longer():
    """When the floor rises past sessions that never opened, their requests go; those above it and others' stay."""
    watched = backup(Limits(sessions_per_client=1))
    below, above = session_id(5, WALL_MS - 1), session_id(5, WALL_MS + 1)
    for request in (
        watched.scene.request("alice", session=below),
        watched.scene.request("alice", session=above),
        watched.scene.request("bob", session=below),
    ):
        assert watched.give(request).reasons == []
    for number in (1, 2):
        assert watched.replica.status().waiting == 3
        watched.agree(watched.scene.pre_prepare(number, watched.scene.request("alice", session=session_id(number))))
    assert watched.replica.status().waiting == 2
    assert watched.give(watched.scene.request("alice", session=below)).reasons == [Reason.UNKNOWN_SESSION]
    assert watched.give(watched.scene.request("alice", session=above)).reasons == [Reason.DUPLICATE]


def test_what_was_ordered_too_early_waits_no_longer():
    """A request that our clock let in and agreed time did not is done with: kept, it would be unfinished for ever."""
    watched = backup()
    early = watched.scene.request(session=session_id(1, WALL_MS + Limits().clock_drift_ms))
    assert watched.give(early).reasons == []
    turn = watched.agree(watched.scene.pre_prepare(1, early, time_ms=WALL_MS - 1))
    assert refusal(turn).reason == RefusalReason.SESSION_IN_FUTURE
    assert watched.application.ran == []
    assert watched.replica.status().waiting == 0
    assert watched.replica.deadline_ms is None


def test_what_was_ordered_too_late_waits_no_longer():
    """A request whose session fell below the floor within its own batch is done with as well."""
    watched = backup(Limits(sessions_per_client=1))
    late = watched.scene.request(session=session_id(1))
    assert watched.give(late).reasons == []
    others = [watched.scene.request(session=session_id(number)) for number in (2, 3)]
    turn = watched.agree(watched.scene.pre_prepare(1, *others, late))
    assert refusal(turn).reason == RefusalReason.UNKNOWN_SESSION
    assert len(watched.application.ran) == 2
    assert watched.replica.status().waiting == 0
    assert watched.replica.deadline_ms is None


def test_replies_are_kept_for_sessions_in_the_table_only():
    """A batch that opens more sessions than the table holds leaves no reply of the evicted ones behind (O14)."""
    watched = backup(Limits(sessions_per_client=2))
    for sequence in range(1, 6):
        numbers = range(10 * sequence, 10 * sequence + 8)
        requests = [watched.scene.request("alice", session=session_id(number)) for number in numbers]
        turn = watched.agree(watched.scene.pre_prepare(sequence, *requests))
        assert len(turn.answers()) == 8
        told = [watched.give(each) for each in requests]
        assert [turn.reasons[0] for turn in told] == [Reason.UNKNOWN_SESSION] * 6 + [Reason.DUPLICATE] * 2
    assert len(watched.replica._service._replies._replies) == 2
