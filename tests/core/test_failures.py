"""Operations that break inside the application: whoever runs the replica hears of it, clients only that it happened."""

from __future__ import annotations

from pbft.core.effects import OperationFailed
from pbft.core.execution import Execution
from pbft.core.messages import batch_digest
from pbft.core.replica import Replica
from pbft.machine import Rejected, StateMachine, encode_operation, operation
from tests.core.builders import WALL_MS, Microscope, Recorder, Scene, at, session_id, signed


class Mute(Exception):
    """An error that cannot even be put into words."""

    def __str__(self) -> str:
        raise SystemExit


class Fragile(StateMachine):
    """Breaks when asked to."""

    done: int = 0

    @operation
    def work(self) -> int:
        self.done += 1
        return self.done

    @operation
    def reject(self) -> int:
        raise Rejected("no")

    @operation
    def divide(self) -> int:
        self.done += 1
        return self.done // 0

    @operation
    def say(self, length: int) -> int:
        raise LookupError("x" * length)

    @operation
    def choke(self) -> int:
        raise Mute


def run(*batch: tuple[str, ...], twice: bool = False) -> OperationFailed | None:
    """Run one batch of requests, each of Fragile's operations by name, and return what failed."""
    scene = Scene()
    execution = Execution(scene.group, Fragile())
    requests = [
        signed(scene.request("bob", 1, [encode_operation(name) for name in names], session_id(number)))
        for number, names in enumerate(batch, 1)
    ]
    for _ in range(1 + twice):
        execution.run(WALL_MS, requests, batch_digest(b""))
    return execution.failed


def test_a_failure_is_told_with_its_place_and_cause():
    """The first of a batch, its position among all operations of it, who called, and how many there were."""
    found = run(("work", "reject"), ("work", "divide", "work", "divide"))
    assert found is not None
    assert (found.sequence, found.operation, found.operations, found.client) == (1, 3, 2, "bob")
    assert (found.error, "by zero" in found.text) == ("ZeroDivisionError", True)


def test_what_is_no_failure_is_not_told():
    """Answers, rejections, mistaken calls, and what ran before and is passed over."""
    assert run(("work", "reject", "there is no such operation")) is None
    assert run(("divide",), twice=True) is None


def test_whatever_an_error_is_its_words_are_bounded():
    """Long ones are cut, and one without words does no harm."""
    scene = Scene()
    execution = Execution(scene.group, Fragile())
    request = scene.request("bob", 1, [encode_operation("say", [10_000]), encode_operation("choke")])
    execution.run(WALL_MS, [signed(request)], batch_digest(b""))
    assert execution.failed is not None
    assert (execution.failed.operations, execution.failed.text) == (2, "x" * 500)
    found = run(("choke",))
    assert found is not None
    assert (found.error, found.text) == ("Mute", "its text cannot be read")


def test_a_replica_tells_of_it_once_a_batch():
    """As a notice, beside the batch's own; the next batch has its own failures or none."""
    scene = Scene()
    replica = Replica(1, scene.group, Fragile(), scene.signers[1], scene.verifier)
    watched = Microscope(scene, replica, Recorder(), greeted=True)
    failing = scene.request("alice", 1, [encode_operation("divide")] * 3)
    (told,) = watched.agree(scene.pre_prepare(1, failing)).of(OperationFailed)
    assert (told.sequence, told.operation, told.operations, told.client) == (1, 0, 3, "alice")
    fine = scene.request("alice", 2, [encode_operation("work")])
    assert watched.agree(scene.pre_prepare(2, fine, time_ms=at(0).wall_ms)).of(OperationFailed) == []


def test_what_each_operation_of_a_batch_did_is_remembered_by_its_position():
    """Those of a request that ran before leave their places empty, and what was refused before it ran wrote nothing."""
    scene = Scene()
    execution = Execution(scene.group, Fragile())
    first = scene.request("bob", 1, [encode_operation("work"), encode_operation("nothing of this name")])
    again = [signed(first), signed(scene.request("alice", 1, [encode_operation("work")]))]
    execution.run(WALL_MS, again[:1], batch_digest(b""))
    execution.run(WALL_MS, again, batch_digest(b""))
    before, after = execution.deeds.of(1), execution.deeds.of(2)
    assert before is not None
    assert after is not None
    assert [deed and (deed[0].outcome.name, deed[1]) for deed in before] == [
        ("OK", ((0, b"done", b"\x01"),)),
        ("INVALID", ()),
    ]
    assert [deed and deed[1] for deed in after] == [None, None, ((0, b"done", b"\x02"),)]
    failing = signed(scene.request("alice", 2, [encode_operation("divide")]))
    execution.run(WALL_MS, [again[0], failing], batch_digest(b""))
    assert execution.failed is not None
    assert execution.failed.operation == 2
