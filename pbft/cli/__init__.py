"""The command line: one file a group of commands.

Owns: the list of commands, and the one place where every error becomes a sentence and an exit code.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from typing import Annotated

import typer

from pbft.cli import apps, call, keys, local, status, verify
from pbft.cli.failures import report

app = typer.Typer(
    help="Run a plain Python class on replicas that agree, even while some of them lie.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for commands in (local, status, call, verify, apps):
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


def main(words: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if words is None else words
    # Last, so that nothing here hides a module of Python's own: `--app mine:Auction` finds ./mine.py.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        code = app(args=words, prog_name="pbft", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:
        options = words[: words.index("--")] if "--" in words else words
        return report(error, as_json="--json" in options)
    return code if isinstance(code, int) else 0
