"""A state as it is compared: its sections, key by key, and the words for the first key that differs.

Owns: what is sent of a state between processes, and how a place in it is named. Knows nothing of operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pbft.application import Application
from pbft.conformance.steps import tell_short
from pbft.core.sections import sections_of
from pbft.encoding import EncodingError, decode_plain, digest
from pbft.machine import StateMachine

_WHOLE_BYTES: Final = 4_096
"""Values up to this size are sent whole; of longer ones the beginning and a digest."""
_SHOWN_BYTES: Final = 24
_TABLE: Final = b""
_RAW: Final = "\x00raw"

Dump = Sequence[Sequence[Any]]
"""Sections: each its name, and its entries as pairs of key and value, by key."""


@dataclass(frozen=True)
class Difference:
    """The first key at which two states differ, in words."""

    where: str
    here: str
    there: str


def dump_state(application: Application) -> list[list[Any]]:
    """Return a state as its sections."""
    sections = sections_of(application)
    contents = sections.sections()
    names = sections.section_names() if isinstance(application, StateMachine) else (_RAW,)
    return [
        [name, [[key, _short(each.get(key) or b"")] for key in sorted(each)]]
        for name, each in zip(names, contents, strict=True)
    ]


def first_difference(here: Dump, there: Dump) -> Difference | None:
    """Return where two states differ first: by the names of scalar fields, then Table by Table, key by key."""
    theirs = {section[0]: dict(_pairs(section[1])) for section in there}
    ours = {section[0]: dict(_pairs(section[1])) for section in here}
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        own, other = ours.get(name, {}), theirs.get(name, {})
        for key in sorted([*own, *(key for key in other if key not in own)]):
            if own.get(key) != other.get(key):
                return Difference(_where(name, key), *_values(name, own, other, key))
    return None


def _pairs(entries: Sequence[Sequence[bytes]]) -> list[tuple[bytes, bytes]]:
    return [(key, value) for key, value in entries]


def _short(value: bytes) -> bytes:
    if len(value) <= _WHOLE_BYTES:
        return value
    return value[:_WHOLE_BYTES] + digest(b"pbft/check/value", value)


def _where(section: str, key: bytes) -> str:
    if section == _RAW:
        return f"piece {int.from_bytes(key, 'big')} of the snapshot"
    if section == "":
        return f"the field {key.decode(errors='replace')}"
    return f"the key {_spell(key)} of {section}"


def _values(section: str, own: Mapping[bytes, bytes], other: Mapping[bytes, bytes], key: bytes) -> tuple[str, str]:
    here, there = own.get(key), other.get(key)
    if section == _RAW:
        return _raw(here, there), _raw(there, here)
    return _value(here), _value(there)


def _value(stored: bytes | None) -> str:
    if stored is None:
        return "absent"
    return "a Table" if stored == _TABLE else _spell(stored)


def _raw(piece: bytes | None, other: bytes | None) -> str:
    """Return a piece from a little before the first byte at which the other one differs."""
    if piece is None:
        return "absent"
    beside = other or b""
    at = next((i for i, (a, b) in enumerate(zip(piece, beside, strict=False)) if a != b), min(len(piece), len(beside)))
    start = max(0, at - 8) if len(piece) > _SHOWN_BYTES else 0
    shown = piece[start : start + _SHOWN_BYTES]
    end = "…" if start + _SHOWN_BYTES < len(piece) else ""
    return f"{'…' if start else ''}{shown!r}{end}"


def _spell(stored: bytes) -> str:
    try:
        return tell_short(decode_plain(stored))
    except EncodingError:
        return f"a value of more than {_WHOLE_BYTES} bytes that begins 0x{stored[:_SHOWN_BYTES].hex()}"
