"""`pbft launch`: what ./scripts/launch runs: a group to play with, or the tour.

Owns: where such a group lives, and the banner with commands to copy.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pbft.cli.dashboard import has_terminal, show_dashboard
from pbft.cli.output import console, say
from pbft.cli.where import find_client
from pbft.console.outcome import Failure
from pbft.group_file import FILE_NAME, GroupFile, read_group, resolve_application
from pbft.lab.registry import last_running

if TYPE_CHECKING:
    from pbft.lab.survey import Survey

FOLDER: Final = Path("keys")
DEFAULT_APPLICATION: Final = "ledger"


def launch(
    application: Annotated[
        str,
        typer.Argument(
            metavar="[APP]", show_default=False, help="A name, path.py:Class or module:Class. Default: ledger."
        ),
    ] = DEFAULT_APPLICATION,
    tour: Annotated[
        bool, typer.Option("--tour", help="Walk through every application on groups of their own, then leave.")
    ] = False,
) -> None:
    """Start a local group of four replicas, made when there is none, on a dashboard; without a terminal till Ctrl-C."""
    if tour:
        from pbft.cli.tour import run_tour

        return run_tour()
    from pbft.cli.attached import run_attached
    from pbft.lab.making import make_group

    directory = folder_for(application)
    if (directory / FILE_NAME).exists():
        files = read_group(directory)
        if files.application != resolve_application(application, Path.cwd()):
            raise Failure(
                f"the group in {directory} runs another application, {files.application}; "
                f"remove that folder, or make a group of another name: pbft init"
            )
    else:
        files = make_group(directory, application)
        say(f"made a group in {directory}")
    client = find_client(files, None)
    if has_terminal():
        raise typer.Exit(show_dashboard(files, client))
    run_attached(files, client, ready=show_banner)


def folder_for(application: str) -> Path:
    """Return where the group of an application lives: `keys/local-` and its name, or its class's in small letters."""
    path, _, name = application.rpartition(":")
    if not path:
        name = Path(application).stem if application.endswith(".py") else application
    return FOLDER / f"local-{re.sub(r'[^a-z0-9._-]+', '-', name.lower()).strip('-.') or 'app'}"


def show_banner(files: GroupFile, _: Survey) -> None:
    """Print who is there, and what to do next, in words that work when they are copied into another terminal."""
    quorums = files.group.quorums
    name = files.group.genesis.application
    out = console()
    out.print()
    out.print(f"{name} runs on {files.group.n} replicas, of which {quorums.faults} may fail or lie.", style="bold")
    for member in files.group.members:
        out.print(
            f"  replica {member.id}   {files.replica_addresses[member.id]} for replicas, "
            f"{files.client_addresses[member.id]} for clients   key {member.public_key.hex()[:16]}…"
        )
    clients = ", ".join(each.name for each in files.group.genesis.clients)
    out.print(f"  group {files.group.id.hex()[:16]}…   clients {clients}")
    out.print()
    out.print("In another terminal:", style="bold")
    for words in (*suggest_calls(files), "status"):
        out.print(f"  {spell_command(files, words)}")
    out.print()
    out.print("Ctrl-C stops all of it.", style="dim")


def suggest_calls(files: GroupFile) -> tuple[str, ...]:
    """Return commands to try: known ones for what is shipped, else the calls that need no argument."""
    from pbft.cli.tour_steps import SUGGESTED
    from pbft.loading import load_application
    from pbft.machine import describe

    name = files.group.genesis.application
    if name in SUGGESTED and ".py" not in files.application:
        return SUGGESTED[name]
    specs = describe(load_application(files.application))
    bare = [f"call {spec.name}" for spec in specs if not any(each.required for each in spec.parameters)]
    return (*bare[:2], f"apps {shlex.quote(files.application)}")


def spell_command(files: GroupFile, words: str) -> str:
    """Return a command line that means this very group and this very pbft, from any folder."""
    chosen = last_running()
    if words.startswith("apps") or (chosen is not None and chosen.resolve() == files.directory):
        return f"{spell_program()} {words}"
    where = shlex.quote(str(files.directory))
    return f"{spell_program()} {words} {'' if words.startswith('status') else '--group '}{where}"


def spell_program() -> str:
    """Return what starts this very pbft: its plain name where a shell would find it, else a path."""
    script = Path(sysconfig.get_path("scripts")) / "pbft"
    found = shutil.which("pbft")
    if found is not None and script.exists() and Path(found).samefile(script):
        return "pbft"
    if script.exists():
        return shlex.quote(str(script))
    home = str(Path(__file__).resolve().parents[2])
    return f"PYTHONPATH={shlex.quote(home)} {shlex.quote(sys.executable)} -m pbft.cli"
