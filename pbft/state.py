"""What the fields of a state machine hold, as one digest and as the pieces of a snapshot.

Owns: the order in which fields are written down, and the strict reading of what was written. Knows no operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from pbft.contents import Contents
from pbft.encoding import EncodingError, decode_plain, digest, encode_plain
from pbft.fields import encode_field
from pbft.pieces import Pieces, read_items
from pbft.table import Table

_TABLE: Final = b"table"
_VALUE: Final = b"value"
_END: Final = b""
"""Ends a Table's items: no encoded key is empty."""
_IS_TABLE: Final = b""
"""Stands among the scalars where a Table has their name: no encoded value is empty."""


def digest_fields(fields: Mapping[str, Any]) -> bytes:
    """Return 32 bytes over the names and values of all fields, whatever the order in which they came to be."""
    parts: list[bytes] = []
    for name in sorted(fields):
        value = fields[name]
        is_table = type(value) is Table
        parts += [name.encode(), _TABLE if is_table else _VALUE]
        parts.append(value.digest() if is_table else encode_plain(value))
    return digest(b"pbft/state", *parts)


def snapshot_fields(fields: Mapping[str, Any]) -> Pieces:
    """Return the fields as pieces that later writes do not change.

    What is copied now are references: the bytes that Tables store never change, and the other fields' values do not
    either. Everything else is done when somebody iterates.
    """
    kept = {
        name: (_TABLE, value._stored()) if type(value) is Table else (_VALUE, value)
        for name, value in sorted(fields.items())
    }
    return Pieces(partial(_write, kept))


def _write(kept: Mapping[str, tuple[bytes, Any]]) -> Iterator[bytes]:
    for name, (kind, value) in kept.items():
        yield name.encode()
        yield kind
        if kind is _VALUE:
            yield encode_plain(value)
            continue
        for key in sorted(value):
            yield key
            yield value[key]
        yield _END


def read_fields(pieces: Iterable[bytes], like: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a snapshot, which must have the names and kinds of `like`; Tables are new ones.

    Raises EncodingError for pieces that no state with such fields makes.
    """
    items = read_items(pieces)
    found: dict[str, Any] = {}
    for name in sorted(like):
        kind = _TABLE if type(like[name]) is Table else _VALUE
        if _next(items) != name.encode() or _next(items) != kind:
            raise EncodingError(f"a snapshot of other fields: where the {kind.decode()} {name} should be is another")
        if kind is _TABLE:
            found[name] = Table._of_stored(_read_table(items))
        else:
            found[name] = decode_plain(_next(items))
            encode_field(name, found[name])
    if next(items, None) is not None:
        raise EncodingError("a snapshot of other fields: there are more than this state has")
    return {name: found[name] for name in like}


def _read_table(items: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    while (key := _next(items)) != _END:
        yield key, _next(items)


def _next(items: Iterator[bytes]) -> bytes:
    item = next(items, None)
    if item is None:
        raise EncodingError("a snapshot that ends before the last field")
    return item


def write_scalars(section: Contents, fields: Mapping[str, Any]) -> None:
    """Bring a section of the state up to date: the values of all scalars by name, and which names are Tables."""
    for name, value in fields.items():
        section.write(name.encode(), _IS_TABLE if type(value) is Table else encode_plain(value))


def read_scalars(section: Contents, like: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scalars of a section, which must have the names and kinds of `like`.

    Raises EncodingError for a section that no state with such fields writes.
    """
    if sorted(section) != sorted(name.encode() for name in like):
        raise EncodingError(f"a state of other fields than {', '.join(sorted(like)) or 'none'}")
    found = {}
    for name, value in like.items():
        encoded = section.get(name.encode())
        if (type(value) is Table) is not (encoded == _IS_TABLE) or encoded is None:
            raise EncodingError(f"a state in which the field {name} is of another kind")
        if encoded != _IS_TABLE:
            found[name] = decode_plain(encoded)
            encode_field(name, found[name])
    return found
