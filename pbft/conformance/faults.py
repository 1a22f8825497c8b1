"""An application in the simulator, under the swarm's faults: groups with liars, losses, cuts, pauses and crashes.

Owns: how an application becomes a workload of the swarm, and what its runs come to, as data. What goes wrong in a run
is drawn by `pbft.testing.swarm`, whose oracles judge it: all correct replicas have one history and one state, clients
are told what one copy of the application would answer, and once faults have ended everybody is.
"""

from __future__ import annotations

import functools
import random
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from pbft.core.group import Limits
from pbft.encoding import Plain
from pbft.machine import encode_operation
from pbft.testing.swarm import Plan, Pool, Report, Workload, report_plan, shrink
from pbft.testing.swarm.faults import LetLoose
from pbft.testing.swarm.workloads import Operation
from pbft.wording import count

if TYPE_CHECKING:
    from pbft.conformance.subject import Subject

BankOperation = tuple[str, tuple[Plain, ...], Mapping[str, Plain]] | bytes
"""What clients may ask for: name, arguments and named arguments; or the bytes themselves."""

NAME: Final = "application"
"""What plans call the workload."""

_STRETCH: Final = 4
"""So many operations a session takes from the bank as they follow each other, before it goes on elsewhere: what was
drawn as a sequence, such as to open and to close, then comes together in other sequences."""

_BROKEN_OFF: Final = 3
"""After so many seeds in a row that took too long the others are not tried."""


@dataclass(frozen=True)
class FaultsFailure:
    """One seed whose group did not agree, did not answer, or answered what one copy would not."""

    seed: int
    oracle: str
    """The swarm's name for what found it, as "O11"; or the name of an error that ended the run."""
    sentence: str
    """What was wrong, in one sentence."""
    story: tuple[str, ...]
    """The run that fails so, line by line, for people: what it was, what was wrong, and the last lines of its trace.
    Where the plan was cut down, it is the smaller one's."""
    replay: str
    """The command that shows it again."""
    shrunk: str
    """How far the plan was cut down, in words; empty where nobody tried."""


@dataclass(frozen=True)
class FaultsReport:
    """What came of some seeds."""

    groups: int
    """Seeds played to their end, whichever."""
    operations: int
    """Calls that clients made in those that agreed, all groups together."""
    view_changes: int
    transfers: int
    undecided: int
    """Runs in which the search for an order that explains all answers gave up."""
    unfinished: tuple[int, ...]
    """Seeds that took longer than `patience_s`, or were not tried after some that did: nothing is known of them."""
    failures: tuple[FaultsFailure, ...]

    @property
    def ok(self) -> bool:
        """Whether every seed was played to its end, and none failed."""
        return not self.failures and not self.unfinished


def run_under_faults(
    subject: Subject,
    seeds: Sequence[int],
    bank: Sequence[BankOperation],
    *,
    jobs: int | None = 1,
    command: str = "",
    patience_s: float = 20.0,
    shrink_runs: int = 60,
    told: Callable[[int], None] | None = None,
) -> FaultsReport:
    """Play the groups of some seeds, each with calls drawn from `bank`, and return what they came to.

    `jobs` is how many processes play (None: one a processor; 1: this one). `command` is what shows a seed again, before
    its `--faults A:B`; by default it is made of the subject. The first failure of each kind is cut down, in
    `shrink_runs` runs and three times `patience_s` at most. `told` hears of each seed that has ended, in order. Equal
    arguments give equal reports, but for what `patience_s` breaks off. Ctrl-C passes through.

    Raises AppError for an application that cannot be created, ValueError for a bank without an operation that a group
    has room for, and ProcessEnded when the application ends a process.
    """
    subject.create()
    stage = _Stage(subject, _usable(bank), command or _command(subject), patience_s)
    ended: list[_Ended] = []
    late = 0
    with Pool(jobs) as pool:
        for each in pool.each(functools.partial(_play, stage), seeds):
            ended.append(each)
            if told is not None:
                told(each.seed)
            late = 0 if each.report is not None else late + 1
            if late == _BROKEN_OFF:
                break
    reports = [each.report for each in ended if each.report is not None]
    played = [report.number for report in reports]
    outcomes = [report.outcome for report in reports if report.outcome is not None]
    return FaultsReport(
        groups=len(reports),
        operations=sum(outcome.calls for outcome in outcomes),
        view_changes=sum(outcome.view_changes for outcome in outcomes),
        transfers=sum(outcome.transfers for outcome in outcomes),
        undecided=sum(outcome.undecided for outcome in outcomes),
        unfinished=tuple(seed for seed in seeds if seed not in played),
        failures=tuple(_failures(stage, [report for report in reports if report.outcome is None], shrink_runs)),
    )


@dataclass(frozen=True)
class _Stage:
    """What every seed's run is made of; it travels to the processes that play."""

    subject: Subject
    bank: tuple[BankOperation, ...]
    command: str
    patience_s: float

    def plan(self, seed: int) -> Plan:
        """Return the plan of a seed: the swarm's, with this application and room for its operations."""
        plan = Plan.draw(seed)
        # Whoever floods a group with words that no application knows, and how messages are signed, is no matter of the
        # application, and costs a third of the time.
        faults = tuple(fault for fault in plan.faults if not isinstance(fault, LetLoose))
        plan = replace(plan, faults=faults, signatures="simulated")
        usual = Limits()
        if max(map(_size, self.bank)) > plan.limits.operation_bytes:
            room = {name: getattr(usual, name) for name in ("operation_bytes", "request_bytes", "batch_bytes")}
            plan = replace(plan, limits=replace(plan.limits, **room))
        return replace(plan, workload=NAME)

    def report(self, plan: Plan) -> Report:
        """Play a plan. Raises _Overrun when that takes too long."""
        # Loaded anew for each run where it is a file's, so that a run depends as little as can be on those before it.
        workload = Workload(self.subject.load(), _Speech(plan.seed, self.bank), self.subject.parameters)
        with _alarm(self.patience_s):
            return report_plan(plan, self.replay(plan.seed), workloads={NAME: workload})

    def replay(self, seed: int) -> str:
        """Return the command that shows a seed again."""
        return f"{self.command} --faults {seed}:{seed + 1}"


@dataclass(frozen=True)
class _Speech:
    """What sessions call: stretches of the bank, which follow from the seed, the session and how much it called."""

    seed: int
    bank: tuple[BankOperation, ...]

    def __call__(self, label: str, number: int, _word_bytes: int) -> Operation:
        stretch, step = divmod(number, _STRETCH)
        first = random.Random(f"{self.seed}/{label}/{stretch}").randrange(len(self.bank))
        return self.bank[(first + step) % len(self.bank)]


@dataclass(frozen=True)
class _Ended:
    """How a seed ended: with a report, or in time's name."""

    seed: int
    report: Report | None


def _play(stage: _Stage, seed: int) -> _Ended:
    try:
        return _Ended(seed, stage.report(stage.plan(seed)))
    except _Overrun:
        return _Ended(seed, None)


def _failures(stage: _Stage, reports: Sequence[Report], shrink_runs: int) -> Iterator[FaultsFailure]:
    """Yield what is to say of each failed seed; the first of each kind is cut down before."""
    known: dict[str, None] = {}
    for report in reports:
        plan, shrunk, ended = stage.plan(report.number), "", report
        kind = _kind(report)
        if kind not in known and shrink_runs > 0:
            known[kind] = None
            plan, runs = _smallest(stage, plan, kind, shrink_runs)
            # A failure that does not come again, since it hangs on what ran before it, is told as it was seen.
            again = _again(stage, plan, kind)
            if again is not None:
                shrunk, ended = f"cut down in {count(runs, 'run')} to {plan.size}", again
        yield FaultsFailure(
            seed=report.number,
            oracle=report.oracle,
            sentence=_sentence(stage, ended),
            story=(*plan.told(), *ended.failure.splitlines()),
            replay=report.replay,
            shrunk=shrunk,
        )


def _kind(report: Report) -> str:
    """Return what failures must share to count as one: which oracle notices that replicas have parted is chance."""
    return "parting" if report.reached is not None and report.reached.parting else report.oracle


def _smallest(stage: _Stage, plan: Plan, kind: str, most_runs: int) -> tuple[Plan, int]:
    """Return a smaller plan that ends alike, and how many were tried until the best was found or time was up."""
    until = time.monotonic() + 3 * stage.patience_s

    def fails(smaller: Plan) -> bool:
        return time.monotonic() < until and _again(stage, smaller, kind) is not None

    found = shrink(plan, fails, most_runs)
    return found.plan, found.runs


def _again(stage: _Stage, plan: Plan, kind: str) -> Report | None:
    """Return the report of a plan if it fails in the same way."""
    try:
        report = stage.report(plan)
    except _Overrun:
        return None
    return report if report.outcome is None and _kind(report) == kind else None


def _sentence(stage: _Stage, report: Report) -> str:
    """Return what was wrong, without the run's story.

    Where replicas came to different things, the operation says more to its author than what an oracle saw of it later.
    """
    if report.reached is not None and report.reached.parting:
        return report.reached.parting
    lines = report.failure.splitlines()
    found = next((line for line in lines if line.startswith(f"{report.oracle}: ")), lines[0] if lines else "")
    words = found.removeprefix(f"{report.oracle}: ")
    if not report.failure.startswith("Traceback"):
        return words
    file = getattr(stage.subject.load(), "execute", None)
    path = getattr(getattr(file, "__code__", None), "co_filename", "")
    frames = [line.strip() for line in lines if path and line.strip().startswith(f'File "{path}"')]
    if not frames:
        return f"{report.oracle} ended the run: {words}"
    where = frames[-1].rpartition("line ")[2].replace(", in ", ", in ", 1)
    return f"execute() raised {report.oracle} (line {where}): {words}; it must return a FAILED result and never raise"


def _usable(bank: Sequence[BankOperation]) -> tuple[BankOperation, ...]:
    """Return a bank that travels between processes, without what no group has room for."""
    plain: list[BankOperation] = []
    for each in bank:
        kept: BankOperation = each if isinstance(each, bytes) else (each[0], tuple(each[1]), dict(each[2]))
        if _size(kept) <= Limits().operation_bytes:
            plain.append(kept)
    if not plain:
        raise ValueError("there is no operation to call under faults; draw some first")
    return tuple(plain)


def _size(spoken: BankOperation) -> int:
    return len(spoken) if isinstance(spoken, bytes) else len(encode_operation(*spoken))


def _command(subject: Subject) -> str:
    words = [f"--set {shlex.quote(f'{name}={value}')}" for name, value in subject.parameters.items()]
    return " ".join(["pbft check", shlex.quote(subject.spec), *words, "--only faults"])


# Time.


class _Overrun(KeyboardInterrupt):
    """A run takes too long. Of this kind, since nothing else passes through an operation and leaves it undone."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise _Overrun in what takes longer, where this thread and system can be alarmed; and again in what goes on."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise _Overrun

    before: Any = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, before)
