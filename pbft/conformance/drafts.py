"""Sequences of operations before they are known: with places for what earlier operations will come to.

Owns: how a draft becomes steps, once it is known how its operations end. Draws and executes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pbft.application import Outcome, Result
from pbft.conformance.steps import Step
from pbft.conformance.vocabulary import scalars
from pbft.encoding import Plain, encode
from pbft.operations import decode_operation, encode_operation

_FROM_ONE: Final = 2
_SHORT_ANSWER: Final = 6
"""An answer of more values than this lists what is there: it would drown those that somebody chose."""


@dataclass(frozen=True)
class Earlier:
    """A place for a value out of an operation before this one that was accepted: an argument, or what it returned."""

    eager: bool
    """Whether it is taken at once; if not, only where the operation was refused with the value drawn for it."""
    which: int
    """Among those of its type: the first or second of one operation, beyond that the latest of all."""
    otherwise: Plain
    """The value drawn, which stands here if none of its type was met."""


@dataclass(frozen=True)
class Entry:
    """A step to be, without its time, and with places for what earlier operations come to."""

    client: str
    pace_ms: int
    restore: bool
    """Whether the state is to be taken over by a new process after this step."""
    name: str = ""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None
    data: bytes | None = None
    """The operation itself where it is no call."""
    back: int = 0
    """Which of the operations before, the latest first, all its places look back to: what goes together stays so."""
    own: bool = False
    """Whether only the same client's are counted, where there are any."""


@dataclass(frozen=True)
class Draft:
    """A sequence of operations to be."""

    start_ms: int
    entries: tuple[Entry, ...]

    @property
    def looks_back(self) -> bool:
        """Whether anything in it depends on how earlier operations end."""
        return any(_looks_back((entry.args, entry.kwargs)) for entry in self.entries)

    @property
    def restores(self) -> tuple[int, ...]:
        """Where the state is taken over by a new process: each the number of operations before."""
        return tuple(place for place, entry in enumerate(self.entries, 1) if entry.restore)

    def steps(self, results: Sequence[Result] = ()) -> tuple[Step, ...]:
        """Return the steps, where `results` are those of a StateMachine's operations as far as they are known."""
        steps: list[Step] = []
        met: list[tuple[str, tuple[Plain, ...]]] = []
        time_ms = self.start_ms
        for place, entry in enumerate(self.entries):
            time_ms += entry.pace_ms
            refused = place < len(results) and results[place].outcome is Outcome.REJECTED
            steps.append(Step(entry.client, time_ms, _operation(entry, met, refused)))
            if place < len(results) and results[place].outcome is Outcome.OK:
                call = decode_operation(steps[-1].data)
                answer = tuple(scalars(results[place].value))
                told = answer if len(answer) <= _SHORT_ANSWER else ()
                met.append((entry.client, (*scalars(call.args), *scalars(tuple(call.kwargs.values())), *told)))
        return tuple(steps)


def _looks_back(value: Any) -> bool:
    if type(value) is dict:
        return any(map(_looks_back, value.values()))
    return any(map(_looks_back, value)) if type(value) is tuple else type(value) is Earlier


def _operation(entry: Entry, met: Sequence[tuple[str, tuple[Plain, ...]]], refused: bool) -> bytes:
    """Return an entry's bytes, where `met` are the clients and values of operations before it."""
    if entry.data is not None:
        return entry.data
    own = [values for client, values in met if client == entry.client] if entry.own else []
    near = own or [values for _, values in met]
    chosen = near[-1 - entry.back % len(near)] if near else ()
    far = tuple(value for _, values in reversed(met) for value in values)
    args = _settle(entry.args, chosen, far, refused)
    kwargs = _settle(dict(entry.kwargs or {}), chosen, far, refused)
    try:
        return encode_operation(entry.name, args, kwargs)
    except ValueError:
        # What has no canonical bytes is sent as whatever bytes there are for it: that is what it is drawn for.
        return encode((entry.name, args, kwargs) if kwargs else (entry.name, args))


def _settle(value: Any, near: Sequence[Plain], far: Sequence[Plain], refused: bool) -> Any:
    """Return a value; where it looks back, one of its type that was met before."""
    if type(value) is tuple:
        return tuple(_settle(each, near, far, refused) for each in value)
    if type(value) is dict:
        return {name: _settle(each, near, far, refused) for name, each in value.items()}
    if type(value) is not Earlier:
        return value
    if not (value.eager or refused):
        return value.otherwise
    close, all_of_them = ([each for each in values if type(each) is type(value.otherwise)] for values in (near, far))
    if value.which < min(len(close), _FROM_ONE):
        return close[value.which]
    return all_of_them[value.which % len(all_of_them)] if all_of_them else value.otherwise
