"""`pbft apps`: which applications there are, and what can be called in each.

Owns: this command. Knows applications only by what they say of themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pbft.cli.output import console, say_json
from pbft.cli.where import JsonOption
from pbft.console.text import clean
from pbft.loading import AppError, known_applications, load_application
from pbft.machine import OperationSpec, Parameter, describe, describe_parameters

if TYPE_CHECKING:
    from rich.console import Console


def apps(
    application: Annotated[
        str | None,
        typer.Argument(metavar="[APP]", show_default=False, help="A name, path.py:Class or module:Class."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List applications, with their operations and parameters; of one that is named, all that it says of itself."""
    if application is not None:
        found: list[tuple[str, type | AppError]] = [(application, load_application(application))]
    else:
        # One that does not import must not hide the others.
        found = [(name, _load(spec)) for name, spec in known_applications()]
    if as_json:
        say_json([_to_json(name, loaded) for name, loaded in found])
        return
    for place, (name, loaded) in enumerate(found):
        if place:
            console().print()
        _print(name, loaded, whole=application is not None)
    if application is None:
        console().print("\npbft apps APP tells all of one of them.", style="dim")


def _load(spec: str) -> type | AppError:
    try:
        return load_application(spec)
    except AppError as error:
        return error


def _print(name: str, loaded: type | AppError, whole: bool) -> None:
    from rich.text import Text

    out = console()
    if isinstance(loaded, AppError):
        out.print(Text.assemble((name, "bold"), f"  {clean(str(loaded))}"))
        return
    help_text = _help(loaded)
    out.print(Text.assemble((name, "bold"), f"  {_first_line(help_text)}"))
    if whole:
        _print_lines(out, help_text.split("\n")[1:], "  ")
    for spec in describe(loaded):
        if whole:
            out.print()
        kind = "query" if spec.is_query else "operation"
        out.print(Text.assemble("  ", (signature(spec), "cyan"), (f"  {kind}", "dim")))
        if spec.docstring:
            _print_lines(out, spec.docstring.split("\n") if whole else [spec.summary], "      ")
    parameters = describe_parameters(loaded)
    if whole and parameters:
        out.print()
    for parameter in parameters:
        out.print(Text.assemble("  ", (f"--set {parameter.name}=…", "green"), f"  {_explain(parameter)}"))
    if whole and (told := _help_on_parameters(loaded)):
        _print_lines(out, told.split("\n"), "      ")


def _print_lines(out: Console, lines: Sequence[str], indent: str) -> None:
    for line in lines:
        out.print(f"{indent}{clean(line)}".rstrip())


def signature(spec: OperationSpec) -> str:
    """Return an operation as it is defined, as in `add(amount: int) -> int`."""
    given = ", ".join(str(each) if each.required else f"{each} = {each.default!r}" for each in spec.parameters)
    return clean(f"{spec.name}({given})" + (f" -> {spec.returns}" if spec.returns else ""))


def _help(loaded: type) -> str:
    """Return an application's own docstring: none that it inherits."""
    return inspect.cleandoc(vars(loaded).get("__doc__") or "")


def _help_on_parameters(loaded: type) -> str:
    """Return what `__init__` says of the parameters, where there are any."""
    return (inspect.getdoc(loaded.__init__) or "") if describe_parameters(loaded) else ""  # type: ignore[misc]


def _first_line(text: str) -> str:
    return clean(text.partition("\n")[0])


def _explain(parameter: Parameter) -> str:
    return clean(
        f"{parameter.annotation}, " + ("required" if parameter.required else f"{parameter.default!r} if not set")
    )


def _to_json(name: str, loaded: type | AppError) -> dict[str, Any]:
    if isinstance(loaded, AppError):
        return {"name": name, "error": str(loaded)}
    return {
        "name": name,
        "class": f"{loaded.__module__}:{loaded.__qualname__}",
        "summary": _first_line(_help(loaded)),
        "help": _help(loaded),
        "operations": [
            {
                "name": spec.name,
                "usage": spec.usage,
                "signature": signature(spec),
                "query": spec.is_query,
                "help": spec.docstring,
            }
            for spec in describe(loaded)
        ],
        "parameters": [
            {"name": each.name, "type": each.annotation, "required": each.required}
            for each in describe_parameters(loaded)
        ],
        "parameters_help": _help_on_parameters(loaded),
    }
