"""An operation as its client saw it, and how a model executes one.

Owns: what a history consists of, what precedes what in it, and the words for both. Knows no search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pbft.encoding import Plain
from pbft.machine import Application, Context, Outcome, Result, encode_operation

_SHOWN_CHARACTERS: Final = 40


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a history.

    `called` and `ended` are numbers of any clock that orders all calls and answers of the history: an operation that
    ended before another was called comes before it, and two of which neither did overlap. Equal numbers overlap. A
    clock that two events can share therefore hides faults; count the events if you can.

    Without `ended` the operation was never answered: it may have taken effect at any time after its call, even after
    the history's end, or never.
    """

    client: str
    name: str
    args: tuple[Any, ...] = ()
    called: int = 0
    ended: int | None = None
    value: Plain = None
    """What it returned, or the text of any other outcome; means nothing while there is no answer."""
    outcome: Outcome = Outcome.OK
    thread: str = ""
    """Whose order of calls binds, though their operations overlap: a session, or a request that carries several.

    Of one thread's answered operations each takes effect after those that it called before, and an unanswered one after
    every answered one before it; of equal calls the one listed first came first. Operations without a thread are bound
    by real time alone.
    """
    data: bytes = b""
    """The bytes that the application executes, where they are not those of `name` and `args`."""
    remark: str = ""
    """What else to say of it where it is spoken of: when it ran, say."""
    context: Context | None = None
    """What the application was told of the world as it executed this, where somebody knows: agreed time, say."""

    def __post_init__(self) -> None:
        if self.ended is not None and self.ended < self.called:
            raise ValueError(f"{self} ended at {self.ended}, before it was called at {self.called}")

    @property
    def answered(self) -> bool:
        """Whether it was answered, whatever the outcome."""
        return self.ended is not None

    @property
    def encoded(self) -> bytes:
        """The bytes that the application executes."""
        return self.data or encode_operation(self.name, self.args)

    @property
    def result(self) -> Result | None:
        """What its client was told, or None."""
        return Result.of(self.outcome, self.value) if self.answered else None

    def __str__(self) -> str:
        args = ", ".join(map(_short, self.args))
        told = told_as(self.outcome, self.value) if self.answered else "?"
        return f"{self.client}.{self.name}({args}) -> {told}" + (f" ({self.remark})" if self.remark else "")


Execute = Callable[[Application, Operation], Result]
"""Executes an operation on a model, an application of which nobody else knows, and returns what it came to."""


def execute_plainly(application: Application, operation: Operation) -> Result:
    """Execute an operation in its own context, where that is known.

    Else the context says who calls, and of time, sequence and seed always the same. That is right for every application
    whose answers follow from its state, its arguments and its client's name. Where an answer follows from agreed time,
    sequence or seed, and nobody kept the contexts, write another that takes the answer's word for these: it may read
    `operation.value` to choose the context, or return `operation.result` itself where the model's own answer differs in
    nothing else. The state after it must follow from the state before it and the operation.
    """
    context = operation.context or Context(time_ms=0, client=operation.client, sequence=0, seed=bytes(32))
    # A copy, since a context's generator goes on where it was: a search executes one operation many times.
    return application.execute(operation.encoded, replace(context))


def told_as(outcome: Outcome, value: Plain) -> str:
    """Return a result as a sentence shows it: its value, or how else it ended."""
    return _short(value) if outcome is Outcome.OK else f"{outcome.name} {_short(value)}"


def _short(value: Plain) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"


def told_in_order(operations: Sequence[Operation], most: int = 6) -> str:
    """Return the last few operations of an order, and how many came before."""
    shown = ", ".join(map(str, operations[-most:]))
    before = len(operations) - most
    return f"{before} others, {shown}" if before > 0 else shown or "nothing"
