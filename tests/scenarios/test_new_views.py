"""Primaries that begin their views as no correct one does (P9), and one that begins its view in two ways (P1)."""

from __future__ import annotations

import pytest

from pbft.core.effects import Reason, ViewEntered
from pbft.core.settings import ReplicaSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import Adversary, BogusNewView, ForkedView
from pbft.testing.byzantine.new_view_flaws import FLAWS
from pbft_apps.counter import Counter
from tests.scenarios.stories import SIZES, faults, refused, served_ms, views_entered

UNJUDGED = "an invented vote"
"""The flaw that nobody can see: what the NEW-VIEW names cannot be fetched, so that it is waited for in vain."""


def next_primaries(n: int, kind: type[Adversary]) -> dict[int, type[Adversary]]:
    """Make the primaries of views 1 to f misbehave."""
    return dict.fromkeys(range(1, faults(n) + 1), kind)


def with_flaw(name: str) -> type[BogusNewView]:
    """Return an adversary with this one flaw."""

    class Flawed(BogusNewView):
        flaws = (name,)

    return Flawed


@SIZES
@pytest.mark.parametrize("flaw", FLAWS)
def test_p9_a_bogus_new_view_is_refused(n: int, flaw: str) -> None:
    """Five batches have run and a sixth is prepared when view 0 stalls; its f successors begin with this flaw.

    No correct replica enters a view so begun: the next one comes within a timeout, and proposes all six again. What had
    executed stays what it was, and the sixth keeps its place.
    """
    group = Cluster(Counter, seed=91, n=n, byzantine=next_primaries(n, with_flaw(flaw)))
    alice = group.client("alice")
    for total in range(1, 6):
        assert group.gather(alice.call("add", 1)) == [total]
    group.network.let("commits of view 0: drop")

    call = alice.call("add", 1)
    assert group.gather(call, within_ms=served_ms(faults(n) + 1)) == [6]

    assert call.completed is not None
    assert call.completed.sequence == 6
    assert views_entered(group) == [[faults(n) + 1]] * len(group.correct)
    if flaw != UNJUDGED:
        assert all(count > 0 for count in refused(group, Reason.BAD_NEW_VIEW))
    group.run_until_level()
    assert group.histories_agree()


@SIZES
def test_p1_a_view_begun_in_two_ways_divides_nobody(n: int) -> None:
    """The next primary alone has a sixth batch prepared; it proposes that again to one half and nothing to the other.

    Both NEW-VIEWs follow from votes of a quorum, its own being another one for each half, so that every correct replica
    enters the view. What both halves do in there commits once at most, and then a view with one beginning comes.
    """
    group = Cluster(Counter, seed=92, n=n, byzantine=next_primaries(n, ForkedView))
    alice = group.client("alice")
    for total in range(1, 6):
        assert group.gather(alice.call("add", 1)) == [total]
    group.network.let(f"prepares of view 0 to {', '.join(map(str, group.correct))}: drop")

    assert group.gather(alice.call("add", 1), within_ms=served_ms(faults(n) + 1)) == [6]

    assert all(entered[0] == 1 for entered in views_entered(group))
    begun = {step.digests for i in group.correct for step in group.steps(i, ViewEntered) if step.view == 1}
    assert len(begun) == 2
    group.run_until_level()
    assert group.histories_agree()


@SIZES
def test_a_batch_missed_before_the_view_is_fetched_soon_after_it_began(n: int) -> None:
    """What was asked in vain in the old view delays no question in the new one (OSDI'99 section 4.4; design 4.9)."""
    settings = ReplicaSettings(view_timeout_ms=1_700)
    group = Cluster(Counter, n=n, seed=1, delay_ms=(5, 5), settings=settings)
    alice = group.client("alice")

    group.network.let("pre-prepares of view 0 to 1: drop")
    group.network.let("commits of view 0: drop")
    call = alice.call("add", 5)
    group.run(1_000)
    group.crash(0)
    group.run_until(lambda: bool(group.steps(1, ViewEntered)))
    entered_ms = group.now_ms
    assert group.gather(call) == [5]
    rounds = 3 if n == 4 else 4
    assert group.now_ms - entered_ms <= settings.status_interval_ms * 2**rounds
