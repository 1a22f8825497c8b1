"""Operations as a client sees them: names, arguments and help.

Owns: the decorators that mark them, the check of arguments against annotations, their bytes on the wire
(`[name, [arguments]]` or `[name, [arguments], {name: argument}]`, canonical) and their reading from command-line words.
Knows nothing of state, results or replicas.
"""

from __future__ import annotations

import inspect
import random
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar

from pbft.annotations import AnnotationError, Mismatch, Shape, check_immutable, shape_of, spell
from pbft.encoding import EncodingError, Plain, decode_plain, encode_plain
from pbft.errors import PbftError
from pbft.wording import count, quote, show, tell

MALFORMED: Final = (
    "an operation must be the canonical CBOR of [name, [arguments]] or [name, [arguments], {name: argument}]"
)

_MARK: Final = "_pbft_kind"

Method = TypeVar("Method", bound=Callable[..., Any])


class ArgumentError(PbftError, ValueError):
    """Arguments or parameters that do not fit. The message is one sentence for whoever gave them."""


class MachineError(PbftError, TypeError):
    """A class that cannot be a state machine. The message is one sentence for its author and says what to write."""


@dataclass(frozen=True)
class Context:
    """All a state machine may know of the world, the same on every replica (design 4.5).

    `time_ms` is the group's agreed time, which never goes back; `client` the name of the client whose operation
    runs; `sequence` the place of its batch in the order.

    `seed` differs for every operation, but the client that words the operation and the primary that places it can
    each try until they like what comes out. It is good for spreading load and for tie-breaks, and unfit for
    lotteries or anything else that somebody would like to win.
    """

    time_ms: int
    client: str
    sequence: int
    seed: bytes
    answer_bytes: int = 2**24
    """How long the encoded answer may be. One that is longer fails, and is undone like any other failure."""

    @cached_property
    def random(self) -> random.Random:
        """A generator started from `seed`: fair only as far as nobody cares, see above.

        Replicas that run different releases of Python agree on `random()` and `getrandbits()`; the other methods
        promise less.
        """
        return random.Random(self.seed)


def operation(method: Method) -> Method:
    """Mark a method as an operation: clients call it by its name, and it may change the state."""
    return _mark(method, "operation")


def query(method: Method) -> Method:
    """Mark a method as a query: clients call it by its name, and it must change nothing."""
    return _mark(method, "query")


def _mark(method: Method, kind: str) -> Method:
    if not inspect.isfunction(method):
        raise MachineError(f"@{kind} marks a plain method; put it directly above the def, below any other decorator")
    setattr(method, _MARK, kind)
    return method


def kind_of(attribute: object) -> str | None:
    """Return "operation", "query" or None for what is neither."""
    return getattr(attribute, _MARK, None) if inspect.isfunction(attribute) else None


@dataclass(frozen=True)
class Parameter:
    """One argument of an operation, or one parameter of an application."""

    name: str
    annotation: str
    """The annotation as text, as in `str | None`."""
    required: bool
    default: Plain
    """Its value when left out; None and without meaning where `required`."""
    shape: Shape = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.name}: {self.annotation}"

    def check(self, owner: str, value: Plain) -> Plain:
        """Return `value` as the method will see it, or raise ArgumentError."""
        try:
            return self.shape.accept(value)
        except Mismatch as mismatch:
            found = f"but {self.name}{mismatch.where} is" if mismatch.where else "got"
            raise ArgumentError(f"{owner} needs {self}, {found} {show(mismatch.value)}") from None

    def parse(self, owner: str, word: str) -> Plain:
        """Return the value that a command-line word means, or raise ArgumentError."""
        try:
            return self.shape.parse(word)
        except Mismatch:
            hint = f"; {self.shape.hint}" if self.shape.hint else ""
            raise ArgumentError(f"{owner} needs {self}, got {quote(word)}{hint}") from None


@dataclass(frozen=True)
class OperationSpec:
    """What a client may know of an operation: for help, completion and the reading of command-line words."""

    name: str
    parameters: tuple[Parameter, ...]
    docstring: str
    is_query: bool
    returns: str
    """The annotation of what it returns, as text; empty when there is none."""

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.docstring.partition("\n")[0]

    @property
    def usage(self) -> str:
        """How to call it from a command line, as in `transfer SOURCE TARGET AMOUNT [MEMO]`."""
        words = [p.name.upper() if p.required else f"[{p.name.upper()}]" for p in self.parameters]
        return " ".join([self.name, *words])


@dataclass(frozen=True)
class Call:
    """An operation as it came over the wire: a name and arguments, not yet checked against anything."""

    name: str
    args: tuple[Plain, ...]
    kwargs: Mapping[str, Plain]


def encode_operation(name: str, args: Sequence[Plain] = (), kwargs: Mapping[str, Plain] | None = None) -> bytes:
    """Return the bytes of one operation. Raises EncodingError for an argument that has no canonical bytes."""
    return encode_plain((name, tuple(args), dict(kwargs)) if kwargs else (name, tuple(args)))


def decode_operation(data: bytes) -> Call:
    """Return the operation that `data` encodes.

    Raises ArgumentError with one fixed sentence: what a decoder says of hostile bytes may change with its release,
    and replicas must agree on the answer.
    """
    try:
        parts = decode_plain(data)
    except EncodingError:
        raise ArgumentError(MALFORMED) from None
    if (
        type(parts) is not tuple
        or len(parts) not in (2, 3)
        or type(parts[0]) is not str
        or type(parts[1]) is not tuple
        or type(parts[-1]) is not (tuple if len(parts) == 2 else dict)
    ):
        raise ArgumentError(MALFORMED)
    return Call(parts[0], parts[1], parts[2] if len(parts) == 3 else {})


def parse_arguments(spec: OperationSpec, words: Sequence[str]) -> tuple[Plain, ...]:
    """Return the arguments that command-line words mean, one word an argument, in the order of the parameters.

    A text stays a text even when it looks like a number. Trailing optional arguments may be left out. Raises
    ArgumentError with one sentence.
    """
    owner = f"{spec.name}()"
    _check_count(owner, spec.parameters, len(words))
    values = tuple(parameter.parse(owner, word) for parameter, word in zip(spec.parameters, words, strict=False))
    for parameter in spec.parameters[len(words) :]:
        if parameter.required:
            raise ArgumentError(f"{owner} needs {parameter}, which is missing; usage: {spec.usage}")
    return values


class Signature:
    """A function's parameters, understood: checks what a caller gives and calls the function with it.

    `owner` names the function in messages, as in `add()`; `noun` is what its inputs are called. A parameter
    annotated `Context` is filled in by the machine and not counted among the caller's.
    """

    def __init__(self, function: Callable[..., Any], owner: str, where: str, noun: str = "argument") -> None:
        self.function = function
        self.owner = owner
        self.noun = noun
        hints = read_hints(function, where)
        self.parameters: tuple[Parameter, ...] = ()
        self._places: list[tuple[str, bool]] = []
        self._contexts: dict[str, None] = {}
        found = list(inspect.signature(function).parameters.values())
        if not found:
            raise MachineError(f"{where} has no parameter self; write def {function.__name__}(self)")
        for parameter in found[1:]:
            self._places.append((parameter.name, parameter.kind is inspect.Parameter.KEYWORD_ONLY))
            if hints.get(parameter.name) is Context:
                self._contexts[parameter.name] = None
            else:
                self.parameters += (_understand(parameter, hints, where),)
        self.returns = spell(hints["return"]) if hints.get("return") is not None else ""
        self._by_name = {parameter.name: parameter for parameter in self.parameters}

    @property
    def wants_context(self) -> bool:
        """Whether any parameter is annotated `Context`."""
        return bool(self._contexts)

    def bind(self, args: Sequence[Plain], kwargs: Mapping[str, Plain]) -> dict[str, Plain]:
        """Return one checked value for every parameter, or raise ArgumentError with one sentence."""
        _check_count(self.owner, self.parameters, len(args))
        values = {
            parameter.name: parameter.check(self.owner, value)
            for parameter, value in zip(self.parameters, args, strict=False)
        }
        for name in sorted(kwargs):
            if name not in self._by_name:
                raise ArgumentError(f"{self.owner} has no {self.noun} {quote(name)}{tell(self._by_name)}")
            if name in values:
                raise ArgumentError(f"{self.owner} got {name} twice")
            values[name] = self._by_name[name].check(self.owner, kwargs[name])
        for parameter in self.parameters:
            if parameter.name not in values:
                if parameter.required:
                    raise ArgumentError(f"{self.owner} needs {parameter}, which is missing")
                values[parameter.name] = parameter.shape.accept(parameter.default)
        return values

    def call(self, machine: object, values: Mapping[str, Plain], context: Context | None = None) -> Any:
        """Call the function on `machine` with values that `bind` returned."""
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for name, keyword_only in self._places:
            value = context if name in self._contexts else values[name]
            if keyword_only:
                named[name] = value
            else:
                positional.append(value)
        return self.function(machine, *positional, **named)


def read_hints(annotated: Any, where: str) -> dict[str, Any]:
    """Return the annotations of a class or function, strings evaluated. Raises MachineError."""
    try:
        return typing.get_type_hints(annotated, include_extras=True)
    except Exception as error:
        raise MachineError(f"the annotations of {where} cannot be read: {error}") from None


def _understand(parameter: inspect.Parameter, hints: Mapping[str, Any], where: str) -> Parameter:
    name = parameter.name
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        raise MachineError(f"{where} takes *{name}; name each parameter, or take {name}: list[...]")
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        raise MachineError(f"{where} takes **{name}; name each parameter, or take {name}: dict[str, ...]")
    if name not in hints:
        raise MachineError(f"{where}: {name} has no annotation; write {name}: int, for instance")
    try:
        shape = shape_of(hints[name])
    except AnnotationError as error:
        raise MachineError(f"{where}: {name} is annotated {error}") from None
    required = parameter.default is inspect.Parameter.empty
    if not required:
        try:
            check_immutable(parameter.default)
            shape.accept(parameter.default)
        except EncodingError as error:
            raise MachineError(f"{where}: the default of {name} must be immutable: {error}") from None
        except Mismatch:
            raise MachineError(
                f"{where}: {name} is annotated {shape.text}, but its default is {show(parameter.default)}"
            ) from None
    return Parameter(name, shape.text, required, None if required else parameter.default, shape)


def _check_count(owner: str, parameters: Sequence[Parameter], given: int, noun: str = "argument") -> None:
    if given > len(parameters):
        listing = f" ({', '.join(map(str, parameters))})" if parameters else ""
        raise ArgumentError(f"{owner} takes {count(len(parameters), noun)}{listing}, got {given}")
