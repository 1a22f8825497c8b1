"""What commands print: for people by rich, for programs as JSON, and never what a stranger wants a terminal to do.

Owns: consoles, and the spelling of values and of text that came from replicas or applications. Knows no commands.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from pbft.encoding import EncodingError, Plain, decode_plain
from pbft.operations import ArgumentError, decode_operation

if TYPE_CHECKING:
    from rich.console import Console

_WIDE: Final = 200
"""Columns where no terminal sets a width: what a program reads is not to be folded."""

_STEERING: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of characters that move a cursor, turn a line around, or cannot be written."""


def console(error: bool = False) -> Console:
    """Return a console that prints text as it is: no markup, no emoji names, no colouring of numbers."""
    # Imported here: what programs read is printed without it, and sooner.
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    return Console(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
        width=None if stream.isatty() else _WIDE,
    )


def say(text: str, style: str = "") -> None:
    """Print a line for people, cleaned."""
    console().print(clean(text), style=style or None)


def say_json(value: Any) -> None:
    """Print one JSON object on one line; what is not ASCII is escaped."""
    print(json.dumps(value), flush=True)


def clean(text: str) -> str:
    """Return `text` with every character that could steer a terminal spelled out as its code."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spell_out(each) if unicodedata.category(each) in _STEERING else each for each in text)


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


def listing(numbers: Sequence[int]) -> str:
    """Return replicas in words: "replica 0", "replicas 0, 1 and 3"."""
    if len(numbers) == 1:
        return f"replica {numbers[0]}"
    *most, last = map(str, numbers)
    return f"replicas {', '.join(most)} and {last}"


def _quote(value: Plain) -> str:
    return f'"{spell(value)}"' if isinstance(value, str) else spell(value)


def _spell_out(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
