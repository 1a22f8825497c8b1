"""How values and mistakes are put into words, the same words on every replica.

Owns: quoting of text that strangers sent, short forms of values, and "did you mean". Knows nothing of operations.

A sentence built here may end up in a result that replicas must agree on byte for byte, so nothing here depends on
the Python release: not on `repr`, nor on the Unicode tables behind `str.isprintable`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, Final

SHOWN_CHARACTERS: Final = 60
"""How much of a text is repeated to whoever sent it."""

_SHOWN_NAMES: Final = 12
_CLOSE_ENOUGH: Final = 0.6

# Control characters move a terminal's cursor and direction marks turn a line around: both are spelled out.
_SPELLED_OUT: Final = (*range(0x20), *range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_ESCAPES: Final = {code: f"\\u{code:04x}" for code in _SPELLED_OUT} | {ord('"'): '\\"', ord("\\"): "\\\\"}


def quote(text: str) -> str:
    """Return `text` in double quotes, shortened, with nothing in it that a terminal would obey."""
    return '"' + shorten(text).translate(_ESCAPES) + '"'


def shorten(text: str, characters: int = SHOWN_CHARACTERS) -> str:
    """Return `text`, or its beginning and "…" where it is longer than this."""
    return text if len(text) <= characters else text[:characters] + "…"


def show(value: Any) -> str:
    """Return a short form of `value` with its type, as in `"five" (str)`."""
    kind = type(value)
    if value is None:
        return "None"
    if kind is str:
        return f"{quote(value)} (str)"
    if kind is int or kind is bool:
        return f"{value} ({kind.__name__})" if abs(value) < 10**40 else "an int of more than 40 digits"
    if kind is bytes:
        shown = value[: SHOWN_CHARACTERS // 2].hex() + ("…" if len(value) > SHOWN_CHARACTERS // 2 else "")
        return f"0x{shown} (bytes)"
    if kind is tuple or kind is list:
        return f"a list of {count(len(value), 'item')}"
    if kind is dict:
        return f"a map of {count(len(value), 'item')}"
    return f"a value of type {kind.__name__}"


def count(number: int, noun: str) -> str:
    """Return the number with its noun: "1 argument", "3 arguments", "no arguments"."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def listing(numbers: Sequence[int]) -> str:
    """Return replicas in words: "replica 0", "replicas 0, 1 and 3"."""
    if len(numbers) == 1:
        return f"replica {numbers[0]}"
    *most, last = map(str, numbers)
    return f"replicas {', '.join(most)} and {last}"


def suggest(word: str, known: Iterable[str]) -> str:
    """Return what to add to "there is no …": the closest known name, else the known names, else nothing.

    The result depends on its arguments only. A word too long to be a slip is not compared, since comparing costs
    the product of both lengths and strangers choose the word.
    """
    names: Sequence[str] = sorted(known)
    if len(word) <= SHOWN_CHARACTERS:
        close = difflib.get_close_matches(word, names, n=1, cutoff=_CLOSE_ENOUGH)
        if close:
            return f"; did you mean {quote(close[0])}?"
    return tell(names)


def tell(known: Iterable[str]) -> str:
    """Return what to add to "there is no …" where replicas say it: the known names, or nothing.

    No likeness is judged: what counts as close is a library's matter, and may differ between its releases.
    """
    names = sorted(known)
    if not names:
        return ""
    return f"; there {'is' if len(names) == 1 else 'are'} {', '.join(names[:_SHOWN_NAMES])}" + (
        ", …" if len(names) > _SHOWN_NAMES else ""
    )
