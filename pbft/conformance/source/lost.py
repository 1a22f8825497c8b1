"""Values taken from a Table, changed, and never written back: what a Table hands out is a copy.

Owns: the search of a function for a use of the changed value that could write it back. Only plain cases count as lost:
a name that nobody looks at afterwards but to change it further, or to read a part of it.
"""

from __future__ import annotations

import ast
from typing import Final

_READING: Final = ("len", "sorted", "sum", "any", "all", "min", "max", "isinstance", "bool", "str", "repr")


def is_lost(function: ast.AST, name: str, changed: ast.AST) -> bool:
    """Say whether a function that changes a value, held as `name`, does nothing with it that could write it back."""
    line = getattr(changed, "lineno", 0)
    loops = [each for each in ast.walk(function) if isinstance(each, ast.For | ast.While | ast.AsyncFor)]
    around = [each for each in loops if each.lineno <= line <= (each.end_lineno or line)]
    first = min((each.lineno for each in around), default=line)
    return not any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load) and node.lineno >= first
        for node in _kept(function)
    )


def _kept(node: ast.AST) -> list[ast.AST]:
    """Return the nodes under one, without names of which only a part is read or changed."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        match node, child:
            case (ast.Subscript() | ast.Attribute(), ast.Name()) if child is node.value:
                continue
            case (ast.Compare() | ast.BoolOp() | ast.UnaryOp() | ast.If() | ast.While() | ast.For(), ast.Name()):
                continue
            case (ast.Call(func=ast.Name(id=called)), ast.Name()) if called in _READING:
                continue
        found.append(child)
        found += _kept(child)
    return found
