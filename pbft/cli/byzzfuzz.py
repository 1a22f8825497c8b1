"""`pbft byzzfuzz`: short runs in which a few rounds are faulty, after a paper's setting for PBFT.

Owns: this command: which runs, what is shown of each, and the counts at the end. What is drawn and judged is
`pbft.testing.byzzfuzz`'s matter.
"""

from __future__ import annotations

import functools
import re
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pbft.cli.failures import ExitCode, Failure
from pbft.cli.output import say, say_json
from pbft.cli.sim import say_lines
from pbft.cli.where import JsonOption
from pbft.wording import count, quote

if TYPE_CHECKING:
    from pbft.testing.byzzfuzz import Report, Shape

_RANGE: Final = re.compile(r"([0-9]{1,18}):([0-9]{1,18})")
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
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", min=1, show_default=False, help="Processes. Default: one a processor."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Play short runs with a few faulty rounds (ByzzFuzz), and report those that break. Ends with 1 when any did."""
    first, end = _read_range(runs)
    if trace and end - first > 1:
        raise Failure(f"--trace shows one run, as in --runs {first}:{first + 1}")
    shape = _shape(rounds, network_faults, process_faults, small_scope, any_scope)
    if trace:
        return _show(first, shape, as_json)
    counts, interrupted = _play(range(first, end), shape, jobs, as_json)
    if as_json:
        say_json({**counts, "interrupted": interrupted})
    else:
        if interrupted:
            say(f"interrupted after {counts['runs']} of {count(end - first, 'run')}", "yellow")
        say(_sum_up(counts), "red" if counts["violations"] else "green")
    if interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if counts["violations"]:
        raise typer.Exit(ExitCode.REJECTED)


def _play(numbers: range, shape: Shape, jobs: int | None, as_json: bool) -> tuple[dict[str, Any], bool]:
    """Play runs, show those that break, and return the counts and whether somebody interrupted."""
    from pbft.testing.byzzfuzz import report
    from pbft.testing.swarm import Pool

    began = time.perf_counter()
    runs = violations = 0
    totals = dict.fromkeys(_SUMMED, 0)
    interrupted = False
    try:
        with Pool(1 if len(numbers) <= _FEW else jobs) as pool:
            reports = pool.each(functools.partial(report, shape=shape), numbers)
            for done in reports if as_json or not sys.stdout.isatty() else _tracked(reports, len(numbers)):
                runs += 1
                if as_json:
                    say_json(_describe(done))
                if done.outcome is not None:
                    totals = {name: totals[name] + getattr(done.outcome, name) for name in _SUMMED}
                    continue
                violations += 1
                if not as_json:
                    _say_failure(done)
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - began
    rate = round(runs / seconds, 1)
    times = {"seconds": round(seconds, 3), "runs_per_second": rate}
    return {"runs": runs, "violations": violations, **totals, **times}, interrupted


def _tracked(reports: Iterator[Report], total: int) -> Iterable[Report]:
    """Show a bar that moves where somebody watches."""
    from rich.progress import track

    from pbft.cli.output import console

    return track(reports, "runs", total, console=console(), transient=True)


def _read_range(runs: str) -> tuple[int, int]:
    found = _RANGE.fullmatch(runs)
    if found is None or int(found[1]) >= int(found[2]):
        raise Failure(f"--runs takes a first run and the one after the last, as in 0:100, not {quote(runs)}")
    return int(found[1]), int(found[2])


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
        _say_failure(done)
    else:
        outcome = done.outcome
        mutations = ", ".join(f"{name} {times}" for name, times in outcome.mutations) or "none"
        say(
            f"run {number}: {count(outcome.rounds, 'round')}, {outcome.deliveries} deliveries, {outcome.virtual_ms} "
            f"virtual ms, {outcome.parted} messages parted, {outcome.view_changes} view changes; mutations: {mutations}"
        )
    if done.outcome is None:
        raise typer.Exit(ExitCode.REJECTED)


def _say_failure(done: Report) -> None:
    say(f"run {done.number} failed.", "red")
    say_lines(done.failure)
    if done.replay not in done.failure:
        say(f"replay: {done.replay}")


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
