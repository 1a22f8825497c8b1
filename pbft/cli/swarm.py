"""`pbft swarm`: many simulated runs, each drawn from its seed, on all processors.

Owns: this command: which seeds, what is shown of each, and the counts at the end. What is drawn and judged is
`pbft.testing`'s matter.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pbft.cli.failures import ExitCode, Failure
from pbft.cli.output import say, say_json
from pbft.cli.shrunk import shrink_and_keep
from pbft.cli.sim import PlantOption, ReplicasOption, check_plant, check_replicas, describe, say_lines, words
from pbft.cli.sums import Sums, told_paths
from pbft.cli.where import JsonOption
from pbft.wording import count, quote

if TYPE_CHECKING:
    from pbft.testing.swarm import Outcome, Report

_RANGE: Final = re.compile(r"([0-9]{1,18}):([0-9]{1,18})")
_FEW: Final = 4
"""So many seeds are run here: to start processes for them would take longer."""


def swarm(
    seeds: Annotated[str, typer.Option("--seeds", metavar="A:B", help="The seeds from A up to, not including, B.")],
    replicas: ReplicasOption = None,
    plant: PlantOption = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", min=1, show_default=False, help="Processes. Default: one a processor."),
    ] = None,
    no_shrink: Annotated[bool, typer.Option("--no-shrink", help="Do not shrink what fails to a smaller plan.")] = False,
    save: Annotated[
        Path, typer.Option("--save", metavar="DIR", help="Where shrunk plans go. Nothing there is overwritten.")
    ] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Run many simulated groups, and report those that break. Ends with 1 when any did.

    The first seed that each oracle found wanting is shrunk to a plan that still fails, and written to a file.
    """
    first, end = _read_range(seeds)
    check_replicas(replicas)
    check_plant(plant)
    from pbft.testing.swarm import Plan, Pool

    began = time.perf_counter()
    sums = Sums()
    interrupted = False
    try:
        with _progress(end - first, as_json) as advance, Pool(1 if end - first <= _FEW else jobs) as pool:
            for done in pool.reports(range(first, end), plant, replicas):
                sums.count(done)
                advance(done)
        seconds = time.perf_counter() - began
        for oracle, seed in sums.found.items() if not no_shrink else ():
            shrink_and_keep(Plan.draw(seed, replicas), oracle, plant, save, as_json)
    except KeyboardInterrupt:
        interrupted = True
        seconds = time.perf_counter() - began
    failed = sums.failed
    counts = sums.told(seconds)
    if not as_json:
        say_lines("\n".join(told_paths(sums.times, sums.runs)))
    if as_json:
        say_json({**counts, "interrupted": interrupted})
    else:
        if interrupted:
            say(f"interrupted after {sums.seeds} of {count(end - first, 'seed')}", "yellow")
        say(_sum_up(counts), "red" if failed else "green")
    if interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if failed:
        raise typer.Exit(ExitCode.REJECTED)


def _read_range(seeds: str) -> tuple[int, int]:
    found = _RANGE.fullmatch(seeds)
    if found is None or int(found[1]) >= int(found[2]):
        raise Failure(f"--seeds takes a first seed and the one after the last, as in 0:100, not {quote(seeds)}")
    return int(found[1]), int(found[2])


class _Advance:
    """What is shown of each seed as it ends."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def __call__(self, done: Report) -> None:
        """Show one seed's end."""
        if self._as_json:
            say_json(describe(done))
        elif done.outcome is None:
            _say_failure(done)
        else:
            self.fine(done, done.outcome)

    def fine(self, done: Report, outcome: Outcome) -> None:
        """Show a seed that ended well."""
        say(words(done, outcome))


@contextlib.contextmanager
def _progress(seeds: int, as_json: bool) -> Iterator[_Advance]:
    """Give what shows each seed: a bar that moves where somebody watches a terminal, a line a seed elsewhere."""
    if as_json or not sys.stdout.isatty():
        yield _Advance(as_json)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from pbft.cli.output import console

    columns = (TextColumn("seeds"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console(), transient=True) as bar:
        task = bar.add_task("", total=seeds)

        class Bar(_Advance):
            def __call__(self, done: Report) -> None:
                """Move on by one, whatever its end was."""
                bar.advance(task)
                super().__call__(done)

            def fine(self, done: Report, outcome: Outcome) -> None:
                """Say no more of it."""

        yield Bar(as_json)


def _say_failure(done: Report) -> None:
    say(f"seed {done.seed} failed.", "red")
    say_lines(done.failure)
    if done.replay not in done.failure:
        say(f"replay: {done.replay}")


def _sum_up(counts: dict[str, Any]) -> str:
    seeds = count(counts["seeds"], "seed")
    ended = f"{counts['failed']} of {seeds} failed" if counts["failed"] else f"{seeds} agreed and finished"
    return (
        f"{ended}: {counts['deliveries']} deliveries, {counts['view_changes']} view changes, "
        f"{counts['checkpoints']} checkpoints, {counts['transfers']} transfers, {counts['undecided']} histories "
        f"undecided in {counts['seconds']} s "
        f"({counts['deliveries_per_second']} deliveries a second, {counts['virtual_hours_per_minute']} simulated "
        "hours a minute)"
    )
