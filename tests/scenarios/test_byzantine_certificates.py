"""Wicked votes for a view (R4, R5): invented, hidden and misshapen certificates, and votes for views nobody wants."""

from __future__ import annotations

import pytest

from pbft.core.effects import Reason, ViewEntered
from pbft.core.envelope import Kind
from pbft.core.settings import ReplicaSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import CertificateForger, Hoarder, Restless
from pbft.testing.byzantine.certificate_flaws import FLAWS, MISSHAPEN
from pbft_apps.counter import Counter
from tests.scenarios.stories import SIZES, SMALL_LOG, Load, backups, faults, refused, served_ms, views_left


def with_flaw(name: str) -> type[CertificateForger]:
    """Return an adversary with this one flaw."""

    class Flawed(CertificateForger):
        forgeries = (name,)

    return Flawed


@SIZES
@pytest.mark.parametrize("flaw", FLAWS)
def test_r4_a_bad_certificate_is_refused_or_counts_as_absent(n: int, flaw: str) -> None:
    """Five batches have run and a sixth is prepared when view 0 stalls; f replicas vote for view 1 with this flaw.

    One of a wrong shape is refused at sight. Any other is in the quorum that view 1 rests on, since it cannot do
    without: what is wrong in there hides nothing that a correct replica shows, and adds nothing to it.
    """
    forgers = [i for i in range(n) if i != 1][: faults(n)]
    group = Cluster(Counter, seed=95, n=n, byzantine=dict.fromkeys(forgers, with_flaw(flaw)))
    alice = group.client("alice")
    for total in range(1, 6):
        assert group.gather(alice.call("add", 1)) == [total]
    group.network.let("commits of view 0: drop")
    if flaw not in MISSHAPEN:
        group.network.on(Kind.VIEW_CHANGE, src=group.correct[-faults(n) :], dst=1).drop()

    call = alice.call("add", 1)
    assert group.gather(call, within_ms=served_ms(1)) == [6]

    assert call.completed is not None
    assert call.completed.sequence == 6
    group.run_until_level()
    for i in group.correct:
        (begun,) = group.steps(i, ViewEntered)
        assert (begun.view, begun.stable, len(begun.digests)) == (1, 0, 6)
        assert all(forger in {vote.sender for vote in begun.votes} for forger in forgers) == (flaw not in MISSHAPEN)
    assert any(refused(group, Reason.BAD_CERTIFICATE)) == (flaw in MISSHAPEN)
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize(
    "flaw", ["an invented batch far on", "everything hidden", "a forged checkpoint", "out of order"]
)
def test_r4_a_view_that_begins_with_a_bad_certificate_serves_or_ends(n: int, flaw: str) -> None:
    """The next f primaries begin their views with such votes of their own, and what would follow if they were true.

    What was invented is refused. Where something is hidden, others show it. The sixth batch keeps its place.
    """
    group = Cluster(Counter, seed=96, n=n, byzantine=dict.fromkeys(range(1, faults(n) + 1), with_flaw(flaw)))
    alice = group.client("alice")
    for total in range(1, 6):
        assert group.gather(alice.call("add", 1)) == [total]
    group.network.let("commits of view 0: drop")

    call = alice.call("add", 1)
    assert group.gather(call, within_ms=served_ms(faults(n) + 1)) == [6]

    assert call.completed is not None
    assert call.completed.sequence == 6
    if flaw in ("an invented batch far on", "a forged checkpoint"):
        assert all(count > 0 for count in refused(group, Reason.BAD_NEW_VIEW))
    group.run_until_level()
    assert group.histories_agree()


@SIZES
def test_r4_certificates_kept_back_bring_nothing_back(n: int) -> None:
    """f replicas never commit, hide what they have prepared from one view, and show the next what was true long ago."""
    settings = ReplicaSettings(view_timeout_ms=300)
    group = Cluster(Counter, seed=97, n=n, byzantine=backups(n, Hoarder), limits=SMALL_LOG, settings=settings)
    load = Load(group, "alice", "bob", think_ms=30)
    for primary in range(2):
        group.run(400)
        stalled = [group.network.on(kind, src=primary).drop() for kind in (Kind.PRE_PREPARE, Kind.COMMIT)]
        group.run_until(lambda view=primary: min(group.views()) > view)  # type: ignore[misc]
        for rule in stalled:
            rule.stop()

    group.finish(*load.stop())

    assert load.exactly_once()
    assert group.histories_agree()


@SIZES
def test_r5_f_who_always_ask_for_the_next_view_move_nobody(n: int) -> None:
    """f replicas ask for a view beyond the present one all the time: that takes f+1, and so nobody leaves view 0."""
    group = Cluster(Counter, seed=98, n=n, byzantine=backups(n, Restless))
    load = Load(group, "alice", "bob", think_ms=20)

    group.run(2_000)

    assert views_left(group) == [0] * len(group.correct)
    group.crash(0)
    group.finish(*load.stop(), level=False)
    assert load.exactly_once()
    assert group.histories_agree()


@SIZES
def test_r5_one_more_who_asks_moves_everybody(n: int) -> None:
    """f+1 of the same are more than a group of this size bears: they take it from view to view, and nothing worse."""
    group = Cluster(Counter, seed=99, n=n, byzantine=dict.fromkeys(range(n - faults(n) - 1, n), Restless))
    Load(group, "alice", think_ms=20)

    group.run(2_000)

    assert min(views_left(group)) > 3
    assert group.histories_agree()
