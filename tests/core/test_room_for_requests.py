"""Room for requests that wait: bounded for each client and for all, and shared out fairly (attacks K1, K4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.batches import SignedRequest
from pbft.core.group import Limits
from pbft.core.requests import WaitingRequests
from pbft.core.settings import ReplicaSettings
from tests.core.builders import Scene, session_id, signed
from tests.core.waiting_room import LIMITS, NAMES, SCENE, clients, request, waiting

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
    assert room.add(large, 0, 0) == []
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
                assert room.add(each, 0, 0) == []
        assert sum(len(each.data) for each in room.of(scene.key(name))) <= settings.waiting_bytes_per_client
    assert room.has_room(signed(scene.request("five", 1, largest)))


# Room for all.

CROWD = Scene(clients=tuple(f"client {number}" for number in range(65)))


def of_crowd(number: int, session: int = 1, timestamp: int = 1, payload: bytes = b"op") -> SignedRequest:
    return signed(CROWD.request(f"client {number}", timestamp, (payload,), session_id(session)))


def holdings(room: WaitingRequests) -> list[int]:
    return [len(room.of(CROWD.key(f"client {number}"))) for number in range(65)]


def test_a_flood_by_many_clients_leaves_room_for_one_more():
    """64 clients fill everything with their sessions (K4): a newcomer still gets as much room as they have.

    Each of its requests takes the place of one that is the newest of whoever holds most.
    """
    room = WaitingRequests(ReplicaSettings(waiting_requests=256))
    for session in range(5):
        for number in range(64):
            each = of_crowd(number, session)
            assert room.has_room(each) is (session < 4)
            if session < 4:
                room.add(each, session, session)
    assert holdings(room) == [4] * 64 + [0]
    gone: list[SignedRequest] = []
    for session in range(3):
        assert room.has_room(of_crowd(64, session))
        gone += room.add(of_crowd(64, session), 9, 9)
        assert len(room) == 256
    assert {each.request.session for each in gone} == {session_id(3)}
    assert len({each.request.client for each in gone}) == 3
    assert sorted(holdings(room)) == [3] * 4 + [4] * 61
    assert not room.has_room(of_crowd(64, 3))


def test_as_many_clients_as_requests_have_room_for_one_each():
    """Whoever came first with however many: in the end each client's oldest is there, and nothing else."""
    room = WaitingRequests(ReplicaSettings(waiting_requests=65))
    for number in (0, 1):
        for session in range(64):
            if room.has_room(of_crowd(number, session)):
                room.add(of_crowd(number, session), 0, 0)
    assert len(room) == 65
    for number in range(2, 65):
        assert room.has_room(of_crowd(number))
        (gone,) = room.add(of_crowd(number), 1, 1)
        assert gone.request.session != session_id(0)
    assert holdings(room) == [1] * 65
    assert [room.of(CROWD.key(f"client {number}")) for number in (0, 1)] == [[of_crowd(0, 0)], [of_crowd(1, 0)]]
    assert not any(room.has_room(of_crowd(number, 2)) for number in range(65))


def test_who_has_many_small_requests_makes_no_room_for_bytes_that_another_holds():
    """Bytes are shared out by bytes: the newest of the client with most of them go, as many as it takes."""
    large, small = bytes(10_000), bytes(100)
    settings = ReplicaSettings(waiting_bytes=60_000)
    room = waiting(*(request("alice", session, payload=large) for session in range(4)), settings=settings)
    for session in range(40):
        assert room.add(request("bob", session, payload=small), 0, 0) == []
    free = settings.waiting_bytes - room.held_bytes
    assert free < 10_000
    newcomer = request("carol", payload=bytes(15_000))
    assert room.has_room(newcomer)
    gone = room.add(newcomer, 0, 0)
    assert [(NAMES[each.request.client], each.request.session) for each in gone] == [("alice", session_id(3))]
    assert room.held_bytes <= settings.waiting_bytes
    # Now alice holds three, carol would hold more than that with another: nobody owes her room.
    assert not room.has_room(request("carol", 2, payload=bytes(20_000)))
    assert room.has_room(request("carol", payload=bytes(20_000), timestamp=2))


def test_twice_its_size_for_each_client_makes_room_for_any_request():
    """What the class promises about bytes, at its very edge: the others hold as much as they can, in the worst cut."""
    size = len(of_crowd(0, payload=bytes(10_000)).data)
    settings = ReplicaSettings(waiting_bytes=2 * 8 * size, waiting_bytes_per_client=8 * size)
    for payload in (bytes(10_000), bytes(5_000), bytes(3_300), bytes(40)):
        room = WaitingRequests(settings)
        for session in range(64):
            for number in range(7):
                each = of_crowd(number, session, payload=bytes(10_000) if session == 0 else payload)
                if room.has_room(each):
                    room.add(each, 0, 0)
        newcomer = of_crowd(7, payload=bytes(10_000))
        assert room.has_room(newcomer)
        room.add(newcomer, 0, 0)
        assert room.held_bytes <= settings.waiting_bytes
        assert all(holdings(room)[:8])


def test_nobodys_oldest_goes_however_large():
    """Where what else a client has does not make room enough, there is none."""
    settings = ReplicaSettings(waiting_bytes=10_000)
    room = waiting(request("alice", 1, payload=bytes(9_000)), request("alice", 2), settings=settings)
    assert not room.has_room(request("bob", payload=bytes(1_000)))
    assert [len(room.of(SCENE.key(name))) for name in ("alice", "bob")] == [2, 0]


def test_who_holds_as_many_bytes_as_the_newcomer_would_owes_it_nothing():
    """One byte less asked for, and the newest goes."""
    own = [request("alice", session, payload=bytes(1_000)) for session in (1, 2)]
    held_bytes = sum(len(each.data) for each in own)
    overhead = held_bytes - len(request("bob", payload=bytes(2_000)).data)
    room = waiting(*own, settings=ReplicaSettings(waiting_bytes=held_bytes + len(own[0].data)))
    equal = request("bob", payload=bytes(2_000 + overhead))
    assert len(equal.data) == held_bytes
    assert not room.has_room(equal)
    less = request("bob", payload=bytes(2_000 + overhead - 1))
    assert room.has_room(less)
    assert room.add(less, 0, 0) == [own[1]]


def test_what_was_proposed_is_not_pushed_out():
    """It counts neither as what a client holds too much of, nor as what may go; once the view ends it may."""
    room = waiting(*(request("alice", session) for session in range(3)), settings=ReplicaSettings(waiting_requests=3))
    room.take(LIMITS)
    assert not room.has_room(request("bob"))
    room.unpropose()
    assert room.add(request("bob"), 0, 0) == [request("alice", 2)]
    assert clients(room.take(LIMITS)) == ["alice", "bob", "alice"]


def test_a_request_that_takes_the_place_of_its_own_sessions_pushes_nobody_out():
    """The room it needs is there already; only the bytes by which it grew are asked of others."""
    room = waiting(
        request("alice", 1), request("alice", 2), request("bob"), settings=ReplicaSettings(waiting_requests=3)
    )
    assert room.add(request("bob", timestamp=2), 0, 0) == []
    assert len(room) == 3


@pytest.mark.parametrize("proposed", [True, False])
def test_what_takes_the_place_of_an_older_one_is_weighed_alone(proposed):
    """Its client holds as many bytes of this session as the newer one has, whether the older was proposed or not."""
    older = request("bob", payload=bytes(1_000))
    own = [request("alice", session, payload=bytes(1_000)) for session in (1, 2, 3)]
    own_bytes = sum(len(each.data) for each in own)
    room = waiting(older, settings=ReplicaSettings(waiting_bytes=len(older.data) + own_bytes + 1_500))
    if proposed:
        assert room.take(LIMITS) == [older]
    for each in own:
        assert room.add(each, 0, 0) == []
    overhead = len(request("bob", timestamp=2, payload=bytes(3_000)).data) - 3_000
    equal, less = (request("bob", timestamp=2, payload=bytes(own_bytes - overhead - by)) for by in (0, 1))
    assert len(equal.data) == own_bytes
    assert not room.has_room(equal)
    assert room.has_room(less)
    assert room.add(less, 0, 0) == [own[2]]


def test_nothing_is_added_without_room():
    """Whoever adds must have asked: the bounds hold whatever the caller forgot."""
    room = waiting(request("alice"), settings=ReplicaSettings(waiting_requests=1))
    with pytest.raises(ValueError, match="no room"):
        room.add(request("bob"), 0, 0)
    assert len(room) == 1


# All together.

BOUNDS = ReplicaSettings(
    waiting_requests=5, waiting_requests_per_client=4, waiting_bytes=2_500, waiting_bytes_per_client=1_900
)


class Ledger:
    """What should wait, in plain words: a list in order of arrival."""

    def __init__(self) -> None:
        self.entries: list[tuple[SignedRequest, bool]] = []

    def without(self, each: SignedRequest) -> list[tuple[SignedRequest, bool]]:
        return [
            (held, proposed)
            for held, proposed in self.entries
            if (held.request.client, held.request.session) != (each.request.client, each.request.session)
        ]

    def leaving(self, newcomer: SignedRequest) -> list[SignedRequest] | None:
        """Return whose place a newcomer takes, by the rules; None where it has no room."""
        entries = self.without(newcomer)
        own = [len(held.data) for held, _ in entries if held.request.client == newcomer.request.client]
        if len(own) >= BOUNDS.waiting_requests_per_client:
            return None
        if own and sum(own) + len(newcomer.data) > BOUNDS.waiting_bytes_per_client:
            return None
        excess = sum(len(held.data) for held, _ in entries) + len(newcomer.data) - BOUNDS.waiting_bytes
        if excess <= 0 and len(entries) < BOUNDS.waiting_requests:
            return []
        shares: dict[bytes, list[SignedRequest]] = {}
        for held, proposed in self.entries:
            if not proposed:
                shares.setdefault(held.request.client, []).append(held)
        mine = [held for held, proposed in entries if held.request.client == newcomer.request.client and not proposed]

        def weigh(requests: list[SignedRequest]) -> int:
            return sum(len(each.data) for each in requests) if excess > 0 else len(requests)

        most = max(shares.items(), key=lambda item: (weigh(item[1]), item[0]), default=(b"", []))[1]
        would_hold = weigh([*mine, newcomer])
        gone: list[SignedRequest] = []
        while len(most) > 1 and weigh(most) > would_hold:
            gone.append(most[-1])
            most = most[:-1]
            if sum(len(each.data) for each in gone) >= excess:
                return gone
        return None

    @property
    def unproposed(self) -> list[SignedRequest]:
        return [held for held, proposed in self.entries if not proposed]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "add", "add", "take", "settle", "mark", "unpropose"]),
            st.sampled_from(["alice", "bob", "carol"]),
            st.integers(1, 4),
            st.integers(1, 4),
            st.sampled_from([1, 400, 900]),
        ),
        max_size=60,
    )
)
def test_any_mixture_of_steps_keeps_the_books_straight(steps):
    """Counts, readiness, room, and who makes it, follow from what waits.

    Nothing is taken twice, and nobody is served twice in a round.
    """
    room = WaitingRequests(BOUNDS)
    ledger = Ledger()
    for now_ms, (step, client, session, timestamp, size) in enumerate(steps):
        each = request(client, session, timestamp, bytes(size))
        same = (each.request.client, each.request.session)
        if step == "add":
            leaving = ledger.leaving(each)
            assert room.has_room(each) is (leaving is not None)
            if leaving is not None:
                assert room.add(each, now_ms, now_ms) == leaving
                ledger.entries = [item for item in ledger.without(each) if item[0] not in leaving]
                ledger.entries.append((each, False))
        elif step == "take":
            unproposed = ledger.unproposed
            taken = room.take(Limits(batch_requests=2))
            assert len(taken) == min(2, len(unproposed))
            assert len(set(clients(taken))) == min(2, len({held.request.client for held in unproposed}))
            assert all(one in unproposed for one in taken)
            ledger.entries = [(held, proposed or held in taken) for held, proposed in ledger.entries]
        elif step == "unpropose":
            room.unpropose()
            ledger.entries = [(held, False) for held, _ in ledger.entries]
        else:
            hit = [
                held
                for held, _ in ledger.entries
                if (held.request.client, held.request.session) == same and held.request.timestamp <= timestamp
            ]
            if step == "settle":
                room.settle(*same, timestamp)
                ledger.entries = [item for item in ledger.entries if item[0] not in hit]
            else:
                room.mark_proposed(*same, timestamp)
                ledger.entries = [(held, proposed or held in hit) for held, proposed in ledger.entries]
        assert len(room) == len(ledger.entries)
        assert room.held_bytes == sum(len(held.data) for held, _ in ledger.entries)
        assert room.ready is bool(ledger.unproposed)
        assert len(room.oldest()) == len({held.request.client for held, _ in ledger.entries})
        assert (room.earliest_ms is None) is not bool(ledger.entries)
