"""Execution: a function of the batches alone (OSDI'99 section 4.2; design 4.2, 4.5)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pbft.core.batches import write_batch
from pbft.core.client_table import Fate
from pbft.core.envelope import Envelope
from pbft.core.execution import TOO_MUCH, Execution, Ran
from pbft.core.group import Limits
from pbft.core.messages import batch_digest
from pbft.core.snapshot import MAX_SECTIONS
from pbft.encoding import digest, encode
from pbft.machine import Context, MachineError, Outcome, Result, StateMachine, encode_operation, operation
from pbft.table import Table
from tests.core.builders import WALL_MS, Recorder, Scene, session_id, signed


class Bench:
    """Replicated state, and batches for it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.scene = Scene(limits=limits)
        self.application = Recorder()
        self.execution = Execution(self.scene.group, self.application)

    def run(self, *requests: Envelope, time_ms: int = WALL_MS) -> list[Ran]:
        batch = [signed(each) for each in requests]
        return self.execution.run(time_ms, batch, batch_digest(write_batch(time_ms, batch)))

    def request(
        self, client: str = "alice", timestamp: int = 1, ops: Sequence[bytes] = (b"op",), session: int = 1
    ) -> Envelope:
        return self.scene.request(client, timestamp, ops, session_id(session))

    @property
    def contexts(self) -> list[Context]:
        return [context for _, context in self.application.ran]


def test_operations_run_in_order_and_one_by_one():
    """Request after request, operation after operation; each has a result of its own."""
    bench = Bench()
    first, second = bench.run(bench.request("alice", ops=(b"a", b"b")), bench.request("bob", ops=(b"c",)))
    assert [operation for operation, _ in bench.application.ran] == [b"a", b"b", b"c"]
    assert [result.value for result in (*first.results, *second.results)] == [(1, b"a"), (2, b"b"), (3, b"c")]
    assert bench.execution.executed == 1


def test_what_an_operation_sees_of_the_world():
    """Agreed time, the client's name, the sequence and a seed of its own; nothing else (design 4.5)."""
    bench = Bench()
    bench.run()
    bench.run(bench.request("bob", ops=(b"a", b"b")), bench.request("alice"), time_ms=WALL_MS + 3)
    assert [(context.client, context.sequence, context.time_ms) for context in bench.contexts] == [
        ("bob", 2, WALL_MS + 3),
        ("bob", 2, WALL_MS + 3),
        ("alice", 2, WALL_MS + 3),
    ]
    assert len({context.seed for context in bench.contexts}) == 3


def test_the_seed_follows_from_the_order_alone():
    """Two replicas give equal seeds; another sequence, request, operation or group gives another."""
    one, other, elsewhere = Bench(), Bench(), Bench()
    elsewhere.execution = Execution(Scene(seed=2).group, elsewhere.application)
    one.run(one.request())
    other.run(one.request())
    assert one.contexts == other.contexts
    other.run(other.request("alice", 2))
    other.run(other.request("alice", 3, (b"x", b"x")))
    elsewhere.execution = Execution(Scene(seed=1, clients=("alice", "bob", "carol")).group, elsewhere.application)
    elsewhere.run(one.request())
    seeds = [context.seed for context in (*other.contexts, *elsewhere.contexts)]
    assert len(set(seeds)) == len(seeds) == 5


def test_agreed_time_never_goes_back():
    """Operations see max(previous, proposed); a proposer with a slow clock does not turn time back."""
    bench = Bench()
    for number, time_ms in enumerate([WALL_MS, WALL_MS - 500, WALL_MS + 7, WALL_MS + 6]):
        bench.run(bench.request("alice", number + 1), time_ms=time_ms)
    assert [context.time_ms for context in bench.contexts] == [WALL_MS, WALL_MS, WALL_MS + 7, WALL_MS + 7]


def test_the_null_request_keeps_agreed_time_and_state():
    """It takes a sequence and changes nothing else (OSDI'99 section 4.4; design 4.5)."""
    bench = Bench()
    bench.run(bench.request())
    before = bench.execution.state_digest()
    assert bench.run(time_ms=0) == []
    assert (bench.execution.executed, bench.execution.agreed_ms) == (2, WALL_MS)
    assert bench.execution.state_digest() == before


def test_a_request_runs_once_also_within_one_batch():
    """A copy in the same batch, in a later one, or of an older timestamp is a no-op and says so."""
    bench = Bench()
    again = bench.request("alice", 5)
    assert [ran.fate for ran in bench.run(again, again)] == [Fate.FRESH, Fate.STALE]
    (late,) = bench.run(again)
    (older,) = bench.run(bench.request("alice", 4))
    assert (late.fate, late.results, older.fate, older.results) == (Fate.STALE, (), Fate.STALE, ())
    assert len(bench.application.ran) == 1
    remembered = bench.execution.clients.last(bench.scene.key("alice"), session_id(1))
    assert remembered is not None
    assert (remembered.timestamp, remembered.sequence, remembered.request_digest) == (5, 1, signed(again).digest)


def test_one_timestamp_with_two_operations_runs_as_whichever_came_first():
    """A client that says two things under one timestamp gets one of them done (K1)."""
    bench = Bench()
    fates = [ran.fate for ran in bench.run(bench.request(ops=(b"this",)), bench.request(ops=(b"that",)))]
    assert fates == [Fate.FRESH, Fate.STALE]
    assert [operation for operation, _ in bench.application.ran] == [b"this"]


def test_a_session_that_may_not_open_is_a_no_op():
    """Of an evicted session it is unknown what ran; one from the future is told so."""
    bench = Bench(Limits(sessions_per_client=1))
    bench.run(bench.request(session=1))
    (opened,) = bench.run(bench.request(session=2))
    assert opened.evicted == session_id(1)
    future = bench.scene.request("bob", session=session_id(1, WALL_MS + Limits().clock_drift_ms + 1))
    unknown, early = bench.run(bench.request(session=1, timestamp=2), future)
    assert (unknown.fate, unknown.results, unknown.evicted) == (Fate.UNKNOWN_SESSION, (), None)
    assert (early.fate, early.results, early.evicted) == (Fate.SESSION_IN_FUTURE, (), None)
    assert len(bench.application.ran) == 2


def test_a_session_of_the_future_is_judged_anew_each_time():
    """That it did not run is no promise: once agreed time has come nearer, a copy of the request may run."""
    bench = Bench()
    early = bench.scene.request("alice", session=session_id(1, WALL_MS + Limits().clock_drift_ms + 1))
    (refused,) = bench.run(early)
    (ran,) = bench.run(early, time_ms=WALL_MS + 1)
    assert (refused.fate, ran.fate) == (Fate.SESSION_IN_FUTURE, Fate.FRESH)


def test_a_batch_can_evict_a_session_that_it_opened():
    """A batch with more sessions of one client than the table holds evicts its own; each ran once before it left."""
    bench = Bench(Limits(sessions_per_client=2))
    ran = bench.run(*(bench.request(session=number) for number in (1, 2, 3, 4)))
    assert [each.fate for each in ran] == [Fate.FRESH] * 4
    assert [each.evicted for each in ran] == [None, None, session_id(1), session_id(2)]


def test_results_beyond_the_limit_become_a_short_word():
    """What does not fit results_bytes is replaced, what comes after still has its room, and the sum always fits."""

    class Verbose(Recorder):
        def execute(self, operation: bytes, context: Context) -> Result:
            super().execute(operation, context)
            return Result(Outcome.OK, encode(bytes(int(operation))))

    limits = Limits(operations_per_request=4, results_bytes=512)
    scene = Scene(limits=limits)
    application = Verbose()
    execution = Execution(scene.group, application)
    for timestamp, sizes in enumerate([(100, 100, 100, 100), (600, 1, 1, 1), (400, 400, 1, 100), (9, 9, 9, 600)]):
        request = scene.request("alice", timestamp, [str(size).encode() for size in sizes])
        (ran,) = execution.run(WALL_MS, [signed(request)], bytes(32))
        assert sum(len(result.payload) for result in ran.results) <= limits.results_bytes
        fits = [result.outcome is Outcome.OK for result in ran.results]
        assert (
            fits
            == [[True] * 4, [False, True, True, True], [False, False, True, True], [True, True, True, False]][timestamp]
        )
        assert all(result == TOO_MUCH for result in ran.results if result.outcome is not Outcome.OK)
    assert len(application.ran) == 16


def test_the_chain_of_batches_names_each_in_its_place():
    """Its head is a digest over the head before, the sequence and the batch's digest; null requests are in it too."""
    bench = Bench()
    assert bench.execution.head == bytes(32)
    expected = bytes(32)
    for sequence, request in enumerate([bench.request(), None, bench.request("bob")], 1):
        requests = [] if request is None else [request]
        bench.run(*requests)
        named = batch_digest(write_batch(WALL_MS, [signed(each) for each in requests]))
        expected = digest(b"pbft/chain", expected, sequence.to_bytes(8, "big"), named)
        assert bench.execution.head == expected


class Well(StateMachine):
    """How deep an operation could go, as its author should not have written it."""

    deepest: int = 0

    @operation
    def dig(self, depth: int) -> int:
        self.deepest = max(self.deepest, depth)
        return self._down(depth)

    def _down(self, depth: int) -> int:
        return depth and 1 + self._down(depth - 1)


def test_an_operation_has_the_same_room_for_recursion_wherever_it_executes():
    """One replica executes a batch as it commits, another deeper in its program: both come to the same state."""

    def digest_of(frames: int) -> bytes:
        if frames:
            return digest_of(frames - 1)
        scene = Scene()
        execution = Execution(scene.group, Well.create({}))
        ops = tuple(encode_operation("dig", (depth,)) for depth in range(900, 1_000))
        batch = [signed(scene.request("alice", 1, ops, session_id(1)))]
        (ran,) = execution.run(WALL_MS, batch, batch_digest(write_batch(WALL_MS, batch)))
        assert {each.outcome for each in ran.results} == {Outcome.OK, Outcome.FAILED}
        return execution.snapshot().digest

    assert digest_of(0) == digest_of(1) == digest_of(100)


def test_an_application_of_too_many_tables_is_told_so_at_the_start():
    """Not by the first replica that has to fetch its state."""
    tables = {f"table_{number}": Table[str, int] for number in range(MAX_SECTIONS - 1)}
    crowd: type[StateMachine] = type("Crowd", (StateMachine,), {"__annotations__": tables, "__module__": __name__})
    with pytest.raises(MachineError, match="Crowd has more than 1022 Tables; put what belongs together into one"):
        Execution(Scene().group, crowd.create({}))
