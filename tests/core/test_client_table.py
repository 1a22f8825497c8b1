"""The client table: exactly-once per session, eviction, floors (OSDI'99 section 4.1; design 4.2; attack K1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.client_table import LOWEST_SESSION, ClientEntry, ClientTable, Fate, Last, SessionEntry, opened_ms
from pbft.core.group import Limits
from pbft.core.messages import OperationResult, pack
from pbft.encoding import EncodingError, encode
from pbft.machine import Outcome, Result
from pbft.pieces import cut_items, read_items
from tests.core.builders import WALL_MS, session_id

ALICE, BOB = b"a" * 32, b"b" * 32
DRIFT_MS = Limits().clock_drift_ms


def last(timestamp: int = 1, sequence: int = 1) -> Last:
    return Last(timestamp, bytes(32), sequence, (Result(Outcome.OK, b"\x01"),))


class Table(ClientTable):
    """The table with a step that judges and, where it is fresh, records: what execution does."""

    def __init__(self, sessions_per_client: int = 64) -> None:
        super().__init__(Limits(sessions_per_client=sessions_per_client))
        self.evicted: list[bytes] = []

    def run(self, session: bytes, timestamp: int = 1, client: bytes = ALICE, agreed_ms: int = WALL_MS) -> Fate:
        fate = self.judge(client, session, timestamp, agreed_ms)
        if fate is Fate.FRESH:
            evicted = self.record(client, session, last(timestamp))
            self.evicted += [] if evicted is None else [evicted]
        return fate


def test_a_timestamp_runs_once():
    """A session's timestamps grow: each runs once, none that was passed runs any more, and gaps do no harm."""
    table = Table()
    fates = [table.run(session_id(), timestamp) for timestamp in (1, 1, 2, 1, 2, 7, 6, 2**63 - 1, 2**63 - 1)]
    fresh, stale = Fate.FRESH, Fate.STALE
    assert fates == [fresh, stale, fresh, stale, stale, fresh, stale, fresh, stale]


def test_a_first_timestamp_may_be_zero():
    """What counts is that a session's timestamps grow, not where they begin."""
    table = Table()
    assert [table.run(session_id(), timestamp) for timestamp in (0, 0, 1)] == [Fate.FRESH, Fate.STALE, Fate.FRESH]


def test_sessions_and_clients_do_not_share_timestamps():
    """Each (client, session) counts for itself."""
    table = Table()
    assert table.run(session_id(1), 5) is Fate.FRESH
    assert table.run(session_id(2), 1) is Fate.FRESH
    assert table.run(session_id(1), 1, client=BOB) is Fate.FRESH
    assert table.last(ALICE, session_id(1)) == last(5)
    assert table.last(BOB, session_id(2)) is None


def test_judging_changes_nothing():
    """Whether a request would be fresh can be asked at any time, any number of times."""
    table = Table()
    for _ in range(3):
        assert table.judge(ALICE, session_id(), 1, WALL_MS) is Fate.FRESH
    assert table.last(ALICE, session_id()) is None


def test_a_session_opens_neither_below_the_floor_nor_in_the_future():
    """The edges: drift is inside, one millisecond more is not; the floor itself is not above the floor."""
    table = Table()
    assert table.judge(ALICE, session_id(1, WALL_MS + DRIFT_MS), 1, WALL_MS) is Fate.FRESH
    assert table.judge(ALICE, session_id(1, WALL_MS + DRIFT_MS + 1), 1, WALL_MS) is Fate.SESSION_IN_FUTURE
    assert table.judge(ALICE, LOWEST_SESSION, 1, WALL_MS) is Fate.UNKNOWN_SESSION
    assert table.judge(ALICE, bytes(15) + b"\1", 1, WALL_MS) is Fate.FRESH
    assert table.judge(ALICE, b"\xff" * 16, 1, WALL_MS) is Fate.SESSION_IN_FUTURE


def test_a_session_that_is_open_needs_neither_floor_nor_time():
    """Agreed time and the floor are asked at opening only: whoever is in the table goes on."""
    table = Table(sessions_per_client=2)
    old, other = session_id(1, WALL_MS - 1_000), session_id(2, WALL_MS)
    table.run(old)
    table.run(other)
    table.run(old, 2)
    assert table.run(session_id(3, WALL_MS + 1)) is Fate.FRESH
    assert table.evicted == [other]
    assert table.floor(ALICE) == other > old
    assert table.run(old, 3) is Fate.FRESH
    assert table.run(old, 4, agreed_ms=0) is Fate.FRESH


def test_the_least_recently_executed_session_is_evicted():
    """Neither the oldest id nor the first opened leaves, but who was idle longest; stale requests are no activity."""
    table = Table(sessions_per_client=3)
    first, second, third = (session_id(number) for number in (1, 2, 3))
    for session in (first, second, third):
        table.run(session)
    table.run(first, 2)
    table.run(second, 1)
    table.run(session_id(4))
    assert table.evicted == [second]
    assert table.last(ALICE, second) is None


def test_an_evicted_session_never_opens_again():
    """Its requests may have run, so all of them are unknown from now on, whatever their timestamps."""
    table = Table(sessions_per_client=1)
    table.run(session_id(1), 5)
    table.run(session_id(2))
    for timestamp in (5, 6, 2**63 - 1):
        assert table.run(session_id(1), timestamp) is Fate.UNKNOWN_SESSION
    assert table.floor(ALICE) == session_id(1)


def test_the_floor_never_sinks():
    """It is the greatest id ever evicted: evicting an older one afterwards leaves it where it is."""
    table = Table(sessions_per_client=2)
    old, new = session_id(1, WALL_MS - 500), session_id(1, WALL_MS)
    table.run(old)
    table.run(new)
    table.run(old, 2)
    table.run(session_id(2))
    assert table.evicted == [new]
    table.run(session_id(3))
    assert table.evicted == [new, old]
    assert table.floor(ALICE) == new
    assert table.run(session_id(1, WALL_MS - 1)) is Fate.UNKNOWN_SESSION


def test_one_clients_sessions_are_no_concern_of_anothers():
    """Tables and floors are each client's own."""
    table = Table(sessions_per_client=1)
    table.run(session_id(1), client=BOB)
    for number in range(1, 50):
        table.run(session_id(number))
    assert table.floor(BOB) == LOWEST_SESSION
    assert table.run(session_id(1), 2, client=BOB) is Fate.FRESH


def test_thousands_of_short_sessions_never_lock_out_a_live_one():
    """A dashboard that asks now and then goes on for ever while commands of the same key come and go (K1)."""
    table = Table()
    dashboard = session_id(0)
    for number in range(5_000):
        if number % 60 == 0:
            assert table.run(dashboard, number + 1) is Fate.FRESH
        command = session_id(number + 1, WALL_MS + number)
        assert table.run(command, agreed_ms=WALL_MS + number) is Fate.FRESH
    assert dashboard not in table.evicted
    assert len(table.evicted) == 5_001 - 64
    assert table.floor(ALICE) == max(table.evicted) > dashboard


def test_the_opening_time_is_read_off_the_id():
    """The first eight bytes of an id are the milliseconds at which it was opened."""
    assert opened_ms(session_id(7, WALL_MS)) == WALL_MS
    assert opened_ms(b"\xff" * 16) == 2**64 - 1


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3), st.integers(0, 3)), max_size=120))
def test_nothing_ever_runs_twice_and_the_table_stays_bounded(steps):
    """Any order of sessions, openings and timestamps: each (session, timestamp) runs at most once."""
    table = Table(sessions_per_client=3)
    ran: list[tuple[bytes, int]] = []
    for number, opened, timestamp in steps:
        session = session_id(number, WALL_MS + opened)
        was_evicted = session in table.evicted
        if table.run(session, timestamp) is Fate.FRESH:
            assert not was_evicted
            ran.append((session, timestamp))
    assert len(set(ran)) == len(ran)
    assert len(set(table.evicted)) == len(table.evicted)
    assert sum(table.last(ALICE, session) is not None for session in {session for session, _ in ran}) <= 3
    assert table.floor(ALICE) == max(table.evicted, default=LOWEST_SESSION)


steps_of_two_clients = st.lists(
    st.tuples(st.sampled_from([ALICE, BOB]), st.integers(1, 6), st.integers(0, 3), st.integers(0, 9)), max_size=40
)


def play(table: Table, steps: Sequence[Any]) -> list[Fate]:
    return [
        table.run(session_id(number, WALL_MS + opened), timestamp, client)
        for client, number, opened, timestamp in steps
    ]


@given(steps_of_two_clients, steps_of_two_clients, steps_of_two_clients)
def test_a_table_goes_on_from_a_snapshot_as_its_maker_does(before, elsewhere, after):
    """Judgements, evictions and floors are equal from then on, whatever the other table held."""
    source, target = Table(3), Table(3)
    play(source, before)
    play(target, elsewhere)
    snapshot = source.snapshot()
    pieces = list(snapshot)
    target.restore(pieces)
    source.evicted.clear()
    target.evicted.clear()

    assert list(target.snapshot()) == pieces
    assert play(target, after) == play(source, after)
    assert target.evicted == source.evicted
    assert [target.floor(client) for client in (ALICE, BOB)] == [source.floor(client) for client in (ALICE, BOB)]
    assert list(target.snapshot()) == list(source.snapshot())
    assert list(snapshot) == pieces


def test_a_snapshot_holds_whatever_decides_what_runs():
    """Timestamps, results, digests, sequences, floors, and which session is evicted next; not who came first."""

    def pieces(*steps: tuple[bytes, bytes, Last]) -> bytes:
        table = ClientTable(Limits(sessions_per_client=2))
        for step in steps:
            table.record(*step)
        return b"".join(table.snapshot())

    one, two, three = (session_id(number) for number in (1, 2, 3))
    plain = Last(1, bytes(32), 1, (Result(Outcome.OK, b"x"),))
    states = [
        pieces(),
        pieces((ALICE, one, plain)),
        pieces((BOB, one, plain)),
        pieces((ALICE, two, plain)),
        pieces((ALICE, one, Last(2, bytes(32), 1, plain.results))),
        pieces((ALICE, one, Last(1, b"d" * 32, 1, plain.results))),
        pieces((ALICE, one, Last(1, bytes(32), 2, plain.results))),
        pieces((ALICE, one, Last(1, bytes(32), 1, (Result(Outcome.OK, b"y"),)))),
        pieces((ALICE, one, Last(1, bytes(32), 1, (Result(Outcome.REJECTED, b"x"),)))),
        pieces((ALICE, one, Last(1, bytes(32), 1, plain.results * 2))),
        pieces((ALICE, one, plain), (ALICE, two, plain)),
        pieces((ALICE, two, plain), (ALICE, one, plain)),
        pieces((ALICE, three, plain), (ALICE, one, plain), (ALICE, two, plain)),
        pieces((ALICE, one, plain), (BOB, one, plain)),
    ]
    assert len(dict.fromkeys(states)) == len(states)
    assert states[-1] == pieces((BOB, one, plain), (ALICE, one, plain))


def test_a_table_of_large_results_is_spread_over_pieces():
    """As many sessions as a client may have, each with all the bytes that the results of one request may take."""
    limits = Limits()
    source, target = ClientTable(limits), ClientTable(limits)
    for number in range(limits.sessions_per_client):
        results = tuple(Result(Outcome.OK, bytes([number]) * (limits.results_bytes // 2)) for _ in range(2))
        source.record(ALICE, session_id(number), Last(number, bytes(32), number, results))
    pieces = list(source.snapshot())
    assert len(pieces) > 64 * 256 // 32
    target.restore(pieces)
    assert list(target.snapshot()) == pieces
    for number in range(limits.sessions_per_client):
        assert target.last(ALICE, session_id(number)) == source.last(ALICE, session_id(number))


def client(key: bytes = ALICE, sessions: int = 1, floor: bytes = LOWEST_SESSION) -> bytes:
    return pack(ClientEntry(key, floor, sessions))


def session(number: int = 1, outcome: int = 0) -> bytes:
    return pack(SessionEntry(session_id(number), 1, bytes(32), 1, (OperationResult(outcome, b"\x01"),)))


@pytest.mark.parametrize(
    "items",
    [
        (b"",),
        (b"x",),
        (session(),),
        (client(),),
        (client(sessions=2), session()),
        (client(), session(), session(2)),
        (client(sessions=0),),
        (client(sessions=4), session(), session(2), session(3), session(4)),
        (client(sessions=2), session(), session()),
        (client(), session(), client(), session()),
        (client(BOB), session(), client(ALICE), session()),
        (client(bytes(31)), session()),
        (client(floor=bytes(15)), session()),
        (client(), session(outcome=4)),
        (client(), session() + b"x"),
        (client(), encode([session_id(1), -1, bytes(32), 1, [[0, b"x"]]])),
        (client(), encode([session_id(1), 1, bytes(32), 1, [[False, b"x"]]])),
    ],
)
def test_pieces_that_no_table_makes_are_refused(items):
    """Wrong numbers, orders, lengths or types, or more sessions than the limit: nothing is changed."""
    table = Table(3)
    table.run(session_id(5))
    before = list(table.snapshot())
    with pytest.raises(EncodingError):
        table.restore(list(cut_items(items)))
    assert list(table.snapshot()) == before


def test_the_items_of_a_snapshot():
    """Client after client by key, each followed by its sessions, the next to leave first."""
    table = Table(2)
    for number in (3, 1, 2):
        table.run(session_id(number), client=BOB)
    table.run(session_id(1))
    items = [client(ALICE), session(1), client(BOB, 2, session_id(3)), session(1), session(2)]
    assert list(read_items(table.snapshot())) == items
