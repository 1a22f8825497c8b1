"""The list of commands.

Owns: the program's name, help and version. Each command lives in a file of its group.
"""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

from pbft.cli import apps, call, keys, launch, local, status, verify

app = typer.Typer(
    help="Run a plain Python class on replicas that agree, even while some of them lie.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for commands in (local, status, call, verify, apps, launch):
    commands.add_to(app)
app.add_typer(keys.app, name="key")


def version() -> str:
    """Return the version of the installed distribution."""
    try:
        return importlib.metadata.version("pbft")
    except importlib.metadata.PackageNotFoundError:
        return "unknown: not installed"


@app.callback(invoke_without_command=True)
def begin(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Run a plain Python class on replicas that agree, even while some of them lie."""
    if show_version:
        typer.echo(f"pbft {version()}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
