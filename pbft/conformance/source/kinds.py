"""What an expression is, as far as the source tells: a set, a float, a Table, a name from outside.

Owns: the kinds that the rules ask for, and how annotations and plain literals spell them. Follows no statements.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pbft.conformance.source.classes import ClassSource


@dataclass(frozen=True)
class Kind:
    """What is known of a value; nothing, where everything is empty."""

    type: str = ""
    """"set", "view" (of a dict's keys or items), "float", "exact" (Decimal, Fraction), "int", "str", "bytes", "tuple",
    "none", "mutable" (list, dict and the like), "table", "context", "generator" (of random numbers), "function",
    "self", "class" or "instance" (of `owner`)."""
    dotted: str = ""
    """What it is called from outside, where it came from there: "time.time", or "logging.getLogger()" if called."""
    shared: str = ""
    """The name at a module's level, or the class's attribute, that it is or is a part of."""
    table: str = ""
    """The Table that it is, or that it was taken from, as the source spells it."""
    owner: ClassSource | None = None

    def but(self, **changes: Any) -> Kind:
        """Return it with changes."""
        return replace(self, **changes)


UNKNOWN: Final = Kind()
SET: Final = Kind("set")
FLOAT: Final = Kind("float")
EXACT: Final = Kind("exact")
INT: Final = Kind("int")
STR: Final = Kind("str")
MUTABLE: Final = Kind("mutable")

SET_METHODS: Final = ("union", "intersection", "difference", "symmetric_difference", "copy")
"""Methods of sets that return sets."""

_MUTATING: Final = (
    "append appendleft add update setdefault pop popitem popleft clear insert extend extendleft remove discard "
    "sort reverse rotate subtract move_to_end __setitem__ __delitem__ difference_update intersection_update "
    "symmetric_difference_update"
)
MUTATING: Final = dict.fromkeys(_MUTATING.split())
"""Methods by which builtin containers change."""

_OF_TYPES: Final[dict[str, str]] = {
    **dict.fromkeys(["set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet"], "set"),
    **dict.fromkeys(["list", "dict", "bytearray", "List", "Dict", "defaultdict", "OrderedDict"], "mutable"),
    **dict.fromkeys(["Counter", "deque", "ChainMap", "MutableMapping", "MutableSequence"], "mutable"),
    **dict.fromkeys(["Decimal", "Fraction"], "exact"),
    **dict.fromkeys(["KeysView", "ItemsView"], "view"),
    "float": "float",
    "int": "int",
    "str": "str",
    "bytes": "bytes",
    "tuple": "tuple",
    "Table": "table",
    "Context": "context",
}
_WRAPPERS: Final = ("ClassVar", "Final", "Annotated", "Optional", "Required", "NotRequired", "Awaitable")


def annotated(annotation: ast.expr | None) -> Kind:
    """Return the kind that an annotation spells."""
    match annotation:
        case ast.Constant(value=str() as text):
            try:
                return annotated(ast.parse(text, mode="eval").body)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return UNKNOWN
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return Kind(_OF_TYPES.get(name, ""))
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            if name in _WRAPPERS:
                return annotated(inner.elts[0] if isinstance(inner, ast.Tuple) and inner.elts else inner)
            return Kind(_OF_TYPES.get(name, ""))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            one, other = annotated(left), annotated(right)
            return either(other if _is_none(left) else one, other if not _is_none(right) else one)
        case _:
            return UNKNOWN


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def constant(value: object) -> Kind:
    """Return the kind of a literal."""
    if value is None:
        return Kind("none")
    return Kind(type(value).__name__) if type(value) in (int, str, bytes, float) else UNKNOWN


def made_by(name: str) -> Kind:
    """Return the kind of what calling a builtin, or a name from outside, makes."""
    last = name.rpartition(".")[2]
    if name.startswith("builtins."):
        known = {"len": "int", "ord": "int", "sum": "", "repr": "str", "sorted": "mutable", "iter": ""}
        return Kind(known.get(last, _OF_TYPES.get(last, "")))
    if name.partition(".")[0] in ("collections", "decimal", "fractions") or name in (
        "itertools.count",
        "itertools.cycle",
    ):
        return Kind(_OF_TYPES.get(last, "mutable" if name.startswith("itertools") else ""))
    return Kind(dotted=f"{name}()")


def either(one: Kind, other: Kind) -> Kind:
    """Return what is to be expected of a value that may be the one or the other: a doubt is enough for a warning."""
    if one == other:
        return one
    for kind in (one, other):
        if kind.type in ("set", "float") or kind.shared:
            return kind
    return UNKNOWN if one.type and other.type else (one if one.type else other)
