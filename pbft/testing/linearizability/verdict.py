"""What a search came to: an order, the reason why there is none, or that it gave up.

Owns: the verdicts and their sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pbft.machine import Result
from pbft.testing.linearizability.operation import Operation, told_as, told_in_order
from pbft.wording import count


@dataclass(frozen=True)
class Linearizable:
    """There is an order, and here is one."""

    order: tuple[Operation, ...]
    """Every answered operation, and those of the others that have to have taken effect for it."""
    configurations: int
    """How many the search looked at."""
    holds: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"in the order {told_in_order(self.order)} everything was answered rightly"


@dataclass(frozen=True)
class Misfit:
    """An operation that real time allows next, and that was answered otherwise than the model answers it there."""

    operation: Operation
    model: Result

    def __str__(self) -> str:
        return f"{self.operation}, where the model says {told_as(self.model.outcome, self.model.value)}"


@dataclass(frozen=True)
class NotLinearizable:
    """There is no order: however the operations are put, an answer is wrong."""

    operations: int
    prefix: tuple[Operation, ...]
    """The order that explains the history for longest: nothing else explains all answers until `culprit`'s."""
    culprit: Operation
    """The operation with the earliest answer that this order, and every other, leaves unexplained."""
    misfits: tuple[Misfit, ...]
    """What could come next as far as real time goes, and is answered wrongly there; the culprit may be among them."""
    configurations: int
    holds: ClassVar[bool] = False

    def __str__(self) -> str:
        wrong = "; ".join(map(str, self.misfits))
        return (
            f"no order of {count(self.operations, 'operation')} explains all answers. All before that of "
            f"{self.culprit} can be explained, by this order at best: {told_in_order(self.prefix)}. Next would come "
            f"one of these, and none fits: {wrong}"
        )


@dataclass(frozen=True)
class Undecided:
    """The search gave up: neither a pass nor a failure. Count these, and say how many there were."""

    operations: int
    explained: int
    """How many operations the longest order held that was found."""
    moves: int
    """How often the search asked whether an operation can come next."""
    holds: ClassVar[bool] = False

    def __str__(self) -> str:
        return (
            f"undecided: after {count(self.moves, 'move')} the longest order found explains {self.explained} of "
            f"{count(self.operations, 'operation')}; allow more moves, or let less overlap"
        )


Verdict = Linearizable | NotLinearizable | Undecided
