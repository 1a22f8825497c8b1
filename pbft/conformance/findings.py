"""What trying a sequence of operations can show, in words.

Owns: the rules that an application must keep, and a finding: which rule, at which operation, where, and what was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pbft.application import Result
from pbft.conformance.steps import Step


class Rule(Enum):
    """A rule of applications, by what is said where one is broken."""

    # What ends a check.
    IMPORT_DIFFERS = "the application cannot be imported or created everywhere"
    FIRST_STATE_DIFFERS = "the first state differs"
    ANSWER_DIFFERS = "the answer differs"
    STATE_DIFFERS = "the state differs"
    REFUSED_CHANGED = "an operation that was refused changed the state"
    BROKE_A_RULE = "an operation broke a rule of state machines"
    OUTSIDE_CHANGED = "an operation changed something outside the state"
    RAISED = "the application raised an exception where none is allowed"
    BAD_ANSWER = "the application returned what is no answer"
    GARBAGE_ACCEPTED = "bytes that are no operation were accepted"
    SNAPSHOT_DIFFERS = "a snapshot is not what it must be"
    RESTORED_DIFFERS = "a restored application is not the one that made the snapshot"
    BAD_SNAPSHOT = "pieces of no snapshot were not refused cleanly"
    HANGS = "an operation does not end"
    ENDS_THE_PROCESS = "an operation ends the process"

    # What is said and ends nothing.
    FAILED_INSIDE = "an operation failed inside"
    LOST_WRITE = "what came from a Table was changed and not written back"
    REMEMBERED_OUTSIDE = "answers are remembered outside the state"
    TOUCHED_OUTSIDE = "an operation used what differs between hosts"

    @property
    def is_warning(self) -> bool:
        """Whether it is said only, and ends no check."""
        return self in _WARNINGS


_WARNINGS = (Rule.FAILED_INSIDE, Rule.LOST_WRITE, Rule.REMEMBERED_OUTSIDE, Rule.TOUCHED_OUTSIDE)


@dataclass(frozen=True)
class Finding:
    """One thing that was seen.

    `place` is the index in the sequence of the first step that shows it, -1 for the first state (then `step` is None).
    `sentence` says all of it in one line. `where` names the part, as in `the key "lamp" of winners`, `the field total`,
    `module variable COUNT`; `here` and `there` are what it is in the plain process and in the other, or what it was
    and what it became. `causes` are further sentences of what was seen at the same step and may explain it.
    """

    rule: Rule
    place: int
    step: Step | None
    sentence: str
    where: str = ""
    here: str = ""
    there: str = ""
    causes: tuple[str, ...] = ()

    @property
    def is_warning(self) -> bool:
        """Whether it is said only, and ends no check."""
        return self.rule.is_warning


@dataclass(frozen=True)
class Attempt:
    """What came of one sequence in all processes.

    `results` are the plain process's, one a step, as far as it came. `warnings` have one entry a thing, in the order of
    steps, however often it was seen.
    """

    finding: Finding | None
    warnings: tuple[Finding, ...]
    results: tuple[Result, ...]
