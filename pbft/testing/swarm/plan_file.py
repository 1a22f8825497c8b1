"""Plans in files: written so that people can read them, and read back exactly.

Owns: the format (JSON, with a version), and one sentence for whatever is wrong with a file. What makes a plan
impossible is the plan's own matter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pbft.errors import PbftError
from pbft.testing.swarm import faults
from pbft.testing.swarm.faults import Fault
from pbft.testing.swarm.plan import Plan, PlanError
from pbft.testing.swarm.workloads import WORKLOADS
from pbft.wording import quote, show, suggest

VERSION: Final = 1
MAX_FILE_BYTES: Final = 1024 * 1024

FAULTS: Final[Mapping[str, type[Fault]]] = {
    name: kind
    for name, kind in vars(faults).items()
    if isinstance(kind, type) and issubclass(kind, Fault) and kind is not Fault and not name.startswith("_")
}
"""Every kind of fault that a plan may have, by name."""

_VERSION_KEY: Final = "pbft plan"
_KIND_KEY: Final = "fault"
_LINES_DEPTH: Final = 2
"""How deep a value may lie and still have a line of its own."""


class PlanFileError(PbftError):
    """A file that holds no plan; the message is one sentence that says which file, where, and why."""


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan to a new file. Raises FileExistsError rather than overwrite one."""
    with path.open("x", encoding="utf-8") as file:
        file.write(dump_plan(plan))


def read_plan(path: Path) -> Plan:
    """Return the plan that a file holds. Raises PlanFileError for a damaged one, OSError for none."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise PlanFileError(f"{path} holds no plan: it has more than {MAX_FILE_BYTES} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise PlanFileError(f"{path} holds no plan: it is no text") from None
    return load_plan(text, str(path))


def dump_plan(plan: Plan) -> str:
    """Return a plan as text: one fault, program or setting a line."""
    return _spell({_VERSION_KEY: VERSION, **_to_plain(plan)}, 0) + "\n"


def load_plan(text: str, name: str) -> Plan:
    """Return the plan that a text spells; `name` is what an error calls it. Raises PlanFileError."""
    try:
        return _read(text)
    except _Damage as damage:
        where = f", at {damage.where}" if damage.where else ""
        raise PlanFileError(f"{name} holds no plan{where}: {damage.why}") from None


class _Damage(ValueError):
    def __init__(self, where: str, why: str) -> None:
        super().__init__(why)
        self.where = where
        self.why = why


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) < len(pairs):
        raise _Damage("", "it says something twice")
    return told


# Writing.


def _to_plain(value: Any) -> Any:
    if isinstance(value, Fault):
        return {_KIND_KEY: type(value).__name__, **_fields(value)}
    if is_dataclass(value):
        return _fields(value)
    return [_to_plain(each) for each in value] if isinstance(value, tuple) else value


def _fields(value: Any) -> dict[str, Any]:
    return {each.name: _to_plain(getattr(value, each.name)) for each in fields(value)}


def _spell(value: Any, depth: int) -> str:
    holds_more = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value))
    if depth == _LINES_DEPTH or not holds_more or not value:
        return json.dumps(value)
    indent = "  " * (depth + 1)
    if isinstance(value, dict):
        lines = [f"{indent}{json.dumps(name)}: {_spell(each, depth + 1)}" for name, each in value.items()]
        opening, closing = "{", "}"
    else:
        lines = [indent + _spell(each, _LINES_DEPTH) for each in value]
        opening, closing = "[", "]"
    return opening + "\n" + ",\n".join(lines) + "\n" + "  " * depth + closing


# Reading.


def _read(text: str) -> Plan:
    try:
        told = json.loads(text, object_pairs_hook=_without_repeats)
    except RecursionError:
        raise _Damage("", "it is too deep") from None
    except ValueError as error:
        if isinstance(error, _Damage):
            raise
        line = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise _Damage(line, "it is no JSON") from None
    if not isinstance(told, dict) or _VERSION_KEY not in told:
        raise _Damage("", f"it is no object with a {quote(_VERSION_KEY)}")
    version = told.pop(_VERSION_KEY)
    if version != VERSION or type(version) is not int:
        raise _Damage(_VERSION_KEY, f"this program reads version {VERSION}, not {show(version)}")
    plan: Plan = _build(Plan, told, "")
    if plan.workload not in WORKLOADS:
        raise _Damage("workload", f"there is no workload {quote(plan.workload)}{suggest(plan.workload, WORKLOADS)}")
    return plan


def _build(hint: Any, value: Any, where: str) -> Any:
    """Return a value of an annotated type, or say where it is not one. Types are exact: true is not 1."""
    origin = get_origin(hint)
    if hint is Fault:
        return _build_fault(value, where)
    if is_dataclass(hint):
        return _build_fields(hint, value, where)
    if origin is tuple:
        return _build_tuple(get_args(hint), value, where)
    if origin is Literal:
        if value not in get_args(hint):
            raise _Damage(where, f"{show(value)} is none of {', '.join(map(show, get_args(hint)))}")
        return value
    allowed = get_args(hint) if origin in (UnionType, Union) else (hint,)
    if type(value) is int and float in allowed:
        return float(value)
    if type(value) not in allowed:
        raise _Damage(where, f"{show(value)} is no {' or '.join(each.__name__ for each in allowed)}")
    return value


def _build_fault(value: Any, where: str) -> Fault:
    told = dict(value) if isinstance(value, dict) else {}
    kind = told.pop(_KIND_KEY, None)
    if not isinstance(kind, str) or kind not in FAULTS:
        hint = suggest(kind, FAULTS) if isinstance(kind, str) else ""
        raise _Damage(where, f"{show(kind)} is no kind of fault{hint}")
    fault: Fault = _build_fields(FAULTS[kind], told, where)
    return fault


def _build_tuple(hints: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _Damage(where, f"{show(value)} is no list")
    each_hint = [hints[0]] * len(value) if hints[-1] is Ellipsis else list(hints)
    if len(value) != len(each_hint):
        raise _Damage(where, f"there are {len(value)} values in place of {len(each_hint)}")
    pairs = enumerate(zip(each_hint, value, strict=True), start=1)
    return tuple(_build(hint, each, f"{where} {place}") for place, (hint, each) in pairs)


def _build_fields(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _Damage(where, f"{show(value)} is no object")
    hints = get_type_hints(kind)
    unknown = next((name for name in value if name not in hints), None)
    if unknown is not None:
        raise _Damage(where, f"nothing is called {quote(unknown)}{suggest(unknown, hints)}")
    needed = [each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING]
    missing = next((name for name in needed if name not in value), None)
    if missing is not None:
        raise _Damage(where, f"{quote(missing)} is missing")
    built = {name: _build(hints[name], each, f"{where} {name}".strip()) for name, each in value.items()}
    try:
        return kind(**built)
    except PlanError as error:
        raise _Damage(where, str(error)) from None
