"""Text for people's screens: values and strangers' words, spelled so that no terminal obeys them.

Owns: what is neutralised, the width of text in terminal cells, and how values are put into words. Prints nothing.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any, Final

from pbft.encoding import EncodingError, Plain, decode_plain
from pbft.operations import ArgumentError, decode_operation

_STEERING: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of characters that move a cursor, turn a line around, or cannot be written."""

_CHARACTERS_A_CELL: Final = 4
"""More than this many characters a cell are no text but a tower of accents, which terminals draw over other lines."""


def clean(text: str) -> str:
    """Return `text` with every character that could steer a terminal spelled out as its code."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spell_out(each) if unicodedata.category(each) in _STEERING else each for each in text)


def fit(text: str, cells: int) -> str:
    """Return `text` cleaned, in one line, and at most so many terminal cells wide; what was cut ends in `…`."""
    # Cut before it is cleaned: an answer may have megabytes.
    shown = clean(text[: cells * _CHARACTERS_A_CELL + 1])
    if len(shown) <= cells and shown.isascii():
        return shown
    # Imported here: what programs read is printed without it, and sooner.
    from rich.cells import cell_len, set_cell_size

    limit = cells * _CHARACTERS_A_CELL
    if len(shown) <= limit and cell_len(shown) <= cells:
        return shown
    if cells < 1:
        return ""
    # It pads where a wide character would have stood in the last cell.
    return set_cell_size(shown[: limit - 1], min(cells - 1, cell_len(shown[: limit - 1]))).rstrip(" ") + "…"


def to_json(value: Plain) -> Any:
    """Return what stands for an application's value in JSON: byte strings become hexadecimal digits."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    return value


def spell(value: Plain) -> str:
    """Return an application's value for people: a text as it is, cleaned, and all else as JSON."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bytes):
        return value.hex()
    return clean(json.dumps(to_json(value), ensure_ascii=False))


def spell_operation(operation: bytes) -> str:
    """Return an operation as people write it, as in `add(5)`; in hexadecimal digits where it is of another kind."""
    try:
        call = decode_operation(operation)
    except ArgumentError:
        return operation.hex()
    named = [f"{name}={_quote(value)}" for name, value in call.kwargs.items()]
    return f"{call.name}({', '.join([*map(_quote, call.args), *named])})"


def read_payload(payload: bytes) -> Plain:
    """Return an answer's value; its bytes where an application of another kind than a StateMachine gave them."""
    try:
        return decode_plain(payload)
    except EncodingError:
        return payload


def _quote(value: Plain) -> str:
    return f'"{spell(value)}"' if isinstance(value, str) else spell(value)


def _spell_out(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
