"""What an operation changed outside the fields of its machine, by name.

Owns: which places are looked at, and what counts as a change. Looked at are the variables of the application's module,
of the other modules of its package, or, where it is a file, of the modules beside it; the attributes of the classes
defined there and of the application's parents; and of the functions there the defaults, the variables that a closure
keeps, and the attributes.

**What cannot be seen here**: what lies in modules of other packages, in C code, in files, in another process; values
deeper than some levels or beyond some thousand parts (of which the length is compared); inside objects of foreign
classes that are no containers; and a change that was taken back before the operation ended. What matters of it shows
when answers or states differ. A variable that was None and became something that is no number or text is taken for a
table, a pattern or the like that is made when it is first needed: it is told as a warning. So is a cache of
functools, which is right as long as its answers depend on its arguments alone.
"""

from __future__ import annotations

import functools
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from pbft.conformance.prints import (
    SAME_WHILE_IDENTICAL,
    Print,
    Prints,
    first_difference,
    is_call_cache,
    is_lazy,
    print_call_cache,
    quick_print,
    words_of,
)
from pbft.wording import count

_SKIPPED: Final = frozenset(("_abc_impl", "_pbft_kind"))
Read = Callable[[], Mapping[Any, Any]]


@dataclass(frozen=True)
class Change:
    """One thing that is not what it was."""

    where: str
    before: str
    after: str
    lazy: bool
    """Whether it may well be something that is made when it is first needed."""
    cache: bool
    """Whether it is the cache of a function, of functools."""


@dataclass(frozen=True)
class _Seen:
    value: Any
    """Held, so that nothing else can come to have its identity."""
    seen: Print
    quick: bytes | None


class Outside:
    """Watches what lies around a class. Looking costs time in proportion to what there is, within bounds."""

    def __init__(self, application: type) -> None:
        self._application = application
        self._folder, self._package = _home(application)
        self._prints = Prints(self._is_own)
        self._holders: dict[str, Read] = {}
        self._known: dict[str, dict[Any, _Seen]] = {}
        self._modules = 0
        self._functions: dict[int, None] = {}
        self.files: dict[str, None] = {}
        """The files of the application, by path."""
        self._find()
        self.look()

    def look(self) -> list[Change]:
        """Return what changed since it was looked last."""
        if len(sys.modules) != self._modules:
            self._find()
        changes: list[Change] = []
        for holder, read in self._holders.items():
            known = self._known.get(holder)
            now = read()
            if not now and not known:
                # Most functions have no attributes.
                self._known[holder] = {}
            elif known is None:
                self._known[holder] = {}
                # Nobody knows what was here before: a module that was imported just now.
                list(self._look_at(holder, now, self._known[holder]))
            else:
                changes += self._look_at(holder, now, known)
        return changes

    def _look_at(self, holder: str, now: Mapping[Any, Any], known: dict[Any, _Seen]) -> Iterator[Change]:
        """Bring up to date what is known of a holder, and yield what is not as it was."""
        for name, value in list(now.items()):
            old = known.get(name)
            if old is not None and old.value is value and type(value) in SAME_WHILE_IDENTICAL:
                continue
            if not isinstance(name, str) or name in _SKIPPED or (name.startswith("__") and name.endswith("__")):
                continue
            quick = quick_print(value)
            if old is not None and old.value is value and quick is not None and quick == old.quick:
                continue
            new = print_call_cache(value) if is_call_cache(value) else self._prints.of(value)
            known[name] = _Seen(value, new, quick)
            before = None if old is None else old.seen
            if before != new:
                yield from _tell(holder, name, value, before, new)
            elif old is not None and old.value is value and quick is not None and self._prints.cut:
                size = count(len(value), "item")
                yield Change(holder.format(name), size, f"{size}, not the same", False, False)
        for gone in [each for each in known if each not in now]:
            yield from _tell(holder, gone, None, known.pop(gone).seen, None)

    # What there is to look at.

    def _find(self) -> None:
        self._modules = len(sys.modules)
        own: list[Any] = [each for name, each in list(sys.modules.items()) if self._is_own(name)]
        modules = [each for each in own if isinstance(each, types.ModuleType)]
        # All files first: a function may have come from a module that is looked at later.
        files = (getattr(module, "__file__", None) for module in modules)
        self.files |= dict.fromkeys(file for file in files if isinstance(file, str))
        for module in modules:
            self._watch_module(module)
        for parent in self._application.__mro__:
            if not parent.__module__.startswith("pbft.") and parent.__module__ not in ("builtins", "typing", "abc"):
                self._watch_class(parent)

    def _is_own(self, name: str) -> bool:
        """Say whether a module is the application's: its own, of its package, or beside its file."""
        if name == self._application.__module__:
            return True
        if self._package is not None:
            return name.partition(".")[0] == self._package
        file = getattr(sys.modules.get(name), "__file__", None)
        return self._folder is not None and isinstance(file, str) and Path(file).parent == self._folder

    def _watch_module(self, module: types.ModuleType) -> None:
        own = module.__name__ == self._application.__module__
        of = "" if own else f" of {module.__name__}"
        self._holders.setdefault(f"module variable {{}}{of}", lambda: vars(module))
        for value in list(vars(module).values()):
            if isinstance(value, type) and self._is_own(value.__module__):
                self._watch_class(value)
            else:
                self._watch_function(value)

    def _watch_class(self, cls: type) -> None:
        if issubclass(cls, Enum):
            # They keep what was looked up.
            return
        holder = f"class attribute {cls.__name__}.{{}}"
        if holder in self._holders:
            return
        self._holders[holder] = lambda: vars(cls)
        for value in list(vars(cls).values()):
            if isinstance(value, type) and value.__qualname__.startswith(f"{cls.__qualname__}."):
                self._watch_class(value)
            else:
                self._watch_function(value)

    def _watch_function(self, value: Any) -> None:
        for function in _functions_in(value):
            if id(function) in self._functions or function.__code__.co_filename not in self.files:
                continue
            self._functions[id(function)] = None
            name = f"{function.__qualname__.rpartition('<locals>.')[2]}()"
            if f"attribute {{}} of {name}" in self._holders:
                # Another function of that name: what a decorator makes, or a lambda.
                name += f" in line {function.__code__.co_firstlineno}"
            self._holders[f"attribute {{}} of {name}"] = functools.partial(vars, function)
            if not all(type(each) in SAME_WHILE_IDENTICAL for each in _defaults(function).values()):
                self._holders[f"default {{}} of {name}"] = functools.partial(_defaults, function)
            if function.__closure__:
                self._holders[f"closure variable {{}} of {name}"] = functools.partial(_closure, function)
            for cell in _closure(function).values():
                self._watch_function(cell)


def _tell(holder: str, name: str, value: Any, before: Print | None, after: Print | None) -> Iterator[Change]:
    if isinstance(value, types.ModuleType):
        return
    cache = is_call_cache(value)
    inner, was, now = first_difference(before, after)
    where = f"the cache of {name}()" if cache else holder.format(name + inner)
    yield Change(where, words_of(was), words_of(now), is_lazy(before, after), cache)


def _home(application: type) -> tuple[Path | None, str | None]:
    """Return the folder whose modules belong to the application, or the package, where it is in one."""
    package, dot, _ = application.__module__.partition(".")
    if dot:
        return None, package
    file = getattr(sys.modules.get(application.__module__), "__file__", None)
    if not isinstance(file, str):
        return None, None
    folder = Path(file).parent
    shared = {Path(path) for path in sysconfig.get_paths().values()}
    return (None if folder in shared else folder), None


def _functions_in(value: Any, depth: int = 6) -> Iterator[types.FunctionType]:
    """Yield the plain functions that a value is made of, below decorators."""
    if depth <= 0:
        return
    if isinstance(value, types.FunctionType):
        yield value
    for name in ("__func__", "__wrapped__", "fget", "fset", "fdel", "func"):
        if isinstance(value, type) or (inner := _static(value, name)) is None or inner is value:
            continue
        yield from _functions_in(inner, depth - 1)


def _static(value: Any, name: str) -> Any:
    """Return an attribute of what wraps a function, and nothing of objects that make their attributes up."""
    if isinstance(
        value,
        types.FunctionType
        | types.MethodType
        | staticmethod
        | classmethod
        | property
        | functools.partial
        | functools.cached_property,
    ) or is_call_cache(value):
        return getattr(value, name, None)
    return None


def _defaults(function: types.FunctionType) -> Mapping[str, Any]:
    found: dict[str, Any] = dict(function.__kwdefaults__ or {})
    defaults = function.__defaults__ or ()
    if defaults:
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        found |= zip(names[-len(defaults) :], defaults, strict=True)
    return found


def _closure(function: types.FunctionType) -> Mapping[str, Any]:
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            # Nothing was put into it yet.
            continue
    return found
