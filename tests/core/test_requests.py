"""Requests that wait: turns, since when, to whom they were told, and never twice (design 4.2, 4.3, 4.10)."""

from __future__ import annotations

from pbft.core.group import Limits
from pbft.core.requests import WaitingRequests
from pbft.core.settings import ReplicaSettings
from tests.core.builders import forged, session_id, signed
from tests.core.waiting_room import LIMITS, SCENE, clients, request, waiting

# Turns.


def test_clients_take_turns():
    """A client with many sessions gets one place for each of the others', not all at once."""
    room = waiting(
        *(request("alice", session) for session in range(4)),
        *(request("bob", session) for session in range(2)),
        request("carol"),
    )
    assert clients(room.take(LIMITS)) == ["alice", "bob", "carol", "alice", "bob", "alice", "alice"]


def test_turns_go_on_in_the_next_batch():
    """Who was served last stands last when the next batch is taken."""
    room = waiting(request("alice", 1), request("alice", 2), request("bob", 1), request("bob", 2))
    limits = Limits(batch_requests=1)
    assert [clients(room.take(limits)) for _ in range(4)] == [["alice"], ["bob"], ["alice"], ["bob"]]
    assert not room.ready


def test_a_client_that_comes_back_waits_its_turn():
    """A request that arrives later stands behind clients that wait already."""
    room = waiting(request("alice", 1), request("bob", 1), request("carol", 1))
    assert clients(room.take(Limits(batch_requests=1))) == ["alice"]
    room.add(request("alice", 2), 0, 0)
    assert clients(room.take(LIMITS)) == ["bob", "carol", "alice"]


def test_nothing_is_taken_twice():
    """What was taken stays until it executes, but is not taken again."""
    room = waiting(request("alice", 1), request("bob", 1))
    assert len(room.take(LIMITS)) == 2
    assert not room.ready
    assert room.take(LIMITS) == []
    assert len(room) == 2


def test_a_newer_request_of_a_session_is_taken_though_the_older_one_was():
    """A client that gave up and asked anew is not held back by what it asked before."""
    room = waiting(request(timestamp=1))
    room.take(LIMITS)
    room.add(request(timestamp=2), 0, 0)
    assert len(room) == 1
    assert room.ready
    assert [each.request.timestamp for each in room.take(LIMITS)] == [2]


def test_a_client_that_asks_anew_keeps_its_turn():
    """Sent back to the end each time, it would never be served, and backups would think it censored."""
    room = waiting(request("alice"), request("bob"), request("carol"))
    for timestamp in range(2, 9):
        room.add(request("alice", timestamp=timestamp), timestamp, timestamp)
    first = room.take(LIMITS)[0].request
    assert (first.client, first.timestamp) == (SCENE.key("alice"), 8)


def test_a_new_view_takes_up_what_was_proposed_in_order_of_arrival():
    """Nothing counts as proposed any more, whoever had its turn last; within a client, too, who came first is first."""
    room = waiting(request("alice", 1), request("bob", 1), request("alice", 2), request("carol"))
    room.take(Limits(batch_requests=2))
    room.settle(SCENE.key("alice"), session_id(1), 1)
    room.add(request("alice", 3), 0, 0)
    room.unpropose()
    assert clients(room.take(LIMITS)) == ["bob", "alice", "carol", "alice"]
    assert not room.ready
    room.unpropose()
    assert [each.request.session for each in room.take(LIMITS) if each.request.client == SCENE.key("alice")] == [
        session_id(2),
        session_id(3),
    ]


def test_what_a_batch_proposed_again_carries_is_not_taken():
    """Nor is what it makes stale; a later request of its session is."""
    room = waiting(request("alice", 1, timestamp=4), request("bob", timestamp=5), request("carol", timestamp=6))
    for name in ("alice", "bob", "carol"):
        room.mark_proposed(SCENE.key(name), session_id(1), 5)
    room.mark_proposed(SCENE.key("alice"), session_id(9), 5)
    assert clients(room.take(LIMITS)) == ["carol"]
    assert len(room) == 3
    room.unpropose()
    assert clients(room.take(LIMITS)) == ["alice", "bob", "carol"]


def test_a_client_of_which_a_batch_carries_one_request_keeps_its_turn_for_the_other():
    """What counts is whether anything of it is left to propose."""
    room = waiting(request("alice", 1), request("alice", 2), request("bob"))
    room.mark_proposed(SCENE.key("alice"), session_id(1), 1)
    room.mark_proposed(SCENE.key("alice"), session_id(1), 1)
    assert clients(room.take(LIMITS)) == ["alice", "bob"]


# The limits of a batch.


def test_a_batch_holds_as_many_requests_as_the_group_allows():
    """The next batch takes the rest."""
    room = waiting(*(request("alice", session) for session in range(5)))
    assert [len(room.take(Limits(batch_requests=2))) for _ in range(4)] == [2, 2, 1, 0]


def test_a_batch_never_exceeds_the_bytes_that_the_group_allows():
    """Requests that fit together ride together; what does not fit stands first for the next batch."""
    room = waiting(
        request("alice", 1, payload=bytes(60_000)),
        request("bob", 1, payload=bytes(40_000)),
        request("carol", 1, payload=bytes(10)),
    )
    limits = Limits(request_bytes=70_000, operation_bytes=60_000, batch_bytes=100_000)
    assert [clients(room.take(limits)) for _ in range(3)] == [["alice"], ["bob", "carol"], []]


def test_a_batch_never_has_more_operations_than_the_group_allows():
    """They are counted over all its requests; what is one too many stands first for the next batch."""
    requests = [signed(SCENE.request(name, 1, (b"",) * count)) for name, count in (("alice", 3), ("bob", 2))]
    limits = [Limits(operations_per_request=3, batch_operations=most) for most in (4, 5)]
    assert [clients(waiting(*requests).take(each)) for each in limits] == [["alice"], ["alice", "bob"]]
    room = waiting(*requests, request("carol"))
    assert [clients(room.take(limits[0])) for _ in range(3)] == [["alice"], ["bob", "carol"], []]


def test_the_largest_request_fits_the_smallest_batch():
    """A request at its limit never starves for want of a batch that could carry it."""
    limits = Limits(operation_bytes=1_000, request_bytes=1_512, batch_bytes=2_024)
    largest = request(payload=bytes(1_000))
    overhead = limits.request_bytes - len(largest.data)
    largest = request(payload=bytes(1_000 + overhead))
    assert len(largest.data) == limits.request_bytes
    assert waiting(largest).take(limits) == [largest]


# Looking up, settling, relaying.


def test_what_waits_is_vouched_for_byte_by_byte():
    """A request in a batch needs no second verification if exactly its bytes wait here."""
    room = waiting(request("alice", 1))
    assert room.vouches_for(request("alice", 1))
    assert not room.vouches_for(request("alice", 1, payload=b"other"))
    assert not room.vouches_for(signed(forged(request("alice", 1).envelope)))
    assert not room.vouches_for(request("alice", 2))
    assert not room.vouches_for(request("bob", 1))


def test_execution_settles_what_it_overtook_and_nothing_else():
    """A session's request goes when its timestamp or a later one executed; a newer one stays."""
    alice = SCENE.key("alice")
    room = waiting(request("alice", 1, timestamp=5), request("alice", 2, timestamp=5))
    room.settle(alice, session_id(1), 4)
    assert len(room) == 2
    room.settle(alice, session_id(1), 5)
    room.settle(alice, session_id(9), 5)
    room.settle(SCENE.key("bob"), session_id(2), 5)
    assert room.held(alice, session_id(1)) is None
    assert room.held(alice, session_id(2)) == request("alice", 2, timestamp=5)
    assert clients(room.take(LIMITS)) == ["alice"]
    room.settle(alice, session_id(2), 6)
    assert len(room) == 0


def test_a_waiting_request_is_relayed_now_and_then():
    """At once when it comes, again after the gap, and never in other bytes than those that were verified."""
    room = waiting(request("alice", 1), settings=ReplicaSettings(relay_gap_ms=100))
    assert [room.relay_due(request("alice", 1), now_ms) for now_ms in (7, 8, 106, 107, 108)] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert not room.relay_due(request("alice", 1, payload=b"other"), 1_000)
    assert not room.relay_due(request("alice", 2), 1_000)


def test_what_was_relayed_longest_ago_comes_first():
    """Never before anything else, then in turn; so many at a time, and all of them in the end."""
    requests = [request("alice", 1), request("alice", 2), request("bob", 1)]
    room = waiting(*requests)
    assert room.relay_due(requests[1], 5)
    assert room.relay_longest_silent(2, 10) == [requests[0], requests[2]]
    assert room.relay_longest_silent(1, 20) == [requests[1]]
    assert room.relay_longest_silent(9, 30) == [requests[0], requests[2], requests[1]]
    assert not room.relay_due(requests[1], 31)
    assert WaitingRequests(ReplicaSettings()).relay_longest_silent(9, 40) == []


def test_what_waits_for_a_client_can_be_told():
    """All of its sessions, and nobody else's."""
    room = waiting(request("alice", 1), request("bob", 1), request("alice", 2))
    assert room.of(SCENE.key("alice")) == [request("alice", 1), request("alice", 2)]
    assert room.of(SCENE.key("carol")) == []


def test_the_primary_of_a_new_view_was_told_nothing():
    """What was relayed to the one before may be relayed again at once."""
    room = waiting(request("alice"), request("bob"))
    assert room.relay_due(request("alice"), 5)
    assert not room.relay_due(request("alice"), 6)
    room.unpropose()
    assert [each.relayed_ms for each in room.oldest()] == [None, None]
    assert room.relay_due(request("alice"), 7)


# How long they wait.


def test_patience_begins_when_told_but_not_before_arrival():
    """The earliest of all is known, also while it lies ahead."""
    room = WaitingRequests(ReplicaSettings())
    earliest = [room.earliest_ms]
    room.add(request("alice"), 100, 5_000)
    earliest.append(room.earliest_ms)
    room.add(request("bob"), 200, 150)
    earliest.append(room.earliest_ms)
    for name in ("bob", "alice"):
        room.settle(SCENE.key(name), session_id(1), 1)
        earliest.append(room.earliest_ms)
    assert earliest == [None, 5_000, 200, 5_000, None]


def test_each_clients_oldest_is_the_one_whose_patience_began_first():
    """A session that claims to be of the future hides no other; of two that began together the first to come counts."""
    room = WaitingRequests(ReplicaSettings())
    room.add(request("alice", 1), 0, 9_000)
    room.add(request("alice", 2), 10, 10)
    room.add(request("alice", 3), 10, 10)
    room.add(request("bob", 1), 20, 20)
    assert [(each.signed, each.starts_ms) for each in room.oldest()] == [
        (request("alice", 2), 10),
        (request("bob", 1), 20),
    ]


def test_a_newer_request_of_a_session_waits_from_its_own_arrival():
    """Its client asked for something else; nothing that waited is left behind in the books."""
    room = WaitingRequests(ReplicaSettings())
    room.add(request("alice", timestamp=1), 10, 10)
    room.add(request("alice", timestamp=2), 30, 30)
    assert room.earliest_ms == 30
    assert room.take_settled_ms() is None


def test_what_settled_tells_since_when_it_had_waited():
    """The longest of all since that was asked last; nothing when nothing settled."""
    room = WaitingRequests(ReplicaSettings())
    room.add(request("alice"), 10, 10)
    room.add(request("bob"), 20, 20)
    for name in ("bob", "alice"):
        room.settle(SCENE.key(name), session_id(1), 1)
    assert [room.take_settled_ms(), room.take_settled_ms()] == [10, None]
