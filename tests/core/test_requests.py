"""Requests that wait: turns, bounds, and never twice (design 4.2, 4.3; attacks K1, K4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pbft.core.batches import SignedRequest
from pbft.core.group import Limits
from pbft.core.requests import WaitingRequests
from pbft.core.settings import ReplicaSettings
from tests.core.builders import Scene, forged, session_id, signed

SCENE = Scene(clients=("alice", "bob", "carol"))
LIMITS = Limits()
NAMES = {SCENE.key(name): name for name in ("alice", "bob", "carol")}


def request(client: str = "alice", session: int = 1, timestamp: int = 1, payload: bytes = b"op") -> SignedRequest:
    return signed(SCENE.request(client, timestamp, (payload,), session_id(session)))


def waiting(*requests: SignedRequest, settings: ReplicaSettings | None = None) -> WaitingRequests:
    room = WaitingRequests(settings or ReplicaSettings())
    for each in requests:
        assert room.has_room(each)
        room.add(each)
    return room


def clients(taken: list[SignedRequest]) -> list[str]:
    return [NAMES[each.request.client] for each in taken]


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
    room.add(request("alice", 2))
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
    room.add(request(timestamp=2))
    assert len(room) == 1
    assert room.ready
    assert [each.request.timestamp for each in room.take(LIMITS)] == [2]


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


# Bounds.


def test_the_number_of_requests_is_bounded():
    """Another one has no room; a newer request of a session that waits takes the older one's place."""
    room = waiting(request("alice", 1), request("bob", 1), settings=ReplicaSettings(waiting_requests=2))
    assert not room.has_room(request("carol", 1))
    assert room.has_room(request("bob", 1, timestamp=2))


def test_the_requests_of_one_client_are_bounded():
    """A client with thousands of sessions has no room left, while others do."""
    room = waiting(request("alice", 1), request("alice", 2), settings=ReplicaSettings(waiting_requests_per_client=2))
    assert not room.has_room(request("alice", 3))
    assert room.has_room(request("alice", 2, timestamp=2))
    assert room.has_room(request("bob", 1))


def test_the_bytes_are_bounded_also_for_what_replaces_something_smaller():
    """A small request does not keep a place for a large one: the bound holds whoever replaces what."""
    small, large = request("alice", 1), request("alice", 1, timestamp=2, payload=bytes(1_000))
    settings = ReplicaSettings(waiting_bytes=len(small.data) + len(large.data) - 1)
    room = waiting(small, request("bob", 1), settings=settings)
    assert not room.has_room(large)
    room.settle(SCENE.key("bob"), session_id(1), 1)
    assert room.has_room(large)


def test_the_bytes_of_one_client_are_bounded_also_for_what_replaces_something_smaller():
    """To the byte, whatever its sessions; others have room all the same."""
    small, large = request("alice", 1), request("alice", 2, payload=bytes(1_000))
    settings = ReplicaSettings(waiting_bytes_per_client=len(small.data) + len(large.data))
    room = waiting(small, settings=settings)
    assert not room.has_room(request("alice", 2, payload=bytes(1_001)))
    room = waiting(small, large, settings=settings)
    assert not room.has_room(request("alice", 1, timestamp=2, payload=b"op!"))
    assert room.has_room(request("alice", 1, timestamp=2))
    assert not room.has_room(request("alice", 3))
    assert room.has_room(request("bob", 1, payload=bytes(1_000)))
    room.settle(SCENE.key("alice"), session_id(2), 1)
    assert room.has_room(request("alice", 3))


def test_a_lone_request_fits_whatever_the_share_of_its_client():
    """A group may allow requests larger than the share; refused as busy, such a one would be refused for ever."""
    large = request("alice", 1, payload=bytes(1_000))
    room = waiting(settings=ReplicaSettings(waiting_bytes_per_client=100))
    assert room.has_room(large)
    room.add(large)
    assert room.has_room(request("alice", 1, timestamp=2, payload=bytes(1_001)))
    assert not room.has_room(request("alice", 2))


def test_a_few_clients_with_large_requests_do_not_fill_the_room_for_all():
    """By default eight clients together can, four cannot: a newcomer's largest request still finds a place."""
    scene = Scene(clients=("one", "two", "three", "four", "five"))
    limits, settings = Limits(), ReplicaSettings()
    largest = (bytes(limits.operation_bytes),) * 3 + (bytes(limits.operation_bytes - 1_024),)
    room = WaitingRequests(settings)
    for name in ("one", "two", "three", "four"):
        for session in range(settings.waiting_requests_per_client):
            each = signed(scene.request(name, 1, largest, session_id(session)))
            if room.has_room(each):
                room.add(each)
        assert sum(len(each.data) for each in room.of(scene.key(name))) <= settings.waiting_bytes_per_client
    assert room.has_room(signed(scene.request("five", 1, largest)))


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


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "add", "take", "settle"]),
            st.sampled_from(["alice", "bob", "carol"]),
            st.integers(1, 3),
            st.integers(1, 4),
        ),
        max_size=60,
    )
)
def test_any_mixture_of_steps_keeps_the_books_straight(steps):
    """Counts, readiness and room follow from what waits; nothing is taken twice, nobody is served twice in a round."""
    settings = ReplicaSettings(waiting_requests=6, waiting_requests_per_client=2, waiting_bytes=1_000)
    room = WaitingRequests(settings)
    model: dict[tuple[str, int], tuple[SignedRequest, bool]] = {}
    taken_ever: list[bytes] = []
    for step, client, session, timestamp in steps:
        each = request(client, session, timestamp)
        if step == "add":
            others = [key for key in model if key != (client, session)]
            used = sum(len(model[key][0].data) for key in others)
            fits = len(others) < 6 and sum(key[0] == client for key in others) < 2 and used + len(each.data) <= 1_000
            assert room.has_room(each) is fits
            if fits and each.data not in taken_ever:
                room.add(each)
                model[client, session] = (each, False)
        elif step == "take":
            taken = room.take(Limits(batch_requests=2))
            unproposed = {key for key, (_, proposed) in model.items() if not proposed}
            assert len(taken) == min(2, len(unproposed))
            assert len(set(clients(taken))) == min(2, len({key[0] for key in unproposed}))
            for one in taken:
                key = next(key for key, (held, _) in model.items() if held is one)
                assert key in unproposed
                model[key] = (one, True)
                taken_ever.append(one.data)
        else:
            room.settle(each.request.client, each.request.session, timestamp)
            held = model.get((client, session))
            if held is not None and held[0].request.timestamp <= timestamp:
                del model[client, session]
        assert len(room) == len(model)
        assert room.ready is any(not proposed for _, proposed in model.values())
