"""What drawn arguments are made of: few words and numbers, so that keys meet again.

Owns: where they come from (clients, the application's parameters, constants of its source, values its author names,
calls that were accepted and values that were returned before). Draws nothing itself.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from pbft.application import Outcome, Result
from pbft.conformance.steps import Step
from pbft.encoding import MAX_INTEGER, MIN_INTEGER, Plain, check_plain
from pbft.errors import PbftError
from pbft.machine import OperationSpec, describe
from pbft.operations import decode_operation
from pbft.wording import quote, suggest

VALUES_HOOK: Final = "check_values"
"""A classmethod of this name gives values for parameters: `{"isbn": (...), "reserve.seats": (...)}`."""
OPERATIONS_HOOK: Final = "check_operations"
"""A classmethod of this name gives the operations of an application that is no StateMachine, as bytes."""

ACCEPTED: Final = ""
"""What is said of a call that was accepted."""

OWN_WORDS: Final = ("a", "b", "c", "d")
_WORD_CHARACTERS: Final = 32
_CONSTANTS: Final = 24
_KEPT_CALLS: Final = 8
_GISTS: Final = 12
_PRELUDES: Final = 3
_SHOWN_CHARACTERS: Final = 500
_LONGEST_PRELUDE: Final = 24
_KEPT_RETURNED: Final = 24
_HOOKED: Final = 1_000
"""More values than this nobody names by hand: a generator without an end is cut there."""


class HookError(PbftError):
    """What an application's author gave to help the check is of no use. The message is one sentence."""


@dataclass(frozen=True)
class Known:
    """A call that was tried."""

    client: str
    args: tuple[Plain, ...]
    kwargs: Mapping[str, Plain]


@dataclass(frozen=True)
class Vocabulary:
    """What there is to draw arguments from. It never changes: `learn` returns a larger one."""

    clients: tuple[str, ...]
    operations: tuple[OperationSpec, ...]
    names: tuple[str, ...] = ()
    """Texts among the application's parameters and the names of its clients."""
    words: tuple[str, ...] = OWN_WORDS
    """Short texts in the application's source."""
    numbers: tuple[int, ...] = ()
    """Whole numbers in the application's source, and their neighbours."""
    chosen: Mapping[str, tuple[Plain, ...]] = field(default_factory=dict)
    """What the author names, by "parameter" or "operation.parameter"."""
    plain: tuple[bytes, ...] = ()
    """Operations of an application that is no StateMachine, which its author names."""
    known: Mapping[str, Mapping[str, tuple[Known, ...]]] = field(default_factory=dict)
    """Calls by operation, and by what was said: ACCEPTED, or the gist of a refusal."""
    preludes: tuple[tuple[Step, ...], ...] = ()
    """Beginnings of sequences, each up to where an operation was accepted for the first time."""
    returned: tuple[Plain, ...] = ()
    """Scalars that operations returned."""

    @classmethod
    def of(cls, application: type, parameters: Mapping[str, Plain], clients: Sequence[str]) -> Vocabulary:
        """Return what is known of an application before anything was tried. Raises HookError."""
        operations = tuple(describe(application))
        words, numbers = _constants(application)
        names = [each for value in parameters.values() for each in scalars(value) if type(each) is str]
        return cls(
            tuple(clients),
            operations,
            names=tuple(dict.fromkeys([*clients, *names])),
            words=tuple(dict.fromkeys([*OWN_WORDS, *words])),
            numbers=numbers,
            chosen=_chosen(application, operations) if operations else {},
            plain=() if operations else _plain(application),
        )

    @cached_property
    def dealt(self) -> tuple[OperationSpec, ...]:
        """The operations to draw from: queries once, others twice, and more often what was only refused so far."""
        return tuple(
            each
            for each in self.operations
            for _ in range(1 if each.is_query else 2 if ACCEPTED in self.known.get(each.name, {ACCEPTED: ()}) else 4)
        )

    def learn(self, tried: Iterable[tuple[Sequence[Step], Sequence[Result]]]) -> Vocabulary:
        """Return this with what there was to learn from sequences and their results.

        A call that was refused in words not heard before is worth to be kept as well: it came further than others, and
        the next one, with another argument, may pass.
        """
        known = {name: dict(calls) for name, calls in self.known.items()}
        returned = list(self.returned)
        preludes = list(self.preludes)
        changing = {each.name for each in self.operations if not each.is_query}
        for steps, results in tried if self.operations else ():
            for place, (step, result) in enumerate(zip(steps, results, strict=False)):
                if result.outcome not in (Outcome.OK, Outcome.REJECTED):
                    continue
                call = decode_operation(step.data)
                said = ACCEPTED if result.outcome is Outcome.OK else self._gist(str(result.value))
                calls = known.setdefault(call.name, {})
                made = Known(step.client, call.args, call.kwargs)
                if len(calls) < _GISTS and made not in (kept := calls.get(said, ())) and len(kept) < _KEPT_CALLS:
                    calls[said] = (*kept, made)
                    if (
                        said == ACCEPTED
                        and len(kept) < _PRELUDES
                        and place < _LONGEST_PRELUDE
                        and call.name in changing
                    ):
                        preludes.append(tuple(steps[: place + 1]))
                for each in scalars(result.value) if said == ACCEPTED else ():
                    if each is not None and type(each) is not bool:
                        _keep(returned, each, _KEPT_RETURNED)
        return replace(self, known=known, returned=tuple(returned), preludes=tuple(preludes))

    def _gist(self, text: str) -> str:
        """Return what is left of a refusal's text without what it says of this call's arguments."""
        words = re.split(r"[^\w]+", re.sub(r'"[^"]*"|[0-9]+', "", text[:_SHOWN_CHARACTERS]))
        return " ".join(each for each in words if each not in self.names and each not in self.words) or "no"


def scalars(value: Plain) -> Iterator[Plain]:
    """Yield a value, or what is in it however deep: texts, numbers, bytes, truth values and None."""
    if type(value) in (tuple, list):
        for item in value:
            yield from scalars(item)
    elif type(value) is dict:
        for key, item in value.items():
            yield key
            yield from scalars(item)
    else:
        yield value


def _keep(kept: list[Plain], value: Plain, limit: int) -> None:
    """Keep the first values that come: by type too, since 1 and True are equal."""
    if len(kept) < limit and not any(type(each) is type(value) and each == value for each in kept):
        kept.append(value)


def _constants(application: type) -> tuple[list[str], tuple[int, ...]]:
    """Return short texts and whole numbers in the source of an application's module, in the order they stand there."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[application.__module__]))
    except (KeyError, OSError, TypeError, SyntaxError):
        return [], ()
    words: dict[str, None] = {}
    numbers: dict[int, None] = {}
    for node in ast.walk(tree):
        value = node.value if isinstance(node, ast.Constant) else None
        if type(value) is str and 0 < len(value) <= _WORD_CHARACTERS and not any(map(str.isspace, value)):
            words[value] = None
        elif type(value) is int:
            numbers.update(dict.fromkeys(each for each in (value, value + 1, value - 1) if _fits(each)))
    return list(words)[:_CONSTANTS], tuple(numbers)[: 3 * _CONSTANTS]


def _fits(number: int) -> bool:
    return MIN_INTEGER <= number <= MAX_INTEGER


def _hook(application: type, name: str) -> Any:
    """Return what a hook gives, None where there is none. Raises HookError."""
    method = getattr(application, name, None)
    if method is None or not inspect.ismethod(method):
        return None
    call: Callable[[], Any] = method
    try:
        return call()
    except (Exception, SystemExit) as error:
        raise HookError(f"{application.__name__}.{name}() fails: {type(error).__name__}: {error}") from None


def _chosen(application: type, operations: Sequence[OperationSpec]) -> dict[str, tuple[Plain, ...]]:
    given = _hook(application, VALUES_HOOK)
    if given is None:
        return {}
    where = f"{application.__name__}.{VALUES_HOOK}()"
    if not isinstance(given, Mapping):
        raise HookError(f'{where} returns a dict of values by parameter, as in {{"isbn": ("0-306-40615-2",)}}')
    parameters = {f"{spec.name}.{each.name}": each for spec in operations for each in spec.parameters}
    known = dict.fromkeys([*(each.name for each in parameters.values()), *parameters])
    found: dict[str, tuple[Plain, ...]] = {}
    for name, values in given.items():
        if name not in known:
            raise HookError(f"{where} names {quote(str(name))}, which no operation takes{suggest(str(name), known)}")
        try:
            found[name] = tuple(value for value, _ in zip(values, range(_HOOKED), strict=False))
            check_plain(found[name])
        except (TypeError, ValueError) as error:
            raise HookError(f"{where} gives no values for {name} that can be sent: {error}") from None
        if not found[name]:
            raise HookError(f"{where} gives no value for {name}")
    return found


def _plain(application: type) -> tuple[bytes, ...]:
    given = _hook(application, OPERATIONS_HOOK)
    where = f"{application.__name__}.{OPERATIONS_HOOK}()"
    try:
        found = tuple(value for value, _ in zip(given or (), range(_HOOKED), strict=False))
    except TypeError:
        raise HookError(f"{where} returns operations, each of bytes") from None
    if not all(type(each) is bytes for each in found):
        raise HookError(f"{where} returns operations, each of bytes")
    return found
