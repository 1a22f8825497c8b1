"""Every size of group has its quorum: that many answer, one fewer do not (OSDI'99 section 4; design 4, wire rules)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.core.group import Quorums
from pbft.testing import Cluster, NotFinished, OracleFailure
from pbft.testing.byzantine import Adversary, Equivocator
from pbft_apps.counter import Counter

FAULTS_AND_QUORUM = {4: (1, 3), 5: (1, 4), 6: (1, 4), 7: (2, 5), 10: (3, 7)}

COLLUDERS: dict[int, dict[int, type[Adversary]]] = {4: {0: Equivocator}, 7: {0: Equivocator, 1: Equivocator}}


def one_short(n: int, *counts: str) -> Quorums:
    """Plant a bug: a quorum of n with the counts named one too low."""
    quorums = Quorums.of(n)
    return replace(quorums, **{count: getattr(quorums, count) - 1 for count in counts})


@pytest.mark.parametrize("n", FAULTS_AND_QUORUM)
def test_a_quorum_is_enough_and_one_fewer_is_not(n: int) -> None:
    """With only a quorum alive calls are answered; with one replica fewer nothing executes any more."""
    faults, quorum = FAULTS_AND_QUORUM[n]
    group = Cluster(Counter, seed=40 + n, n=n)
    alice = group.client("alice")
    assert group.gather(alice.call("add", 1)) == [1]

    for replica in range(quorum, n):
        group.crash(replica)
    answer = alice.call("add", 1)
    assert group.gather(answer) == [2]
    assert answer.completed is not None
    assert answer.completed.needed == faults + 1

    group.crash(quorum - 1)
    with pytest.raises(NotFinished):
        group.gather(alice.call("add", 1), within_ms=5_000)
    assert len(group.history(0)) == 2


@pytest.mark.parametrize("n", FAULTS_AND_QUORUM)
@pytest.mark.parametrize("count", ["prepared", "committed"])
def test_a_quorum_one_short_is_found_out(n: int, count: str) -> None:
    """A planted bug, no fault anywhere: the first certificate that is too small fires O6."""
    group = Cluster(Counter, seed=51, n=n, quorums=one_short(n, count))
    alice = group.client("alice")

    with pytest.raises(OracleFailure) as found:
        group.gather(alice.call("add", 1))

    assert found.value.oracle == "O6"
    assert f"{FAULTS_AND_QUORUM[n][1]} of {n} make a quorum" in found.value.sentence


@pytest.mark.parametrize("n", COLLUDERS)
def test_both_quorums_one_short_break_agreement(n: int) -> None:
    """What the quorums are for: with both counts one short an equivocating primary commits two batches at sequence 1.

    The oracle of certificates would notice first, so it is left out here: agreement itself is seen to break.
    """
    group = Cluster(
        Counter,
        seed=52,
        n=n,
        byzantine=COLLUDERS[n],
        quorums=one_short(n, "prepared", "committed"),
        without_oracles=("O6",),
    )
    alice, bob = group.clients("alice", "bob")

    with pytest.raises(OracleFailure) as found:
        group.gather(alice.call("add", 5), bob.call("add", 2))

    assert found.value.oracle == "O1"


@pytest.mark.parametrize("n", COLLUDERS)
@pytest.mark.parametrize("count", ["prepared", "committed"])
def test_one_quorum_alone_still_holds_the_group_together(n: int, count: str) -> None:
    """The same attack against one planted bug at a time: the other quorum keeps histories equal."""
    group = Cluster(Counter, seed=53, n=n, byzantine=COLLUDERS[n], quorums=one_short(n, count), without_oracles=("O6",))
    alice, bob = group.clients("alice", "bob")

    alice.call("add", 5)
    bob.call("add", 2)
    group.run(10_000)

    assert group.histories_agree()
