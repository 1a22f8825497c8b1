"""The time that a primary proposes, and replicas whose clocks differ (design 4.5; attacks P8, C7)."""

from __future__ import annotations

import pytest

from pbft.core.effects import Evidence, Ignored, Reason
from pbft.core.envelope import Kind
from pbft.core.messages import Status, unpack
from tests.core.builders import WALL_MS, Microscope, Scene, forged


def backup(n: int = 4) -> Microscope:
    return Scene(n).watch(1)


LATE = 60_000


@pytest.mark.parametrize(("n", "needed"), [(4, 1), (7, 2), (10, 3)])
def test_a_proposal_far_from_our_clock_waits_for_others_who_found_it_near(n, needed):
    """With f prepares and the primary, f+1 members vouch for its time, so a replica with a wrong clock follows (C7)."""
    watched = backup(n)
    proposal = watched.scene.pre_prepare(1, watched.scene.request(), time_ms=WALL_MS + LATE)
    assert watched.give(proposal).reasons == [Reason.CLOCK_DRIFT]
    for member in watched.others()[: needed - 1]:
        assert watched.give(watched.scene.prepare(member, proposal)).effects == []
    turn = watched.give(watched.scene.prepare(watched.others()[needed - 1], proposal))
    assert turn.said(Kind.PREPARE)
    watched.prepare(proposal)
    watched.commit(proposal)
    assert watched.application.ran[0][1].time_ms == WALL_MS + LATE


def test_votes_that_came_before_vouch_for_a_time_as_well():
    """Where f prepares are held already, the proposal is accepted as it comes."""
    watched = backup(7)
    proposal = watched.scene.pre_prepare(1, time_ms=WALL_MS - LATE)
    for member in (2, 3):
        watched.give(watched.scene.prepare(member, proposal))
    turn = watched.give(proposal)
    assert turn.reasons == []
    assert turn.said(Kind.PREPARE)


def test_forged_votes_vouch_for_nothing():
    """f members must have signed; f forged prepares leave the proposal waiting."""
    watched = backup(7)
    proposal = watched.scene.pre_prepare(1, time_ms=WALL_MS + LATE)
    watched.give(proposal)
    watched.give(forged(watched.scene.prepare(2, proposal)))
    assert watched.give(watched.scene.prepare(3, proposal)).said(Kind.PREPARE) == []
    assert watched.give(watched.scene.prepare(4, proposal)).said(Kind.PREPARE)


def test_a_proposal_held_back_is_read_and_verified_once():
    """However many votes come in before it is accepted, its requests are verified once (W2: bounded cost)."""
    watched = backup(10)
    proposal = watched.scene.pre_prepare(
        1, watched.scene.request(), watched.scene.request("bob"), time_ms=WALL_MS + LATE
    )
    watched.give(proposal)
    assert watched.scene.verifier.count == 3
    other = watched.scene.pre_prepare(1, time_ms=WALL_MS + LATE)
    for member in watched.others():
        watched.give(watched.scene.prepare(member, other))
    assert watched.scene.verifier.count == 3
    assert watched.give(proposal).reasons == [Reason.DUPLICATE]
    assert watched.scene.verifier.count == 3


def test_a_proposal_held_back_is_taken_up_when_our_clock_has_moved_on():
    """A primary a little ahead of all does not stop the group: what was too early is in time by and by."""
    watched = backup()
    drift_ms = watched.scene.group.limits.clock_drift_ms
    proposal = watched.scene.pre_prepare(1, time_ms=WALL_MS + drift_ms + 500)
    watched.give(proposal)
    watched.ms = 400
    assert watched.tick().said(Kind.PREPARE) == []
    assert watched.replica.deadline_ms is not None
    watched.ms = max(500, watched.replica.deadline_ms)
    assert watched.tick().said(Kind.PREPARE)


def test_a_proposal_held_back_is_not_asked_for_again():
    """Its batch is here, though it was not voted for: the account says so, and no peer sends it a second time."""
    watched = backup()
    watched.give(watched.scene.pre_prepare(2, watched.scene.request(), time_ms=WALL_MS + LATE))
    assert watched.replica.deadline_ms is not None
    watched.ms = watched.replica.deadline_ms
    (status,) = watched.tick().said(Kind.STATUS)
    assert unpack(Status, status.body).held == b"\0\1"


def test_a_second_proposal_conflicts_with_one_held_back():
    """A proposal that waits holds its place like one that was accepted."""
    watched = backup()
    first = watched.scene.pre_prepare(1, time_ms=WALL_MS + LATE)
    second = watched.scene.pre_prepare(1)
    watched.give(first)
    assert watched.give(second).effects == [
        Evidence(0, first, second),
        Ignored(Reason.CONFLICTING, 0, Kind.PRE_PREPARE),
    ]


def test_the_drift_is_judged_by_the_wall_clock():
    """A backup whose wall clock is a day off refuses what others accept; the monotonic clock plays no part."""
    watched = backup()
    watched.ms = 86_400_000
    watched.wall_offset_ms = -86_400_000
    assert watched.give(watched.scene.pre_prepare(1)).reasons == []
    watched.wall_offset_ms = 0
    assert watched.give(watched.scene.pre_prepare(2)).reasons == [Reason.CLOCK_DRIFT]
