"""`pbft check`: whether an application is deterministic, keeps its rules, and survives liars and recovery.

Owns: this command's words: which stages, with what, and what is shown while they run. The check is `pbft.conformance`'s
matter.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pbft.cli.local import read_pairs
from pbft.cli.output import console, say, say_json
from pbft.cli.runs import read_range
from pbft.cli.where import JsonOption
from pbft.console.outcome import ExitCode, Failure
from pbft.console.text import clean
from pbft.wording import quote


class Only(StrEnum):
    """A stage of the check."""

    SOURCE = "source"
    WORLDS = "worlds"
    FAULTS = "faults"


def check(
    application: Annotated[
        str, typer.Argument(metavar="APP", help="A name, path.py:Class or module:Class; see pbft apps.")
    ],
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", show_default=False, help="A parameter of the application."),
    ] = None,
    client: Annotated[
        list[str] | None,
        typer.Option(
            "--client", metavar="NAME", show_default=False, help="May be repeated. Default: alice, bob and carol."
        ),
    ] = None,
    examples: Annotated[
        int | None,
        typer.Option("--examples", metavar="N", min=1, show_default=False, help="Sequences to draw. Default: 80."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Which sequences are drawn.")] = 0,
    faults: Annotated[
        str, typer.Option("--faults", metavar="A:B", help="The seeds of the groups under faults, from A up to B.")
    ] = "0:20",
    only: Annotated[Only | None, typer.Option("--only", show_default=False, help="One stage alone.")] = None,
    save: Annotated[
        Path, typer.Option("--save", metavar="DIR", help="Where scripts go. Nothing there is overwritten.")
    ] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Check an application before it is shipped. Ends with 1 when anything was found.

    Its source is read for what replicas would not do alike; sequences of its operations are executed in processes that
    differ in hash seed, clock, random numbers, time zone and place, and compared after each operation; and groups of it
    run under liars, losses and crashes. What is found is shrunk, and written as a script that shows it again.
    """
    if save.exists() and not save.is_dir():
        raise Failure(f"--save takes a folder, and {quote(str(save))} is a file")
    seeds = read_range("--faults", faults, "seed")
    words = read_pairs("--set", "issuer=alice", setting or [])
    from pbft.conformance import checking
    from pbft.loading import load_application

    clients = _read_clients(client or checking.CLIENTS)
    with _quietly(as_json):
        parameters = checking.read_parameters(load_application(application), words, clients)
    with _quietly(as_json), _progress(as_json) as moved, _no_traces():
        report = checking.check(
            application,
            parameters,
            clients=clients,
            seed=seed,
            examples=examples or checking.EXAMPLES,
            faults=seeds,
            only=checking.STAGES if only is None else (only.value,),
            save=save,
            told=None if as_json else _show,
            moved=moved,
        )
    if as_json:
        say_json(report.to_json())
    else:
        _show(report.last_lines)
    if not report.ok:
        raise typer.Exit(ExitCode.REJECTED)


def _read_clients(names: Sequence[str]) -> tuple[str, ...]:
    from pbft.group_file import NAME, NAME_RULE

    for name in names:
        if not NAME.fullmatch(name):
            raise Failure(f"{quote(name)} is no name for a client; {NAME_RULE}")
        if names.count(name) > 1:
            raise Failure(f"--client names {name} twice; each client once")
    return tuple(names)


def _show(lines: Sequence[str]) -> None:
    for line in lines:
        say(line)


@contextlib.contextmanager
def _quietly(as_json: bool) -> Iterator[None]:
    """Keep what the application prints out of the one object that is to be printed."""
    if not as_json:
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


@contextlib.contextmanager
def _progress(as_json: bool) -> Iterator[Callable[[str], None]]:
    """Give what shows how far the check is: on a terminal one line that changes, elsewhere nothing."""
    if as_json or not sys.stdout.isatty():
        yield lambda _: None
        return
    with console().status("checking…") as status:
        yield lambda text: status.update(clean(f"{text}…"))


@contextlib.contextmanager
def _no_traces() -> Iterator[None]:
    """Give hypothesis a folder for its notes that is gone afterwards, rather than one where the user is."""
    if "hypothesis" in sys.modules:
        # It has one already, which is not ours to choose.
        yield
        return
    with tempfile.TemporaryDirectory(prefix="pbft-check-") as folder:
        os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", folder)
        yield
