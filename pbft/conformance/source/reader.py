"""A function's, a class's or a module's statements, read in their order for what replicas would not do alike.

Owns: what names stand for at each place of a function, as far as the source tells, and the warnings that follow from
statements. Expressions are `expressions.py`'s; what there is to read, and where it was reached from, is `reading.py`'s.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from pbft.conformance.source import lost, orders
from pbft.conformance.source.calls import instead
from pbft.conformance.source.classes import ClassSource, plain_kind
from pbft.conformance.source.expressions import Expressions
from pbft.conformance.source.kinds import UNKNOWN, Kind, annotated, either
from pbft.conformance.source.modules import Module, imported
from pbft.conformance.source.remarks import SourceRule

if TYPE_CHECKING:
    from pbft.conformance.source.reading import Reading

_ALL: Final = dict.fromkeys(("BaseException", "RecursionError", "MemoryError"))


class Reader(Expressions):
    """Reads one function, or one row of statements."""

    def __init__(
        self, reading: Reading, module: Module, place: str, owner: ClassSource | None, outer: Reader | None = None
    ) -> None:
        super().__init__(reading, module, place, owner)
        self.names = {} if outer is None else dict(outer.names)
        self._function: ast.AST | None = None
        self._changed: list[tuple[str, ast.AST]] = []

    # What there is to read.

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Read a function: its defaults and decorators where it stands, its body for itself."""
        for default in (*node.args.defaults, *(each for each in node.args.kw_defaults if each is not None)):
            if plain_kind(default).type:
                sentence = "a default that is mutable is shared by all calls; use None, and make it in the body"
                self.warn(default, SourceRule.DEFAULT, sentence)
            self.expression(default)
        for decorator in node.decorator_list:
            self.expression(decorator)
        if isinstance(node, ast.AsyncFunctionDef):
            self.warn(node, SourceRule.CONCURRENCY, f"async def {node.name}: {instead(SourceRule.CONCURRENCY)}")
        inside = Reader(self.reading, self.module, self._within(node.name), self.owner, self)
        inside._body_of(node)

    def class_body(self, source: ClassSource) -> None:
        """Read a class: what its body computes, and its methods."""
        for decorator in source.node.decorator_list:
            self.expression(decorator)
        level = Reader(self.reading, self.module, self._within(source.node.name), source, self)
        for statement in source.node.body:
            match statement:
                case ast.FunctionDef(name="__repr__") | ast.AsyncFunctionDef(name="__repr__"):
                    continue
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    if statement.name == "__del__":
                        level.warn(statement, SourceRule.MEMORY, f"__del__(): {instead(SourceRule.MEMORY)}")
                    # What a class binds is no name in its methods.
                    Reader(self.reading, self.module, level.place, source, self).function(statement)
                    continue
                case ast.Assign(targets=[ast.Name(id="__slots__")]) if source.is_machine:
                    sentence = "a slot is no part of the state, and is not copied; declare a field in the class body"
                    level.warn(statement, SourceRule.HIDDEN_FIELD, sentence)
                    continue
            level.statement(statement, None)

    def _within(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name

    def _body_of(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._function = node
        for name in _bound(node):
            self.names[name] = UNKNOWN
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for argument in arguments:
            kind = annotated(argument.annotation)
            if kind.type == "table":
                kind = kind.but(table=argument.arg)
            if not kind.type and argument.annotation is not None:
                kind = self.instance_of(argument.annotation)
            self.names[argument.arg] = kind
        first = node.args.args[0].arg if node.args.args else ""
        decorators = [each.id for each in node.decorator_list if isinstance(each, ast.Name)]
        is_method = self.owner is not None and node.name in self.owner.methods and "staticmethod" not in decorators
        if is_method and first and self.owner is not None and self.owner.methods[node.name] is node:
            self.names[first] = Kind("class" if "classmethod" in decorators else "self", owner=self.owner)
        self.body(node.body)
        for name, changed in self._changed:
            if lost.is_lost(node, name, changed):
                self._lose(changed, name)

    # Statements.

    def body(self, statements: Sequence[ast.stmt]) -> None:
        """Read statements one after the other."""
        for place, statement in enumerate(statements):
            self.statement(statement, statements[place + 1] if place + 1 < len(statements) else None)

    def statement(self, statement: ast.stmt, after: ast.stmt | None) -> None:
        """Read a statement; `after` is the one that follows."""
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.names.setdefault(statement.name, Kind("function"))
                self.function(statement)
            case ast.ClassDef():
                source = self.reading.class_source(self.module, statement)
                self.names[statement.name] = Kind("class", owner=source)
                self.class_body(source)
            case ast.Assign(targets=targets, value=value):
                kind = self.expression(value, loose=orders.is_sorted_next(statement, after))
                for target in targets:
                    self.store(target, kind, value)
            case ast.AnnAssign(target=target, annotation=annotation, value=value):
                told = annotated(annotation)
                kind = self.expression(value, loose=orders.is_sorted_next(statement, after)) if value else UNKNOWN
                self.store(target, kind if not told.type else told.but(shared=kind.shared, table=kind.table), value)
            case ast.AugAssign(target=target, value=value, op=op):
                before = self.expression(_loaded(target))
                kind = self.operate(statement, op, before, self.expression(value))
                self.store(target, kind.but(shared="") if isinstance(target, ast.Name) else kind, None)
            case ast.Import() | ast.ImportFrom():
                found = imported(statement, self.module.name, self.module.is_package)
                self.names.update((name, self.reading.outside(dotted)) for name, dotted in found.items())
            case ast.Global() | ast.Nonlocal():
                self._elsewhere(statement)
            case ast.Delete(targets=targets):
                for target in targets:
                    self.store(target, UNKNOWN, None)
            case ast.Return(value=value) | ast.Expr(value=value):
                if value is not None:
                    self.expression(value)
            case ast.Pass() | ast.Break() | ast.Continue():
                pass
            case _:
                self._compound(statement)

    def _compound(self, statement: ast.stmt) -> None:
        match statement:
            case ast.For() | ast.AsyncFor():
                if self.expression(statement.iter).type == "set":
                    self.warn(statement.iter, SourceRule.SET_ORDER, f"goes through a set: {orders.INSTEAD}")
                self._bind_items(statement.target, statement.iter)
                # Twice, since what the end of a turn binds is there at the beginning of the next.
                self._branches(statement.body, [])
                self._branches(statement.body, statement.orelse)
            case ast.While():
                self.expression(statement.test)
                self._branches(statement.body, [])
                self._branches(statement.body, statement.orelse)
            case ast.If():
                self.expression(statement.test)
                self._branches(statement.body, statement.orelse)
            case ast.With() | ast.AsyncWith():
                for item in statement.items:
                    kind = self.expression(item.context_expr)
                    if item.optional_vars is not None:
                        self.store(item.optional_vars, kind.but(type="", shared="", table=""), None)
                self.body(statement.body)
            case ast.Try() | ast.TryStar():
                self.body(statement.body)
                for handler in statement.handlers:
                    self._handler(handler)
                self.body([*statement.orelse, *statement.finalbody])
            case ast.Match():
                self.expression(statement.subject)
                for case in statement.cases:
                    if case.guard is not None:
                        self.expression(case.guard)
                    self._branches(case.body, [])
            case ast.Raise() | ast.Assert():
                for child in ast.iter_child_nodes(statement):
                    if isinstance(child, ast.expr):
                        self.expression(child)
            case _:
                # A statement of a later Python: what is known of its expressions holds there too.
                self._branches([each for each in ast.iter_child_nodes(statement) if isinstance(each, ast.stmt)], [])

    def _branches(self, one: Sequence[ast.stmt], other: Sequence[ast.stmt]) -> None:
        """Read two ways that a run may take, and go on with what may be after either."""
        before = dict(self.names)
        self.body(one)
        after_one, self.names = self.names, before
        self.body(other)
        for name in [*after_one, *self.names]:
            self.names[name] = either(after_one.get(name, UNKNOWN), self.names.get(name, UNKNOWN))

    def _handler(self, handler: ast.ExceptHandler) -> None:
        caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        passes_on = bool(handler.body) and isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
        for each in caught:
            kind = Kind(dotted="builtins.BaseException") if each is None else self.expression(each)
            name = kind.dotted.removeprefix("builtins.")
            if kind.dotted.startswith("builtins.") and name in _ALL and not passes_on:
                sentence = (
                    f"{'a bare except' if each is None else f'except {name}'} catches that room ran out, which it does "
                    "elsewhere on another host; bound the depth and size yourself, and catch what you expect"
                )
                self.warn(handler, SourceRule.CATCHING, sentence)
        if handler.name:
            self.names[handler.name] = UNKNOWN
        self.body(handler.body)

    def _elsewhere(self, statement: ast.Global | ast.Nonlocal) -> None:
        for name in statement.names:
            if isinstance(statement, ast.Global):
                self.names.pop(name, None)
                sentence = f"global {name}: {instead(SourceRule.GLOBAL)}"
                self.warn(statement, SourceRule.GLOBAL, sentence)
            elif self.reading.outlives(self.module, self._function):
                self.warn(statement, SourceRule.GLOBAL, f"nonlocal {name}: {instead(SourceRule.GLOBAL)}")

    # What statements change.

    def store(self, target: ast.expr, kind: Kind, value: ast.expr | None) -> None:
        """Let a target hold a value, and look at what that changes."""
        match target:
            case ast.Name(id=name):
                self.names[name] = kind
            case ast.Starred(value=inner):
                self.store(inner, UNKNOWN, None)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                if kind.type == "set":
                    self.warn(target, SourceRule.SET_ORDER, f"takes a set apart: {orders.INSTEAD}")
                values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
                for place, each in enumerate(elements):
                    known = values[place] if len(values) == len(elements) else None
                    self.store(each, UNKNOWN if known is None else self.reading.quietly(self, known), None)
            case ast.Attribute(value=base, attr=attribute):
                owner = self.reference(base)
                if owner.type in ("class", "function") or owner.shared or (owner.dotted and owner.type != "self"):
                    spelled = ast.unparse(base)
                    sentence = f"{spelled}.{attribute} is changed: {instead(SourceRule.GLOBAL)}"
                    self.warn(target, SourceRule.GLOBAL, sentence)
            case ast.Subscript(value=base, slice=index):
                self.expression(index)
                self.change(target, base, self.expression(base))

    def change(self, node: ast.AST, base: ast.expr, kind: Kind) -> None:
        """Look at what it means that a container changes: nothing, if it is the operation's own."""
        if kind.shared:
            self.warn(node, SourceRule.GLOBAL, f"{kind.shared} is changed: {instead(SourceRule.GLOBAL)}")
        elif kind.table and kind.type != "table":
            if isinstance(base, ast.Name):
                self._changed.append((base.id, node))
            else:
                self._lose(node, ast.unparse(base))

    def _lose(self, node: ast.AST, spelled: str) -> None:
        sentence = (
            f"{spelled} comes from a Table as a copy, and what is changed in it is lost; write it back with "
            "table[key] = value"
        )
        self.warn(node, SourceRule.LOST_WRITE, sentence)

    def _bind_items(self, target: ast.expr, iterated: ast.expr) -> None:
        """Bind what a loop goes through; of a Table's values and items that they are copies of its values."""
        taken = UNKNOWN
        match iterated:
            case ast.Call(func=ast.Attribute(value=base, attr="values" | "items")):
                taken = Kind(table=self.reading.quietly(self, base).table)
        match target:
            case ast.Tuple(elts=[key, value]) if taken.table:
                self.store(key, UNKNOWN, None)
                self.store(value, taken, None)
            case _:
                self.store(target, taken, None)


def _bound(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Yield the names that a function's own scope binds, but for those that it declares to be elsewhere."""
    elsewhere: dict[str, None] = {}
    found: dict[str, None] = {}
    waiting: list[ast.AST] = [*function.body]
    arguments = function.args
    for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if each is not None:
            found[each.arg] = None
    while waiting:
        node = waiting.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = None
                continue
            case ast.Lambda():
                continue
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                elsewhere.update(dict.fromkeys(names))
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                found[name] = None
            case ast.ExceptHandler(name=str() as name):
                found[name] = None
            case ast.MatchAs(name=str() as name) | ast.MatchStar(name=str() as name):
                found[name] = None
        waiting += ast.iter_child_nodes(node)
    yield from (name for name in found if name not in elsewhere)


def _loaded(target: ast.expr) -> ast.expr:
    """Return a target as an expression that is read."""
    match target:
        case ast.Name(id=name):
            made: ast.expr = ast.Name(name, ast.Load())
        case ast.Attribute(value=value, attr=attribute):
            made = ast.Attribute(value, attribute, ast.Load())
        case ast.Subscript(value=value, slice=index):
            made = ast.Subscript(value, index, ast.Load())
        case _:
            return target
    return ast.copy_location(made, target)
