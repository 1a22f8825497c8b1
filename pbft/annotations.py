"""What an annotation allows: the shapes that arguments, parameters and fields may have.

Owns: the reading of annotations, the strict check of a value against one, and the reading of command-line words.
Knows nothing of operations, machines or the wire.

Types are exact, as on the wire: True is not an int, and 5 is not a bool.
"""

from __future__ import annotations

import json
import re
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NewType, Protocol, TypeVar, Union, get_args, get_origin

from pbft.encoding import EncodingError, Plain, check_plain
from pbft.wording import quote, show

SUPPORTED: Final = (
    "int, str, bytes, bool, None, Literal[...], tuple[...], list[...], dict[str, ...] or a union of these with |"
)


class AnnotationError(TypeError):
    """An annotation that no value on the wire can have. The message says what to write instead."""


class Mismatch(ValueError):
    """A value that an annotation does not allow: the offender, and where in the argument it sits, as in "[3]"."""

    def __init__(self, value: Any, where: str = "") -> None:
        super().__init__(f"{where} {show(value)}".strip())
        self.value = value
        self.where = where


Told = TypeVar("Told", covariant=True)


class Reader(Protocol[Told]):
    """Whoever wants to know what a shape is made of: `Shape.tell` calls the one method that fits."""

    def scalar(self, kind: type) -> Told:
        """Hear of int, str, bytes, bool or NoneType."""
        ...

    def anything(self) -> Told:
        """Hear of every value that can be encoded."""
        ...

    def choice(self, choices: Sequence[Plain]) -> Told:
        """Hear of `Literal[...]`."""
        ...

    def either(self, members: Sequence[Shape]) -> Told:
        """Hear of a union."""
        ...

    def array(self, kind: type[list[Any] | tuple[Any, ...]], item: Shape) -> Told:
        """Hear of `list[X]` or `tuple[X, ...]`."""
        ...

    def record(self, items: Sequence[Shape]) -> Told:
        """Hear of `tuple[X, Y]`."""
        ...

    def map(self, item: Shape) -> Told:
        """Hear of `dict[str, X]`."""
        ...


class Shape(ABC):
    """One annotation, understood."""

    text: str
    """The annotation as people write it."""

    mutable: bool = False
    """Whether an accepted value could be changed in place, which no field may be."""

    hint: str = ""
    """How to write such a value as a command-line word, where that is not plain."""

    @abstractmethod
    def accept(self, value: Plain, from_json: bool = False) -> Plain:
        """Return a fresh value of this shape. `from_json` reads bytes from hex. Raises Mismatch."""

    @abstractmethod
    def tell(self, reader: Reader[Told]) -> Told:
        """Tell what this shape is made of, and return what `reader` makes of it."""

    def parse(self, word: str) -> Plain:
        """Return the value that a command-line word means. Raises Mismatch."""
        return self.accept(_read_json(word), from_json=True)


class _Scalar(Shape):
    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.text = "None" if kind is type(None) else kind.__name__
        self.hint = {
            bytes: "write bytes as hex digits, such as 00ff",
            bool: "write true or false",
            int: "write a whole number of at most 64 bits",
            type(None): "write null",
        }.get(kind, "")

    def tell(self, reader: Reader[Told]) -> Told:
        return reader.scalar(self.kind)

    def accept(self, value: Plain, from_json: bool = False) -> Plain:
        if from_json and self.kind is bytes and type(value) is str:
            return self.parse(value)
        if type(value) is not self.kind:
            raise Mismatch(value)
        try:
            check_plain(value)
        except EncodingError:
            raise Mismatch(value) from None
        return value

    def parse(self, word: str) -> Plain:
        if self.kind is str:
            return self.accept(word)
        if self.kind is int and len(word) <= 40 and re.fullmatch(r"[+-]?[0-9]+(_[0-9]+)*", word):
            return self.accept(int(word))
        if self.kind is bool and word.lower() in ("true", "false"):
            return word.lower() == "true"
        if self.kind is bytes and re.fullmatch(r"(0x)?([0-9a-fA-F]{2})*", word):
            return bytes.fromhex(word.removeprefix("0x"))
        if self.kind is type(None) and word == "null":
            return None
        raise Mismatch(word)


class _Anything(Shape):
    text = "any value"
    mutable = True

    def tell(self, reader: Reader[Told]) -> Told:
        return reader.anything()

    def accept(self, value: Plain, from_json: bool = False) -> Plain:
        try:
            check_plain(value)
        except EncodingError:
            raise Mismatch(value) from None
        return value

    def parse(self, word: str) -> Plain:
        try:
            return super().parse(word)
        except Mismatch:
            return self.accept(word)


class _Choice(Shape):
    def __init__(self, choices: tuple[Plain, ...]) -> None:
        self.choices = choices
        self.text = " | ".join(_spell(choice) for choice in choices)

    def tell(self, reader: Reader[Told]) -> Told:
        return reader.choice(self.choices)

    def accept(self, value: Plain, from_json: bool = False) -> Plain:
        for choice in self.choices:
            if type(choice) is type(value) and choice == value:
                return value
        raise Mismatch(value)

    def parse(self, word: str) -> Plain:
        for choice in self.choices:
            if word == (choice if type(choice) is str else _spell(choice)):
                return choice
        raise Mismatch(word)


class _Either(Shape):
    def __init__(self, members: tuple[Shape, ...]) -> None:
        self.members = members
        self.text = " | ".join(member.text for member in members)
        self.mutable = any(member.mutable for member in members)
        self.hint = "; ".join(dict.fromkeys(member.hint for member in members if member.hint))

    def tell(self, reader: Reader[Told]) -> Told:
        return reader.either(self.members)

    def accept(self, value: Plain, from_json: bool = False) -> Plain:
        for member in self.members:
            try:
                return member.accept(value, from_json)
            except Mismatch:
                continue
        raise Mismatch(value)

    def parse(self, word: str) -> Plain:
        """Read None first and str last, since `null` is also a text and every word is one."""

        def rank(member: Shape) -> int:
            return {"None": 0, "str": 2}.get(member.text, 1)

        for member in sorted(self.members, key=rank):
            try:
                return member.parse(word)
            except Mismatch:
                continue
        raise Mismatch(word)


class _Array(Shape):
    """`list[X]` and `tuple[X, ...]`."""

    hint = "write a list as 1,2,3 or as JSON, such as [1, 2, 3]"

    def __init__(self, kind: type[list[Any] | tuple[Any, ...]], item: Shape) -> None:
        self.kind = kind
        self.item = item
        self.text = f"list[{item.text}]" if kind is list else f"tuple[{item.text}, ...]"
        self.mutable = kind is list or item.mutable

    def tell(self, reader: Reader[Told]) -> Told:
        return reader.array(self.kind, self.item)

    def accept(self, value: Plain, from_json: bool = False) -> Plain:
        if type(value) is not tuple and type(value) is not list:
            raise Mismatch(value)
        return self.kind(_at(f"[{i}]", self.item, item, from_json) for i, item in enumerate(value))

    def parse(self, word: str) -> Plain:
        if word.startswith("["):
            return super().parse(word)
        return self.kind(self.item.parse(part) for part in word.split(",")) if word else self.kind()


class _Record(Shape):
    """`tuple[X, Y]`: a fixed number of items, each with a shape of its own."""

    def __init__(self, items: tuple[Shape, ...]) -> None:
        self.items = items
        self.text = f"tuple[{', '.join(item.text for item in items) or '()'}]"
        self.mutable = any(item.mutable for item in items)
        self.hint = "write a tuple as JSON, such as [1, 2], or with commas between its items"

    def tell(self, reader: Reader[Told]) -> Told:
        return reader.record(self.items)

    def accept(self, value: Plain, from_json: bool = False) -> Plain:
        if (type(value) is not tuple and type(value) is not list) or len(value) != len(self.items):
            raise Mismatch(value)
        return tuple(
            _at(f"[{i}]", shape, item, from_json) for i, (shape, item) in enumerate(zip(self.items, value, strict=True))
        )

    def parse(self, word: str) -> Plain:
        if word.startswith("["):
            return super().parse(word)
        parts = word.split(",") if word else []
        if len(parts) != len(self.items):
            raise Mismatch(word)
        return tuple(shape.parse(part) for shape, part in zip(self.items, parts, strict=True))


class _Map(Shape):
    mutable = True
    hint = 'write a map as JSON, such as {"a": 1}'

    def __init__(self, item: Shape) -> None:
        self.item = item
        self.text = f"dict[str, {item.text}]"

    def tell(self, reader: Reader[Told]) -> Told:
        return reader.map(self.item)

    def accept(self, value: Plain, from_json: bool = False) -> Plain:
        if type(value) is not dict:
            raise Mismatch(value)
        for key in value:
            _at(" key", _SCALARS[str], key, from_json)
        return {key: _at(f"[{quote(key)}]", self.item, item, from_json) for key, item in value.items()}


_SCALARS: Final[Mapping[Any, Shape]] = {kind: _Scalar(kind) for kind in (int, str, bytes, bool, type(None))}

_HINTS: Final[Mapping[Any, str]] = {
    float: "use int in the smallest unit, since floats are not equal everywhere",
    complex: "use int in the smallest unit",
    bytearray: "use bytes",
    set: "use tuple[...] or list[...], which have an order",
    frozenset: "use tuple[...], which has an order",
    list: "say what is in it, as in list[int]",
    tuple: "say what is in it, as in tuple[int, ...]",
    dict: "say what is in it, as in dict[str, int]",
}


def shape_of(annotation: Any) -> Shape:
    """Return the shape that an annotation stands for.

    `Any` (and `pbft.encoding.Plain`, which is the same) stands for everything that can be encoded. `Annotated` and
    `NewType` stand for the type inside. Raises AnnotationError for what cannot travel.
    """
    if annotation is None:
        annotation = type(None)
    if annotation is Any:
        return _Anything()
    if isinstance(annotation, NewType):
        return shape_of(annotation.__supertype__)
    if isinstance(annotation, type) and annotation in _SCALARS:
        return _SCALARS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return shape_of(arguments[0])
    if origin is Literal:
        return _choice(arguments)
    if origin is Union or origin is types.UnionType:
        return _Either(tuple(shape_of(member) for member in arguments))
    if origin is list:
        return _Array(list, shape_of(arguments[0]))
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return _Array(tuple, shape_of(arguments[0]))
        return _Record(tuple(shape_of(item) for item in arguments))
    if origin is dict:
        if shape_of(arguments[0]) is not _SCALARS[str]:
            raise AnnotationError(f"{spell(annotation)} is not supported: a map's keys are str, as in dict[str, int]")
        return _Map(shape_of(arguments[1]))
    hint = _HINTS.get(annotation if isinstance(annotation, type) else origin, f"supported are {SUPPORTED}")
    raise AnnotationError(f"{spell(annotation)} is not supported: {hint}")


def check_immutable(value: Any) -> None:
    """Raise EncodingError unless `value` is an int, str, bytes, bool, None or a tuple of these that can be encoded."""
    check_plain(value)
    _refuse_mutable(value)


def _refuse_mutable(value: Plain) -> None:
    if type(value) is list or type(value) is dict:
        raise EncodingError(f"a {type(value).__name__} can be changed unseen; use a tuple, or a Table in a field")
    for item in value if type(value) is tuple else ():
        _refuse_mutable(item)


def spell(annotation: Any) -> str:
    """Return an annotation as people write it."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")


def _choice(choices: tuple[Any, ...]) -> Shape:
    for choice in choices:
        if type(choice) not in (int, str, bool, type(None)):
            raise AnnotationError(f"Literal[{choice!r}] is not supported: use int, str, bool or None in a Literal")
    return _Choice(choices)


def _spell(choice: Plain) -> str:
    return quote(choice) if type(choice) is str else json.dumps(choice)


def _at(where: str, shape: Shape, value: Plain, from_json: bool) -> Plain:
    try:
        return shape.accept(value, from_json)
    except Mismatch as mismatch:
        raise Mismatch(mismatch.value, where + mismatch.where) from None


def _refuse(word: str) -> typing.NoReturn:
    raise ValueError(word)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _refuse("a key occurs twice")


def _read_json(word: str) -> Any:
    refuse: Callable[[str], Any] = _refuse
    try:
        return json.loads(word, parse_float=refuse, parse_constant=refuse, object_pairs_hook=_pairs)
    except (ValueError, RecursionError):
        raise Mismatch(word) from None
