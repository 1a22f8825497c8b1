"""`pbft twins`: enumerated scenarios of replicas that run twice, on all processors.

Owns: this command: which scenarios, what is shown of each, and the counts at the end. What they are and what is judged
is `pbft.testing`'s matter.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pbft.cli.output import say, say_json
from pbft.cli.runs import JobsOption, is_watched, leave, progress, read_range, say_failure, say_interrupted
from pbft.cli.sim import say_lines
from pbft.cli.sums import Totals
from pbft.cli.where import JsonOption
from pbft.console.outcome import ExitCode, Failure
from pbft.wording import count

if TYPE_CHECKING:
    from pbft.testing.twins import Report

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
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play scenarios of replicas that run twice, and report those that break. Ends with 1 when any did."""
    numbers = _read_scenarios(scenarios)
    if trace:
        _play_one(numbers, as_json)
        return
    from pbft.testing.swarm import Pool
    from pbft.testing.twins import report

    began = time.perf_counter()
    totals = Totals(*_SUMMED)
    interrupted = False
    try:
        with (
            progress("scenario", len(numbers), as_json) as advance,
            Pool(1 if len(numbers) <= _FEW else jobs) as pool,
        ):
            for done in pool.each(report, numbers):
                totals.count(done)
                advance()
                if done.outcome is None:
                    _tell_failure(done, as_json)
                if totals.ended % _TOLD_EVERY == 0 and not as_json and not is_watched(as_json):
                    say(f"{totals.ended} of {count(len(numbers), 'scenario')}")
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - began
    times = {"seconds": round(seconds, 3), "scenarios_per_second": round(totals.ended / seconds)}
    counts = {"scenarios": totals.ended, "failed": totals.failed, **totals.summed, **times}
    if as_json:
        say_json({**counts, "interrupted": interrupted})
    else:
        if interrupted:
            say_interrupted(totals.ended, len(numbers), "scenario")
        say(_sum_up(counts), "red" if totals.failed else "green")
    leave(interrupted, totals.failed)


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


def _read_scenarios(text: str) -> range:
    from pbft.testing.twins import SPACE

    numbers = read_range("--scenarios", text, "number")
    if numbers.stop > len(SPACE):
        raise Failure(f"there are {len(SPACE)} scenarios, numbered from 0 on; {numbers.stop} is beyond the last")
    return numbers


def _tell_failure(done: Report, as_json: bool) -> None:
    from pbft.testing.twins import SPACE

    told = SPACE.scenario(done.number).told()
    if as_json:
        say_json({"scenario": done.number, "told": told, "failure": done.failure, "replay": done.replay})
    else:
        say_failure("scenario", done, told)


def _sum_up(counts: dict[str, Any]) -> str:
    scenarios = count(counts["scenarios"], "scenario")
    ended = f"{counts['failed']} of {scenarios} failed" if counts["failed"] else f"{scenarios} agreed and finished"
    return (
        f"{ended}: {counts['deliveries']} deliveries, {counts['view_changes']} view changes, "
        f"{counts['checkpoints']} checkpoints, {counts['transfers']} transfers in {counts['seconds']:.1f} s "
        f"({counts['scenarios_per_second']} scenarios a second)"
    )
