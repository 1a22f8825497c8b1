"""What a field of a state machine may hold, and what to write instead of what it may not.

Owns: the rules for one field, by its annotation and by its value, and the sentences for their authors. Knows no classes
and no operations.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from types import UnionType
from typing import Annotated, Any, Final, Literal, NewType, Union, get_args, get_origin

from pbft.annotations import AnnotationError, check_immutable, shape_of, spell
from pbft.encoding import MAX_DEPTH, EncodingError, encode
from pbft.table import ENTRY_BYTES, Table

_SCALARS: Final = (int, str, bytes, bool, type(None))
_KEYS: Final = (int, str, bytes, Any)

_WITH_A_TABLE: Final = "with one item for each"
_INSTEAD: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (Enum, "use its value, a str or int: Literal[...] says which there are"),
    ((float, complex, Decimal, Fraction), "use int in the smallest unit, such as cents"),
    ((bytearray, memoryview), "use bytes"),
    (Table, "a field is a Table or never one: write Table[str, int] alone, which is empty at first"),
    (Mapping, f"use Table[str, int], {_WITH_A_TABLE} key"),
    (AbstractSet, f"use Table[str, bool], {_WITH_A_TABLE} member, or a sorted tuple if there are few"),
    ((list, deque), f"use a tuple, or a Table {_WITH_A_TABLE} place, as in Table[int, str]"),
    ((int, str, bytes), "use a plain int, str or bytes"),
)
"""What to write instead, the first that fits."""
_OTHERWISE: Final = "use a tuple of its parts, or a field for each"
_ANY_FIELD: Final = "use int, str, bytes, bool, None, a tuple of these, or a Table"

_INSTEAD_IN_A_TABLE: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (Table, 'write one Table with a key for both, such as Table[str, int] with keys like "a/b"'),
    (Mapping, "a dict's keys are str inside a Table, as in dict[str, int]"),
    (AbstractSet, "use a list, in sorted order"),
    (list, "say what is in it, as in list[int]"),
    (deque, "use a list, as in list[int]"),
)
_PARTS_IN_A_TABLE: Final = "use a tuple of its parts, or a dict, as in dict[str, int]"


def instead_of(kind: Any) -> str:
    """Say what an author writes instead of a type that no field holds."""
    if isinstance(kind, type):
        if kind is tuple:
            return "say what is in it, as in tuple[int, ...]"
        if kind.__module__ == "datetime":
            # By name: the core, which imports this, knows no clock.
            return "use int, as milliseconds"
        for refused, remedy in _INSTEAD:
            if issubclass(kind, refused):
                return remedy
        if kind is not object and (is_dataclass(kind) or not issubclass(kind, Sequence)):
            return _OTHERWISE
    return _ANY_FIELD


def encode_field(name: str, value: Any) -> bytes:
    """Return a scalar's value as it is stored.

    Raises EncodingError for what no field may hold, with a sentence that says what to hold instead.
    """
    try:
        check_immutable(value)
    except EncodingError:
        for kind in _kinds(value):
            if kind not in _SCALARS:
                seen = "can be changed unseen" if kind in (list, dict) else "cannot be stored"
                what = f"a {kind.__name__}" if kind in (list, dict) else f"a value of type {kind.__name__}"
                raise EncodingError(f"{what} {seen}; {instead_of(kind)}") from None
        raise
    encoded = encode(value)
    size = len(name.encode()) + len(encoded)
    if size > ENTRY_BYTES:
        raise EncodingError(
            f"a field's value and its name have at most {ENTRY_BYTES} bytes together, these have {size}; "
            "use a Table, which holds as many items as you like"
        )
    return encoded


def is_table(where: str, annotation: Any) -> bool:
    """Return whether a field's annotation is a Table. Raises AnnotationError when it is nothing a field can be."""
    if annotation is Table or get_origin(annotation) is Table:
        _check_items(where, *get_args(annotation))
        return True
    try:
        shape = shape_of(annotation)
    except AnnotationError:
        wrong = _first_wrong(annotation)
        raise AnnotationError(
            f"the field {where} is annotated {_spell(annotation)}, which no field holds; {instead_of(wrong)}"
        ) from None
    if shape.mutable and annotation is not Any:
        wrong = next(_mutable(annotation), annotation)
        raise AnnotationError(
            f"the field {where} is annotated {_spell(annotation)}, which can be changed unseen; {instead_of(wrong)}"
        )
    return False


def _check_items(where: str, key: Any = Any, value: Any = Any) -> None:
    """Refuse a Table of what no Table stores, as far as its annotation tells."""
    for kind in _key_kinds(key):
        if isinstance(kind, type) and kind not in _KEYS:
            joined = '; join the parts into a str, such as "1/2"' if issubclass(kind, tuple) else ""
            raise AnnotationError(
                f"the field {where} is a Table with keys of {_spell(key)}; they are str, bytes or int{joined}"
            )
    wrong = Table if _has_table(value) else _first_wrong(value)
    if isinstance(wrong, type) and wrong is not object:
        raise AnnotationError(
            f"the field {where} is a Table of {_spell(value)}, which it cannot store; {_value(wrong)}"
        )


def _key_kinds(key: Any) -> Iterator[Any]:
    """Yield the types that an annotation of keys stands for."""
    origin = get_origin(key)
    if origin is Union or origin is UnionType:
        for member in get_args(key):
            yield from _key_kinds(member)
    elif origin is Literal:
        yield from map(type, get_args(key))
    elif origin is Annotated:
        yield from _key_kinds(get_args(key)[0])
    elif isinstance(key, NewType):
        yield from _key_kinds(key.__supertype__)
    else:
        yield origin or key


def _has_table(annotation: Any) -> bool:
    if annotation is Table or get_origin(annotation) is Table:
        return True
    return any(_has_table(part) for part in get_args(annotation))


def _value(wrong: type) -> str:
    """Say what to write instead of a type that no Table stores; unlike a field it stores lists and dicts."""
    for refused, remedy in _INSTEAD_IN_A_TABLE:
        if issubclass(wrong, refused):
            return remedy
    remedy = instead_of(wrong)
    return {_OTHERWISE: _PARTS_IN_A_TABLE, _ANY_FIELD: "use a plain tuple or a list"}.get(remedy, remedy)


def _kinds(value: Any, depth: int = MAX_DEPTH) -> Iterator[type]:
    """Yield the types of a value and, in a tuple, of all that is in it, as deep as a value may be nested."""
    if type(value) is not tuple:
        yield type(value)
    elif depth > 0:
        for item in value:
            yield from _kinds(item, depth - 1)


def _first_wrong(annotation: Any) -> Any:
    """Return the innermost part of an annotation that stands for nothing that can be stored."""
    try:
        shape_of(annotation)
    except AnnotationError:
        for part in get_args(annotation):
            wrong = _first_wrong(part) if part is not Ellipsis else None
            if wrong is not None:
                return wrong
        return get_origin(annotation) or annotation
    return None


def _mutable(annotation: Any) -> Iterator[type]:
    """Yield the parts of an annotation that are lists or dicts."""
    kind = get_origin(annotation)
    if kind in (list, dict):
        yield kind
    for part in get_args(annotation):
        yield from _mutable(part)


def _spell(annotation: Any) -> str:
    return spell(annotation).replace("pbft.table.", "")
