"""`pbft bench`: measurements on this machine, and whether what is promised of them holds.

Owns: these commands and their options. What is measured is `pbft.bench`'s matter, and how it is printed
`pbft.cli.figures`'.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pbft.cli.arguments import command
from pbft.cli.output import say, say_json
from pbft.cli.where import JsonOption
from pbft.console.outcome import ExitCode, Failure
from pbft.wording import quote, suggest

if TYPE_CHECKING:
    from pbft.bench.state import Part

_NUMBER: Final = re.compile(r"[0-9]{1,9}")

app = typer.Typer()


@app.callback(invoke_without_command=True)
def begin(context: typer.Context) -> None:
    """Measure what this library promises, on this machine."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def state(
    accounts: Annotated[
        str | None,
        typer.Option(
            "--accounts",
            metavar="N,N,…",
            show_default=False,
            help="How many accounts the ledger has. Default: 10000,100000,1000000.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="10000 accounts only: less than a minute.")] = False,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="PART,…",
            show_default=False,
            help="Of these only: checkpoints, memory, returning, newcomer, delays.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a large ledger: checkpoints, memory, and replicas that catch up. Ends with 1 when a bound is broken.

    A million accounts take minutes, and some gigabytes of memory.
    """
    from pbft.bench.state import machine, measure_state, notes, to_plain
    from pbft.cli.figures import say_part

    sizes, parts = _read_sizes(accounts, quick), _read_parts(only)
    told: dict[str, Any] = {"machine": machine(), "notes": notes(), "accounts": sizes, "parts": {}}
    if not as_json:
        say(", ".join(f"{name} {value}" for name, value in machine().items()), "dim")
        for note in notes().values():
            say(note, "dim")
    held = True
    for report in measure_state(sizes, parts):
        held = held and report.held
        told["parts"][report.part] = to_plain(report)
        if not as_json:
            say_part(report)
    if as_json:
        say_json({**told, "held": held})
    elif held:
        say("Every bound that applies holds.", "green")
    else:
        say("A bound is broken: see above.", "red")
    if not held:
        raise typer.Exit(ExitCode.REJECTED)


def plugin(
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds", metavar="N", show_default=False, help="Runs with it, and as many without. Default: 11."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what the pytest plugin costs runs that do not use it. Ends with 1 when more than a trifle is loaded."""
    from pbft.bench.plugin import ALLOWED_MODULES, MOST_ROUNDS, ROUNDS, measure_plugin
    from pbft.bench.state import machine, to_plain

    if rounds is not None and not 1 <= rounds <= MOST_ROUNDS:
        raise Failure(f"--rounds takes a number from 1 to {MOST_ROUNDS}, not {rounds}")
    if not as_json:
        say(", ".join(f"{name} {value}" for name, value in machine().items()), "dim")
    cost = measure_plugin(ROUNDS if rounds is None else rounds)
    if as_json:
        say_json({"machine": machine(), "plugin": to_plain(cost), "held": cost.held})
    else:
        say(f"modules  {len(cost.modules)}: {', '.join(cost.modules)}")
        say(
            f"time     {cost.with_ms:.1f} ms with the plugin, {cost.without_ms:.1f} ms without: "
            f"{cost.added_ms:+.1f} ms (medians of "
            f"{cost.rounds} runs of one empty test each, by turns, of the processor's time)"
        )
        if cost.held:
            say("A run of pytest that does not use the plugin loads these few modules and nothing else.", "green")
        else:
            say(f"A bound is broken: only {', '.join(ALLOWED_MODULES)} may be loaded.", "red")
    if not cost.held:
        raise typer.Exit(ExitCode.REJECTED)


def _read_sizes(text: str | None, quick: bool) -> list[int]:
    """Return the numbers of accounts that are asked for, each once, ascending."""
    from pbft.bench.state import LEAST_ACCOUNTS, MOST_ACCOUNTS, SIZES

    if text is not None and quick:
        raise Failure("--quick says how many accounts there are: leave out --accounts")
    if text is None:
        return list(SIZES[:1] if quick else SIZES)
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if not _NUMBER.fullmatch(word) or not LEAST_ACCOUNTS <= int(word) <= MOST_ACCOUNTS:
            raise Failure(
                f"--accounts takes numbers from {LEAST_ACCOUNTS} to {MOST_ACCOUNTS} with commas between them, as in "
                f"10000,100000, not {quote(word)}"
            )
    return sorted(dict.fromkeys(map(int, words)))


def _read_parts(text: str | None) -> list[Part]:
    """Return the measurements that are asked for, in their usual order."""
    from pbft.bench.state import PARTS

    if text is None:
        return list(PARTS)
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in PARTS:
            raise Failure(f"--only knows no measurement {quote(word)}{suggest(word, PARTS)}")
    return [part for part in PARTS if part in words]


command(app, "state", state)
command(app, "plugin", plugin)
