"""How a seed's run, or a plan's, ended, for whoever counts runs.

Owns: from a seed to its report, and the commands that replay.
"""

from __future__ import annotations

from collections.abc import Mapping

from pbft.testing import runs
from pbft.testing.runs import Echo, tell
from pbft.testing.swarm.outcome import Outcome
from pbft.testing.swarm.plan import Plan
from pbft.testing.swarm.playing import Stage, play
from pbft.testing.swarm.workloads import WORKLOADS, Workload

Report = runs.Report[Outcome]


def run(
    seed: int, plant: str | None = None, echo: Echo | None = None, n: int | None = None, staged: str | None = None
) -> Outcome:
    """Draw a seed's plan and play it. Raises what `play` raises."""
    return play(Plan.draw(seed, n, staged), plant, echo, replay=command(seed, plant, n, staged))


def report(
    seed: int, plant: str | None = None, echo: Echo | None = None, n: int | None = None, staged: str | None = None
) -> Report:
    """Run a seed and tell its end, whatever that is."""
    return report_plan(Plan.draw(seed, n, staged), command(seed, plant, n, staged), plant, echo)


def report_plan(
    plan: Plan,
    replay: str,
    plant: str | None = None,
    echo: Echo | None = None,
    *,
    workloads: Mapping[str, Workload] = WORKLOADS,
) -> Report:
    """Play a plan and tell its end, whatever that is. `replay` is the command that shows it again."""
    stage: Stage | None = None

    def played() -> Outcome:
        nonlocal stage
        stage = Stage(plan, plant, echo, workloads=workloads, replay=replay)
        stage.play()
        return stage.outcome()

    def reached() -> Outcome | None:
        return None if stage is None else stage.outcome()

    return tell(plan.seed, replay, played, reached)


def command(seed: int, plant: str | None = None, n: int | None = None, staged: str | None = None) -> str:
    """Return the command that shows a seed's run again, line by line."""
    replicas = "" if n is None else f" --replicas {n}"
    stage = "" if staged is None else f" --staged {staged}"
    return f"pbft sim --seed {seed}{replicas}{stage} --trace" + ("" if plant is None else f" --plant {plant}")
