"""Where two copies of an application differ, in words.

Owns: the comparison field by field, and key by key in Tables. Knows no replicas.
"""

from __future__ import annotations

from typing import Any, Final

from pbft.encoding import encode_plain
from pbft.machine import StateMachine
from pbft.table import Table
from pbft.wording import shorten

_SHOWN_CHARACTERS: Final = 80
_MISSING: Final = object()


def first_difference(one: Any, other: Any) -> str:
    """Return which field differs first, in the order of names, or which key of it, and both values."""
    if not isinstance(one, StateMachine) or not isinstance(other, StateMachine):
        return "their digests differ"
    for name in sorted(vars(one).keys() | vars(other).keys()):
        mine, others = vars(one).get(name, _MISSING), vars(other).get(name, _MISSING)
        if isinstance(mine, Table) and isinstance(others, Table):
            left, right = dict(mine.items()), dict(others.items())
            for key in sorted(left.keys() | right.keys(), key=encode_plain):
                if not _equal(left.get(key, _MISSING), right.get(key, _MISSING)):
                    values = _both(left.get(key, _MISSING), right.get(key, _MISSING))
                    return f"the key {_spell(key)} of {name} is {values}"
        elif not _equal(mine, others):
            return f"the field {name} is {_both(mine, others)}"
    return "their digests differ, and no field does"


def _equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _both(mine: Any, others: Any) -> str:
    return f"{_spell(others)} there and {_spell(mine)} here"


def _spell(value: Any) -> str:
    return "missing" if value is _MISSING else shorten(repr(value), _SHOWN_CHARACTERS)
