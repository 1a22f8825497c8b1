"""What of an application's source is read: the class, and whatever it reaches in its own modules.

Owns: the way from one definition to those that it names, what names at a module's level stand for, and the warnings,
each once. What only a program, a test or a type checker runs is reached by nobody, and so is never read.
"""

from __future__ import annotations

import ast
import builtins
import sys
from typing import Final

from pbft.conformance.source.classes import ClassSource, plain_kind
from pbft.conformance.source.expressions import Expressions
from pbft.conformance.source.kinds import UNKNOWN, Kind, annotated
from pbft.conformance.source.modules import Library, Module
from pbft.conformance.source.reader import Reader
from pbft.conformance.source.remarks import SourceRule, SourceWarning

_UNEXPLAINED: Final = 'a line is declared fine without a reason; write "# pbft: fine, REASON"'


class Reading:
    """A reading of one application."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._found: dict[tuple[int, int, SourceRule, str], SourceWarning] = {}
        self._muted = 0
        self._levels: dict[tuple[Module, str], Kind] = {}
        self._sources: dict[ast.ClassDef, ClassSource] = {}
        self._reached: dict[tuple[Module, str], None] = {}
        self._waiting: list[tuple[Module, str]] = []
        self._read: dict[ast.AST, None] = {}

    @property
    def warnings(self) -> list[SourceWarning]:
        """Return what was found, by module and line."""
        return [self._found[key] for key in sorted(self._found)]

    def read_class(self, module: Module, node: ast.ClassDef) -> None:
        """Read an application's class, or one of its bases."""
        source = self.class_source(module, node)
        source.is_machine = True
        self._reader(module).class_body(source)
        self._read[node] = None

    def finish(self) -> None:
        """Read whatever was reached, and what that reaches."""
        while self._waiting or self._register():
            module, name = self._waiting.pop(0)
            for node in (module.definitions.get(name), *module.assignments.get(name, ())):
                if node is not None and node not in self._read:
                    self._read[node] = None
                    self._read_one(module, node)

    def _read_one(self, module: Module, node: ast.stmt) -> None:
        reader = self._reader(module)
        match node:
            case ast.ClassDef():
                reader.class_body(self.class_source(module, node))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                reader.function(node)
            case ast.Assign(value=value) | ast.AnnAssign(value=value) | ast.AugAssign(value=value) if value is not None:
                reader.expression(value)

    def _register(self) -> bool:
        """Reach definitions that a decorator of the application has seen, and may call; say whether there are more."""
        for module in list(self.library.modules):
            for node in module.definitions.values():
                for decorator in node.decorator_list:
                    root = decorator.func if isinstance(decorator, ast.Call) else decorator
                    while isinstance(root, ast.Attribute):
                        root = root.value
                    name = root.id if isinstance(root, ast.Name) else ""
                    if isinstance(module.definitions.get(name), ast.FunctionDef) or (module, name) in self._reached:
                        self._reach(module, node.name)
        return bool(self._waiting)

    def _reader(self, module: Module) -> Reader:
        return Reader(self, module, "", None)

    # What names stand for.

    def level(self, module: Module, name: str) -> Kind:
        """Return what a name stands for at a module's level, or what Python has under it; it counts as reached."""
        key = (module, name)
        if key not in self._levels:
            # Names may go round in circles.
            self._levels[key] = UNKNOWN
            self._levels[key] = self._level(module, name)
        if name in module.definitions or name in module.assignments:
            self._reach(module, name)
        return self._levels[key]

    def _level(self, module: Module, name: str) -> Kind:
        node = module.definitions.get(name)
        if isinstance(node, ast.ClassDef):
            return Kind("class", owner=self.class_source(module, node))
        if node is not None:
            return Kind("function")
        if name in module.assignments:
            return self._assigned(module, name)
        if name in module.imports:
            return self.outside(module.imports[name])
        for origin in module.starred:
            found = self.library.find(f"{origin}.{name}")
            if found is not None and (name in found[0].definitions or name in found[0].assignments):
                return self.level(found[0], name)
            if found is None and hasattr(sys.modules.get(origin), name):
                return self.outside(f"{origin}.{name}")
        if name == "__file__":
            return self.outside("module.__file__")
        return Kind(dotted=f"builtins.{name}") if hasattr(builtins, name) else UNKNOWN

    def _assigned(self, module: Module, name: str) -> Kind:
        last = module.assignments[name][-1]
        plain = plain_kind(last.value)
        if isinstance(last, ast.AnnAssign) and annotated(last.annotation).type:
            told = annotated(last.annotation)
            return told.but(shared=name) if told.type in ("set", "mutable") else told
        if plain.type or last.value is None:
            return plain.but(shared=name)
        targets = last.targets if isinstance(last, ast.Assign) else [last.target]
        if not any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return UNKNOWN
        kind = self.quietly(self._reader(module), last.value)
        # What another name for it is, it is; an object of its own belongs to all who name it.
        own = kind.type in ("instance", "generator", "mutable", "set") or "()" in kind.dotted
        return kind.but(shared=name) if own else kind

    def outside(self, dotted: str) -> Kind:
        """Return what a name from outside a module stands for: something of the application's, perhaps."""
        found = self.library.find(dotted)
        if found is None or not found[1]:
            return Kind(dotted=dotted)
        module, rest = found
        first, _, more = rest.partition(".")
        kind = self.level(module, first)
        if kind.dotted.startswith("builtins."):
            return UNKNOWN
        for attribute in more.split(".") if more else ():
            inner = kind.owner.find(attribute) if kind.owner is not None else None
            kind = inner or (Kind(dotted=f"{kind.dotted}.{attribute}") if kind.dotted else Kind(shared=kind.shared))
        return kind

    def returned(self, module: Module, name: str) -> Kind:
        """Return what a function of a module says that it returns."""
        node = module.definitions.get(name)
        if node is None and name in module.imports:
            found = self.library.find(module.imports[name])
            node = found[0].definitions.get(found[1]) if found is not None else None
        return annotated(node.returns) if isinstance(node, ast.FunctionDef) else UNKNOWN

    def class_source(self, module: Module, node: ast.ClassDef) -> ClassSource:
        """Return what the source tells of a class."""
        if node not in self._sources:
            self._sources[node] = source = ClassSource(module, node)
            bases = []
            for base in node.bases:
                inner = base.value if isinstance(base, ast.Subscript) else base
                kind = self.quietly(self._reader(module), inner)
                if kind.owner is not None:
                    bases.append(kind.owner)
                elif kind.dotted != "builtins.object":
                    source.has_foreign_bases = True
            source.bases = tuple(bases)
        return self._sources[node]

    def outlives(self, module: Module, function: ast.AST | None) -> bool:
        """Say whether a function inside another is returned by it, and so may keep what it changes there."""
        name = getattr(function, "name", "")
        for outer in ast.walk(module.tree):
            if isinstance(outer, ast.FunctionDef) and function in outer.body:
                returns = [each.value for each in ast.walk(outer) if isinstance(each, ast.Return) and each.value]
                return any(isinstance(each, ast.Name) and each.id == name for one in returns for each in ast.walk(one))
        return False

    def _reach(self, module: Module, name: str) -> None:
        if (module, name) not in self._reached:
            self._reached[module, name] = None
            self._waiting.append((module, name))

    # Warnings.

    def quietly(self, reader: Expressions, node: ast.expr) -> Kind:
        """Return an expression's kind, with no warnings: it is read for them elsewhere."""
        self._muted += 1
        names = dict(reader.names)
        try:
            return reader.reference(node)
        finally:
            reader.names = names
            self._muted -= 1

    def warn(self, module: Module, node: ast.AST, rule: SourceRule, place: str, sentence: str) -> None:
        """Note a warning, unless its line is declared fine."""
        if self._muted:
            return
        line = getattr(node, "lineno", 0)
        last = line if isinstance(node, ast.stmt | ast.excepthandler) else getattr(node, "end_lineno", None) or line
        reasons = [module.fine[each] for each in range(line, last + 1) if each in module.fine]
        if any(reasons):
            return
        if reasons:
            rule, sentence = SourceRule.UNEXPLAINED, _UNEXPLAINED
        order = self.library.modules.index(module)
        self._found.setdefault((order, line, rule, sentence), SourceWarning(module.file, line, rule, place, sentence))
