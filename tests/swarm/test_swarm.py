"""Five hundred seeds, each another group, workload, network and mix of faults: all agree and finish.

PBFT_SWARM_SEEDS=N runs another number of seeds, for a quicker look or a longer one.
"""

from __future__ import annotations

import os
import time

import pytest

from pbft.testing import OracleFailure, swarm
from pbft.testing.byzantine import Adversary
from tests.swarm.tally import TALLY

SEEDS = int(os.environ.get("PBFT_SWARM_SEEDS", "500"))
BLOCK = 25


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_seeds_agree_and_finish(first: int) -> None:
    """Whatever the seed draws, every word gets a place of its own in one history, and no oracle fires."""
    for seed in range(first, min(first + BLOCK, SEEDS)):
        started = time.perf_counter()
        outcome = swarm.run(seed)
        TALLY.seconds += time.perf_counter() - started
        TALLY.seeds += 1
        TALLY.deliveries += outcome.deliveries


@pytest.mark.parametrize("plant", swarm.PLANTS)
def test_planted_bugs_are_caught_by_every_seed(plant: str) -> None:
    """A quorum one short is caught within any run, at its first certificate, whatever else goes wrong there."""
    for seed in range(25):
        with pytest.raises(OracleFailure) as failure:
            swarm.run(seed, plant)
        assert failure.value.oracle == "O6"


def test_the_swarm_draws_all_there_is() -> None:
    """Over five hundred seeds every size, window, fault and scheme comes up, and faults stay within f."""
    plans = [swarm.Plan.draw(seed) for seed in range(500)]

    def seen(values: list[object]) -> list[object]:
        return sorted(dict.fromkeys(values), key=str)

    assert seen([plan.n for plan in plans]) == [4, 5, 6, 7]
    assert seen([plan.window for plan in plans]) == [1, 16, 2, 4]
    assert seen([plan.loss for plan in plans]) == [0.0, 0.02, 0.05, 0.1, 0.2]
    assert seen([plan.signatures for plan in plans]) == ["ed25519", "simulated"]
    assert any(len(plan.sessions) > len(dict.fromkeys(plan.sessions)) for plan in plans)
    assert any(plan.crash is not None for plan in plans)
    kinds: list[type[Adversary]] = [kind for plan in plans for kind in plan.byzantine.values()]
    assert len(dict.fromkeys(kinds)) == len(swarm.ADVERSARIES)
    for plan in plans:
        assert len(plan.byzantine) + (plan.crash is not None) <= (plan.n - 1) // 3
        assert 0 not in plan.byzantine
        assert plan.crash != 0
