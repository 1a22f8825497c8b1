"""What one process told of one sequence, run by run: in one go, or restored in a fresh run at some places.

Owns: the requests for these runs and the gathering of what comes back. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pbft.application import Outcome, Result
from pbft.conformance.findings import Rule
from pbft.conformance.processes import Process
from pbft.conformance.states import Dump
from pbft.conformance.steps import Step


@dataclass(frozen=True)
class Note:
    """One thing that a process saw by itself."""

    rule: Rule
    where: str
    here: str
    there: str
    sentence: str


@dataclass(frozen=True)
class Seen:
    """One operation, as a process saw it."""

    result: Result
    digest: bytes
    notes: tuple[Note, ...]


@dataclass
class Account:
    """All that a process told of one sequence."""

    number: int
    """The process's."""
    company: int = 0
    """How many operations were begun on another machine before."""
    first: bytes | None = None
    """The digest of the first state; None where it did not come to be."""
    first_notes: tuple[Note, ...] = ()
    steps: list[Seen] = field(default_factory=list)
    stopped: tuple[Note, ...] | None = None
    """Why it went no further; None where it did, or was ended."""
    stopped_inside: bool = False
    """Whether an operation was under way then, the one behind the last of the steps."""
    code: int | None = None
    """How the process ended that came no further, as Popen tells it; None where it came to its end."""
    restored: dict[int, tuple[bytes, tuple[Note, ...]]] = field(default_factory=dict)
    """By the number of operations before: the digest of the restored state."""
    snapshots: dict[int, list[bytes]] = field(default_factory=dict)
    """By the number of operations before."""
    dumps: dict[int, Dump] = field(default_factory=dict)
    """By the place after which they were taken."""

    @property
    def refused(self) -> str:
        """Why the application could not be created; empty where it could."""
        why = self.stopped[-1] if self.first is None and self.stopped else None
        return why.sentence if why is not None and why.rule is Rule.IMPORT_DIFFERS else ""

    @property
    def stopped_at(self) -> int | None:
        """The place of the operation during or after which it stopped."""
        return None if self.stopped is None else len(self.steps) - (0 if self.stopped_inside else 1)

    @property
    def lost_in_company(self) -> bool:
        """Whether it hung or died before this sequence began, by operations on another machine."""
        return self.first is None and self.code is not None and self.company > 0

    def digest_after(self, place: int) -> bytes | None:
        """Return the digest after an operation, None where it did not come so far."""
        if place < 0:
            return self.first
        return self.steps[place].digest if place < len(self.steps) else None


class Lane:
    """One process at work on one sequence."""

    def __init__(
        self,
        process: Process,
        steps: Sequence[Step],
        restores: Sequence[int],
        patience_s: float,
        dumps: Collection[int] = (),
        company: Sequence[Step] | None = None,
    ) -> None:
        """`company` is what another machine executes before where the plan has it so: the same steps, if not given."""
        self.process = process
        self.account = Account(process.plan.number)
        self.done = False
        self._steps = steps
        self._company = _told_company(process, steps if company is None else company)
        self._patience_s = patience_s
        self._dumps = dumps
        fresh = process.plan.fresh
        self._probes = [] if fresh or process.plan.number else [place for place in restores if place < len(steps)]
        self._take_last = not fresh and not process.plan.number and len(steps) in restores
        self._bounds = [0, *(restores if fresh else ()), len(steps)]
        self._leg = 0
        self._ended = False
        """Whether the run told that it is through, so that its end is no surprise."""
        self._start(None)

    def _start(self, pieces: Sequence[bytes] | None) -> None:
        start, end = self._bounds[self._leg : self._leg + 2]
        last = self._leg + 2 == len(self._bounds)
        self._ended = False
        self.process.send(
            {
                "kind": "run",
                "offset": start,
                "steps": [_told(step) for step in self._steps[start:end]],
                "pieces": None if pieces is None else list(pieces),
                "by_sections": self._leg % 2 == 1,
                "take": self._take_last if last else True,
                "probes": self._probes,
                "dumps": sorted(self._dumps),
                "company": self._company,
                "patience_ms": round(self._patience_s * 1000),
            }
        )

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take in what the process said."""
        account = self.account
        notes = _notes(message.get("notes", ()))
        start, end = self._bounds[self._leg : self._leg + 2]
        match message["kind"]:
            case "company":
                account.company += 1
            case "first" if self._leg == 0:
                account.first, account.first_notes = message["digest"], notes
            case "first":
                account.restored[start] = message["digest"], notes
            case "step":
                result = Result(Outcome(message["outcome"]), message["payload"])
                account.steps.append(Seen(result, message["digest"], notes))
            case "snapshot":
                at = message["place"] if message["place"] >= 0 else end
                account.snapshots[at] = list(message["pieces"])
            case "dump":
                account.dumps[message["place"]] = message["sections"]
            case "stopped":
                account.stopped, account.stopped_inside, self._ended = notes, message["inside"], True
            case "done":
                self._ended = True
            case "ended" | "lost":
                self._on_end(message)

    def _on_end(self, message: Mapping[str, Any]) -> None:
        if message["kind"] == "lost" or not self._ended:
            self.account.code, self.done = message["code"], True
            return
        self._leg += 1
        at = self._bounds[self._leg]
        if self.account.stopped is not None or self._leg + 1 >= len(self._bounds):
            self.done = True
        else:
            self._start(self.account.snapshots[at])


def _told_company(process: Process, steps: Sequence[Step]) -> list[list[Any]] | None:
    """Return what another machine executes in a process before, in an order of that process's own."""
    plan = process.plan
    if not plan.company:
        return None
    return [_told(step) for step in (steps[::-1] if plan.company_reversed else steps)]


def _told(step: Step) -> list[Any]:
    return [step.client, step.time_ms, step.data]


def _notes(told: Sequence[Sequence[str]]) -> tuple[Note, ...]:
    return tuple(Note(Rule[rule], where, here, there, sentence) for rule, where, here, there, sentence in told)
