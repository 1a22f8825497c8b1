"""ByzzFuzz runs: a few faulty rounds each, and no invariant breaks; planted bugs do.

PBFT_BYZZFUZZ_RUNS=N plays another number of runs than 300; the paper played 3,000 of PBFT. None is ever skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pbft.core import view_change
from pbft.core.agreement import Agreement
from pbft.core.group import Quorums
from pbft.core.log import Log
from pbft.core.reproposal import Reproposal, repropose
from pbft.testing import OracleFailure, byzzfuzz
from pbft.testing.byzzfuzz import Scenario, Shape
from pbft.testing.swarm import Pool
from tests.byzzfuzz.tally import RUNS, TALLY

pytestmark = pytest.mark.pooled

BLOCK = 100
FEW = 40
"""Runs that start no processes: that would take longer than they do."""


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Give the processes that all runs play in."""
    with Pool(1 if RUNS <= FEW else None) as pool:
        yield pool


@pytest.mark.parametrize("first", range(0, RUNS, BLOCK))
def test_no_invariant_breaks(pool: Pool, first: int) -> None:
    """Whatever rounds are faulty: no oracle fires, every call is answered in time, and one history is left."""
    TALLY.begin()
    done = list(pool.each(byzzfuzz.report, range(first, min(first + BLOCK, RUNS))))
    TALLY.end()
    for each in done:
        TALLY.count(each)
    failures = [f"run {each.number}: {each.failure}" for each in done if each.outcome is None]
    assert not failures, "\n\n".join(failures)
    assert any(each.outcome.lies and each.outcome.parted for each in done if each.outcome is not None)


def hunt(runs: int, shape: Shape | None = None, quorums: Quorums | None = None) -> str:
    """Return what the first run says that breaks, with the oracle of certificates left out; nothing when none does."""
    for number in range(runs):
        try:
            byzzfuzz.play(Scenario.draw(number, shape), quorums=quorums, without_oracles=("O6",))
        except OracleFailure as failure:
            return str(failure)
    return ""


def test_prepare_and_commit_quorums_one_short_are_found() -> None:
    """A lie in a round of pre-prepares splits the group, once two of four are enough: another batch there."""
    short = replace(Quorums.of(4), prepared=2, committed=2)
    assert hunt(400, Shape(network_faults=0, scope="small"), short).startswith(("O1: ", "O7: "))


def test_a_weak_quorum_one_short_is_found() -> None:
    """A client that believes one replica is told what nobody executed."""
    assert hunt(60, quorums=replace(Quorums.of(4), weak=1)).startswith("O3: ")


def test_a_vote_for_a_view_that_hides_what_it_prepared_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Log, "certificates", lambda *_: ())
    assert hunt(100).startswith("O7: ")


def test_a_view_that_forgets_its_last_batch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(*args: Any) -> Reproposal:
        whole = repropose(*args)
        return replace(whole, digests=whole.digests[:-1])

    monkeypatch.setattr(view_change, "repropose", forgetful)
    assert hunt(150).startswith("O7: ")


def test_a_replica_that_votes_on_in_a_view_it_left_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Agreement, "leave", lambda _: None)
    assert hunt(60).startswith("O4: ")
