"""`pbft swarm`: many simulated runs, each drawn from its seed, on all processors.

Owns: this command: which seeds, what is shown of each, and the counts at the end. What is drawn and judged is
`pbft.testing`'s matter.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pbft.cli.output import say, say_json
from pbft.cli.runs import JobsOption, is_watched, leave, progress, read_range, say_failure, say_interrupted
from pbft.cli.shrunk import shrink_and_keep
from pbft.cli.sim import (
    PlantOption,
    ReplicasOption,
    StagedOption,
    check_plant,
    check_replicas,
    check_staged,
    describe,
    say_lines,
    words,
)
from pbft.cli.sums import Sums, told_paths
from pbft.cli.where import JsonOption
from pbft.console.outcome import Failure
from pbft.wording import count, quote

if TYPE_CHECKING:
    from pbft.testing.swarm import Report

_FEW: Final = 4
"""So many seeds are run here: to start processes for them would take longer."""


def swarm(
    seeds: Annotated[str, typer.Option("--seeds", metavar="A:B", help="The seeds from A up to, not including, B.")],
    replicas: ReplicasOption = None,
    staged: StagedOption = None,
    plant: PlantOption = None,
    jobs: JobsOption = None,
    no_shrink: Annotated[bool, typer.Option("--no-shrink", help="Do not shrink what fails to a smaller plan.")] = False,
    save: Annotated[
        Path, typer.Option("--save", metavar="DIR", help="Where shrunk plans go. Nothing there is overwritten.")
    ] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Run many simulated groups, and report those that break. Ends with 1 when any did.

    The first seed that each oracle found wanting is shrunk to a plan that still fails, and written to a file.
    """
    numbers = read_range("--seeds", seeds, "seed")
    check_replicas(replicas)
    check_staged(staged)
    check_plant(plant)
    if save.exists() and not save.is_dir():
        raise Failure(f"--save takes a folder, and {quote(str(save))} is a file")
    from pbft.testing.swarm import Plan, Pool

    began = time.perf_counter()
    sums = Sums()
    interrupted = False
    try:
        with (
            progress("seed", len(numbers), as_json) as advance,
            Pool(1 if len(numbers) <= _FEW else jobs) as pool,
        ):
            for done in pool.reports(numbers, plant, replicas, staged):
                sums.count(done)
                advance()
                _show(done, as_json)
        seconds = time.perf_counter() - began
        for oracle, seed in sums.found.items() if not no_shrink else ():
            shrink_and_keep(Plan.draw(seed, replicas, staged), oracle, plant, save, as_json)
    except KeyboardInterrupt:
        interrupted = True
        seconds = time.perf_counter() - began
    counts = sums.told(seconds)
    if as_json:
        say_json({**counts, "interrupted": interrupted})
    else:
        say_lines("\n".join(told_paths(sums.times, sums.runs)))
        if interrupted:
            say_interrupted(sums.ended, len(numbers), "seed")
        say(_sum_up(counts), "red" if sums.failed else "green")
    leave(interrupted, sums.failed)


def _show(done: Report, as_json: bool) -> None:
    """Show one seed's end; where a bar moves, only what failed."""
    if as_json:
        say_json(describe(done))
    elif done.outcome is None:
        say_failure("seed", done)
    elif not is_watched(as_json):
        say(words(done, done.outcome))


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
