"""Expressions, read for what replicas would not do alike: names from outside, sets in order, floats, identity, text.

Owns: what kind an expression is, and the warnings that follow from expressions. Binds names only where expressions do.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from pbft.conformance.source import calls, orders
from pbft.conformance.source.classes import ClassSource
from pbft.conformance.source.kinds import (
    EXACT,
    FLOAT,
    INT,
    MUTABLE,
    MUTATING,
    SET,
    SET_METHODS,
    STR,
    UNKNOWN,
    Kind,
    annotated,
    constant,
    either,
    made_by,
)
from pbft.conformance.source.modules import Module
from pbft.conformance.source.remarks import SourceRule

if TYPE_CHECKING:
    from pbft.conformance.source.reading import Reading

_SET_OPERATORS: Final = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)
_BY_VALUE: Final = ("int", "str", "bytes", "tuple", "float")
_TAKING: Final = ("get", "setdefault")
_PROMISED: Final = ("random", "getrandbits", "seed", "getstate", "setstate")
_FLOAT_SENTENCE: Final = f"a float: {calls.instead(SourceRule.FLOAT)}"


class Expressions:
    """Reads expressions where names stand for what `names` says."""

    names: dict[str, Kind]

    def __init__(self, reading: Reading, module: Module, place: str, owner: ClassSource | None) -> None:
        self.reading = reading
        self.module = module
        self.place = place
        self.owner = owner

    def warn(self, node: ast.AST, rule: SourceRule, sentence: str) -> None:
        """Note a warning where a node stands."""
        self.reading.warn(self.module, node, rule, self.place, sentence)

    def change(self, node: ast.AST, base: ast.expr, kind: Kind) -> None:
        """Look at what it means that a container changes."""
        raise TypeError("only a reader of statements knows what changes")

    # Names.

    def reference(self, node: ast.expr) -> Kind:
        """Return what a name or an attribute stands for, without judging that it is used."""
        match node:
            case ast.Name(id=name):
                return self.names[name] if name in self.names else self.reading.level(self.module, name)
            case ast.Attribute(value=value, attr=attribute):
                return self._attribute(self.reference(value), attribute, node)
            case _:
                return self.expression(node)

    def _attribute(self, base: Kind, attribute: str, node: ast.Attribute) -> Kind:
        if attribute == "__dict__":
            sentence = f"__dict__: {calls.instead(SourceRule.HIDDEN_FIELD)}"
            self.warn(node, SourceRule.HIDDEN_FIELD, sentence)
            return UNKNOWN
        if attribute == "__class__" and base.type in ("self", "instance"):
            return Kind("class", owner=base.owner)
        if base.dotted:
            outside = self.reading.outside(f"{base.dotted}.{attribute}")
            return outside.but(shared=base.shared) if base.shared and outside.dotted else outside
        if base.type == "context":
            return {"random": Kind("generator"), "client": STR, "time_ms": INT, "sequence": INT}.get(attribute, UNKNOWN)
        if base.owner is not None and base.type in ("self", "instance", "class"):
            found = base.owner.find(attribute)
            if found is not None:
                return found.but(shared=found.shared or base.shared)
        return Kind(shared=base.shared) if base.shared else UNKNOWN

    def instance_of(self, annotation: ast.expr) -> Kind:
        """Return the kind of what is annotated with a class of the application."""
        if isinstance(annotation, ast.Name | ast.Attribute):
            kind = self.reading.quietly(self, annotation)
            if kind.type == "class":
                return Kind("instance", owner=kind.owner)
        return UNKNOWN

    def _judge(self, node: ast.expr, kind: Kind, call: ast.Call | None) -> None:
        if not kind.dotted or (calls.is_told_already(kind.dotted) and not kind.shared):
            return
        verdict = calls.judge(kind.dotted, call)
        if verdict is not None:
            self.warn(node, *verdict)

    def _argument(self, node: ast.expr, loose: bool = False) -> Kind:
        """Read what a call is given: a function handed over, such as `key=hash`, is as good as called."""
        kind = self.expression(node, loose=loose)
        if kind.dotted.startswith("builtins."):
            self._judge(node, kind, None)
        return kind

    # Expressions.

    def expression(self, node: ast.expr, *, loose: bool = False) -> Kind:
        """Read an expression and return its kind; `loose` says that nobody cares for the order of what it makes."""
        match node:
            case ast.Name() | ast.Attribute():
                kind = self.reference(node)
                if not kind.dotted.startswith("builtins."):
                    self._judge(node, kind, None)
                return kind
            case ast.Constant(value=value):
                if isinstance(value, float | complex):
                    self.warn(node, SourceRule.FLOAT, _FLOAT_SENTENCE)
                return constant(value)
            case ast.Call():
                return self._call(node, loose)
            case ast.Set(elts=elements):
                self._all(elements)
                return SET
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                self._all(elements, loose)
                return MUTABLE if isinstance(node, ast.List) else Kind("tuple")
            case ast.Dict(keys=keys, values=values):
                self._all([*(each for each in keys if each is not None), *values])
                return MUTABLE
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self._comprehension(node, loose)
            case ast.BinOp(left=left, op=op, right=right):
                return self.operate(node, op, self.expression(left, loose=loose), self.expression(right, loose=loose))
            case ast.BoolOp(values=values):
                first, *others = [self.expression(each) for each in values]
                for other in others:
                    first = either(first, other)
                return first
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.expression(test)
                return either(self.expression(body, loose=loose), self.expression(orelse, loose=loose))
            case ast.UnaryOp(op=op, operand=operand):
                kind = self.expression(operand)
                return UNKNOWN if isinstance(op, ast.Not) else kind
            case ast.Compare():
                return self._compare(node)
            case _:
                return self._other(node)

    def _all(self, elements: list[ast.expr], loose: bool = False) -> None:
        for each in elements:
            if isinstance(each, ast.Starred):
                self._in_order(each, self.expression(each.value, loose=loose), "spreads a set", loose)
            else:
                self.expression(each)

    def _other(self, node: ast.expr) -> Kind:
        match node:
            case ast.Subscript(value=value, slice=index):
                base = self.expression(value)
                self.expression(index)
                if base.type == "table":
                    return Kind(table=base.table)
                return Kind(shared=base.shared)
            case ast.NamedExpr(target=target, value=value):
                kind = self.expression(value)
                self.names[target.id] = kind
                return kind
            case ast.JoinedStr(values=values):
                for each in values:
                    if isinstance(each, ast.FormattedValue):
                        self._text(each.value, self.expression(each.value))
                return STR
            case ast.Lambda(args=arguments, body=body):
                before = dict(self.names)
                for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                    self.names[argument.arg] = UNKNOWN
                self.expression(body)
                self.names = before
                return Kind("function")
            case ast.YieldFrom(value=value):
                self._in_order(node, self.expression(value), "goes through a set")
                return UNKNOWN
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self.expression(child)
                return UNKNOWN

    def _in_order(self, node: ast.AST, kind: Kind, what: str, loose: bool = False) -> None:
        if kind.type == "set" and not loose:
            self.warn(node, SourceRule.SET_ORDER, f"{what}: {orders.INSTEAD}")

    def _text(self, node: ast.expr, kind: Kind) -> None:
        """Look at what a value looks like as text."""
        self._in_order(node, kind, "spells a set out")
        plain = kind.type in ("instance", "self") and kind.owner is not None and kind.owner.has_plain_text
        if plain or kind.type == "function":
            sentence = (
                f"{ast.unparse(node)} as text holds an address, another on each replica; give its class a __repr__, or "
                "spell out what it holds"
            )
            self.warn(node, SourceRule.OBJECT_TEXT, sentence)

    def operate(self, node: ast.AST, op: ast.operator, left: Kind, right: Kind) -> Kind:
        """Return what an operator makes of two kinds."""
        both = (left.type, right.type)
        if isinstance(op, _SET_OPERATORS) and ("set" in both or "view" in both):
            return SET
        if "exact" in both:
            return EXACT
        if isinstance(op, ast.Div) and "float" not in both:
            self.warn(node, SourceRule.FLOAT, "/ makes a float: divide with //, or use Decimal or Fraction for a while")
            return FLOAT
        if isinstance(op, ast.Pow) and isinstance(node, ast.BinOp) and _is_negative(node.right):
            self.warn(node, SourceRule.FLOAT, f"** with a negative exponent makes {_FLOAT_SENTENCE}")
            return FLOAT
        if "float" in both:
            return FLOAT
        return left if left.type in ("str", "bytes", "tuple") or left == right else UNKNOWN

    def _compare(self, node: ast.Compare) -> Kind:
        sides = [node.left, *node.comparators]
        kinds = [self.expression(each) for each in sides]
        for place, op in enumerate(node.ops):
            pair = kinds[place : place + 2]
            singles = [_is_single(each) for each in sides[place : place + 2]]
            if isinstance(op, ast.Is | ast.IsNot) and not any(singles) and any(each.type in _BY_VALUE for each in pair):
                word, right = ("is", "==") if isinstance(op, ast.Is) else ("is not", "!=")
                sentence = f"{word} asks whether two are one object, which equal values may be or not; write {right}"
                self.warn(node, SourceRule.IDENTITY, sentence)
        return UNKNOWN

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, loose: bool) -> Kind:
        before = dict(self.names)
        unordered = False
        for each in node.generators:
            unordered = self.expression(each.iter).type == "set" or unordered
            for name in ast.walk(each.target):
                if isinstance(name, ast.Name):
                    self.names[name.id] = UNKNOWN
            for test in each.ifs:
                self.expression(test)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.expression(part)
        self.names = before
        match node:
            case ast.SetComp():
                return SET
            case ast.GeneratorExp():
                return SET if unordered else UNKNOWN
            case _:
                if unordered:
                    self._in_order(node, SET, "goes through a set", loose)
                    return SET if loose and isinstance(node, ast.ListComp) else MUTABLE
                return MUTABLE

    # Calls.

    def _call(self, node: ast.Call, loose: bool) -> Kind:
        function = self.reference(node.func)
        name = function.dotted
        self._judge(node, function, node)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        careless = name in orders.LOOSE and not orders.shows_ties(name, node)
        passing = careless or (name in orders.COLLECTING and loose)
        look = self.expression if name in ("builtins.isinstance", "builtins.issubclass") else self._argument
        given: list[tuple[ast.expr, Kind]] = []
        for each in node.args:
            inner = each.value if isinstance(each, ast.Starred) else each
            kind = look(inner, loose=passing)
            if isinstance(each, ast.Starred):
                self._in_order(each, kind, "spreads a set", careless)
            else:
                given.append((inner, kind))
        for keyword in node.keywords:
            look(keyword.value)
        kinds = [kind for _, kind in given]
        if any(kind.type == "set" for kind in kinds):
            made = self._of_set(node, name, method, loose)
            if made is not None:
                return made
        if name in ("builtins.str", "builtins.repr", "builtins.format", "builtins.ascii") and given:
            self._text(*given[0])
        if name == "builtins.next" and kinds and kinds[0].shared:
            self.change(node, node.args[0], kinds[0])
        if name == "builtins.round":
            self._round(node, kinds)
        if name == "builtins.pow" and len(node.args) == 2 and _is_negative(node.args[1]):
            self.warn(node, SourceRule.FLOAT, f"pow() with a negative exponent makes {_FLOAT_SENTENCE}")
        if name == "builtins.type" and kinds and kinds[0].type in ("self", "instance"):
            return Kind("class", owner=kinds[0].owner)
        if isinstance(node.func, ast.Attribute):
            made = self._method(node, node.func, loose)
            if made is not None:
                return made
        return self._made(node, function)

    def _of_set(self, node: ast.Call, name: str, method: str, loose: bool) -> Kind | None:
        """Look at a call that is given a set; return what it makes where that is unordered too."""
        if orders.shows_ties(name, node):
            what = f"{name.removeprefix('builtins.')}() with a key leaves what ties in the order of a set"
            sentence = f"{what}; let the key tell all apart, as in key=lambda item: (rank(item), item)"
            self.warn(node, SourceRule.SET_ORDER, sentence)
        elif name in orders.LAZY:
            return SET
        elif name in orders.COLLECTING:
            self._in_order(node, SET, f"{name.removeprefix('builtins.')}() of a set", loose)
            return SET if loose else None
        elif orders.goes_through(name, method):
            self._in_order(node, SET, f"{(name.removeprefix('builtins.') or method)}() of a set")
        return None

    def _method(self, node: ast.Call, function: ast.Attribute, loose: bool) -> Kind | None:
        """Look at a call of an object's method; return what it makes, if that is known."""
        base, method = self.reading.quietly(self, function.value), function.attr
        if base.type == "set" and method == "pop":
            self.warn(node, SourceRule.SET_ORDER, f"pop() of a set: {orders.INSTEAD}")
        if base.type == "generator" and base.shared:
            sentence = f"{base.shared}: all machines of a process draw from it in turn; use context.random"
            self.warn(node, SourceRule.RANDOM, sentence)
        elif base.type == "generator" and method not in _PROMISED:
            sentence = (
                f"{method}() may draw otherwise under another release of Python; of context.random, only random() and "
                "getrandbits() are promised to stay"
            )
            self.warn(node, SourceRule.PYTHON_RELEASE, sentence)
        if method in ("__setattr__", "__delattr__") and not base.dotted:
            self.warn(node, SourceRule.HIDDEN_FIELD, f"{method}(): {calls.instead(SourceRule.HIDDEN_FIELD)}")
        if method == "__hash__" or (method == "astimezone" and not node.args and not node.keywords):
            rule = SourceRule.IDENTITY if method == "__hash__" else SourceRule.TIME_ZONE
            verdict = calls.judge("builtins.hash", node) if method == "__hash__" else None
            self.warn(node, rule, verdict[1] if verdict else f"astimezone(): {calls.instead(rule)}")
        changes = method in MUTATING and (base.type in ("mutable", "set") or bool(base.table)) and base.type != "table"
        if changes:
            self.change(node, function.value, base)
        if base.type == "table" and method in _TAKING:
            return Kind(table=base.table)
        if base.type == "set" and method in SET_METHODS:
            return SET
        if method in ("keys", "items") and not base.dotted and base.type != "table":
            return Kind("view")
        return self._returned(base, method)

    def _returned(self, base: Kind, method: str) -> Kind | None:
        """Return what a method of the application says that it returns."""
        found = base.owner.method(method) if base.owner is not None else None
        told = annotated(found.returns) if found is not None else UNKNOWN
        return told if told.type and told.type != "table" else None

    def _made(self, node: ast.Call, function: Kind) -> Kind:
        if function.type == "class":
            return Kind("instance", owner=function.owner)
        if function.dotted == "random.Random":
            return Kind("generator")
        if function.dotted:
            made = made_by(function.dotted)
            return made if made.type or made.dotted else UNKNOWN
        if isinstance(node.func, ast.Name):
            told = self.reading.returned(self.module, node.func.id) if node.func.id not in self.names else UNKNOWN
            return told if told.type != "table" else UNKNOWN
        return UNKNOWN

    def _round(self, node: ast.Call, kinds: list[Kind]) -> None:
        digits = node.args[1] if len(node.args) > 1 else next((each.value for each in node.keywords), None)
        if digits is None or _is_negative(digits) or (kinds and kinds[0].type in ("exact", "int")):
            return
        sentence = "round() to digits makes a float of a float; use int in the smallest unit, or Decimal.quantize"
        self.warn(node, SourceRule.FLOAT, sentence)


def _is_negative(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)


def _is_single(node: ast.expr) -> bool:
    """Say whether an expression is one of the constants of which there is one object each."""
    return (
        isinstance(node, ast.Constant)
        and (node.value is ... or node.value in (None, True, False))
        and type(node.value) not in (int, float)
    )
