"""`pbft byzzfuzz`: short runs in which a few rounds are faulty, after a paper's setting for PBFT.

Owns: this command: which runs, what is shown of each, and the counts at the end. What is drawn and judged is
`pbft.testing.byzzfuzz`'s matter.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pbft.cli.output import say, say_json
from pbft.cli.runs import JobsOption, leave, progress, read_range, say_failure, say_interrupted
from pbft.cli.sim import say_lines
from pbft.cli.sums import Totals
from pbft.cli.where import JsonOption
from pbft.console.outcome import ExitCode, Failure
from pbft.wording import count

if TYPE_CHECKING:
    from pbft.testing.byzzfuzz import Report, Shape

_FEW: Final = 16
"""So many runs are played here: to start processes for them would take longer."""

_SUMMED: Final = ("deliveries", "parted", "lies", "view_changes")


def byzzfuzz(
    runs: Annotated[str, typer.Option("--runs", metavar="A:B", help="The runs from A up to, not including, B.")],
    small_scope: Annotated[
        bool, typer.Option("--small-scope", help="Only mutations that change little. Default: each run draws.")
    ] = False,
    any_scope: Annotated[
        bool, typer.Option("--any-scope", help="Only mutations that put anything into a field.")
    ] = False,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=1, help="Among so many rounds faults are drawn.")
    ] = 8,
    network_faults: Annotated[
        int, typer.Option("--network-faults", metavar="N", min=0, help="Rounds with a partition, at most.")
    ] = 2,
    process_faults: Annotated[
        int, typer.Option("--process-faults", metavar="N", min=0, help="Rounds in which the liar lies, at most.")
    ] = 2,
    trace: Annotated[bool, typer.Option("--trace", help="Print every line of one run's trace.")] = False,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play short runs with a few faulty rounds (ByzzFuzz), and report those that break. Ends with 1 when any did."""
    numbers = read_range("--runs", runs, "run")
    first = numbers.start
    if trace and len(numbers) > 1:
        raise Failure(f"--trace shows one run, as in --runs {first}:{first + 1}")
    shape = _shape(rounds, network_faults, process_faults, small_scope, any_scope)
    if trace:
        return _show(first, shape, as_json)
    counts, interrupted = _play(numbers, shape, jobs, as_json)
    if as_json:
        say_json({**counts, "interrupted": interrupted})
    else:
        if interrupted:
            say_interrupted(counts["runs"], len(numbers), "run")
        say(_sum_up(counts), "red" if counts["violations"] else "green")
    leave(interrupted, counts["violations"])


def _play(numbers: range, shape: Shape, jobs: int | None, as_json: bool) -> tuple[dict[str, Any], bool]:
    """Play runs, show those that break, and return the counts and whether somebody interrupted."""
    from pbft.testing.byzzfuzz import report
    from pbft.testing.swarm import Pool

    began = time.perf_counter()
    totals = Totals(*_SUMMED)
    interrupted = False
    try:
        with progress("run", len(numbers), as_json) as advance, Pool(1 if len(numbers) <= _FEW else jobs) as pool:
            for done in pool.each(functools.partial(report, shape=shape), numbers):
                totals.count(done)
                advance()
                if as_json:
                    say_json(_describe(done))
                elif done.outcome is None:
                    say_failure("run", done)
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - began
    times = {"seconds": round(seconds, 3), "runs_per_second": round(totals.ended / seconds, 1)}
    return {"runs": totals.ended, "violations": totals.failed, **totals.summed, **times}, interrupted


def _shape(rounds: int, network_faults: int, process_faults: int, small_scope: bool, any_scope: bool) -> Shape:
    from pbft.testing.byzzfuzz import Shape

    if small_scope and any_scope:
        raise Failure("choose one of --small-scope and --any-scope; without them each run draws one of the two")
    for name, number in (("--network-faults", network_faults), ("--process-faults", process_faults)):
        if number > rounds:
            raise Failure(f"{name} is at most the {count(rounds, 'round')} of --rounds, not {number}")
    return Shape(rounds, network_faults, process_faults, "small" if small_scope else "any" if any_scope else None)


def _show(number: int, shape: Shape, as_json: bool) -> None:
    """Play one run and show its scenario, every line of its trace, and what came of it."""
    from pbft.testing.byzzfuzz import Scenario, report

    told = Scenario.draw(number, shape).told()
    if not as_json:
        for line in told:
            say(line, "dim")
    done = report(number, shape, None if as_json else say_lines)
    if as_json:
        say_json({**_describe(done), "scenario": told})
    elif done.outcome is None:
        say_failure("run", done)
    else:
        outcome = done.outcome
        mutations = ", ".join(f"{name} {times}" for name, times in outcome.mutations) or "none"
        say(
            f"run {number}: {count(outcome.rounds, 'round')}, {outcome.deliveries} deliveries, {outcome.virtual_ms} "
            f"virtual ms, {outcome.parted} messages parted, {outcome.view_changes} view changes; mutations: {mutations}"
        )
    if done.outcome is None:
        raise typer.Exit(ExitCode.REJECTED)


def _describe(done: Report) -> dict[str, Any]:
    told: dict[str, Any] = {"run": done.number, "ok": done.outcome is not None, "seconds": round(done.seconds, 3)}
    if done.outcome is None:
        return {**told, "failure": done.failure, "replay": done.replay}
    outcome = done.outcome
    return {
        **told,
        **{name: getattr(outcome, name) for name in (*_SUMMED, "rounds", "virtual_ms", "trace_digest")},
        "mutations": dict(outcome.mutations),
    }


def _sum_up(counts: dict[str, Any]) -> str:
    return (
        f"{count(counts['runs'], 'run')} in {counts['seconds']} s, {count(counts['violations'], 'violation')}: "
        f"{counts['parted']} messages parted, {counts['lies']} mutated, {counts['view_changes']} view changes, "
        f"{counts['deliveries']} deliveries ({counts['runs_per_second']} runs a second)"
    )
