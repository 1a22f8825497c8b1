"""The search for a sequence of operations that shows a fault: hypothesis draws, processes try, `minimal` shrinks.

Owns: how many sequences are drawn from what, that a seed stands for one search, and what is counted. What a fault is,
`worlds` decides; what is drawn, `drawing`.

Hypothesis' own shrinking is left out: it draws a long sequence anew for each of its thousands of attempts, where taking
steps out of the sequence itself comes to the same in some dozens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypothesis import Phase, Verbosity, find, settings
from hypothesis.errors import NoSuchExample

from pbft.application import Outcome, Result
from pbft.conformance.aspects import ALL, Aspect
from pbft.conformance.drafts import Draft
from pbft.conformance.drawing import drafts
from pbft.conformance.findings import Attempt, Finding, Rule
from pbft.conformance.minimal import Case, same_fault, smallest, sufficient
from pbft.conformance.steps import Step
from pbft.conformance.subject import Subject
from pbft.conformance.vocabulary import Vocabulary
from pbft.conformance.worlds import PATIENCE_S, Worlds
from pbft.encoding import digest
from pbft.operations import ArgumentError, decode_operation

_ROUND = 10
"""So many sequences are drawn before what they taught is used. Of more than ten hypothesis makes most by copying parts
of one to another place, which suits values better than sequences."""
_TRIES = 500
"""So many at most are made to find a smaller sequence."""
_TRIES_THAT_HANG = 20
_SHORT_PATIENCE_S = 0.5
"""How long an operation may take while a sequence that hangs is made smaller."""
_BANK = 60

Told = Callable[[int, int], None]
"""Hears how many sequences were tried, and how many operations."""


@dataclass
class Tally:
    """How often an operation was called with arguments that fit, and how that ended."""

    tried: int = 0
    accepted: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Found:
    """The least sequence that shows a fault."""

    case: Case
    drawn: int
    """How many operations the sequence had in which it was first seen."""
    enough: tuple[Aspect, ...] | None
    """A difference between processes that shows it by itself, if there is one; None where it takes no difference."""
    steady: bool = True
    """Whether it showed each time that the sequence was tried."""


@dataclass
class Hunt:
    """What a search came to."""

    found: Found | None = None
    sequences: int = 0
    operations: int = 0
    restored: int = 0
    tallies: dict[str, Tally] = field(default_factory=dict)
    warnings: list[Finding] = field(default_factory=list)
    bank: list[bytes] = field(default_factory=list)
    """Operations that were accepted, each once, for whoever wants to go on with them."""


def hunt(
    subject: Subject,
    clients: Sequence[str],
    *,
    seed: int = 0,
    examples: int = 80,
    longest: int = 40,
    patience_s: float = PATIENCE_S,
    rehearsal: bool = False,
    told: Told | None = None,
) -> Hunt:
    """Search with so many sequences of at most so many drawn operations, and return what came of it.

    Equal arguments give an equal search. A `rehearsal` looks for operations that are accepted, and for no difference.
    Raises AppError and HookError for an application that is not ready for it.
    """
    hunter = _Hunter(subject, Vocabulary.of(subject.load(), subject.parameters, clients), told)
    with Worlds(subject, () if rehearsal else ALL, seed, patience_s=patience_s) as worlds:
        hunter.worlds = worlds
        hunter.look((), ())
        for number, start in enumerate(range(0, examples, _ROUND)):
            if hunter.case is None:
                chance = random.Random(digest(b"pbft/check/draws", str(seed).encode(), str(number).encode()))
                hunter.draw(chance, min(_ROUND, examples - start), longest)
        case = hunter.case
        if case is None or rehearsal:
            return hunter.hunt
        hangs = case.finding.rule is Rule.HANGS
        if not hangs:
            case = hunter.smaller(case, _TRIES)
    if hangs:
        patience_s = min(patience_s, _SHORT_PATIENCE_S)
        with Worlds(subject, seed=seed, patience_s=patience_s) as hunter.worlds:
            case = hunter.smaller(case, _TRIES_THAT_HANG)
    with Worlds(subject, seed=seed, patience_s=patience_s) as worlds:
        again = worlds.attempt(case.steps, case.restores).finding
    steady = again is not None and same_fault(again, case.finding)
    if hangs:
        enough: tuple[Aspect, ...] | None = None
    else:
        enough = sufficient(subject, seed, case, patience_s) if steady else ()
    hunter.hunt.found = Found(case, hunter.drawn, enough, steady)
    return hunter.hunt


class _Hunter:
    """One search while it runs."""

    worlds: Worlds

    def __init__(self, subject: Subject, vocabulary: Vocabulary, told: Told | None) -> None:
        self.hunt = Hunt(tallies={each.name: Tally() for each in vocabulary.operations})
        self.case: Case | None = None
        """The first sequence that showed a fault."""
        self.drawn = 0
        """How many operations it had."""
        self._vocabulary = vocabulary
        self._told = told
        self._known: dict[tuple[tuple[Step, ...], tuple[int, ...]], Attempt] = {}
        self._learned: list[tuple[Sequence[Step], Sequence[Result]]] = []

    def draw(self, chance: random.Random, examples: int, longest: int) -> None:
        """Try sequences until one shows a fault, and learn from them."""
        quiet = settings(
            max_examples=examples, database=None, deadline=None, phases=[Phase.generate], verbosity=Verbosity.quiet
        )
        try:
            find(drafts(self._vocabulary, longest), self._shows, settings=quiet, random=chance)
        except NoSuchExample:
            self._vocabulary = self._vocabulary.learn(self._learned)
            self._learned.clear()

    def _shows(self, draft: Draft) -> bool:
        steps = draft.steps()
        came = self.look(steps, draft.restores)
        if came.finding is None and draft.looks_back:
            again = draft.steps(came.results)
            if again != steps:
                came = self.look(again, draft.restores)
        return came.finding is not None

    def look(self, steps: Sequence[Step], restores: Sequence[int]) -> Attempt:
        """Try a sequence, and count what is new about it."""
        new = (tuple(steps), tuple(restores)) not in self._known
        came = self._attempt(steps, restores)
        if new and self.case is None:
            self._count(steps, restores, came)
            if came.finding is not None:
                self.case = Case(tuple(steps), tuple(restores), came.finding)
                self.drawn = len(steps)
        return came

    def smaller(self, case: Case, tries: int) -> Case:
        """Return a case made as small as it gets in so many tries."""
        self._known.clear()

        def attempt(steps: Sequence[Step], restores: Sequence[int]) -> Attempt | None:
            return self._attempt(steps, restores) if len(self._known) < tries else None

        orders = {spec.name: [each.name for each in spec.parameters] for spec in self._vocabulary.operations}
        return smallest(case, attempt, orders)

    def _attempt(self, steps: Sequence[Step], restores: Sequence[int]) -> Attempt:
        key = tuple(steps), tuple(restores)
        if key not in self._known:
            self._known[key] = self.worlds.attempt(steps, restores)
        return self._known[key]

    def _count(self, steps: Sequence[Step], restores: Sequence[int], came: Attempt) -> None:
        hunt = self.hunt
        hunt.sequences += 1 if steps else 0
        hunt.operations += len(came.results)
        hunt.restored += sum(1 for each in restores if each <= len(came.results))
        for warning in came.warnings:
            if not any(_same(warning, each) for each in hunt.warnings):
                hunt.warnings.append(warning)
        self._learned.append((steps, came.results))
        for step, result in zip(steps, came.results, strict=False):
            if result.outcome is Outcome.OK and step.data not in hunt.bank and len(hunt.bank) < _BANK:
                hunt.bank.append(step.data)
            tally = hunt.tallies.get(_name(step)) if result.outcome is not Outcome.INVALID else None
            if tally is not None:
                tally.tried += 1
                tally.accepted += result.outcome is Outcome.OK
                tally.failed += result.outcome is Outcome.FAILED
        if self._told is not None:
            self._told(hunt.sequences, hunt.operations)


def _same(one: Finding, other: Finding) -> bool:
    return one.rule is other.rule and (one.where or one.sentence) == (other.where or other.sentence)


def _name(step: Step) -> str:
    try:
        return decode_operation(step.data).name
    except ArgumentError:
        return ""
