"""How a run ended, for whoever counts runs: its outcome, or what broke and how to see it again.

Owns: reports, and the commands that replay. A bug that raises is a failed run, and no end of the swarm.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass

from pbft.testing.oracles import OracleFailure
from pbft.testing.swarm.outcome import Outcome
from pbft.testing.swarm.plan import Plan
from pbft.testing.swarm.playing import Echo, Stage, play


@dataclass(frozen=True)
class Report:
    """A run's end: its outcome, or why it failed."""

    seed: int
    seconds: float
    outcome: Outcome | None
    """What it came to; None when it failed."""
    failure: str
    """Empty when all is well; else what broke, the last lines of the trace, and the command that shows it again."""
    replay: str
    oracle: str = ""
    """The oracle that found a failure, or the name of the error that ended the run."""
    broken: Outcome | None = None
    """What a failed run had come to where it broke; None where it did not even begin."""

    @property
    def reached(self) -> Outcome | None:
        """What the run came to, failed or not."""
        return self.outcome or self.broken


def run(seed: int, plant: str | None = None, echo: Echo | None = None, n: int | None = None) -> Outcome:
    """Draw a seed's plan and play it. Raises what `play` raises."""
    return play(Plan.draw(seed, n), plant, echo, replay=command(seed, plant, n))


def report(seed: int, plant: str | None = None, echo: Echo | None = None, n: int | None = None) -> Report:
    """Run a seed and tell its end, whatever that is."""
    return report_plan(Plan.draw(seed, n), command(seed, plant, n), plant, echo)


def report_plan(plan: Plan, replay: str, plant: str | None = None, echo: Echo | None = None) -> Report:
    """Play a plan and tell its end, whatever that is. `replay` is the command that shows it again."""
    began = time.perf_counter()
    stage: Stage | None = None
    failure, oracle = "", ""
    try:
        stage = Stage(plan, plant, echo, replay=replay)
        stage.play()
    except OracleFailure as error:
        failure, oracle = str(error), error.oracle
    except AssertionError as error:
        failure, oracle = str(error), type(error).__name__
    except Exception as error:
        failure, oracle = "".join(traceback.format_exception(error)).rstrip(), type(error).__name__
    reached = stage.outcome() if stage is not None else None
    seconds = time.perf_counter() - began
    if oracle:
        return Report(plan.seed, seconds, None, failure, replay, oracle, reached)
    return Report(plan.seed, seconds, reached, "", replay)


def command(seed: int, plant: str | None = None, n: int | None = None) -> str:
    """Return the command that shows a seed's run again, line by line."""
    replicas = "" if n is None else f" --replicas {n}"
    return f"pbft sim --seed {seed}{replicas} --trace" + ("" if plant is None else f" --plant {plant}")
