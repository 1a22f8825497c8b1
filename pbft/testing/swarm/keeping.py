"""Keeping a run that failed: shrunk, in a file of its own, with the command that replays it.

Owns: when two plans fail alike, the names of files, and the command. How plans are cut and written lies beside.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

from pbft.testing.swarm.plan import Plan
from pbft.testing.swarm.plan_file import dump_plan
from pbft.testing.swarm.reports import report_plan
from pbft.testing.swarm.shrinking import MOST_RUNS, Shrunk, Told, shrink

_ODD: Final = re.compile(r"[^A-Za-z0-9_-]+")


def smallest(
    plan: Plan, oracle: str, plant: str | None = None, told: Told | None = None, most_runs: int = MOST_RUNS
) -> Shrunk:
    """Return a smaller plan that the same oracle, or an error of the same name, ends."""
    return shrink(plan, lambda smaller: report_plan(smaller, "", plant).oracle == oracle, most_runs, told)


def keep(plan: Plan, oracle: str, folder: Path, plant: str | None = None) -> Path:
    """Write a plan into a folder, under a name that says which seed it was and what found it; return the path.

    What is there is never overwritten: a number is put behind the name instead. The folder is made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = "-".join(_ODD.sub("-", part) for part in (f"seed-{plan.seed}", oracle, *([plant] if plant else [])))
    number = 1
    while True:
        path = folder / (f"{name}.json" if number == 1 else f"{name}-{number}.json")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(dump_plan(plan))
            return path
        except FileExistsError:
            number += 1


def replay_command(path: Path, plant: str | None = None) -> str:
    """Return the command that plays a file's plan, line by line."""
    return f"pbft sim --plan {shlex.quote(str(path))} --trace" + ("" if plant is None else f" --plant {plant}")
