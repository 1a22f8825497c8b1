"""Every size of group has its quorum: that many answer, one fewer do not (OSDI'99 section 4; design 4, wire rules)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.core.envelope import Kind
from pbft.core.group import Quorums
from pbft.core.settings import ReplicaSettings
from pbft.testing import Cluster, NotFinished, OracleFailure
from pbft.testing.byzantine import Adversary, Equivocator
from pbft_apps.counter import Counter
from tests.scenarios.stories import SMALL_LOG, Load

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
@pytest.mark.parametrize("count", ["prepared", "committed", "stable", "view_change"])
def test_a_quorum_one_short_is_found_out(n: int, count: str) -> None:
    """A planted bug, and no replica that lies: the first certificate that is too small fires O6."""
    group = Cluster(Counter, seed=51, n=n, quorums=one_short(n, count), limits=SMALL_LOG)
    Load(group, "alice", think_ms=20)
    group.at(400, lambda: group.crash(0))

    with pytest.raises(OracleFailure) as found:
        group.run(3_000)

    assert found.value.oracle == "O6"
    assert str(FAULTS_AND_QUORUM[n][1]) in found.value.sentence


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
def test_one_quorum_alone_still_holds_a_view_together(n: int, count: str) -> None:
    """The same attack against one planted bug at a time: while the view lasts, the other quorum keeps it together."""
    group = Cluster(
        Counter,
        seed=53,
        n=n,
        byzantine=COLLUDERS[n],
        quorums=one_short(n, count),
        without_oracles=("O6",),
        settings=ReplicaSettings(view_timeout_ms=3_600_000),
    )
    alice, bob = group.clients("alice", "bob")

    alice.call("add", 5)
    bob.call("add", 2)
    group.run(10_000)

    assert group.views() == {0}
    assert max(group.executed(i) for i in group.correct) > 0
    assert group.histories_agree()


@pytest.mark.parametrize("n", COLLUDERS)
def test_a_prepared_quorum_one_short_forgets_what_committed_when_the_view_changes(n: int) -> None:
    """Both halves have a certificate of one view for one sequence, and the next primary cannot tell which committed.

    It goes by the digests then, so that one run in two gives the sequence to the wrong one.
    """
    fired = [oracle_that_fires(seed, n) for seed in range(8)]

    assert set(fired) == {"", "O7"}


def oracle_that_fires(seed: int, n: int) -> str:
    """Let a batch commit with prepare quorums one short, change the view, and say which oracle fires, if any."""
    quorums = one_short(n, "prepared")
    group = Cluster(Counter, seed=seed, n=n, byzantine=COLLUDERS[n], quorums=quorums, without_oracles=("O6",))
    alice = group.client("alice")
    group.gather(alice.call("add", 5))
    group.network.on(Kind.PRE_PREPARE, src=COLLUDERS[n]).drop()
    alice.call("add", 5)
    try:
        group.run(10_000)
    except OracleFailure as failure:
        return failure.oracle
    return ""


@pytest.mark.parametrize("n", COLLUDERS)
def test_a_commit_quorum_one_short_forgets_what_committed_when_the_view_changes(n: int) -> None:
    """Too few had prepared what committed: once they are out of reach, a quorum begins the next view without it."""
    group = Cluster(
        Counter,
        seed=54,
        n=n,
        byzantine=COLLUDERS[n],
        quorums=one_short(n, "committed"),
        without_oracles=("O6",),
    )
    alice = group.client("alice")
    *told, last = group.correct[len(group.correct) // 2 :]
    group.network.on(Kind.PREPARE, src=told, dst=last).drop()
    alice.call("add", 5)
    group.run_until(lambda: any(group.history(i) for i in told))
    assert [len(group.history(i)) for i in group.correct if i not in told] == [0] * (len(group.correct) - len(told))

    for replica in told:
        group.network.isolate(replica)
    with pytest.raises(OracleFailure) as found:
        group.run(10_000)

    assert found.value.oracle == "O7"
