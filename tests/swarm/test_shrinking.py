"""Shrinking: the smallest plan that fails in the same way, found by a search that is the same every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pbft.core.group import Limits
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.testing import swarm
from pbft.testing.swarm import Plan, Program, faults, shrink

LARGE = replace(
    next(plan for plan in map(Plan.draw, range(1_000)) if plan.n == 7 and len(plan.programs) == 4),
    byzantine=((0, "Censor+TimeLiar"), (6, "Replayer")),
    colluders=("dave",),
    faults=(
        faults.Cut(100, 900, 0, 1, both=True),
        faults.Paused(200, 300, 2),
        faults.Isolated(300, 1_000, 5),
        faults.Dropped(400, 700, "PREPARE", 1, 2),
    ),
    heal_ms=2_000,
)
"""Much that may go wrong, in a group of seven."""


def shrunk(fails: Callable[[Plan], bool], most_runs: int = 5_000) -> Plan:
    """Return the smallest plan found, after a look at whether the search went to its end."""
    found = shrink(LARGE, fails, most_runs)
    assert found.ended
    assert fails(found.plan)
    return found.plan


def test_what_always_fails_shrinks_to_next_to_nothing() -> None:
    plan = shrunk(lambda _: True)
    assert (plan.n, plan.faults, plan.byzantine, plan.colluders, plan.heal_ms) == (4, (), (), (), 1)
    assert [(each.calls, each.operations, each.start_ms, each.think_ms) for each in plan.programs] == [(1, 1, 0, 0)]
    assert (plan.loss, plan.duplicate, plan.reorder, plan.delay_ms, plan.spread) == (0.0, 0.0, 0.0, (1, 1), "even")
    assert (plan.limits, plan.settings, plan.session_settings) == (Limits(), ReplicaSettings(), SessionSettings())
    assert plan.seed == LARGE.seed


def test_what_it_takes_is_kept() -> None:
    """A fault, a liar of two, a setting and a size without which it does not fail stay; all else goes."""

    def fails(plan: Plan) -> bool:
        pauses = [fault for fault in plan.faults if isinstance(fault, faults.Paused)]
        lies = any("TimeLiar" in name for _, name in plan.byzantine)
        return bool(pauses) and lies and plan.n >= 5 and sum(each.calls for each in plan.programs) >= 3

    plan = shrunk(fails)
    assert (plan.n, plan.byzantine, plan.colluders) == (5, ((0, "TimeLiar"),), ())
    assert [(type(fault).__name__, fault.last_ms - fault.begin_ms) for fault in plan.faults] == [("Paused", 0)]
    assert len(plan.programs) == 1
    assert plan.programs[0].calls == 3
    assert plan.heal_ms <= 202


def test_clients_become_one() -> None:
    """Where two programs are needed, one key for both is simpler."""
    plan = shrunk(lambda plan: len(plan.programs) >= 2)
    assert len(plan.programs) == 2
    assert len(dict.fromkeys(each.client for each in plan.programs)) == 1


def test_one_setting_may_be_what_it_takes() -> None:
    large = replace(LARGE, settings=ReplicaSettings(window=2, early_bytes=2_048, transfer_bytes=1))
    plan = shrink(large, lambda plan: plan.settings.window == 2, 5_000).plan
    assert plan.settings == ReplicaSettings(window=2)


def test_plans_that_cannot_be_are_never_tried() -> None:
    """Whatever is tried could have been drawn or written: the plan's own rules see to that."""
    tried: list[Plan] = []

    def fails(plan: Plan) -> bool:
        tried.append(plan)
        return len(plan.faults) >= 2

    plan = shrink(LARGE, fails, 5_000).plan
    assert len(plan.faults) == 2
    assert LARGE not in tried
    assert len(dict.fromkeys(tried)) == len(tried), "none is tried twice"


def test_it_is_the_same_every_time() -> None:
    assert shrink(LARGE, lambda plan: plan.n > 4) == shrink(LARGE, lambda plan: plan.n > 4)


def test_it_ends_with_its_runs() -> None:
    """The smallest so far is what it returns then; each smaller one was told of."""
    told: list[tuple[int, Plan]] = []
    found = shrink(LARGE, lambda plan: bool(plan.faults), 7, lambda runs, plan: told.append((runs, plan)))
    assert (found.runs, found.ended) == (7, False)
    assert told[-1][1] == found.plan
    assert all(runs <= 7 for runs, _ in told)
    assert shrink(LARGE, lambda _: True, 0).plan == LARGE


@pytest.mark.parametrize("plant", ["prepared", "committed"])
def test_a_quorum_one_short_needs_one_call(plant: str) -> None:
    """A planted bug that every run shows: no faults, no liars, four replicas, one program with one call."""
    done = swarm.report(1, plant)
    found = swarm.smallest(Plan.draw(1), done.oracle, plant)
    assert found.ended
    assert (found.plan.n, found.plan.faults, found.plan.byzantine) == (4, (), ())
    assert found.plan.programs == (Program(found.plan.programs[0].client, 0, 1, 1, 0),)
    again = swarm.report_plan(found.plan, "", plant)
    assert again.oracle == done.oracle == "O6"
    assert swarm.report_plan(found.plan, "").outcome is not None, "without the bug it passes"
