"""`pbft sim`: one simulated run, replayed by its seed.

Owns: this command, and how a plan and its end are printed. What is drawn and judged is `pbft.testing`'s matter.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pbft.cli.failures import ExitCode, Failure
from pbft.cli.output import clean, say, say_json
from pbft.cli.where import JsonOption
from pbft.core.group import MIN_REPLICAS
from pbft.wording import quote, suggest

if TYPE_CHECKING:
    from pbft.testing.swarm import Outcome, Report

_MOST_REPLICAS: Final = 31
"""Simulated at most: the messages of a run grow with the square."""

ReplicasOption = Annotated[
    int | None,
    typer.Option("--replicas", metavar="N", show_default=False, help="Groups of so many. Default: each seed draws."),
]
PlantOption = Annotated[
    str | None,
    typer.Option(
        "--plant",
        metavar="BUG",
        show_default=False,
        help="Plant a bug to see it caught: prepared, committed, stable or view_change, that quorum one short.",
    ),
]


def sim(
    seed: Annotated[int, typer.Option("--seed", metavar="S", min=0, help="Which run.")],
    trace: Annotated[bool, typer.Option("--trace", help="Print every line of the trace.")] = False,
    replicas: ReplicasOption = None,
    plant: PlantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay one simulated run: its plan, and what came of it. Ends with 1 when it broke an invariant."""
    check_replicas(replicas)
    check_plant(plant)
    from pbft.testing.swarm import Plan, report

    plan = Plan.draw(seed, replicas)
    if not as_json:
        for line in plan.told():
            say(line, "dim")
    done = report(seed, plant, _print_line if trace and not as_json else None, replicas)
    if as_json:
        say_json({**describe(done), "plan": plan.told()})
    elif done.outcome is None:
        say(f"seed {seed} failed.", "red")
        say_lines(done.failure)
    else:
        say(words(done, done.outcome))
    if done.outcome is None:
        raise typer.Exit(ExitCode.REJECTED)


def check_replicas(replicas: int | None) -> None:
    """Refuse a size that no simulated group has."""
    if replicas is not None and not MIN_REPLICAS <= replicas <= _MOST_REPLICAS:
        raise Failure(f"a simulated group has {MIN_REPLICAS} to {_MOST_REPLICAS} replicas, not {replicas}")


def check_plant(plant: str | None) -> None:
    """Refuse a bug that nobody can plant."""
    from pbft.testing.swarm import PLANTS

    if plant is not None and plant not in PLANTS:
        raise Failure(f"there is no bug {quote(plant)} to plant{suggest(plant, PLANTS)}")


def say_lines(text: str) -> None:
    """Print several lines, each cleaned."""
    for line in text.splitlines():
        _print_line(line)


def _print_line(line: str) -> None:
    # Not by a console of its own: a trace has tens of thousands of lines.
    print(clean(line))


def words(done: Report, outcome: Outcome) -> str:
    """Return a run's end in one line."""
    return (
        f"seed {done.seed}: n={outcome.n}, {outcome.sequences} sequences, {outcome.deliveries} deliveries, "
        f"{outcome.virtual_ms} virtual ms, {outcome.view_changes} view changes, {outcome.checkpoints} checkpoints, "
        f"{outcome.transfers} transfers, trace {outcome.trace_digest}"
    )


def describe(done: Report) -> dict[str, Any]:
    """Return a run's end for a program."""
    told: dict[str, Any] = {"seed": done.seed, "ok": done.outcome is not None, "seconds": round(done.seconds, 3)}
    if done.outcome is None:
        return {**told, "failure": done.failure, "replay": done.replay}
    return {**told, **asdict(done.outcome)}
