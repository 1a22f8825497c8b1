"""Thousands of enumerated scenarios of twins: all agree, heal and finish (T1 to T3).

PBFT_TWIN_SCENARIOS=N plays another number of them. None is ever skipped: a scenario that fails is a bug, and its last
line is the command that shows it again.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pbft.testing import swarm, twins
from tests.twins.tally import SCENARIOS, TALLY

pytestmark = pytest.mark.pooled

BLOCK = 500
FEW = 200
"""Scenarios that start no processes: that would take longer than they do."""


@pytest.fixture(scope="module")
def pool() -> Iterator[swarm.Pool]:
    """Give the processes that all scenarios are played in."""
    with swarm.Pool(1 if SCENARIOS <= FEW else None) as pool:
        yield pool


@pytest.mark.parametrize("first", range(0, SCENARIOS, BLOCK))
def test_twins_break_nothing(pool: swarm.Pool, first: int) -> None:
    """However the group is parted, no oracle fires, every call is answered in time, and one history is left."""
    TALLY.begin()
    failures = []
    seen = []
    numbers = range(first, min(first + BLOCK, SCENARIOS))
    for done in pool.each(twins.report, numbers):
        if done.outcome is None:
            failures.append(f"scenario {done.number}: {done.failure}")
        else:
            seen.append(done.outcome)
            TALLY.count(done.outcome)
    TALLY.end()
    assert not failures, "\n\n".join(failures[:5])
    # Scenarios are worth playing: views fail, twins are caught, and replicas fall behind.
    assert len(numbers) < BLOCK or sum(each.view_changes > 0 for each in seen) > len(seen) // 2
    assert len(numbers) < BLOCK or sum(each.accusers > 0 for each in seen) > len(seen) // 20
    assert len(numbers) < BLOCK or sum(each.transfers > 0 for each in seen) > len(seen) // 100
