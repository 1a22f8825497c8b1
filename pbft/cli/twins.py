"""`pbft twins`: enumerated scenarios of replicas that run twice, on all processors.

Owns: this command: which scenarios, what is shown of each, and the counts at the end. What they are and what is judged
is `pbft.testing`'s matter.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pbft.cli.failures import ExitCode, Failure
from pbft.cli.output import say, say_json
from pbft.cli.sim import say_lines
from pbft.cli.where import JsonOption
from pbft.wording import count, quote

if TYPE_CHECKING:
    from pbft.testing.twins import Report

_RANGE: Final = re.compile(r"([0-9]{1,18}):([0-9]{1,18})")
_FEW: Final = 200
"""So many scenarios are played here: to start processes for them would take longer."""

_TOLD_EVERY: Final = 1_000
"""Scenarios from one line to the next, where nobody watches a terminal."""

_SUMMED: Final = ("deliveries", "virtual_ms", "view_changes", "checkpoints", "transfers", "accusers")


def twins(
    scenarios: Annotated[
        str, typer.Option("--scenarios", metavar="A:B", help="The scenarios from A up to, not including, B.")
    ],
    trace: Annotated[bool, typer.Option("--trace", help="Print every line of the trace, for one scenario.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", min=1, show_default=False, help="Processes. Default: one a processor."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Play scenarios of replicas that run twice, and report those that break. Ends with 1 when any did."""
    numbers = _read_range(scenarios)
    if trace:
        _play_one(numbers, as_json)
        return
    from pbft.testing.swarm import Pool
    from pbft.testing.twins import report

    began = time.perf_counter()
    totals = dict.fromkeys(("scenarios", "failed", *_SUMMED), 0)
    interrupted = False
    try:
        with _progress(len(numbers), as_json) as advance, Pool(1 if len(numbers) <= _FEW else jobs) as pool:
            for done in pool.each(report, numbers):
                totals["scenarios"] += 1
                if done.outcome is None:
                    totals["failed"] += 1
                    _tell_failure(done, as_json)
                else:
                    totals = {name: each + getattr(done.outcome, name, 0) for name, each in totals.items()}
                advance()
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - began
    if as_json:
        say_json({**totals, "seconds": round(seconds, 3), "interrupted": interrupted})
    else:
        say(_sum_up(totals, seconds), "red" if totals["failed"] else "green")
    if interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if totals["failed"]:
        raise typer.Exit(ExitCode.REJECTED)


def _play_one(numbers: range, as_json: bool) -> None:
    """Show one scenario: what happens in it, every line of its trace, and what it came to."""
    if len(numbers) != 1 or as_json:
        raise Failure("--trace is for one scenario, as in --scenarios 7:8, and for people")
    from pbft.testing.twins import SPACE, report

    for line in SPACE.scenario(numbers[0]).told():
        say(line, "dim")
    done = report(numbers[0], echo=say_lines)
    if done.outcome is None:
        _tell_failure(done, as_json)
        raise typer.Exit(ExitCode.REJECTED)
    words = ", ".join(f"{name} {value}" for name, value in asdict(done.outcome).items())
    say(f"scenario {done.number}: {words}", "green")


def _read_range(scenarios: str) -> range:
    from pbft.testing.twins import SPACE

    found = _RANGE.fullmatch(scenarios)
    if found is None or int(found[1]) >= int(found[2]):
        raise Failure(
            f"--scenarios takes a first number and the one after the last, as in 0:100, not {quote(scenarios)}"
        )
    if int(found[2]) > len(SPACE):
        raise Failure(f"there are {len(SPACE)} scenarios, numbered from 0 on; {found[2]} is beyond the last")
    return range(int(found[1]), int(found[2]))


def _tell_failure(done: Report, as_json: bool) -> None:
    from pbft.testing.twins import SPACE

    told = SPACE.scenario(done.number).told()
    if as_json:
        say_json({"scenario": done.number, "told": told, "failure": done.failure, "replay": done.replay})
        return
    say(f"scenario {done.number} failed.", "red")
    say_lines("\n".join((*told, done.failure)))
    if done.replay not in done.failure:
        say(f"replay: {done.replay}")


@contextlib.contextmanager
def _progress(scenarios: int, as_json: bool) -> Iterator[Callable[[], None]]:
    """Give what counts: a bar that moves where somebody watches a terminal, a line now and then elsewhere."""
    if as_json:
        yield lambda: None
        return
    if not sys.stdout.isatty():
        done = iter(range(1, scenarios + 1))

        def told() -> None:
            number = next(done)
            if number % _TOLD_EVERY == 0:
                say(f"{number} of {count(scenarios, 'scenario')}")

        yield told
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from pbft.cli.output import console

    columns = (TextColumn("scenarios"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console(), transient=True) as bar:
        task = bar.add_task("", total=scenarios)
        yield lambda: bar.advance(task)


def _sum_up(totals: dict[str, Any], seconds: float) -> str:
    scenarios = count(totals["scenarios"], "scenario")
    ended = f"{totals['failed']} of {scenarios} failed" if totals["failed"] else f"{scenarios} agreed and finished"
    return (
        f"{ended}: {totals['deliveries']} deliveries, {totals['view_changes']} view changes, "
        f"{totals['checkpoints']} checkpoints, {totals['transfers']} transfers in {seconds:.1f} s "
        f"({totals['scenarios'] / seconds:.0f} scenarios a second)"
    )
