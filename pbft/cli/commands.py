"""The list of commands.

Owns: the program's name, help and version, and the commands' order in it. Each command lives in a file of its group,
and imports what talks to replicas, signs or draws when it is called: so the others start sooner.
"""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

from pbft.cli.apps import apps
from pbft.cli.arguments import command
from pbft.cli.bench import app as bench
from pbft.cli.byzzfuzz import byzzfuzz
from pbft.cli.call import call
from pbft.cli.check import check
from pbft.cli.dashboard import dashboard
from pbft.cli.doctor import doctor
from pbft.cli.events import events
from pbft.cli.evidence import app as evidence
from pbft.cli.explain import explain
from pbft.cli.fault import fault
from pbft.cli.keys import app as keys
from pbft.cli.launch import launch
from pbft.cli.liar import liar
from pbft.cli.local import down, init, replica, up
from pbft.cli.mutants import mutants
from pbft.cli.new import new
from pbft.cli.shell import shell
from pbft.cli.sim import sim
from pbft.cli.soak import soak
from pbft.cli.status import status
from pbft.cli.swarm import swarm
from pbft.cli.twins import twins
from pbft.cli.verify import verify

app = typer.Typer(
    help="Run a plain Python class on replicas that agree, even while some of them lie.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for function in (
    new,
    init,
    up,
    down,
    replica,
    liar,
    fault,
    dashboard,
    status,
    explain,
    doctor,
    events,
    call,
    shell,
    verify,
    apps,
    check,
    swarm,
    sim,
    soak,
    twins,
    byzzfuzz,
    mutants,
):
    command(app, function.__name__, function)
command(app, "launch", launch, hidden=True)
app.add_typer(bench, name="bench")
app.add_typer(evidence, name="evidence")
app.add_typer(keys, name="key")


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
