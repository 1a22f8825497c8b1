"""`pbft apps`: which applications there are, and what can be called in each.

Owns: this command. Knows applications only by what they say of themselves.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pbft.cli.output import console, say_json
from pbft.cli.where import JsonOption
from pbft.console.text import clean
from pbft.loading import AppError, known_applications, load_application
from pbft.machine import OperationSpec, Parameter, describe, describe_parameters


def apps(
    application: Annotated[
        str | None,
        typer.Argument(metavar="[APP]", show_default=False, help="A name, path.py:Class or module:Class."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List applications, with their operations and parameters."""
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
        _print(name, loaded)


def _load(spec: str) -> type | AppError:
    try:
        return load_application(spec)
    except AppError as error:
        return error


def _print(name: str, loaded: type | AppError) -> None:
    from rich.text import Text

    out = console()
    if isinstance(loaded, AppError):
        out.print(Text.assemble((name, "bold"), f"  {clean(str(loaded))}"))
        return
    out.print(Text.assemble((name, "bold"), f"  {_summary(loaded)}"))
    for spec in describe(loaded):
        kind = "query" if spec.is_query else "operation"
        out.print(Text.assemble("  ", (signature(spec), "cyan"), (f"  {kind}", "dim")))
        if spec.summary:
            out.print(f"      {clean(spec.summary)}")
    for parameter in describe_parameters(loaded):
        out.print(Text.assemble("  ", (f"--set {parameter.name}=…", "green"), f"  {_explain(parameter)}"))


def signature(spec: OperationSpec) -> str:
    """Return an operation as it is defined, as in `add(amount: int) -> int`."""
    given = ", ".join(str(each) if each.required else f"{each} = {each.default!r}" for each in spec.parameters)
    return clean(f"{spec.name}({given})" + (f" -> {spec.returns}" if spec.returns else ""))


def _summary(loaded: type) -> str:
    documented = vars(loaded).get("__doc__") or ""
    return clean(documented.strip().partition("\n")[0])


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
        "summary": _summary(loaded),
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
    }
