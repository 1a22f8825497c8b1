"""Help in words: what can be entered, and more of one operation or command.

Owns: these texts. They go by the application's own signatures and docstrings, and the tables of commands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pbft.console.commands import COMMANDS, SIGN, command_name, command_names, find_command
from pbft.console.outcome import Failure
from pbft.lab.faults import FAULTS, HOWS
from pbft.machine import OperationSpec, Parameter
from pbft.wording import quote, suggest

_WIDEST: Final = 40
"""A usage longer than this has its explanation in the next line, so that one long name moves no other."""


def tell_all(specs: Mapping[str, OperationSpec], application: str, lab: bool) -> list[str]:
    """Return help on all that can be entered: the application's operations first, then commands, then faults."""
    lines = [f"Operations of {application}:"]
    if specs:
        lines += _table([(spec.usage, _summary(spec)) for spec in specs.values()])
    else:
        lines.append("  its code is not on this machine: enter an operation's name and arguments, and replicas judge")
    lines += ["", "Commands:", *_table([(each.usage, each.summary) for each in COMMANDS.values()])]
    if lab:
        lines += ["", "Faults, since this group is a lab:"]
        lines += _table([(SIGN + each.usage, each.summary) for each in FAULTS.values()])
    return [*lines, "", "help NAME tells more of one of them."]


def tell_one(word: str, specs: Mapping[str, OperationSpec]) -> list[str]:
    """Return help on one operation, command or fault. Raises Failure for what there is not."""
    if word in specs:
        return _tell_operation(specs[word])
    name = command_name(word, specs) or word
    found = find_command(name)
    if found is None:
        known = [*specs, *(each.removeprefix(SIGN) for each in command_names())]
        raise Failure(f"there is neither an operation nor a command {quote(word)}{suggest(word, known)}")
    lines = [found.usage, f"  {found.summary}"]
    if name in FAULTS:
        lines.append(f"  as in {SIGN}{FAULTS[name].example}")
    if name == "byzantine":
        lines += ["", "HOW is one of these, several joined with +, or a class of yours as path.py:Class:"]
        lines += _table(list(HOWS.items()))
    return lines


def usage(spec: OperationSpec) -> str:
    """Return how an operation is written, with what it returns: "balance account: str → int"."""
    return spec.usage + (f" → {spec.returns}" if spec.returns else "")


def describe_parameter(parameter: Parameter) -> str:
    """Return a parameter's name and type, and what stands for it when it is left out."""
    return str(parameter) if parameter.required else f"{parameter} = {_spell_default(parameter)}"


def _tell_operation(spec: OperationSpec) -> list[str]:
    kind = "a query: it changes nothing" if spec.is_query else "an operation: it may change the state"
    lines = [usage(spec), f"  {kind}"]
    lines += [f"  {describe_parameter(each)}" for each in spec.parameters]
    return lines + ([""] + [f"  {line}".rstrip() for line in spec.docstring.split("\n")] if spec.docstring else [])


def _summary(spec: OperationSpec) -> str:
    return spec.summary or ("A query without a docstring." if spec.is_query else "An operation without a docstring.")


def _spell_default(parameter: Parameter) -> str:
    return quote(parameter.default) if isinstance(parameter.default, str) else str(parameter.default)


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(left) for left, _ in rows if len(left) <= _WIDEST), default=0)
    lines: list[str] = []
    for left, right in rows:
        if len(left) > width:
            lines += [f"  {left}", f"  {'':{width}}  {right}"]
        else:
            lines.append(f"  {left:{width}}  {right}")
    return lines
