"""The same operations in several processes that differ in everything that an application must not depend on.

Owns: the processes of a check, and the course of one attempt through all of them. An attempt repeated gives the same
again: clocks and generators follow from a process's plan, and its plan from its number and the seed. What breaks that
is an application that depends on addresses (id(), the hash of an object), on process numbers, or on clocks and
generators of C code: it differs every time, each time in another way.
"""

from __future__ import annotations

import contextlib
import importlib.util
import selectors
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pbft.conformance.aspects import ALL, Aspect
from pbft.conformance.findings import Attempt, Finding, Rule
from pbft.conformance.judging import judge, warnings_of
from pbft.conformance.lanes import Account, Lane
from pbft.conformance.plans import WORLDS, plan_world
from pbft.conformance.processes import Process
from pbft.conformance.steps import Step
from pbft.conformance.subject import Subject
from pbft.errors import PbftError
from pbft.loading import AppError

PATIENCE_S: Final = 10.0
"""How long an operation may take, where it should take some microseconds."""

_MARGIN_S: Final = 5.0
"""How much longer is waited for a run, which ends itself when its patience is over."""


class Worlds:
    """Processes of one application, to be used in a `with` statement, which starts and ends them.

    `aspects` is in what they differ: world 0 is plain, world 1 differs in all of them and is restored in fresh
    processes, world 2 differs in all but that, in another way.
    """

    def __init__(
        self,
        subject: Subject,
        aspects: Collection[Aspect] = ALL,
        seed: int = 0,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.subject = subject
        self.aspects = frozenset(aspects)
        self.seed = seed
        self.patience_s = patience_s
        self._processes: list[Process] = []
        self._refused: Finding | None = None
        """Why nothing can be tried: it cannot be imported in every process."""
        self._imported: tuple[Finding, ...] = ()
        self._machine = True
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start the processes, which import the application.

        Raises AppError where it cannot be imported in the plain one, PbftError where a part of pbft[test] is missing.
        """
        if importlib.util.find_spec("time_machine") is None:
            raise PbftError(
                "time-machine is not installed, which turns the clocks of a check: pip install 'pbft[test]'"
            )
        with contextlib.ExitStack() as started:
            folder = started.enter_context(tempfile.TemporaryDirectory(prefix="pbft-check-"))
            started.callback(self._end)
            for number in range(WORLDS):
                place = Path(folder, f"world-{number}")
                place.mkdir()
                plan = plan_world(number, self.aspects, self.seed)
                self._processes.append(Process(self.subject, plan, place, self.patience_s))
            self._await_imports()
            self._closing = started.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes, and all that they started."""
        self._closing.close()

    def attempt(self, steps: Sequence[Step], restores: Collection[int] = ()) -> Attempt:
        """Execute a sequence in all processes and compare after each operation.

        `restores` are the places at which world 1 goes on in a fresh process from a snapshot: the number of operations
        before. Raises AppError where the application cannot be created anywhere, with the plain process's reason.
        """
        if self._refused is not None:
            return Attempt(self._refused, (), ())
        at = sorted({place for place in restores if 0 <= place <= len(steps)})
        accounts = self._run(steps, at)
        if all(account.refused for account in accounts):
            raise AppError(accounts[0].refused)
        verdict = judge(steps, accounts, machine=self._machine)
        finding = None
        if verdict is not None:
            finding = verdict.finding
            if verdict.needs_states:
                # Once more, up to there: states are told where somebody wants to know them only.
                until = steps[: max(verdict.places) + 1]
                dumps = dict.fromkeys(verdict.lanes, verdict.places)
                again = self._run(until, [place for place in at if place <= len(until)], dumps, steps)
                finding = verdict.with_states(again)
        warnings = warnings_of(steps, accounts)
        return Attempt(finding, self._imported + warnings, tuple(seen.result for seen in accounts[0].steps))

    def _run(
        self,
        steps: Sequence[Step],
        restores: Sequence[int],
        dumps: Mapping[int, Collection[int]] | None = None,
        company: Sequence[Step] | None = None,
    ) -> list[Account]:
        """Return what all processes tell, or those only of which states are wanted: `dumps`, by their numbers."""
        lanes = [
            Lane(process, steps, restores, self.patience_s, () if dumps is None else dumps[number], company)
            for number, process in enumerate(self._processes)
            if dumps is None or number in dumps
        ]
        by_process = {id(lane.process): lane for lane in lanes}
        for process, message in self._messages(lanes):
            by_process[id(process)].hear(message)
            if process.ended:
                raise PbftError(f"a process of the check ended by itself: {process.last_words() or 'it said nothing'}")
        found = {lane.process.plan.number: lane.account for lane in lanes}
        return [found.get(number, Account(number)) for number in range(len(self._processes))]

    def _messages(self, lanes: Sequence[Lane]) -> Iterator[tuple[Process, Mapping[str, Any]]]:
        """Yield what the processes say until all lanes are done."""
        with selectors.DefaultSelector() as selector:
            for lane in lanes:
                selector.register(lane.process, selectors.EVENT_READ)
            while not all(lane.done for lane in lanes):
                ready = selector.select(self.patience_s + _MARGIN_S)
                if not ready:
                    for lane in lanes:
                        if not lane.done:
                            lane.process.interrupt()
                for key, _ in ready:
                    process = key.fileobj
                    assert isinstance(process, Process)
                    for message in process.read():
                        yield process, message

    def _await_imports(self) -> None:
        for process in self._processes:
            message = next(process.read())
            number = process.plan.number
            if message["kind"] == "ready":
                self._machine = message["machine"]
                if message["threads"] and number == 0:
                    sentence = "importing the application starts a thread, which no forked process has"
                    self._imported = (Finding(Rule.TOUCHED_OUTSIDE, -1, None, sentence, "a thread"),)
                continue
            why = message.get("why") or (
                f"importing {self.subject.name} ended the process: {process.last_words() or message['code']}"
            )
            if number == 0:
                raise AppError(why)
            sentence = f"it can be imported here, and not there: {why}"
            self._refused = Finding(Rule.IMPORT_DIFFERS, -1, None, sentence, "the import", "imported", why)

    def _end(self) -> None:
        for process in self._processes:
            process.let_go()
        for process in self._processes:
            process.wait()
        self._processes = []
