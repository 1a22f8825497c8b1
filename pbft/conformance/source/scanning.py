"""From a class to the warnings of its source.

Owns: which classes are an application's own, and where their sources are. Judges nothing itself.
"""

from __future__ import annotations

import ast
import sys
from types import ModuleType
from typing import Final

from pbft.conformance.source.modules import Library, Module
from pbft.conformance.source.reading import Reading
from pbft.conformance.source.remarks import SourceRule, SourceWarning

_OURS: Final = ("pbft", "builtins")


def scan(cls: type) -> list[SourceWarning]:
    """Return what to look at in a class's source, and in whatever it reaches in modules of its own folder.

    That is its methods, those of its bases, and the functions, classes and values of these modules that they name, and
    so on. By file, the class's own first, then by line. Never raises for a source: one that cannot be read gives one
    warning.
    """
    loaded = [(each, sys.modules.get(each.__module__)) for each in cls.__mro__ if _is_own(each)]
    library = Library([module for _, module in loaded if module is not None])
    reading = Reading(library)
    lost: list[SourceWarning] = []
    try:
        for each, loaded_module in loaded:
            lost += _read(reading, library, each, loaded_module)
        reading.finish()
    except RecursionError:
        sentence = "its expressions are nested too deep to be followed: not all of it was looked at"
        lost.append(SourceWarning(library.modules[0].file, 0, SourceRule.UNREADABLE, "", sentence))
    lost += [SourceWarning(file, 0, SourceRule.UNREADABLE, "", sentence) for file, sentence in library.unreadable]
    return [*reading.warnings, *lost]


def _read(reading: Reading, library: Library, cls: type, loaded: ModuleType | None) -> list[SourceWarning]:
    """Read one class, and return why not if that cannot be."""
    if loaded is None:
        sentence = f"the source of {cls.__qualname__} is not to be had: write it into a file"
        return [SourceWarning("", 0, SourceRule.UNREADABLE, cls.__qualname__, sentence)]
    module = library.of(loaded)
    if module is None:
        # Why it could not be read is told once, of the file.
        return []
    node = _find(module, cls)
    if node is None:
        sentence = f"there is no class {cls.__qualname__} in it: what was made while running is not looked at"
        return [SourceWarning(module.file, 0, SourceRule.UNREADABLE, cls.__qualname__, sentence)]
    reading.read_class(module, node)
    return []


def _is_own(cls: type) -> bool:
    """Say whether a class is the application's, and neither Python's nor this library's."""
    root = cls.__module__.partition(".")[0]
    return cls.__module__ == "__main__" or (root not in _OURS and root not in sys.stdlib_module_names)


def _find(module: Module, cls: type) -> ast.ClassDef | None:
    """Return a class's node: of several of its name the one that holds its methods."""
    found = [node for name, node in _classes(module.tree, "") if name == cls.__qualname__.replace(".<locals>", "")]
    lines = [
        code.co_firstlineno
        for value in vars(cls).values()
        if (code := getattr(value, "__code__", None)) is not None and code.co_filename == module.file
    ]
    fitting = [node for node in found if all(node.lineno <= line <= (node.end_lineno or line) for line in lines)]
    candidates = fitting or found
    return candidates[-1] if candidates else None


def _classes(node: ast.AST, place: str) -> list[tuple[str, ast.ClassDef]]:
    found: list[tuple[str, ast.ClassDef]] = []
    for child in ast.iter_child_nodes(node):
        inner = place
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inner = f"{place}.{child.name}" if place else child.name
            if isinstance(child, ast.ClassDef):
                found.append((inner, child))
        found += _classes(child, inner)
    return found
