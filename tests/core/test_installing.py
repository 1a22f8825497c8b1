"""The state at a checkpoint, and a replica that takes it over (OSDI'99 sections 4.3, 5.3; design 4.7, 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.batches import write_batch
from pbft.core.client_table import Last
from pbft.core.execution import SNAPSHOT_VERSION, Execution, Header, Ran
from pbft.core.group import Limits
from pbft.core.messages import batch_digest, pack
from pbft.core.snapshot import CHUNK_BYTES, Snapshot, leads_to
from pbft.encoding import EncodingError, encode
from pbft.machine import (
    Application,
    Context,
    MachineError,
    Outcome,
    Rejected,
    Result,
    StateMachine,
    encode_operation,
    operation,
)
from pbft.table import Table
from tests.core.builders import WALL_MS, Recorder, Scene, session_id, signed

LIMITS = Limits(sessions_per_client=2)
SCENE = Scene(limits=LIMITS)


class Shelf(StateMachine):
    """Things of any size by name or number, and a count."""

    changes: int = 0
    last: tuple[str, int] | None = None
    things: Table[str | int, bytes]
    sizes: Table[str | int, tuple[int, ...]]

    @operation
    def put(self, name: str | int, size: int, context: Context) -> int:
        self.changes += 1
        self.last = (context.client, context.time_ms)
        self.things[name] = context.random.randbytes(size)
        self.sizes[name] = (*self.sizes.get(name, ()), size)
        return self.changes

    @operation
    def take(self, name: str | int) -> bytes:
        self.changes += 1
        if name not in self.things:
            raise Rejected(f"there is no {name}")
        del self.sizes[name]
        return self.things.pop(name)


class Replica:
    """The replicated state of one, fed with batches."""

    def __init__(self, batches: Sequence[Any] = (), application: Application | None = None) -> None:
        self.application = application or Shelf.create({})
        self.execution = Execution(SCENE.group, self.application)
        self.run(batches)

    def run(self, batches: Sequence[Any]) -> list[list[Ran]]:
        ran = []
        for time_ms, requests in batches:
            batch = [
                signed(SCENE.request(client, timestamp, operations, session_id(session)))
                for client, session, timestamp, operations in requests
            ]
            ran.append(
                self.execution.run(WALL_MS + time_ms, batch, batch_digest(write_batch(WALL_MS + time_ms, batch)))
            )
        return ran

    @property
    def snapshot(self) -> Snapshot:
        return self.execution.snapshot()

    @property
    def state(self) -> tuple[Any, ...]:
        """All that a refused install must leave as it was."""
        execution = self.execution
        return (
            execution.executed,
            execution.agreed_ms,
            execution.head,
            execution.state_digest(),
            execution.clients,
            list(execution.clients.snapshot()),
            execution.snapshot().digest,
        )


def chunks_of(snapshot: Snapshot) -> list[bytes]:
    return [snapshot.chunk(index)[0] for index in range(snapshot.chunks)]


names = st.sampled_from(["tea", "cup", "", 0, 1, -1, 300])
operations = st.builds(encode_operation, st.just("put"), st.tuples(names, st.integers(0, 40))) | st.builds(
    encode_operation, st.just("take"), st.tuples(names)
)
requests = st.tuples(
    st.sampled_from(["alice", "bob"]),
    st.integers(1, 4),
    st.integers(0, 5),
    st.lists(operations, min_size=1, max_size=3).map(tuple),
)
histories = st.lists(st.tuples(st.integers(-5, 5), st.lists(requests, max_size=3)), max_size=8)

LARGE: list[Any] = [
    (number, [("alice", number, 1, [encode_operation("put", [number, 60_000])])]) for number in range(1, 6)
] + [(9, [("bob", 1, 1, [encode_operation("take", [2])])]), (9, [])]
"""A history whose state takes several chunks, one of a client's results and some Table values of more than one."""


@given(histories, histories, histories)
def test_a_replica_goes_on_from_a_snapshot_as_its_maker_does(before, elsewhere, after):
    """Results, evictions, times, heads and digests: all are equal from then on, whatever it had executed before."""
    source, target = Replica(before), Replica(elsewhere)
    snapshot = source.snapshot
    target.execution.install(snapshot.sequence, chunks_of(snapshot))

    assert target.execution.executed == source.execution.executed == len(before)
    assert target.snapshot.digest == snapshot.digest
    assert target.run(after) == source.run(after)
    assert target.state[:4] == source.state[:4]
    assert target.snapshot.digest == source.snapshot.digest
    assert chunks_of(target.snapshot) == chunks_of(source.snapshot)


@given(histories, histories)
def test_a_snapshot_is_that_of_its_sequence_whatever_follows(before, after):
    """Its chunks are made when a replica asks for them, which may be a log's length later."""
    replica = Replica(before)
    snapshot = replica.snapshot
    replica.run(after)
    assert chunks_of(snapshot) == chunks_of(Replica(before).snapshot)
    for index in range(snapshot.chunks):
        data, path = snapshot.chunk(index)
        assert leads_to(len(before), snapshot.digest, index, snapshot.chunks, path, data)


def test_a_state_of_several_chunks_is_taken_over():
    """Values and results of more than a chunk are spread over several, each proven on its own."""
    source, target = Replica(LARGE), Replica()
    snapshot = source.snapshot
    assert snapshot.chunks > 5
    for index in range(snapshot.chunks):
        data, path = snapshot.chunk(index)
        assert len(data) == CHUNK_BYTES or index == snapshot.chunks - 1
        assert leads_to(7, snapshot.digest, index, snapshot.chunks, path, data)
    target.execution.install(7, iter(chunks_of(snapshot)))
    assert target.state[:4] == source.state[:4]
    assert target.snapshot.digest == snapshot.digest
    remembered = target.execution.clients.last(SCENE.key("bob"), session_id(1))
    assert remembered is not None
    assert len(remembered.results[0].payload) > 60_000


def test_the_digest_covers_all_that_is_replicated():
    """Two states that differ in one thing, however small, have different checkpoint digests."""

    def digest_with(change: Callable[[Execution], object]) -> bytes:
        replica = Replica(LARGE)
        change(replica.execution)
        return replica.snapshot.digest

    key, session = SCENE.key("bob"), session_id(1)

    def last(change: Callable[[Last], Last]) -> Callable[[Execution], object]:
        def apply(execution: Execution) -> None:
            before = execution.clients.last(key, session)
            assert before is not None
            execution.clients.record(key, session, change(before))

        return apply

    def put(name: str, size: int) -> Callable[[Execution], object]:
        context = Context(1, "alice", 7, bytes(32))
        return lambda execution: execution._application.execute(encode_operation("put", [name, size]), context)

    digests = [
        digest_with(change)
        for change in (
            lambda execution: None,
            last(lambda each: Last(each.timestamp + 1, each.request_digest, each.sequence, each.results)),
            last(lambda each: Last(each.timestamp, bytes(32), each.sequence, each.results)),
            last(lambda each: Last(each.timestamp, each.request_digest, each.sequence + 1, each.results)),
            last(lambda each: Last(each.timestamp, each.request_digest, each.sequence, (Result(Outcome.OK, b"x"),))),
            lambda execution: execution.clients.record(key, session_id(2), Last(1, bytes(32), 1, ())),
            lambda execution: setattr(execution, "agreed_ms", execution.agreed_ms + 1),
            lambda execution: setattr(execution, "head", bytes(32)),
            lambda execution: setattr(execution, "executed", 8),
            put("x", 0),
            put("x", 1),
            put("y", 1),
        )
    ]
    assert len(dict.fromkeys(digests)) == len(digests)
    assert digests[0] == Replica(LARGE).snapshot.digest


def test_two_orders_of_the_same_requests_have_different_digests():
    """Also where they come to the same state: the chain of batches tells them apart."""
    put = encode_operation("take", ["nothing"])
    one, other = [("alice", 1, 1, [put])], [("bob", 1, 1, [put])]
    first, second = Replica([(0, one), (0, other)]), Replica([(0, other), (0, one)])
    assert first.execution.state_digest() == second.execution.state_digest()
    assert first.snapshot.digest != second.snapshot.digest
    assert Replica([(0, [*one, *other])]).snapshot.digest != first.snapshot.digest


@pytest.mark.parametrize(
    "change",
    [
        lambda chunks: [],
        lambda chunks: chunks[:-1],
        lambda chunks: chunks[1:],
        lambda chunks: chunks[:2] + chunks[3:],
        lambda chunks: [*chunks, chunks[-1]],
        lambda chunks: [*chunks, b""],
        lambda chunks: [*chunks, bytes(5)],
        lambda chunks: [*chunks[:2], chunks[3], chunks[2], *chunks[4:]],
        lambda chunks: [*chunks[:2], *chunks[3:-1], chunks[2], chunks[-1]],
        lambda chunks: [*chunks[:3], chunks[2], *chunks[4:]],
        lambda chunks: chunks[::-1],
        lambda chunks: [*chunks[:-1], chunks[-1][:-1]],
        lambda chunks: [*chunks[:2], chunks[2][:-1], *chunks[3:]],
        lambda chunks: [*chunks[:2], chunks[2][:-1] + bytes([chunks[2][-1] ^ 1]), *chunks[3:]],
        lambda chunks: [chunks[0] + chunks[1], *chunks[2:]],
        lambda chunks: [b"".join(chunks)],
        lambda chunks: [chunk[: CHUNK_BYTES // 2] for chunk in chunks],
        lambda chunks: chunks_of(Replica(LARGE[:-1]).snapshot),
        lambda chunks: chunks_of(Replica(LARGE, Recorder()).snapshot),
    ],
)
def test_anything_but_all_chunks_in_order_is_refused_and_changes_nothing(change):
    """Missing, extra, exchanged, repeated, cut, joined or altered ones, or those of another state."""
    chunks = chunks_of(Replica(LARGE).snapshot)
    target = Replica([(3, [("bob", 2, 1, [encode_operation("put", ["kept", 5])])])])
    before = target.state
    with pytest.raises(EncodingError):
        target.execution.install(7, change(chunks))
    assert target.state == before
    target.execution.install(7, chunks)
    assert target.execution.executed == 7


def written(*sections: Iterable[bytes]) -> list[bytes]:
    """Return the chunks that a quorum of liars might prove."""
    return chunks_of(Snapshot(7, sections))


HEADER = pack(Header(SNAPSHOT_VERSION, 5, bytes(32)))


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        (([], [], [b"x"]), "one header, not 0"),
        (([HEADER, HEADER], [], []), "one header, not 2"),
        (([HEADER[:-1]], [], []), "not canonical CBOR"),
        (([encode([1, -5, bytes(32)])], [], []), "Header.agreed_ms"),
        (([encode([1, 5, bytes(31)])], [], []), "Header.head"),
        (([pack(Header(SNAPSHOT_VERSION + 1, 5, bytes(32)))], [], []), "version 2, where this release reads 1"),
        (([HEADER], [b"x"], []), "ends in the middle of an item"),
        (([HEADER], [bytes(4)], []), "not canonical CBOR"),
        (([HEADER], [], []), "ends before the last field"),
        (([HEADER], [], [b"x"]), "ends in the middle of an item"),
        (([HEADER], []), "not the chunks of the state"),
    ],
)
def test_sections_that_make_no_sense_are_refused_and_change_nothing(sections, sentence):
    """Header, client table and application state are read strictly, each, even under a digest that was proven."""
    target = Replica(LARGE[:2])
    before = target.state
    with pytest.raises(EncodingError, match=sentence):
        target.execution.install(7, written(*sections))
    assert target.state == before


def test_more_sessions_than_the_limit_are_refused():
    """The group's limits hold for what is taken over as for what is executed."""
    source = Execution(Scene(limits=Limits(sessions_per_client=3)).group, Recorder())
    for number in range(3):
        source.clients.record(SCENE.key("alice"), session_id(number), Last(1, bytes(32), 1, ()))
    target = Replica(application=Recorder())
    with pytest.raises(EncodingError, match="as many sessions as the limit allows"):
        target.execution.install(0, chunks_of(source.snapshot()))


def test_an_application_that_refuses_leaves_everything_as_it_was():
    """The client table and the times are not taken over without the state that belongs to them."""

    class Proud(Recorder):
        def restore(self, pieces: Iterable[bytes]) -> None:
            raise ValueError("not mine")

    target = Replica(LARGE[:1], Proud())
    before = target.state
    with pytest.raises(ValueError, match="not mine"):
        target.execution.install(7, chunks_of(Replica(LARGE, Recorder()).snapshot))
    assert target.state == before


def test_an_application_is_given_its_pieces_as_they_were():
    """One that is no StateMachine cuts as it likes, empty pieces included."""

    class Shredder(Recorder):
        def __init__(self, *pieces: bytes) -> None:
            super().__init__()
            self.pieces = list(pieces)

        def snapshot(self) -> Iterable[bytes]:
            return self.pieces

        def restore(self, pieces: Iterable[bytes]) -> None:
            self.pieces = list(pieces)

    source, target = Shredder(b"", b"a", b"", bytes(32 * 1024), b"b"), Shredder()
    Replica(application=target).execution.install(0, chunks_of(Replica(application=source).snapshot))
    assert target.pieces == source.pieces


def test_an_application_whose_snapshot_can_be_read_only_once_is_told_so():
    """Its digest would be right and the chunks that it serves would be wrong."""

    class Hasty(Recorder):
        def snapshot(self) -> Iterable[bytes]:
            yield b"x"

    with pytest.raises(MachineError, match=r"Hasty\.snapshot\(\) returns what can be iterated over only once"):
        Replica(application=Hasty()).execution.snapshot()


def test_the_state_before_the_first_sequence_has_a_snapshot_too():
    """Of one chunk; whoever takes it over begins again."""
    snapshot = Replica().snapshot
    assert (snapshot.sequence, snapshot.chunks) == (0, 1)
    target = Replica(LARGE)
    target.execution.install(0, chunks_of(snapshot))
    assert target.state[:4] == Replica().state[:4]
