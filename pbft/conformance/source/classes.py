"""Classes of an application as their source shows them: attributes with their kinds, bases, and what they look like.

Owns: what is known of a class without running it. Judges nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from pbft.conformance.source.kinds import MUTABLE, SET, UNKNOWN, Kind, annotated
from pbft.conformance.source.modules import Module

_OWN_TEXT: Final = ("__repr__", "__str__", "__format__")
_MUTABLE: Final = "list dict bytearray defaultdict OrderedDict Counter deque count cycle"


@dataclass(eq=False)
class ClassSource:
    """A class in a module, with those of its bases that belong to the application."""

    module: Module
    node: ast.ClassDef
    bases: tuple[ClassSource, ...] = ()
    has_foreign_bases: bool = False
    """Whether it inherits from something else than `object` that is not read here."""
    is_machine: bool = False
    """Whether it is the application itself, or one of its bases."""
    kinds: dict[str, Kind] = field(default_factory=dict)

    @cached_property
    def methods(self) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
        """Return its own methods by name, the last of each."""
        found = {}
        for each in self.node.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                found[each.name] = each
        return found

    @cached_property
    def attributes(self) -> dict[str, Kind]:
        """Return what is known of its own attributes."""
        found: dict[str, Kind] = {}
        for statement in self.node.body:
            match statement:
                case ast.AnnAssign(target=ast.Name(id=name)):
                    kind = annotated(statement.annotation)
                    found[name] = self._shared(name, kind, statement.value)
                case ast.Assign(targets=[ast.Name(id=name)]):
                    found[name] = self._shared(name, UNKNOWN, statement.value)
        for name, kind in self._set_on_self():
            if kind.type:
                found.setdefault(name, kind)
        return found

    def find(self, name: str) -> Kind | None:
        """Return what is known of an attribute, its own or inherited."""
        if name in self.attributes:
            return self.attributes[name]
        return next((found for base in self.bases if (found := base.find(name)) is not None), None)

    def method(self, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """Return a method, its own or inherited."""
        if name in self.methods:
            return self.methods[name]
        return next((found for base in self.bases if (found := base.method(name)) is not None), None)

    @property
    def has_plain_text(self) -> bool:
        """Whether str() of its objects is Python's own, with their addresses, as far as the source tells."""
        if self.node.decorator_list or self.node.keywords or (self.has_foreign_bases and not self.is_machine):
            return False
        return not any(name in self.methods for name in _OWN_TEXT) and all(each.has_plain_text for each in self.bases)

    def _shared(self, name: str, kind: Kind, value: ast.expr | None) -> Kind:
        plain = plain_kind(value)
        if plain.type in ("mutable", "set") and kind.type != "table":
            kind = plain.but(shared=f"{self.node.name}.{name}")
        return kind.but(table=f"self.{name}") if kind.type == "table" else kind

    def _set_on_self(self) -> Iterator[tuple[str, Kind]]:
        for method in self.methods.values():
            for each in ast.walk(method):
                match each:
                    case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=name)):
                        kind = annotated(each.annotation)
                        yield name, kind.but(table=f"self.{name}") if kind.type == "table" else kind
                    case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)]):
                        kind = plain_kind(each.value)
                        if isinstance(each.value, ast.Call) and getattr(each.value.func, "id", "") == "Table":
                            kind = Kind("table", table=f"self.{name}")
                        yield name, kind if kind.type in ("set", "table") else UNKNOWN


def plain_kind(value: ast.expr | None) -> Kind:
    """Return the kind of a display or of a call of a builtin type, which needs no names to be resolved."""
    match value:
        case ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set" | "frozenset")):
            return SET
        case ast.List() | ast.Dict() | ast.ListComp() | ast.DictComp():
            return MUTABLE
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _MUTABLE.split():
            return MUTABLE
        case _:
            return UNKNOWN
