"""Frozen dataclasses to canonical bytes and back, strictly.

Owns: the field types of the wire (`Uint`, `Digest`, `Opaque` ...) and the checks compiled from them. Knows no message
by name: a message is any frozen dataclass whose fields are annotated with these types.

A message is an array of its fields in order (arrays, not maps: canonical maps cost double). Decoding accepts exactly
the annotated types, lengths and ranges; True is never 1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

from pbft.encoding import EncodingError, decode, encode

MAX_UINT: Final = 2**63 - 1
"""Views, sequences, timestamps and times fit 63 bits, so that arithmetic on them stays within 64."""


@dataclass(frozen=True)
class Within:
    """Bounds: of an integer's value, of the length of bytes or text, or of the number of items in a tuple."""

    low: int
    high: int


Uint = Annotated[int, Within(0, MAX_UINT)]
Small = Annotated[int, Within(0, 2**16 - 1)]
Digest = Annotated[bytes, Within(32, 32)]
PublicKey = Annotated[bytes, Within(32, 32)]
Signature = Annotated[bytes, Within(64, 64)]
SessionId = Annotated[bytes, Within(16, 16)]
Opaque = Annotated[bytes, Within(0, 2**24)]
"""Bytes whose meaning and size somebody else checks."""
Text = Annotated[str, Within(0, 2**20)]

T = TypeVar("T")


class _Shape:
    """A message type's fields in order, with what turns decoded values into them."""

    def __init__(self, kind: Any) -> None:
        hints = get_type_hints(kind, include_extras=True)
        self.names = tuple(each.name for each in fields(kind))
        self.builders = tuple(_builder(f"{kind.__name__}.{name}", hints[name]) for name in self.names)


_SHAPES: dict[type, _Shape] = {}


def _shape(kind: type) -> _Shape:
    shape = _SHAPES.get(kind)
    if shape is None:
        shape = _SHAPES[kind] = _Shape(kind)
    return shape


def pack(message: object) -> bytes:
    """Return the canonical bytes of a message whose fields its maker vouches for."""
    return encode(_plain(message))


def unpack(kind: type[T], data: bytes) -> T:
    """Return the message of type `kind` that `data` is the canonical encoding of. Raises EncodingError otherwise."""
    message: T = _unpack(kind, data)
    return message


def share_decoding(most_bytes: int, messages: int) -> None:
    """Decode the same small bytes once only in this process: for simulations, where all replicas read them in one.

    `messages` are remembered at most, each of at most so many bytes. What is decoded never changes, so nobody can tell.
    """
    global _unpack
    shared = functools.lru_cache(messages)(_decode_message)

    def unpack_shared(kind: Any, data: bytes) -> Any:
        return shared(kind, data) if len(data) <= most_bytes else _decode_message(kind, data)

    _unpack = unpack_shared


def _decode_message(kind: Any, data: bytes) -> Any:
    return _build(kind, decode(data))


_unpack: Callable[[Any, bytes], Any] = _decode_message


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is tuple:
        return [_plain(item) for item in value]
    if hasattr(kind, "__dataclass_fields__"):
        return [_plain(getattr(value, name)) for name in _shape(kind).names]
    return value


def _build(kind: type[T], values: Any) -> T:
    builders = _shape(kind).builders
    if type(values) is not tuple or len(values) != len(builders):
        raise EncodingError(f"{kind.__name__} needs an array of {len(builders)} fields")
    return kind(*(build(value) for build, value in zip(builders, values, strict=True)))


def _builder(where: str, hint: Any) -> Callable[[Any], Any]:
    """Return what turns one decoded value into one field, or raises EncodingError naming `where`."""
    bounds = Within(0, 2**24)
    if get_origin(hint) is Annotated:
        hint, bounds = get_args(hint)[0], next(each for each in get_args(hint) if isinstance(each, Within))
    if get_origin(hint) is tuple:
        return _tuple_builder(where, get_args(hint), bounds)
    if hasattr(hint, "__dataclass_fields__"):
        return lambda value: _build(hint, value)
    if hint in (int, bool, bytes, str):
        return _scalar_builder(where, hint, bounds)
    raise TypeError(f"{where}: {hint} is no field type of the wire")


def _scalar_builder(where: str, hint: type, bounds: Within) -> Callable[[Any], Any]:
    measure: Callable[[Any], int] = int if hint in (int, bool) else len

    def build(value: Any) -> Any:
        if type(value) is not hint or not bounds.low <= measure(value) <= bounds.high:
            raise EncodingError(f"{where} is not {hint.__name__} within {bounds.low} to {bounds.high}")
        return value

    return build


def _tuple_builder(where: str, items: tuple[Any, ...], bounds: Within) -> Callable[[Any], Any]:
    if items[-1] is not Ellipsis:
        builders = tuple(_builder(where, item) for item in items)
        bounds = Within(len(builders), len(builders))
    else:
        builders = ()
        build_item = _builder(where, items[0])

    def build(value: Any) -> Any:
        if type(value) is not tuple or not bounds.low <= len(value) <= bounds.high:
            raise EncodingError(f"{where} is not an array of {bounds.low} to {bounds.high} items")
        if builders:
            return tuple(each(item) for each, item in zip(builders, value, strict=True))
        return tuple(build_item(item) for item in value)

    return build
