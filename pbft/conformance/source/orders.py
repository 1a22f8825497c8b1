"""Where the order of a set shows: which calls go through what they are given one after the other, and which do not.

Owns: the functions and methods by what they do with an iterable. Judges calls whose arguments' kinds are known.
"""

from __future__ import annotations

import ast
from typing import Final

INSTEAD: Final = "the order of a set differs between processes; go through sorted(…) of it"

_CARELESS: Final = "sorted set frozenset any all len min max isinstance issubclass bool type"
LOOSE: Final = dict.fromkeys(f"builtins.{name}" for name in _CARELESS.split())
"""Calls whose result does not follow from the order of what they are given."""

LAZY: Final = dict.fromkeys(f"builtins.{name}" for name in ("map", "filter", "iter"))
"""Calls that hand on what they are given, in its order, once somebody asks."""

COLLECTING: Final = dict.fromkeys(("builtins.list", "builtins.tuple"))
"""Calls that keep the order, which matters unless whoever takes the result does not care."""

_ORDERLY: Final = "sum enumerate zip dict bytes bytearray next str repr format ascii"
_IN_ORDER: Final = dict.fromkeys(
    [
        *(f"builtins.{name}" for name in _ORDERLY.split()),
        *(f"collections.{name}" for name in ("deque", "OrderedDict", "Counter")),
        *("functools.reduce", "builtins.dict.fromkeys", "math.fsum", "math.prod", "heapq.heapify"),
    ]
)
_METHODS_IN_ORDER: Final = ("join", "extend", "extendleft", "writelines")
_COMPARING: Final = ("builtins.sorted", "builtins.min", "builtins.max")


def goes_through(name: str, method: str) -> bool:
    """Say whether a call, of what is known as `name` or of some object's `method`, goes through its arguments."""
    return name in _IN_ORDER or name.startswith("itertools.") or (not name and method in _METHODS_IN_ORDER)


def shows_ties(name: str, call: ast.Call) -> bool:
    """Say whether a sort, a least or a greatest leaves what ties under its key in the order in which it came."""
    key = next((keyword.value for keyword in call.keywords if keyword.arg == "key"), None)
    return name in _COMPARING and key is not None and not _tells_all_apart(key)


def _tells_all_apart(key: ast.expr) -> bool:
    match key:
        case ast.Constant(value=None):
            return True
        case ast.Lambda(args=ast.arguments(args=[ast.arg(arg=name)]), body=body):
            parts = body.elts if isinstance(body, ast.Tuple) else [body]
            return any(isinstance(part, ast.Name) and part.id == name for part in parts)
        case _:
            return False


def is_sorted_next(statement: ast.stmt, after: ast.stmt | None) -> bool:
    """Say whether a list is sorted in the statement after the one that makes it."""
    match statement, after:
        case (
            ast.Assign(targets=[ast.Name(id=made)]) | ast.AnnAssign(target=ast.Name(id=made)),
            ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=sorted_), attr="sort")) as call),
        ):
            keys = [keyword for keyword in call.keywords if keyword.arg == "key"]
            return made == sorted_ and all(_tells_all_apart(keyword.value) for keyword in keys)
        case _:
            return False
