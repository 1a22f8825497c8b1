"""The state at a checkpoint, and a replica that takes it over (OSDI'99 sections 4.3, 5.3; design 4.7, 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbft.core.assembly import Assembly
from pbft.core.batches import write_batch
from pbft.core.client_table import Last
from pbft.core.execution import Execution, Ran
from pbft.core.group import Limits
from pbft.core.messages import batch_digest
from pbft.core.snapshot import ForeignState, Snapshot
from pbft.core.state_messages import NODES_BYTES, TOP
from pbft.encoding import digest, encode
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
from pbft.pieces import SNAPSHOT_PIECE_BYTES
from pbft.table import Table
from tests.core.builders import WALL_MS, Recorder, Scene, session_id, signed
from tests.core.states import bring, differing, distinct, nodes_of, take_over

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
    def fill(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            self.things[number] = number.to_bytes(4, "big")

    @operation
    def take(self, name: str | int) -> bytes:
        self.changes += 1
        if name not in self.things:
            raise Rejected(f"there is no {name}")
        self.sizes.pop(name, None)
        return self.things.pop(name)


class Shredder(Recorder):
    """As many pieces as its last operation says, of that size: an application whose snapshot shrinks and grows."""

    def __init__(self, *pieces: bytes) -> None:
        super().__init__()
        self.pieces = list(pieces)

    def execute(self, operation: bytes, context: Context) -> Result:
        count, size = map(int, operation.split(b"x"))
        self.pieces = [bytes([number % 7]) * size for number in range(count)]
        return Result(Outcome.OK, encode(count))

    def digest(self) -> bytes:
        return digest(b"shredder", *self.pieces)

    def snapshot(self) -> Iterable[bytes]:
        return list(self.pieces)

    def restore(self, pieces: Iterable[bytes]) -> None:
        self.pieces = list(pieces)


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
        execution = self.execution
        return (execution.executed, execution.agreed_ms, execution.head, execution.state_digest(), self.snapshot.digest)


names = st.sampled_from(["tea", "cup", "", 0, 1, -1, 300])
operations = (
    st.builds(encode_operation, st.just("put"), st.tuples(names, st.integers(0, 40)))
    | st.builds(encode_operation, st.just("take"), st.tuples(names))
    | st.builds(encode_operation, st.just("fill"), st.tuples(st.integers(0, 300), st.integers(0, 90)))
)
requests = st.tuples(
    st.sampled_from(["alice", "bob"]),
    st.integers(1, 4),
    st.integers(0, 5),
    st.lists(operations, min_size=1, max_size=3).map(tuple),
)
histories = st.lists(st.tuples(st.integers(-5, 5), st.lists(requests, max_size=3)), max_size=6)

shreds = st.lists(
    st.tuples(st.integers(0, 50), st.sampled_from([0, 1, 600, SNAPSHOT_PIECE_BYTES])).filter(
        lambda each: each[0] <= 5 or each[1] < 1_000
    ),
    max_size=3,
)


def shredded(sizes: Sequence[tuple[int, int]], first: int) -> list[Any]:
    """Return batches that each make a Shredder have so many pieces of a size."""
    return [(0, [("alice", 1, number, (b"%dx%d" % each,))]) for number, each in enumerate(sizes, first)]


LARGE: list[Any] = [
    (number, [("alice", number, 1, [encode_operation("put", [number, 60_000])])]) for number in range(1, 6)
] + [(9, [("bob", 1, 1, [encode_operation("take", [2])])]), (9, [])]
"""A history whose state takes many messages: a client's results, and Table values, each larger than one."""


def goes_on_alike(source: Replica, target: Replica, after: Sequence[Any]) -> None:
    """Show that two replicas are in one state, and stay so at every later checkpoint."""
    assert target.state == source.state
    for batch in after:
        assert target.run([batch]) == source.run([batch])
        assert target.state == source.state
    assert nodes_of(target.snapshot) == nodes_of(source.snapshot)


@given(histories, histories, histories, histories)
def test_a_replica_goes_on_from_a_snapshot_as_its_maker_does(before, elsewhere, since, after):
    """Results, evictions, times, heads and digests: all are equal from then on, whatever it had executed before.

    What it executed since the state that the transfer began from is undone, seen by no checkpoint or not.
    """
    source, target = Replica(before), Replica(elsewhere)
    base = target.snapshot
    kept = nodes_of(base)
    target.run(since[:1])
    assert len(target.snapshot.digest) == 32
    target.run(since[1:])
    snapshot = source.snapshot
    brought = take_over(target.execution, snapshot, base)
    assert sorted(map(repr, brought)) == sorted(map(repr, differing(base, snapshot)))
    assert target.execution.executed == len(before)
    assert nodes_of(base) == kept
    goes_on_alike(source, target, after)


@settings(max_examples=50)
@given(shreds, shreds, shreds, shreds)
def test_an_application_in_pieces_goes_on_alike(before, elsewhere, since, after):
    """One that is no StateMachine: however many pieces there were before, and since, and afterwards."""
    source, target = Replica(shredded(before, 1), Shredder()), Replica(shredded(elsewhere, 1), Shredder())
    base = target.snapshot
    target.run(shredded(since, 11))
    take_over(target.execution, source.snapshot, base)
    goes_on_alike(source, target, shredded(after, 21))
    fresh = Replica([*shredded(before, 1), *shredded(after, 21)], Shredder())
    assert nodes_of(fresh.snapshot) == nodes_of(target.snapshot)


@given(histories, histories)
def test_a_snapshot_is_that_of_its_sequence_whatever_follows(before, after):
    """Its digest may be made, and its nodes asked for, a log's length later."""
    replica = Replica(before)
    snapshot = replica.snapshot
    replica.run(after)
    assert nodes_of(replica.snapshot) == nodes_of(Replica([*before, *after]).snapshot)
    assert snapshot.sequence == len(before)
    assert nodes_of(snapshot) == nodes_of(Replica(before).snapshot)


def test_a_state_of_large_values_is_taken_over():
    """Values and results larger than what one message usually holds travel alone, each."""
    source, target = Replica(LARGE), Replica()
    snapshot = source.snapshot
    assert sum(len(payload) > NODES_BYTES for payload in nodes_of(snapshot).values()) > 4
    take_over(target.execution, snapshot)
    goes_on_alike(source, target, [(9, [("bob", 2, 1, [encode_operation("take", [3])])])])
    remembered = target.execution.clients.last(SCENE.key("bob"), session_id(1))
    assert remembered is not None
    assert len(remembered.results[0].payload) > 60_000


def test_of_an_equal_state_only_the_top_moves():
    """As of two replicas that executed the same: and it can be taken over, too."""
    source, target = Replica(LARGE), Replica(LARGE)
    assert take_over(target.execution, source.snapshot) == [TOP]
    goes_on_alike(source, target, [(9, [])])


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

    result = Result(Outcome.OK, b"x")
    digests = [
        digest_with(change)
        for change in (
            lambda execution: None,
            last(lambda each: Last(each.timestamp + 1, each.request_digest, each.sequence, each.place, each.results)),
            last(lambda each: Last(each.timestamp, bytes(32), each.sequence, each.place, each.results)),
            last(lambda each: Last(each.timestamp, each.request_digest, each.sequence + 1, each.place, each.results)),
            last(lambda each: Last(each.timestamp, each.request_digest, each.sequence, each.place + 1, each.results)),
            last(lambda each: Last(each.timestamp, each.request_digest, each.sequence, each.place, (result,))),
            lambda execution: execution.clients.record(key, session_id(2), Last(1, bytes(32), 7, 3, ())),
            lambda execution: setattr(execution, "agreed_ms", execution.agreed_ms + 1),
            lambda execution: setattr(execution, "head", bytes(32)),
            lambda execution: setattr(execution, "executed", 8),
            put("x", 0),
            put("x", 1),
            put("y", 1),
        )
    ]
    assert distinct(digests)
    assert digests[0] == Replica(LARGE).snapshot.digest


def test_two_orders_of_the_same_requests_have_different_digests():
    """Also where they come to the same state: the chain of batches tells them apart."""
    put = encode_operation("take", ["nothing"])
    one, other = [("alice", 1, 1, [put])], [("bob", 1, 1, [put])]
    first, second = Replica([(0, one), (0, other)]), Replica([(0, other), (0, one)])
    assert first.execution.state_digest() == second.execution.state_digest()
    assert first.snapshot.digest != second.snapshot.digest
    assert Replica([(0, [*one, *other])]).snapshot.digest != first.snapshot.digest


def test_the_sections_of_a_state_have_names():
    """For whoever has to say where two states differ: the client table, the scalars, each Table."""
    replica = Replica()
    assert replica.execution.section_names() == ("client table", "", "sizes", "things")
    assert len(replica.snapshot.views) == 4
    pieces = Replica(application=Recorder())
    assert pieces.execution.section_names() == ("client table", "")
    assert len(pieces.snapshot.views) == 2


# What cannot be taken over.


def test_more_sessions_than_the_limit_are_refused():
    """The group's limits hold for what is taken over as for what is executed."""
    source = Execution(Scene(limits=Limits(sessions_per_client=3)).group, Recorder())
    for number in range(3):
        source.clients.record(SCENE.key("alice"), session_id(number), Last(1, bytes(32), 1, number, ()))
    target = Replica(application=Recorder())
    with pytest.raises(ForeignState, match="at sequence 0: a client has at most 2 sessions"):
        take_over(target.execution, source.snapshot())


def test_another_applications_state_is_told_before_it_is_fetched():
    """One with other parts: the top shows it, and nothing is changed."""
    target = Replica(LARGE[:2])
    before = target.state
    with pytest.raises(ForeignState, match=r"has 2 parts and this application's 4: .*another application"):
        take_over(target.execution, Replica(LARGE, Recorder()).snapshot)
    assert target.state == before


class Drawer(StateMachine):
    """As many parts as a Shelf, and other fields."""

    other: int = 0
    things: Table[str, bytes]
    weights: Table[str, int]


def test_a_state_that_an_application_cannot_read_stops_the_replica():
    """Other fields in as many parts, or pieces that it refuses: a sentence says so, and execution has not moved."""

    class Proud(Recorder):
        def restore(self, pieces: Iterable[bytes]) -> None:
            raise ValueError("not mine")

    for target, source, sentence in (
        (
            Replica(LARGE[:2]),
            Replica(application=Drawer.create({})),
            "state of other fields than changes, last, sizes, things",
        ),
        (Replica(LARGE[:1], Proud()), Replica(LARGE, Recorder()), "not mine"),
    ):
        before = (target.execution.executed, target.execution.agreed_ms, target.execution.head)
        with pytest.raises(ForeignState, match=sentence):
            take_over(target.execution, source.snapshot)
        assert (target.execution.executed, target.execution.agreed_ms, target.execution.head) == before


# Applications in pieces.


def test_an_application_is_given_its_pieces_as_they_were():
    """One that is no StateMachine cuts as it likes, empty pieces included."""
    source, target = Shredder(b"", b"a", b"", bytes(32 * 1024), b"b"), Shredder()
    take_over(Replica(application=target).execution, Replica(application=source).snapshot)
    assert target.pieces == source.pieces


def test_an_application_whose_snapshot_can_be_read_only_once_is_told_so():
    """Its digest would be right and the nodes that it serves would be wrong."""

    class Hasty(Recorder):
        def snapshot(self) -> Iterable[bytes]:
            yield b"x"

    with pytest.raises(MachineError, match=r"Hasty\.snapshot\(\) returns what can be iterated over only once"):
        Replica(application=Hasty()).execution.snapshot()


@pytest.mark.parametrize("piece", [bytearray(b"x"), "x", None, bytes(SNAPSHOT_PIECE_BYTES + 1)])
def test_an_application_whose_pieces_are_none_is_told_so(piece):
    """Rather than that every other replica finds its state different."""
    with pytest.raises(MachineError, match="a piece that is no bytes, or longer than the 32768 allowed in each"):
        Replica(application=Shredder(piece)).execution.snapshot()


def test_pieces_whose_numbers_have_a_gap_are_refused():
    """A quorum of liars proves what it likes; what is restored is a list without holes."""
    source, target = Replica(application=Shredder(b"a", b"b", b"c")), Replica(application=Shredder())
    (pieces,) = source.execution._sections.sections()
    pieces.write((1).to_bytes(8, "big"), None)
    gapped = Snapshot(0, 0, bytes(32), [source.execution.clients.section().freeze(), pieces.freeze()])
    with pytest.raises(ForeignState, match="pieces are not numbered from 0 on"):
        take_over(target.execution, gapped)


def test_the_state_before_the_first_sequence_has_a_snapshot_too():
    """Of a few nodes; whoever takes it over begins again."""
    snapshot = Replica().snapshot
    assert snapshot.sequence == 0
    assert len(nodes_of(snapshot)) == 2
    target = Replica(LARGE)
    take_over(target.execution, snapshot)
    assert target.state == Replica().state
    goes_on_alike(Replica(), target, LARGE)


def test_an_interrupted_fetch_changes_nothing():
    """Nodes that came are installed together with the last one, or not at all."""
    source, target = Replica(LARGE).snapshot, Replica(LARGE[:2])
    before = target.state
    assembly = Assembly()
    assembly.begin(source.sequence, source.digest, target.snapshot)
    bring(assembly, source)
    assert target.state == before
