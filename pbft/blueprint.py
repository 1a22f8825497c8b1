"""What a state machine's class declares: its operations, its fields and its parameters, read once and checked.

Owns: the rules a class must keep, and the sentences that say which one it breaks. Knows nothing of running it.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, MutableMapping, MutableSequence, MutableSet
from dataclasses import dataclass
from typing import Any, ClassVar, Final, get_origin

from pbft.annotations import AnnotationError
from pbft.encoding import EncodingError, Plain
from pbft.fields import encode_field, instead_of, is_table
from pbft.operations import MachineError, OperationSpec, Signature, kind_of, read_hints
from pbft.wording import show

_MUTABLE: Final = (MutableMapping, MutableSequence, MutableSet)


@dataclass(frozen=True)
class Entry:
    """One operation: how to call it, and what to tell clients of it."""

    signature: Signature
    spec: OperationSpec


@dataclass(frozen=True)
class Blueprint:
    """A state machine's class, understood."""

    name: str
    entries: dict[str, Entry]
    """By name, in the order of definition."""
    defaults: dict[str, Plain]
    """First values of the scalar fields that have one in the class body."""
    tables: tuple[str, ...]
    """Fields that start as an empty Table each."""
    declared: tuple[str, ...]
    """Every field of the class body, those without a first value included."""
    parameters: Signature


def read_blueprint(cls: type, base: type) -> Blueprint:
    """Return what `cls` declares beyond `base`. Raises MachineError with one sentence."""
    parents = [each for each in reversed(cls.__mro__) if each not in base.__mro__]
    hints = read_hints(cls, cls.__name__)
    entries: dict[str, Entry] = {}
    defaults: dict[str, Plain] = {}
    tables: dict[str, None] = {}
    declared: dict[str, None] = {}
    for parent in parents:
        _check_body(parent, cls.__name__, hints, dir(base))
        for name in inspect.get_annotations(parent):
            if _is_constant(hints[name]):
                continue
            declared[name] = None
            if _is_table(cls.__name__, name, hints[name]):
                tables[name] = None
        for name, attribute in vars(parent).items():
            kind = kind_of(attribute)
            if kind is not None:
                entries[name] = _read_entry(attribute, cls.__name__, name, kind)
            elif name in entries:
                raise MachineError(
                    f"{cls.__name__}.{name} replaces an operation; mark it with @operation or @query too"
                )
            elif name in declared:
                defaults[name] = attribute
    for name in declared:
        if name in entries:
            raise MachineError(f"{cls.__name__}.{name} is both a field and an operation; rename one of them")
    _check_defaults(cls.__name__, defaults, tables)
    parameters = Signature(
        inspect.getattr_static(cls, "__init__"), cls.__name__, f"{cls.__name__}.__init__", "parameter"
    )
    if parameters.wants_context:
        raise MachineError(f"{cls.__name__}.__init__ asks for a Context, which only operations have")
    return Blueprint(cls.__name__, entries, defaults, tuple(tables), tuple(declared), parameters)


def _check_body(parent: type, owner: str, hints: dict[str, Any], reserved: Collection[str]) -> None:
    """Refuse what would escape the digest and the undoing of failed operations, or hide the machine's own parts."""
    if vars(parent).get("__slots__"):
        raise MachineError(f"{owner} has __slots__, which hide fields from its digest; remove them")
    for name in [*vars(parent), *inspect.get_annotations(parent)]:
        if name.startswith("__"):
            continue
        if name in reserved:
            raise MachineError(f"{owner}.{name} would replace the machine's own {name}; rename it")
        value = vars(parent).get(name)
        if isinstance(value, _MUTABLE) and get_origin(hints.get(name)) is not ClassVar:
            raise MachineError(
                f"{owner}.{name} is one {type(value).__name__} shared by every machine in the process; "
                f"{_instead_of_shared(name, value)}, or write {name}: ClassVar[...] if it never changes"
            )


def _instead_of_shared(name: str, value: object) -> str:
    if isinstance(value, MutableMapping):
        return f"declare {name}: Table[str, int] without a value"
    return instead_of(type(value)).replace("Table[", f"{name}: Table[", 1)


def _is_constant(annotation: Any) -> bool:
    return get_origin(annotation) in (ClassVar, Final) or annotation in (ClassVar, Final)


def _is_table(owner: str, name: str, annotation: Any) -> bool:
    try:
        return is_table(f"{owner}.{name}", annotation)
    except AnnotationError as error:
        raise MachineError(str(error)) from None


def _check_defaults(owner: str, defaults: dict[str, Any], tables: Collection[str]) -> None:
    for name, value in defaults.items():
        if name in tables:
            raise MachineError(f"{owner}.{name} is a Table with the value {show(value)}; write it without a value")
        try:
            encode_field(name, value)
        except EncodingError as error:
            raise MachineError(f"{owner}.{name} cannot be a field: {error}") from None


def _read_entry(function: Any, owner: str, name: str, kind: str) -> Entry:
    where = f"{owner}.{name}"
    if name.startswith("_"):
        raise MachineError(f"{where} is private by its name; rename it, since clients call it by name")
    if (
        inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        raise MachineError(f"{where} must be a plain def without yield or async: it runs at once and to its end")
    signature = Signature(function, f"{name}()", where)
    spec = OperationSpec(name, signature.parameters, inspect.getdoc(function) or "", kind == "query", signature.returns)
    return Entry(signature, spec)
