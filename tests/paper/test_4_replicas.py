"""OSDI'99 section 4, before its first part: replicas, views, and what is asked of a state machine."""

from __future__ import annotations

import pytest

from pbft.core.envelope import Kind
from pbft.core.group import GroupError, Quorums
from pbft.core.messages import PrePrepare, unpack
from tests.core.builders import Scene
from tests.paper.stage import SIZES, Panel, only, prepares


def test_there_are_at_least_3f_plus_1_replicas():
    """4: Of 3f+1 replicas, numbered from 0 on, f may be faulty.

    Differs: n need not be 3f+1. f is the greatest number with 3f+1 <= n, and replicas beyond that are allowed.
    """
    assert [Quorums.of(n).faults for n in (4, 5, 6, 7, 9, 10)] == [1, 1, 1, 2, 2, 3]
    assert [member.id for member in Scene(7).group.members] == list(range(7))
    with pytest.raises(GroupError):
        Scene(3)


@pytest.mark.parametrize("n", range(4, 40))
def test_any_two_quorums_share_a_correct_replica(n):
    """4: Certificates are of quorums, any two of which have a correct replica in common; weak ones hold one at all.

    Differs: the paper's quorum is 2f+1, for n = 3f+1. Ours is ceil((n+f+1)/2), which is the same there, and which any n
    needs: at n = 6 two sets of 2f+1 = 3 have nobody in common (design 4).
    """
    counts = Quorums.of(n)
    least_common = 2 * counts.quorum - n
    assert least_common >= counts.faults + 1
    assert 2 * (counts.quorum - 1) - n < counts.faults + 1, "one less would be too few"
    assert counts.quorum <= n - counts.faults, "without the faulty there is still a quorum"
    assert counts.weak == counts.faults + 1
    if n == 3 * counts.faults + 1:
        assert counts.quorum == 2 * counts.faults + 1


@SIZES
def test_the_primary_is_the_view_modulo_n(n):
    """4: The primary of view v is replica v mod n; the others are backups."""
    group = Scene(n).group
    assert [group.primary(view) for view in range(2 * n)] == [*range(n), *range(n)]


@SIZES
def test_replicas_start_alike_and_execute_alike(n):
    """4: Replicas start in one state, and an operation in a given state has one result: all come to the same."""
    scene = Scene(n)
    panel = Panel(scene, range(n))
    states = {watched.replica.state_digest() for watched in panel.watched.values()}
    assert len(states) == 1

    panel.tell(0, scene.request())
    panel.tick(0)
    panel.pass_on()

    after = {watched.replica.state_digest() for watched in panel.watched.values()}
    assert len(after) == 1
    assert after != states


def test_the_primary_orders_and_the_backups_follow():
    """4: The primary of a view chooses the order of requests; each backup takes its word, or none."""
    scene = Scene()
    panel = Panel(scene, range(4))
    panel.tell(0, scene.request("bob"), scene.request("alice"))
    proposal = only(panel.tick(0).said(Kind.PRE_PREPARE))
    panel.pass_on()
    chosen = unpack(PrePrepare, proposal.body)
    for backup in (1, 2, 3):
        assert [(each.sequence, each.digest) for each in prepares(panel.turn(backup))] == [(1, chosen.digest)]
