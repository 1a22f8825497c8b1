"""Reading what replicas say of themselves: a liar puts anything of any size under any name.

Owns: the one way from a field of an event to a checked value, None (or nothing) where it is not of its kind. The cost
of reading is bounded by what is asked for, never by what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from pbft.console.text import fit

Amount = TypeVar("Amount", int, float)

GREATEST: Final = 2**63 - 1
"""Numbers beyond are nobody's count of anything."""

_PAST_US: Final = 600 * 10**6
_FUTURE_US: Final = 10**6


def whole(value: Any) -> int | None:
    """Return a whole number from 0 to GREATEST."""
    # A bool is an int to Python, and not to us.
    return value if type(value) is int and 0 <= value <= GREATEST else None


def member(value: Any, n: int) -> int | None:
    """Return the id of one of n replicas."""
    return value if type(value) is int and 0 <= value < n else None


def moment(value: Any, now_us: int) -> int | None:
    """Return a time on this machine's monotonic clock, unless it is long ago or not yet."""
    return value if type(value) is int and now_us - _PAST_US <= value <= now_us + _FUTURE_US else None


def text(value: Any, cells: int) -> str:
    """Return a text cleaned and at most so wide; "" for what is none."""
    return fit(value, cells) if isinstance(value, str) else ""


def digits(value: Any, length: int) -> str:
    """Return the first hexadecimal digits of a text that is made of them; "" for any other."""
    if not isinstance(value, str):
        return ""
    shown = value[:length]
    return shown if all(each in "0123456789abcdef" for each in shown) else ""


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a JSON object; an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def items(value: Any, most: int) -> Sequence[Any]:
    """Return the first items of a JSON array; none for what is no array."""
    return list(islice(value, most)) if isinstance(value, list | tuple) else ()


def members(value: Any, n: int) -> tuple[int, ...]:
    """Return the distinct replicas that an array names, in order."""
    found = {each for each in items(value, 2 * n) if member(each, n) is not None}
    return tuple(sorted(found))


def moments(value: Any, n: int, now_us: int) -> dict[int, int]:
    """Return the times that an object gives under the ids of replicas."""
    told = mapping(value)
    found = {}
    for each in range(n):
        us = moment(told.get(str(each)), now_us)
        if us is not None:
            found[each] = us
    return found


def supported(values: Sequence[Amount], weak: int) -> Amount | None:
    """Return the greatest value that f+1 parties have told or passed: a correct one is among them."""
    return sorted(values, reverse=True)[weak - 1] if len(values) >= weak else None
