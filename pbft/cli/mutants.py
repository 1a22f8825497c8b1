"""`pbft mutants`: bugs of the protocol, planted one at a time, that the swarm has to catch.

Owns: this command: which mutants, what is shown of each, and the count at the end. What is planted and who catches it
is `pbft.testing`'s matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pbft.cli.output import say, say_json
from pbft.cli.runs import JobsOption, leave
from pbft.cli.where import JsonOption
from pbft.console.outcome import Failure
from pbft.wording import count, quote, suggest

if TYPE_CHECKING:
    from pbft.testing.mutants.hunt import Fate

_ORACLE_WIDTH: Final = 20
"""Of the column that names oracles: the longest is a rule of the driver's, or an error's name."""


def mutants(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME…", show_default=False, help="Which ones. Default: all.")
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=1, help="Seeds tried at most for each, from 0 on.")
    ] = 500,
    jobs: JobsOption = None,
    listed: Annotated[bool, typer.Option("--list", help="Name them, and say what each breaks. Hunt none.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Plant bugs in simulated groups, and tell which oracle catches each, after how many seeds.

    Ends with 1 when any survives.
    """
    chosen = _choose(names or [])
    if listed:
        return _list(chosen, as_json)
    width = max(map(len, chosen))
    if not as_json:
        say(_row("mutant", "oracle", "seeds needed", width), "bold")
    killed = survived = 0
    interrupted = False
    try:
        for fate in _hunt(chosen, seeds, jobs):
            killed += fate.is_kill
            survived += not fate.is_kill
            _show(fate, width, as_json)
    except KeyboardInterrupt:
        interrupted = True
    if as_json:
        say_json({"mutants": killed + survived, "killed": killed, "survived": survived, "interrupted": interrupted})
    else:
        ended = f"interrupted after {killed + survived} of {len(chosen)}: " if interrupted else ""
        say(f"{ended}{killed} of {count(killed + survived, 'mutant')} killed", "red" if survived else "green")
    leave(interrupted, survived)


def _choose(names: list[str]) -> list[str]:
    """Return the mutants that are asked for, each once: all where none is named."""
    from pbft.testing.mutants import catalogue

    for name in names:
        if name not in catalogue():
            raise Failure(f"there is no mutant {quote(name)}{suggest(name, catalogue())}")
    return list(dict.fromkeys(names)) or list(catalogue())


def _list(chosen: Sequence[str], as_json: bool) -> None:
    from pbft.testing.mutants import catalogue

    for name in chosen:
        breaks = catalogue()[name].breaks
        if as_json:
            say_json({"mutant": name, "breaks": breaks})
        else:
            say(f"{name}: {breaks}")


def _hunt(chosen: Sequence[str], seeds: int, jobs: int | None) -> Iterator[Fate]:
    from pbft.testing.mutants.hunt import hunts
    from pbft.testing.swarm import Pool

    with Pool(1 if len(chosen) == 1 else jobs) as pool:
        yield from hunts(chosen, range(seeds), pool)


def _show(fate: Fate, width: int, as_json: bool) -> None:
    """Show what became of one mutant."""
    if as_json:
        say_json({**asdict(fate), "killed": fate.is_kill})
    else:
        say_fate(fate, width)


def say_fate(fate: Fate, width: int) -> None:
    """Say what became of one mutant: a row of the table, whose first column is so wide."""
    say(_row(fate.mutant, fate.oracle or "survived", str(fate.seeds), width), "" if fate.is_kill else "red")


def _row(mutant: str, oracle: str, seeds: str, width: int) -> str:
    return f"{mutant:{width}}  {oracle:{_ORACLE_WIDTH}}  {seeds}"
