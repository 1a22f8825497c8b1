"""Replicas that lie to who has to catch up (R7), and some that are a burden otherwise: they complain or forget."""

from __future__ import annotations

import pytest

from pbft.core.effects import Reason, StateInstalled
from pbft.core.envelope import Kind
from pbft.testing import Cluster
from pbft.testing.byzantine import (
    Adversary,
    Amnesiac,
    Braggart,
    Complainer,
    DripSource,
    NodeForger,
    SilentSource,
    SlowSource,
)
from pbft.testing.byzantine.state_liars import NODE_LIES
from pbft.testing.shelf import Shelf
from pbft_apps.counter import Counter
from tests.scenarios.stories import SIZES, SMALL_LOG, Load, backups, refused, views_left

BOXES = 14
"""As many as fill a log and a half, and a state of several nodes, none of which fits into one message with another."""


def after_an_absence(n: int, kind: type[Adversary]) -> tuple[Cluster, int]:
    """Let a correct replica miss more than a log, next to f liars, whom it asks first; return it with the group."""
    group = Cluster(Shelf, seed=150, n=n, byzantine=backups(n, kind), limits=SMALL_LOG)
    late = group.correct[-1]
    alice = group.client("alice")
    group.network.isolate(late)
    for number in range(BOXES):
        group.gather(alice.call("put", f"box {number}", "x" * 20_000))
    group.heal()
    group.finish(alice.call("put", "one more", "y"))
    return group, late


def forger_of(name: str) -> type[NodeForger]:
    """Return a source that tells this one lie about each node."""

    class Forger(NodeForger):
        lies = (name,)

    return Forger


@SIZES
@pytest.mark.parametrize("lie", NODE_LIES)
def test_r7_wrong_nodes_are_refused_and_others_asked(n: int, lie: str) -> None:
    """f sources give nodes that the certified digest does not vouch for: none is kept, and others give the state."""
    group, late = after_an_absence(n, forger_of(lie))

    (installed,) = group.steps(late, StateInstalled)[:1]
    assert installed.nodes > installed.sequence
    assert installed.bytes > installed.sequence * 20_000
    assert group.ignored(late)[Reason.WRONG_DIGEST] > 0
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("kind", [SilentSource, SlowSource, DripSource, Braggart])
def test_r7_who_stalls_or_brags_is_passed_over(n: int, kind: type[Adversary]) -> None:
    """f sources give nothing, or as late as they may, or claim to have come far: the state comes in time."""
    group, late = after_an_absence(n, kind)

    assert group.steps(late, StateInstalled)
    assert group.executed(late) == group.executed(group.correct[0])
    assert views_left(group) == [0] * len(group.correct)
    assert group.histories_agree()


@SIZES
def test_r7_claims_of_f_are_no_reason_to_ask(n: int) -> None:
    """What f replicas brag of is not believed: nobody fetches a state, and nobody loses patience."""
    group = Cluster(Counter, seed=151, n=n, byzantine=backups(n, Braggart))
    assert group.gather(group.client("alice").call("add", 5)) == [5]
    group.run(1_000)
    asked = [group.network.on(kind, src=group.correct).delay(0) for kind in (Kind.FETCH, Kind.REQUEST)]

    group.run(2_000)

    assert [each.met for each in asked] == [0, 0]
    assert [group.steps(i, StateInstalled) for i in group.correct] == [[]] * len(group.correct)
    assert views_left(group) == [0] * len(group.correct)


@SIZES
def test_r5_complaints_cost_no_view(n: int) -> None:
    """f backups relay every request again and again, old ones too, and beg for all there is: nobody minds."""
    group = Cluster(Counter, seed=152, n=n, byzantine=backups(n, Complainer), limits=SMALL_LOG)
    load = Load(group, "alice", "bob", think_ms=50)

    group.run(1_500)

    assert len(load.answered_ms) > 20
    assert views_left(group) == [0] * len(group.correct)
    assert all(count > 0 for count in refused(group, Reason.STALE))
    group.finish(*load.stop())
    assert load.exactly_once()
    assert group.histories_agree()


@SIZES
def test_r2_who_forgets_its_votes_counts_as_faulty_and_no_more(n: int) -> None:
    """f replicas start over again and again without a disk (C4): they vote twice, and the rest is a quorum."""
    group = Cluster(Counter, seed=153, n=n, byzantine=backups(n, Amnesiac), limits=SMALL_LOG)
    load = Load(group, "alice", "bob", think_ms=50)

    group.run(2_500)

    group.finish(*load.stop())
    assert load.exactly_once()
    assert views_left(group) == [0] * len(group.correct)
    assert group.histories_agree()
