"""A thousand seeds, each another group, workload, network and mix of faults: all agree, heal and finish.

PBFT_SWARM_SEEDS=N runs another number of seeds, for a quicker look or a longer one. None is ever skipped: a seed that
fails is a bug, and its last line is the command that shows it again.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pbft.testing import swarm
from pbft.testing.mutants import COUNTS
from pbft.testing.rare_paths import RarePath
from tests.swarm.tally import SEEDS, TALLY

pytestmark = pytest.mark.pooled

BLOCK = 50
FEW = 40
"""Seeds that start no processes: that would take longer than they do."""

MANY = 1_000
"""Seeds that go every rare path at least once."""

STAGED = max(6, min(60, SEEDS // 16)) if SEEDS <= MANY else SEEDS // 20
"""Seeds staged for transfers, which take several times as long as others."""

DELIVERIES = 1_500
"""What a seed delivers at least, on the average."""


@pytest.fixture(scope="module")
def pool() -> Iterator[swarm.Pool]:
    """Give the processes that all seeds run in."""
    with swarm.Pool(1 if SEEDS <= FEW else None) as pool:
        yield pool


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_seeds_agree_and_finish(pool: swarm.Pool, first: int) -> None:
    """Whatever a seed draws, no oracle fires, every call is answered in time, and one history is left."""
    TALLY.begin()
    failures = []
    deliveries = 0
    seeds = range(first, min(first + BLOCK, SEEDS))
    for done in pool.reports(seeds):
        if done.outcome is None:
            failures.append(f"seed {done.number}: {done.failure}")
        else:
            TALLY.count(done.outcome)
            deliveries += done.outcome.deliveries
    TALLY.end()
    assert not failures, "\n\n".join(failures)
    assert TALLY.sums["undecided"] <= 1 + TALLY.ended // 100
    assert len(seeds) < BLOCK or deliveries >= DELIVERIES * len(seeds)


@pytest.mark.parametrize("first", range(0, STAGED, BLOCK))
def test_seeds_in_which_a_state_is_taken_over(pool: swarm.Pool, first: int) -> None:
    """Staged for it, most seeds have a replica that takes over a state, from sources some of which lie (R7).

    `pbft swarm --staged states --seeds 0:1000` runs as many as you like.
    """
    seeds = range(first, min(first + BLOCK, STAGED))
    ended = list(pool.reports(seeds, staged="states"))
    failures = [f"seed {done.number}: {done.failure}" for done in ended if done.outcome is None]
    assert not failures, "\n\n".join(failures)
    outcomes = [done.outcome for done in ended if done.outcome is not None]
    assert sum(each.transfers > 0 for each in outcomes) >= len(outcomes) // 2
    refused = sum(each.rare_paths.get(RarePath.NODE_REFUSED.value, 0) for each in outcomes)
    assert len(outcomes) < BLOCK or refused > 0


def test_every_rare_path_was_gone() -> None:
    """A thousand seeds go every way there is to count; fewer may miss some, and say so in the summary."""
    if TALLY.ended >= MANY:
        assert TALLY.never == []


@pytest.mark.parametrize("plant", COUNTS)
def test_planted_bugs_are_caught(pool: swarm.Pool, plant: str) -> None:
    """A quorum one short is caught at its first certificate, whatever else goes wrong in the run.

    Batches commit in every run; checkpoints and views are come to in many of them.
    """
    failures = [done.failure for done in pool.reports(range(16), plant) if done.outcome is None]
    assert all(failure.startswith("O6: ") for failure in failures), "\n\n".join(failures)
    assert len(failures) >= {"prepared": 16, "committed": 16, "stable": 6, "view_change": 3}[plant]


@pytest.mark.parametrize("n", [4, 7])
def test_every_plan_can_be_drawn_for_a_size(n: int) -> None:
    """A size that is asked for changes nothing else in what a seed may draw."""
    plans = [swarm.Plan.draw(seed, n) for seed in range(50)]
    assert [plan.n for plan in plans] == [n] * 50
    assert len(dict.fromkeys(plan.heal_ms for plan in plans)) > 40
