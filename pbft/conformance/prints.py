"""What a Python value is at a moment, in a form that can be compared later and put into words.

Owns: how deep and how far values are looked into. A print is made of tuples; equal prints say that nothing was seen to
change. What cannot be looked into is compared by identity: a lock, a logger, a compiled pattern, an open file.
"""

from __future__ import annotations

import array
import collections
import contextlib
import contextvars
import hashlib
import io
import itertools
import marshal
import queue
import random
import re
import types
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any, Final

from pbft.table import Table
from pbft.wording import count, quote, shorten

Print = tuple[Any, ...]

SAME_WHILE_IDENTICAL: Final = frozenset(
    (
        *(int, str, bytes, bool, float, type(None), type, types.ModuleType, types.BuiltinFunctionType, re.Pattern),
        *(types.FunctionType, staticmethod, classmethod, property, types.GetSetDescriptorType, types.GenericAlias),
    )
)
"""Types of values that cannot change as long as it is the very same object."""

_SCALARS: Final = frozenset((int, str, bytes, bool, type(None)))
_PLAIN: Final = frozenset((dict, list, tuple, set, frozenset))
_QUICK: Final = 100_000
_DEPTH: Final = 8
_NODES: Final = 2_000

_DICT, _ITEMS, _SET, _OBJECT, _SCALAR = "dict", "items", "set", "object", "scalar"
_TEXT, _CACHE, _OPAQUE, _MORE = "text", "cache", "opaque", "more"


def quick_print(value: Any) -> bytes | None:
    """Return what equals another such only if nothing changed, of plain containers of plain values; None of others.

    Many times as fast as a print: for tables of constants, which are looked at after every operation.
    """
    if type(value) not in _PLAIN or len(value) > _QUICK:
        return None
    try:
        # The version that knows no references, so that it depends on the content alone.
        data = marshal.dumps(value, 2)
    except ValueError:
        return None
    return hashlib.blake2b(data, digest_size=16).digest()


class Prints:
    """Makes prints of values. `own` says of which modules the classes are whose instances are looked into."""

    def __init__(self, own: Callable[[str], bool]) -> None:
        self._own = own
        self._nodes = 0
        self._within: dict[int, None] = {}

    def of(self, value: Any) -> Print:
        """Return the print of a value. Never raises: what breaks when it is looked at is compared by identity."""
        self._nodes = 0
        self._within.clear()
        return self._print(value, _DEPTH)

    @property
    def cut(self) -> bool:
        """Whether the last print leaves parts out."""
        return self._nodes > _NODES

    def _print(self, value: Any, depth: int) -> Print:
        kind = type(value)
        if kind in _SCALARS:
            return (_SCALAR, kind, value)
        if kind is float or kind is complex:
            return (_TEXT, repr(value))
        self._nodes += 1
        if depth <= 0 or self._nodes > _NODES or id(value) in self._within:
            return (_MORE, kind.__name__)
        self._within[id(value)] = None
        try:
            return self._look_into(value, kind, depth - 1)
        except Exception:
            # An object of somebody else's that cannot be looked at.
            return _opaque(value)
        finally:
            del self._within[id(value)]

    def _look_into(self, value: Any, kind: type, depth: int) -> Print:
        special = _SPECIAL.get(kind)
        if special is not None:
            return special(value)
        if isinstance(value, type | Enum | types.FunctionType | types.MethodType | types.ModuleType):
            return _opaque(value)
        if isinstance(value, dict):
            return (_DICT, kind, self._pairs(value.items(), depth), len(value), self._extra(value, kind, depth))
        if isinstance(value, list | tuple | collections.deque):
            return (_ITEMS, kind, self._row(value, depth), len(value), self._extra(value, kind, depth))
        if isinstance(value, set | frozenset):
            return (_SET, kind, frozenset(self._row(value, depth)), len(value), self._extra(value, kind, depth))
        if isinstance(value, weakref.WeakKeyDictionary | weakref.WeakValueDictionary | types.MappingProxyType):
            return (_DICT, kind, self._pairs(list(value.items()), depth), len(value), ())
        if isinstance(value, contextvars.ContextVar):
            return self._print(value.get(None), depth)
        if isinstance(value, queue.Queue):
            return (_ITEMS, kind, self._row(list(value.queue), depth), value.qsize(), ())
        if self._own(kind.__module__):
            return (_OBJECT, kind, self._extra(value, kind, depth), id(value))
        if isinstance(value, Mapping | Sequence | AbstractSet) and not kind.__module__.startswith("pbft."):
            return (_OBJECT, kind, self._extra(value, kind, depth), id(value))
        if kind.__name__.endswith("iterator"):
            return (_TEXT, f"{kind.__name__} with {value.__length_hint__()} left")
        return _opaque(value)

    def _row(self, items: Iterable[Any], depth: int) -> tuple[Print, ...]:
        # Far rows are looked into as far as the nodes reach; their length is compared besides.
        found: list[Print] = []
        for each in items:
            self._nodes += 1
            if self._nodes > _NODES:
                break
            found.append(self._print(each, depth))
        return tuple(found)

    def _pairs(self, items: Iterable[tuple[Any, Any]], depth: int) -> tuple[tuple[Print, Print], ...]:
        found: list[tuple[Print, Print]] = []
        for key, value in items:
            self._nodes += 1
            if self._nodes > _NODES:
                break
            found.append((self._print(key, depth), self._print(value, depth)))
        return tuple(found)

    def _extra(self, value: Any, kind: type, depth: int) -> tuple[tuple[Print, Print], ...]:
        """Look into the attributes of an instance: those of its own dict, and its slots."""
        if kind.__module__ in ("builtins", "collections"):
            return ()
        found = dict(getattr(value, "__dict__", {}))
        for parent in kind.__mro__:
            slots = vars(parent).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                # A name that begins with two underscores is kept under a longer one.
                descriptor = vars(parent).get(name) or vars(parent).get(f"_{parent.__name__.lstrip('_')}{name}")
                if isinstance(descriptor, types.MemberDescriptorType) and parent.__module__ != "pbft.machine":
                    with contextlib.suppress(AttributeError):
                        found[name] = descriptor.__get__(value)
        return self._pairs(found.items(), depth)


def is_call_cache(value: Any) -> bool:
    """Say whether a value is a function wrapped by functools.cache or lru_cache."""
    return hasattr(value, "cache_info") and hasattr(value, "cache_clear") and hasattr(value, "__wrapped__")


def print_call_cache(value: Any) -> Print:
    """Return the print of such a function: how often it did not know an answer yet."""
    return (_CACHE, value.cache_info().misses)


def words_of(seen: Print | None) -> str:
    """Return a value's print for people, cut short."""
    return "nothing" if seen is None else shorten(_words(seen, 4))


def is_lazy(before: Print | None, after: Print | None) -> bool:
    """Say whether what was None became something that is made once: a table, a pattern, a connection."""
    nothing = before is None or before == (_SCALAR, type(None), None)
    return nothing and after is not None and after[0] not in (_SCALAR, _TEXT)


def _words(seen: Print, depth: int) -> str:
    form, what, *rest = seen
    if form == _SCALAR:
        return quote(rest[0]) if what is str else repr(rest[0])
    if form == _TEXT:
        return str(what)
    if form == _CACHE:
        return f"{count(what, 'answer')}"
    if form in (_OPAQUE, _MORE):
        name = what if isinstance(what, str) else what.__name__
        return f"a {name}"
    if depth <= 0:
        return "…"
    if form == _DICT:
        return "{" + ", ".join(f"{_words(key, depth - 1)}: {_words(each, depth - 1)}" for key, each in rest[0]) + "}"
    if form == _OBJECT:
        inner = (f"{key[2]}={_words(each, depth - 1)}" for key, each in rest[0])
        return f"{what.__name__}({', '.join(inner)})"
    items = [_words(each, depth - 1) for each in rest[0]]
    if form == _SET:
        # Sorted, so that the words do not depend on this process.
        return "{" + ", ".join(sorted(items)) + "}" if items else "set()"
    return f"({', '.join(items)})" if issubclass(what, tuple) else f"[{', '.join(items)}]"


def _opaque(value: Any) -> Print:
    return (_OPAQUE, type(value), id(value))


def _text(spell: Callable[[Any], str]) -> Callable[[Any], Print]:
    return lambda value: (_TEXT, spell(value))


def _generator(value: types.GeneratorType[Any, Any, Any]) -> Print:
    frame = value.gi_frame
    if frame is None:
        return (_TEXT, "a generator at its end")
    held = tuple((name, repr(each)) for name, each in frame.f_locals.items() if type(each) in _SCALARS)
    return (_TEXT, f"a generator in line {frame.f_lineno} with {', '.join(f'{k}={v}' for k, v in held) or 'nothing'}")


_SPECIAL: Final[Mapping[type, Callable[[Any], Print]]] = {
    itertools.count: _text(repr),
    random.Random: lambda value: (_TEXT, f"a generator of random numbers, at {abs(hash(value.getstate()))}"),
    array.array: _text(repr),
    bytearray: _text(repr),
    io.StringIO: _text(lambda value: repr(value.getvalue())),
    io.BytesIO: _text(lambda value: repr(value.getvalue())),
    types.GeneratorType: _generator,
    Table: lambda value: (_TEXT, f"a Table of {count(len(value), 'item')}, digest {value.digest().hex()[:16]}"),
}

NAMED: Final[Collection[str]] = (_DICT, _OBJECT)


def first_difference(before: Print | None, after: Print | None) -> tuple[str, Print | None, Print | None]:
    """Return where in a value the first difference lies, as in `["lamp"]` or `.price`, with both prints of it.

    The place is empty where the value as a whole is another.
    """
    if before is None or after is None or before[0] != after[0] or before[0] not in NAMED or before[1] is not after[1]:
        return "", before, after
    old, new = dict(before[2]), dict(after[2])
    for key in [*old, *(key for key in new if key not in old)]:
        if old.get(key) != new.get(key):
            inner, was, now = first_difference(old.get(key), new.get(key))
            place = f".{key[2]}" if before[0] == _OBJECT else f"[{_words(key, 1)}]"
            return place + inner, was, now
    return "", before, after
