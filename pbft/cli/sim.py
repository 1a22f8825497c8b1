"""`pbft sim`: one simulated run, replayed by its seed or from a file.

Owns: this command, and how a plan and its end are printed. What is drawn and judged is `pbft.testing`'s matter.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pbft.cli.output import say, say_json
from pbft.cli.where import JsonOption
from pbft.console.outcome import ExitCode, Failure
from pbft.console.text import clean
from pbft.core.group import MIN_REPLICAS
from pbft.wording import quote, suggest

if TYPE_CHECKING:
    from pbft.testing.swarm import Outcome, Plan, Report

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
        help="Plant a bug to see it caught: one of those that `pbft mutants --list` names.",
    ),
]

StagedOption = Annotated[
    str | None,
    typer.Option(
        "--staged",
        metavar="STAGE",
        show_default=False,
        help="Set up what chance meets seldom: views, states (one replica takes a state over), service, hoard, starve.",
    ),
]


def sim(
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="S", min=0, show_default=False, help="Which run: draw it.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", show_default=False, help="Which run: read it from a file.")
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print every line of the trace.")] = False,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", show_default=False, help="Write the run's plan to a file.")
    ] = None,
    replicas: ReplicasOption = None,
    staged: StagedOption = None,
    plant: PlantOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay one simulated run: its plan, and what came of it. Ends with 1 when it broke an invariant."""
    check_replicas(replicas)
    check_staged(staged)
    check_plant(plant)
    from pbft.testing.swarm import report_plan, write_plan

    chosen, replay = _choose(seed, plan, replicas, staged, plant)
    if save is not None:
        write_plan(save, chosen)
    if not as_json:
        for line in chosen.told():
            say(line, "dim")
    echo = (_print_line_as_json if as_json else _print_line) if trace else None
    done = report_plan(chosen, replay, plant, echo)
    if as_json:
        say_json({**describe(done), "plan": chosen.told()})
    elif done.outcome is None:
        say(f"{'the plan' if seed is None else f'seed {seed}'} failed.", "red")
        say_lines(done.failure)
    else:
        say(words(done, done.outcome))
    if done.outcome is None:
        raise typer.Exit(ExitCode.REJECTED)


def _choose(
    seed: int | None, path: Path | None, replicas: int | None, staged: str | None, plant: str | None
) -> tuple[Plan, str]:
    """Return the run that is asked for, and the command that shows it again."""
    from pbft.testing.swarm import Plan, command, read_plan, replay_command

    if (seed is None) == (path is None):
        raise Failure("say which run, by --seed S or by --plan FILE" + ("" if seed is None else ", not by both"))
    if path is None:
        assert seed is not None
        return Plan.draw(seed, replicas, staged), command(seed, plant, replicas, staged)
    if replicas is not None:
        raise Failure("a plan says how many replicas it has: leave out --replicas")
    if staged is not None:
        raise Failure("a plan is staged as it says: leave out --staged")
    return read_plan(path), replay_command(path, plant)


def check_replicas(replicas: int | None) -> None:
    """Refuse a size that no simulated group has."""
    from pbft.testing.swarm.soundness import MOST_SIMULATED

    if replicas is not None and not MIN_REPLICAS <= replicas <= MOST_SIMULATED:
        raise Failure(f"a simulated group has {MIN_REPLICAS} to {MOST_SIMULATED} replicas, not {replicas}")


def check_staged(staged: str | None) -> None:
    """Refuse a stage that there is not."""
    if staged is None:
        return
    from pbft.testing.swarm import STAGES

    if staged not in STAGES:
        raise Failure(f"there is no stage {quote(staged)}{suggest(staged, STAGES)}")


def check_plant(plant: str | None) -> None:
    """Refuse a bug that nobody can plant."""
    if plant is None:
        return
    from pbft.testing.mutants import catalogue

    if plant not in catalogue():
        raise Failure(f"there is no bug {quote(plant)} to plant{suggest(plant, catalogue())}")


def say_lines(text: str) -> None:
    """Print several lines, each cleaned."""
    for line in text.splitlines():
        _print_line(line)


def _print_line(line: str) -> None:
    # Not by a console of its own: a trace has tens of thousands of lines.
    print(clean(line))


def _print_line_as_json(line: str) -> None:
    at_ms, _, told = line.strip().partition(" ")
    print(json.dumps({"at_ms": int(at_ms), "trace": told}))


def words(done: Report, outcome: Outcome) -> str:
    """Return a run's end in one line."""
    return (
        f"seed {done.number}: n={outcome.n}, {outcome.sequences} sequences, {outcome.deliveries} deliveries, "
        f"{outcome.virtual_ms} virtual ms, {outcome.view_changes} view changes, {outcome.checkpoints} checkpoints, "
        f"{outcome.transfers} transfers, trace {outcome.trace_digest}"
    )


def describe(done: Report) -> dict[str, Any]:
    """Return a run's end for a program."""
    told: dict[str, Any] = {"seed": done.number, "ok": done.outcome is not None, "seconds": round(done.seconds, 3)}
    if done.reached is not None:
        told |= asdict(done.reached)
    if done.outcome is None:
        told |= {"oracle": done.oracle, "failure": done.failure, "replay": done.replay}
    return told
