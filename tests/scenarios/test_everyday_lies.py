"""The lies that people choose by everyday words in a lab (P1, P6, R4, R6): what each shows, and what it cannot do."""

from __future__ import annotations

import random

import pytest

from pbft.core.effects import BecameStable
from pbft.core.settings import ReplicaSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import Adversary, BadState, Equivocator, Means, StaleViewChange, TwoFaced
from pbft.testing.byzantine.censor import censor_of
from pbft.testing.journal import Journal
from pbft_apps.counter import Counter
from tests.scenarios.stories import SIZES, SMALL_LOG, Load, backups, core, faults, primaries, served_ms, views_left


class TwoStories(TwoFaced, Equivocator):
    """What stands behind `byzantine I equivocate`: each half hears another story, and of each story both versions."""


@SIZES
@pytest.mark.parametrize("wicked", ["backups", "primaries"])
def test_p1_equivocation_is_seen_by_everybody(n: int, wicked: str) -> None:
    """Whichever role f liars have, every correct replica can prove the guilt of each after a few requests."""
    places = primaries(n, TwoStories) if wicked == "primaries" else backups(n, TwoStories)
    group = Cluster(Counter, seed=201, n=n, byzantine=places, limits=SMALL_LOG)
    alice = group.client("alice")

    for total in range(1, 6):
        assert group.gather(alice.call("add", 1), within_ms=served_ms(faults(n))) == [total]
    group.run_until_level()

    for replica in group.correct:
        assert {each.culprit for each in group.evidence(replica)} == set(places)
    if wicked == "backups":
        assert views_left(group) == [0] * len(group.correct)
    assert group.histories_agree()


@SIZES
def test_r6_a_state_that_nobody_has_is_not_stable(n: int) -> None:
    """f backups vouch for one wrong state at every checkpoint: what a quorum has becomes stable none the less."""
    group = Cluster(Counter, seed=202, n=n, byzantine=backups(n, BadState), limits=SMALL_LOG)
    alice = group.client("alice")

    for total in range(1, 14):
        assert group.gather(alice.call("add", 1)) == [total]
    group.run_until_level()

    for replica in group.correct:
        proofs = [step.proof for step in group.steps(replica, BecameStable)]
        assert [proof.sequence for proof in proofs] == [4, 8, 12]
        assert not [share for proof in proofs for share in proof.shares if share.signer not in group.correct]
    assert group.histories_agree()


def test_r6_a_bad_state_is_reported_as_one() -> None:
    """Whoever compares digests sees which replica is apart, and that its core is not."""
    group = Cluster(Counter, seed=203)
    alice = group.client("alice")
    assert group.gather(alice.call("add", 1)) == [1]
    group.run_until_level()

    apart = BadState(core(group, 3), Means(3, group.group, {}, random.Random(0), lambda: core(group, 3)))

    assert apart.state_digest() != core(group, 3).state_digest() == core(group, 0).state_digest()


@SIZES
@pytest.mark.parametrize("wicked", ["backups", "primaries of view 1 on"])
def test_r4_stale_view_changes_forget_nothing_for_others(n: int, wicked: str) -> None:
    """f replicas ask for old views all the time, and swear in each VIEW-CHANGE that nothing has happened yet.

    Nobody follows them out of a view that works. When the primary fails, their votes are among those that a view may
    rest on, or the view is theirs to begin: all that was acknowledged is still there, and work goes on.
    """
    liars = range(1, 1 + faults(n)) if wicked != "backups" else list(backups(n, Adversary))
    settings = ReplicaSettings(view_timeout_ms=300)
    places: dict[int, type[Adversary]] = dict.fromkeys(liars, StaleViewChange)
    group = Cluster(Journal, seed=204, n=n, byzantine=places, settings=settings, limits=SMALL_LOG)
    alice = group.client("alice")
    for words in range(1, 7):
        assert group.gather(alice.call("write", "a")) == [words]
    group.run(500)
    assert views_left(group) == [0] * len(group.correct)

    stalled = group.network.let("pre-prepares of view 0: drop")
    within_ms = served_ms(1 + faults(n), settings=settings)
    assert group.gather(alice.call("write", "b"), within_ms=within_ms) == [7]
    stalled.stop()

    assert group.gather(alice.call("write", "c"), within_ms=within_ms) == [8]
    assert group.evidence(group.correct[-1]) == []
    assert group.histories_agree()


@SIZES
def test_p6_whoever_is_named_is_censored(n: int) -> None:
    """f primaries are deaf to bob, who is not the first client: alice never notices, and bob waits for another one."""
    group = Cluster(Counter, seed=205, n=n, byzantine=primaries(n, censor_of("bob")), clients=("alice", "bob"))
    load = Load(group, "alice", think_ms=50)
    bob = group.client("bob")
    group.run(500)
    served = load.answers("alice")
    assert served > 3

    group.finish(bob.call("add", 1))

    assert group.views() == {faults(n)}
    assert load.answers("alice") > served
    group.finish(*load.stop())
    assert group.histories_agree()
