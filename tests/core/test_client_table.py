"""The client table: exactly-once per session, eviction, floors, and all of it as a checkpoint's entries.

OSDI'99 section 4.1; design 4.2 and 5; attack K1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.client_table import (
    FLOOR,
    LOWEST_SESSION,
    SESSION,
    ClientTable,
    Fate,
    Last,
    SessionEntry,
    opened_ms,
)
from pbft.core.codec import MAX_UINT, pack, unpack
from pbft.core.group import Limits
from pbft.core.messages import OperationResult
from pbft.encoding import EncodingError, encode
from pbft.machine import Outcome, Result
from tests.core.builders import WALL_MS, session_id

ALICE, BOB = b"a" * 32, b"b" * 32
DRIFT_MS = Limits().clock_drift_ms


def last(timestamp: int = 1, sequence: int = 1, place: int = 0) -> Last:
    return Last(timestamp, bytes(32), sequence, place, (Result(Outcome.OK, b"\x01"),))


class Table(ClientTable):
    """The table with a step that judges and, where it is fresh, records: what execution does.

    Three requests make a batch.
    """

    def __init__(self, sessions_per_client: int = 64) -> None:
        super().__init__(Limits(sessions_per_client=sessions_per_client))
        self.evicted: list[bytes] = []
        self.steps = 0

    def run(self, session: bytes, timestamp: int = 1, client: bytes = ALICE, agreed_ms: int = WALL_MS) -> Fate:
        fate = self.judge(client, session, timestamp, agreed_ms)
        sequence, place = divmod(self.steps, 3)
        self.steps += 1
        if fate is Fate.FRESH:
            evicted = self.record(client, session, last(timestamp, 1 + sequence, place))
            self.evicted += [] if evicted is None else [evicted]
        return fate


def content(table: ClientTable) -> dict[bytes, bytes]:
    """Return the entries that a checkpoint covers."""
    section = table.section()
    return {key: section.get(key) or b"" for key in section}


def put(table: ClientTable, entries: Mapping[bytes, bytes], order: Iterable[bytes] | None = None) -> None:
    """Write entries into a table's section in place of what is there, as a state transfer does."""
    section = table.section()
    for key in list(section):
        section.write(key, None)
    for key in entries if order is None else order:
        section.write(key, entries[key])


def digest_of(table: ClientTable) -> bytes:
    return table.section().freeze().digest


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
    assert table.last(ALICE, session_id(1)) == last(5, sequence=1)
    assert table.last(BOB, session_id(2)) is None


def test_judging_changes_nothing():
    """Whether a request would be fresh can be asked at any time, any number of times."""
    table = Table()
    for _ in range(3):
        assert table.judge(ALICE, session_id(), 1, WALL_MS) is Fate.FRESH
    assert table.last(ALICE, session_id()) is None
    assert len(table.section()) == 0


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


@given(steps_of_two_clients, steps_of_two_clients, steps_of_two_clients, st.randoms(use_true_random=False))
def test_a_table_goes_on_from_entries_as_their_maker_does(before, elsewhere, after, random):
    """Judgements, evictions and floors are equal from then on, in whatever order the entries came over what was there.

    So the entries alone tell which session is to leave next.
    """
    source, target = Table(3), Table(3)
    play(source, before)
    play(target, elsewhere)
    entries = content(source)
    put(target, entries, random.sample(sorted(entries), len(entries)))
    target.adopt()
    target.steps = source.steps
    source.evicted.clear()
    target.evicted.clear()

    assert (content(target), target.sessions) == (entries, source.sessions)
    assert play(target, after) == play(source, after)
    assert target.evicted == source.evicted
    assert [target.floor(client) for client in (ALICE, BOB)] == [source.floor(client) for client in (ALICE, BOB)]
    assert content(target) == content(source)
    assert digest_of(target) == digest_of(source)


@given(steps_of_two_clients, st.lists(st.integers(0, 40), max_size=4))
def test_equal_histories_have_equal_digests_whenever_they_are_asked_for(steps, checkpoints):
    """What is written at one checkpoint or at several, or read back in between, comes to the same entries and root."""
    plain, asked, adopting = Table(3), Table(3), Table(3)
    for number, step in enumerate(steps):
        for table in (plain, asked, adopting):
            play(table, [step])
        if number in checkpoints:
            asked.section().freeze().settle()
            adopting.section()
            adopting.adopt()
    assert content(plain) == content(asked) == content(adopting)
    assert digest_of(plain) == digest_of(asked) == digest_of(adopting)


@given(steps_of_two_clients)
def test_the_entries_are_the_table_and_nothing_else(steps):
    """A floor for each client of whom a session was evicted, and each session in the table, as they are now."""
    table = Table(3)
    for step in steps:
        play(table, [step])
        table.section()
    expected: dict[bytes, bytes] = {}
    for client, number, opened, _ in steps:
        session = session_id(number, WALL_MS + opened)
        if table.floor(client) != LOWEST_SESSION:
            expected[FLOOR + client] = table.floor(client)
        if (now := table.last(client, session)) is not None:
            results = tuple(OperationResult(int(each.outcome), each.payload) for each in now.results)
            entry = SessionEntry(now.timestamp, now.request_digest, now.sequence, now.place, results)
            expected[SESSION + client + session] = pack(entry)
    assert content(table) == expected
    assert len(expected) == table.sessions + sum(table.floor(client) != LOWEST_SESSION for client in (ALICE, BOB))


def test_the_digest_covers_whatever_decides_what_runs():
    """Timestamps, results, digests, places in the order, floors, and which session is evicted next."""

    def digest_after(*steps: tuple[bytes, bytes, Last]) -> bytes:
        table = ClientTable(Limits(sessions_per_client=2))
        for step in steps:
            table.record(*step)
        return digest_of(table)

    one, two, three = (session_id(number) for number in (1, 2, 3))
    results = (Result(Outcome.OK, b"x"),)
    plain, then = Last(1, bytes(32), 1, 0, results), Last(1, bytes(32), 1, 1, results)
    third = Last(1, bytes(32), 1, 2, results)
    states = [
        digest_after(),
        digest_after((ALICE, one, plain)),
        digest_after((BOB, one, plain)),
        digest_after((ALICE, two, plain)),
        digest_after((ALICE, one, Last(2, bytes(32), 1, 0, results))),
        digest_after((ALICE, one, Last(1, b"d" * 32, 1, 0, results))),
        digest_after((ALICE, one, Last(1, bytes(32), 2, 0, results))),
        digest_after((ALICE, one, then)),
        digest_after((ALICE, one, Last(1, bytes(32), 1, 0, (Result(Outcome.OK, b"y"),)))),
        digest_after((ALICE, one, Last(1, bytes(32), 1, 0, (Result(Outcome.REJECTED, b"x"),)))),
        digest_after((ALICE, one, Last(1, bytes(32), 1, 0, results * 2))),
        digest_after((ALICE, one, plain), (ALICE, two, then)),
        digest_after((ALICE, two, plain), (ALICE, one, then)),
        digest_after((ALICE, one, then), (ALICE, two, third)),
        digest_after((ALICE, three, plain), (ALICE, one, then), (ALICE, two, third)),
        digest_after((ALICE, one, plain), (BOB, one, then)),
        digest_after((BOB, one, plain), (ALICE, one, then)),
    ]
    assert len(dict.fromkeys(states)) == len(states)


def test_the_order_within_a_batch_decides_who_leaves():
    """Two sessions of one batch: whose request came first leaves first, also after the table was read back."""
    for first, second in ((1, 2), (2, 1)):
        table = ClientTable(Limits(sessions_per_client=2))
        table.record(ALICE, session_id(first), last(place=0))
        table.record(ALICE, session_id(second), last(place=1))
        table.section()
        table.adopt()
        assert table.record(ALICE, session_id(3), last(sequence=2)) == session_id(first)


def test_one_section_for_the_life_of_a_table():
    """Whoever froze it goes on with it: it is never exchanged, and an earlier view stays what it was."""
    table = Table(2)
    section = table.section()
    view = section.freeze()
    table.run(session_id(1))
    assert table.section() is section
    table.adopt()
    assert table.section() is section
    assert len(section) == 1
    assert view.get(SESSION + ALICE + session_id(1)) is None


def test_only_what_changed_is_written():
    """A checkpoint's costs are the sessions that executed since the one before, each once, and those that left."""
    table = Table(8)

    def changes() -> int:
        return table.section().freeze().changes

    for number in range(8):
        table.run(session_id(number), client=ALICE)
        table.run(session_id(number), client=BOB)
    assert changes() == 16

    for timestamp in range(2, 102):
        table.run(session_id(3), timestamp)
    assert changes() == 1

    table.run(session_id(3), 50)
    before = table.section().freeze()
    assert table.section().freeze() is before

    # One opens, one leaves, the floor rises.
    table.run(session_id(8))
    assert changes() == 3

    # A hundred come and go in between: what stays of them are the last eight, in place of the eight before.
    for number in range(9, 109):
        table.run(session_id(number))
    assert changes() == 8 + 8 + 1


def test_what_is_not_dirty_is_not_encoded():
    """An entry that somebody wrote stays as it is until its own session executes or leaves."""
    table = Table(8)
    table.run(session_id(1))
    table.run(session_id(2))
    section = table.section()
    one, two = (SESSION + ALICE + session_id(number) for number in (1, 2))
    section.write(one, b"one")
    section.write(two, b"two")
    table.run(session_id(2), 2)
    assert (table.section().get(one), section.get(two)) == (b"one", pack(entry(1, 2, timestamp=2)))


def test_what_was_recorded_before_a_transfer_is_dropped_with_the_state_it_belongs_to():
    """Sessions and floors that no checkpoint had covered yet do not come back over what was adopted."""
    source, target = Table(1), Table(1)
    source.run(session_id(1))
    entries = content(source)
    section = target.section()
    target.run(session_id(2), client=BOB)
    target.run(session_id(3), client=BOB)
    for key, value in entries.items():
        section.write(key, value)
    target.adopt()
    assert content(target) == entries
    assert (target.last(BOB, session_id(3)), target.floor(BOB), target.sessions) == (None, LOWEST_SESSION, 1)
    assert target.run(session_id(2), client=BOB) is Fate.FRESH


def test_large_results_come_back():
    """As many sessions as a client may have, each with all the bytes that the results of one request may take."""
    limits = Limits()
    source, target = ClientTable(limits), ClientTable(limits)
    for number in range(limits.sessions_per_client):
        results = tuple(Result(Outcome.OK, bytes([number]) * (limits.results_bytes // 2)) for _ in range(2))
        source.record(ALICE, session_id(number), Last(number, bytes(32), number, 0, results))
    put(target, content(source))
    target.adopt()
    assert digest_of(target) == digest_of(source)
    for number in range(limits.sessions_per_client):
        assert target.last(ALICE, session_id(number)) == source.last(ALICE, session_id(number))


def test_a_session_below_the_floor_is_taken_over():
    """The floor is asked at opening only, so that a session below it may be alive, in a table that is full."""
    table = Table(2)
    old, new = session_id(1, WALL_MS - 1_000), session_id(2)
    for session, timestamp in ((old, 1), (new, 1), (old, 2)):
        table.run(session, timestamp)
    table.run(session_id(3))
    assert table.floor(ALICE) == new > old
    table.section()
    table.adopt()
    assert table.floor(ALICE) == new
    assert table.run(old, 3) is Fate.FRESH


def entry(sequence: int = 1, place: int = 0, timestamp: int = 1, outcome: int = 0) -> SessionEntry:
    return SessionEntry(timestamp, bytes(32), sequence, place, (OperationResult(outcome, b"\x01"),))


def session(number: int, sequence: int = 1, place: int = 0, client: bytes = ALICE) -> dict[bytes, bytes]:
    return {SESSION + client + session_id(number): pack(entry(sequence, place))}


def raw(value: object) -> dict[bytes, bytes]:
    return {SESSION + ALICE + session_id(1): value if type(value) is bytes else encode(value)}


def floor(number: int, client: bytes = ALICE) -> dict[bytes, bytes]:
    return {FLOOR + client: session_id(number)}


FULL = {**session(1, 1), **session(2, 2), **session(3, 3)}
"""As many as the limit allows in these tests."""


@pytest.mark.parametrize(
    "entries",
    [
        {},
        session(1),
        FULL,
        {**FULL, **floor(4)},
        {**FULL, **floor(9), **session(1, 2, 1, BOB)},
        {**session(1, 1, 0), **session(2, 1, 1), **session(1, 2, 0, BOB)},
        session(1, MAX_UINT, 2**16 - 1),
    ],
)
def test_entries_that_a_table_writes_are_taken_over(entries):
    """What the refusals below begin with is fine, and comes out again as it was."""
    table = Table(3)
    put(table, entries)
    table.adopt()
    assert content(table) == entries


KEYS = "keys name a client's floor or one of its sessions"
EVICTED = "the id of an evicted session"
SPELLING = "not canonical CBOR"


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({b"": b""}, KEYS),
        ({SESSION: pack(entry())}, KEYS),
        ({b"x" + ALICE + session_id(1): pack(entry())}, KEYS),
        ({FLOOR + ALICE + session_id(1): pack(entry())}, KEYS),
        ({SESSION + ALICE: session_id(1)}, KEYS),
        ({SESSION + ALICE + session_id(1)[:-1]: pack(entry())}, KEYS),
        ({SESSION + ALICE + session_id(1) + b"x": pack(entry())}, KEYS),
        ({**FULL, FLOOR + ALICE[:-1]: session_id(9)}, KEYS),
        ({**FULL, FLOOR + ALICE + b"x": session_id(9)}, KEYS),
        ({**FULL, FLOOR + ALICE: b""}, EVICTED),
        ({**FULL, FLOOR + ALICE: session_id(9)[:-1]}, EVICTED),
        ({**FULL, FLOOR + ALICE: session_id(9) + b"x"}, EVICTED),
        ({**FULL, FLOOR + ALICE: LOWEST_SESSION}, EVICTED),
        ({**FULL, **floor(2)}, "its client's floor, which never opens"),
        ({SESSION + ALICE + LOWEST_SESSION: pack(entry())}, "its client's floor, which never opens"),
        (floor(9), "has as many as the limit allows: 3"),
        ({**session(1), **floor(9)}, "has as many as the limit allows: 3"),
        ({**FULL, **floor(9, BOB)}, "has as many as the limit allows: 3"),
        ({**FULL, **session(4, 4)}, "at most 3 sessions, as many as the limit allows; one has 4"),
        ({**session(1, 7, 2), **session(2, 7, 2)}, "two say the same place"),
        ({**session(1, 7, 2), **session(1, 7, 2, BOB), **session(2, 8)}, "two say the same place"),
        (raw(b""), SPELLING),
        (raw(pack(entry()) + b"x"), SPELLING),
        (raw(pack(entry())[:-1]), SPELLING),
        (raw([]), "5 fields"),
        (raw([session_id(1), 1, bytes(32), 1, 0, [[0, b"x"]]]), "5 fields"),
        (raw([-1, bytes(32), 1, 0, [[0, b"x"]]]), "SessionEntry.timestamp"),
        (raw([True, bytes(32), 1, 0, [[0, b"x"]]]), "SessionEntry.timestamp"),
        (raw([2**63, bytes(32), 1, 0, [[0, b"x"]]]), "SessionEntry.timestamp"),
        (raw([1, bytes(31), 1, 0, [[0, b"x"]]]), "SessionEntry.request_digest"),
        (raw([1, bytes(32), -1, 0, [[0, b"x"]]]), "SessionEntry.sequence"),
        (raw([1, bytes(32), 1, -1, [[0, b"x"]]]), "SessionEntry.place"),
        (raw([1, bytes(32), 1, 2**16, [[0, b"x"]]]), "SessionEntry.place"),
        (raw([1, bytes(32), 1, 0, b"x"]), "SessionEntry.results"),
        (raw([1, bytes(32), 1, 0, [[4, b"x"]]]), "OperationResult.outcome"),
        (raw([1, bytes(32), 1, 0, [[False, b"x"]]]), "OperationResult.outcome"),
        (raw([1, bytes(32), 1, 0, [[0, "x"]]]), "OperationResult.payload"),
        (raw([1, bytes(32), 1, 0, [[0, b"x", 0]]]), "2 fields"),
    ],
)
def test_entries_that_no_table_writes_are_refused(entries, sentence):
    """Unknown keys, wrong lengths or types, or what no history leaves behind: the table stays as it was."""
    table = Table(3)
    for number in (5, 6, 7, 8):
        table.run(session_id(number))
    before = content(table)
    put(table, entries)
    with pytest.raises(EncodingError, match=sentence):
        table.adopt()
    put(table, before)
    assert content(table) == before
    assert (table.sessions, table.floor(ALICE)) == (3, session_id(5))
    assert table.run(session_id(6), 1) is Fate.STALE
    assert table.run(session_id(9)) is Fate.FRESH
    assert table.evicted == [session_id(5), session_id(6)]


def test_a_refusal_keeps_what_was_recorded_since_the_last_checkpoint():
    """A transfer that is undone leaves a table whose next checkpoint is as if it had never been tried."""

    def history(refusing: bool) -> ClientTable:
        table = Table(2)
        table.run(session_id(1))
        table.run(session_id(2))
        section = table.section()
        table.run(session_id(3))
        table.run(session_id(2), 2)
        if refusing:
            section.begin()
            section.write(SESSION + ALICE + session_id(4), pack(entry(sequence=4)))
            with pytest.raises(EncodingError, match="at most 2 sessions"):
                table.adopt()
            section.rollback()
        return table

    assert content(history(True)) == content(history(False))
    assert digest_of(history(True)) == digest_of(history(False))


def test_an_entry_says_what_a_reader_of_the_wire_reads():
    """It is written field by field for speed; the strict reader of messages agrees, for every outcome."""
    results = tuple(Result(outcome, bytes([outcome])) for outcome in Outcome)
    table = ClientTable(Limits())
    table.record(ALICE, session_id(1), Last(5, b"d" * 32, 6, 7, results))
    written = content(table)[SESSION + ALICE + session_id(1)]
    told = tuple(OperationResult(number, bytes([number])) for number in range(4))
    assert unpack(SessionEntry, written) == SessionEntry(5, b"d" * 32, 6, 7, told)
    table.adopt()
    assert table.last(ALICE, session_id(1)) == Last(5, b"d" * 32, 6, 7, results)
