"""Applications under the swarm's faults: honest ones pass, others are told with the operation that parted replicas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

import pytest

from pbft.conformance.faults import BankOperation, FaultsReport, run_under_faults
from pbft.conformance.subject import Subject
from pbft.encoding import Plain

HEAD = "from pbft import Context, Rejected, StateMachine, Table, operation, query\n"

BUSY = """
class Busy(StateMachine):
    last: Table[str, tuple[int, int, bytes]]
    text: str = ""

    @operation
    def stamp(self, name: str, context: Context) -> tuple[int, int, bytes]:
        self.last[name] = (context.time_ms, context.sequence, context.seed)
        return self.last[name]

    @operation
    def throw(self, context: Context) -> int:
        return context.random.getrandbits(64)

    @operation
    def write(self, characters: int, context: Context) -> str:
        self.text = "x" * characters
        return self.text

    @operation
    def load(self, text: str, context: Context) -> int:
        self.text = text
        return context.answer_bytes

    @operation
    def divide(self, number: int) -> int:
        self.text = "changed"
        return 1 // number

    @operation
    def refuse(self) -> int:
        self.text = "changed"
        raise Rejected("no")

    @query
    def look(self, name: str, *, twice: bool = False) -> int:
        return len(self.last.get(name, ())) * (2 if twice else 1)
"""

BUSY_BANK: Sequence[BankOperation] = [
    ("stamp", ("a",), {}),
    ("stamp", ("b",), {}),
    ("throw", (), {}),
    ("look", ("a",), {"twice": True}),
    ("write", (100_000,), {}),
    ("write", (300_000,), {}),
    ("load", ("y" * 60_000,), {}),
    ("divide", (0,), {}),
    ("divide", (2,), {}),
    ("refuse", (), {}),
    ("nothing", (1,), {}),
    b"no operation at all",
]

BYTES = """
import hashlib
from pbft.machine import Outcome, Result

class Heap:
    def __init__(self, first: str = "") -> None:
        self.held = first.encode()

    def execute(self, operation, context):
        if b"!" in operation:
            {wrong}
        self.held = (self.held + operation)[-64:]
        return Result.of(Outcome.OK, self.held)

    def digest(self):
        return hashlib.sha256(self.held).digest()

    def snapshot(self):
        return [self.held]

    def restore(self, pieces):
        self.held = b"".join(pieces)
"""

COUNTED = """
COUNT = 0

class Counted(StateMachine):
    seen: Table[str, int]

    @operation
    def take(self) -> int:
        global COUNT
        COUNT += 1
        return COUNT

    @operation
    def note(self, word: str) -> None:
        global COUNT
        COUNT += 1
        self.seen[word] = COUNT
"""


def subject(folder: Path, text: str, parameters: dict[str, Plain] | None = None) -> Subject:
    path = folder / "app.py"
    path.write_text(HEAD + dedent(text), encoding="utf-8")
    name = text.partition("class ")[2].partition(":")[0].partition("(")[0]
    return Subject.of(f"{path}:{name}", parameters)


def passed(report: FaultsReport) -> None:
    """Fail with what the report says, if it says anything."""
    assert report.failures == ()
    assert report.ok


def test_an_honest_application_passes() -> None:
    """The counter, in eight groups of which none has its like."""
    bank: list[BankOperation] = [*(("add", (amount - 3,), {}) for amount in range(7)), ("value", (), {})]
    bank += [("add", (), {"amount": 2}), ("add", ("three",), {})]
    ended: list[int] = []
    report = run_under_faults(Subject.of("counter"), range(8), bank, told=ended.append)
    passed(report)
    assert report.groups == 8
    assert ended == list(range(8))
    assert report.operations > 100
    assert report.view_changes > 0
    assert report.undecided == 0


def test_time_failures_and_long_answers_are_nothing_to_stumble_over(tmp_path: Path) -> None:
    """Answers that follow from agreed time, place, seed and chance; too long ones, failures inside, long arguments."""
    passed(run_under_faults(subject(tmp_path, BUSY), range(40, 45), BUSY_BANK))


def test_an_application_with_parameters_passes() -> None:
    """A ledger with its issuer, under the names that the swarm's clients have."""
    ledger = Subject.of("ledger", {"issuer": "alice", "clients": ("alice", "bob", "carol", "dave")})
    bank: list[BankOperation] = [
        ("mint", ("bob", 10), {}),
        ("transfer", ("bob", "carol", 3), {"memo": "rent"}),
        ("transfer", ("carol", "dave", 1), {}),
        ("statement", ("bob",), {}),
        ("open", ("shop",), {}),
    ]
    passed(run_under_faults(ledger, range(60, 63), bank))


def test_an_application_of_bytes_passes(tmp_path: Path) -> None:
    """One that is no StateMachine is called with bytes."""
    heap = subject(tmp_path, BYTES.format(wrong="return Result.of(Outcome.REJECTED, 'no')"), {"first": "0"})
    passed(run_under_faults(heap, range(3), [b"a", b"b", b"c!", b"\x00\xff"]))


def test_a_counter_that_replicas_share_is_caught(tmp_path: Path) -> None:
    """All replicas of a run live in one process, so what they share shows: named with the operation, and cut down."""
    report = run_under_faults(
        subject(tmp_path, COUNTED), range(17, 19), [("take", (), {})], command="pbft check app.py --only faults"
    )
    first, second = report.failures
    assert not report.ok
    assert (first.seed, second.seed) == (17, 18)
    assert first.replay == "pbft check app.py --only faults --faults 17:18"
    assert ".take() at sequence " in first.sentence
    assert " came to " in first.sentence
    assert "no faults, no liars, 1 program, 1 call" in first.shrunk
    assert second.shrunk == "", "of failures of one kind the first is cut down"
    assert any(line.startswith("Program(") for line in first.story)
    assert any(first.replay in line for line in first.story)


def test_where_answers_are_equal_the_state_tells(tmp_path: Path) -> None:
    """Replicas that answer alike and keep something else: the key of the Table is named."""
    (failure,) = run_under_faults(subject(tmp_path, COUNTED), [3], [("note", ("lamp",), {})]).failures
    assert '.note("lamp") at sequence ' in failure.sentence
    assert 'left the key "lamp" of seen as ' in failure.sentence


def test_an_application_that_raises_is_told_with_its_line(tmp_path: Path) -> None:
    """execute() of an application of bytes must not raise: which error it was, and where."""
    heap = subject(tmp_path, BYTES.format(wrong="raise KeyError('lost')"))
    (failure,) = run_under_faults(heap, [0], [b"a!"]).failures
    assert failure.oracle == "KeyError"
    assert failure.sentence.startswith("execute() raised KeyError (line ")
    assert "never raise" in failure.sentence


def test_what_was_refused_and_changed_something_is_found(tmp_path: Path) -> None:
    """An application of bytes that says no after it has changed its state."""
    wrong = "self.held = b'spoiled'; return Result.of(Outcome.REJECTED, 'no')"
    (failure,) = run_under_faults(subject(tmp_path, BYTES.format(wrong=wrong)), [0], [b"a!"]).failures
    assert failure.oracle == "O12"


def test_an_application_that_takes_long_is_broken_off(tmp_path: Path) -> None:
    """Nothing is known of such seeds, and after three of them the others are not tried; that is no success."""
    slow = """
    class Slow(StateMachine):
        @operation
        def work(self) -> int:
            while True:
                pass
    """
    ended: list[int] = []
    report = run_under_faults(subject(tmp_path, slow), range(9), [("work", (), {})], patience_s=0.2, told=ended.append)
    assert report.groups == 0
    assert report.unfinished == tuple(range(9))
    assert report.failures == ()
    assert not report.ok
    assert ended == [0, 1, 2]


def test_equal_arguments_give_equal_reports(tmp_path: Path) -> None:
    """Stories, sentences and counts are the same each time."""
    counted = subject(tmp_path, COUNTED)
    bank: list[BankOperation] = [("take", (), {}), ("note", ("a",), {})]
    assert run_under_faults(counted, [5], bank) == run_under_faults(counted, [5], bank)


@pytest.mark.pooled
def test_processes_tell_what_one_tells(tmp_path: Path) -> None:
    """Seeds on two processes come to what they come to here."""
    busy, seeds = subject(tmp_path, BUSY), (1, 14)
    assert run_under_faults(busy, seeds, BUSY_BANK, jobs=2) == run_under_faults(busy, seeds, BUSY_BANK)


def test_a_bank_must_hold_something_to_call(tmp_path: Path) -> None:
    """What is longer than any group has room for is left out, and then there may be nothing left."""
    with pytest.raises(ValueError, match="no operation to call"):
        run_under_faults(subject(tmp_path, BUSY), range(1), [("load", ("y" * 70_000,), {})])
