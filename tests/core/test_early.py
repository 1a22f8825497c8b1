"""What came too soon: kept by the peer on whose link it came, and taken in when its time has come (design 4.6)."""

from __future__ import annotations

import pytest

from pbft.core.early import Early
from pbft.core.effects import Broadcast, Executed, Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import Limits
from pbft.core.settings import ReplicaSettings
from tests.core.builders import Microscope, Scene, forged

LIMITS = Limits(checkpoint_interval=4, log_size=8)


def envelope(number: int, size: int = 100) -> Envelope:
    return Envelope(Kind.PREPARE, 2, number.to_bytes(4, "big") * (size // 4))


# The room.


def test_each_peer_fills_its_own_room():
    """What one leaves takes nothing from another's room; once it is full, nothing more is kept of that one."""
    early = Early(bytes_per_peer=1_500)
    kept = [early.keep(2, envelope(number)) for number in range(6)]
    assert kept == [True, True, True, True, False, False]
    assert early.keep(3, envelope(9))
    assert early.kept == 5


def test_a_message_costs_more_than_its_bytes():
    """Empty ones cannot be kept by the million; and what goes beside counts."""
    early = Early(bytes_per_peer=10_000)
    assert sum(early.keep(2, Envelope(Kind.STATUS, 2, b"")) for _ in range(1_000)) < 50
    assert not early.keep(3, Envelope(Kind.PRE_PREPARE, 3, b"", b"", bytes(10_000)))
    assert early.held_bytes <= 2 * 10_000


def test_everything_is_taken_out_in_the_order_it_came():
    """By peer; afterwards the room is empty and takes as much again."""
    early = Early(bytes_per_peer=1_500)
    for number, peer in enumerate((2, 3, 2, 3, 2)):
        assert early.keep(peer, envelope(number))
    assert bool(early)
    assert early.take() == [(peer, envelope(number)) for peer, number in ((2, 0), (2, 2), (2, 4), (3, 1), (3, 3))]
    assert not early
    assert (early.held_bytes, early.take()) == (0, [])
    assert early.keep(2, envelope(1))


# At a replica.


def watch(settings: ReplicaSettings | None = None) -> Microscope:
    return Scene(limits=LIMITS).watch(1, settings)


def test_what_came_before_its_view_counts_once_the_view_is_entered():
    """Proposal, prepares and commits of view 2 arrive before its NEW-VIEW: the sequence runs upon entry."""
    watched = watch()
    scene = watched.scene
    proposal = scene.pre_prepare(1, scene.request(), view=2)
    early = [proposal, scene.prepare(0, proposal), scene.commit(0, proposal), scene.commit(2, proposal)]
    for each in early:
        turn = watched.give(each)
        assert turn.reasons == [Reason.TOO_EARLY]
        assert len(turn.effects) == 1
    turn = watched.enter(2)
    assert [each.sequence for each in turn.of(Executed)] == [1]
    assert turn.reasons == []


def test_what_lies_above_the_high_watermark_counts_once_that_has_moved():
    """A replica somewhat slower than the others finds what they went on with (OSDI'99 section 4.2)."""
    watched = watch()
    scene = watched.scene
    ahead = [scene.pre_prepare(sequence, scene.request("bob", sequence)) for sequence in (9, 10, 13)]
    for proposal in ahead:
        for each in (proposal, scene.prepare(2, proposal), scene.commit(0, proposal), scene.commit(2, proposal)):
            assert watched.give(each).reasons == [Reason.TOO_EARLY]
    votes = watched.run(8).said(Kind.CHECKPOINT)
    turn = watched.stabilise(votes[0])
    assert turn.reasons == [Reason.TOO_EARLY] * 4
    assert [each.sequence for each in turn.of(Executed)] == [9, 10]
    turn = watched.stabilise(votes[1])
    assert watched.replica.status().in_flight == 1
    assert turn.reasons == []


def test_what_is_still_too_early_stays():
    """Entering view 2 replays what came for view 3, which is kept again for then."""
    watched = watch()
    proposal = watched.scene.pre_prepare(1, view=3)
    watched.give(proposal)
    assert watched.enter(2).reasons == [Reason.TOO_EARLY]
    turn = watched.enter(3)
    assert turn.reasons == []
    assert len([each for each in turn.of(Broadcast) if each.envelope.kind is Kind.PREPARE]) == 1


def test_what_has_become_old_is_refused_when_its_time_would_have_come():
    """Kept for view 2, replayed in view 3."""
    watched = watch()
    watched.give(watched.scene.pre_prepare(1, view=2))
    assert watched.enter(3).reasons == [Reason.WRONG_VIEW]


@pytest.mark.parametrize("link", [2, 3])
def test_a_replayed_vote_is_judged_by_the_link_it_came_by(link):
    """A COMMIT with a bad signature counts on its signer's own link and on no other, then as now (design 4.4)."""
    watched = watch()
    scene = watched.scene
    proposal = scene.pre_prepare(1, view=2)
    watched.give(forged(scene.commit(2, proposal)), link)
    for each in (proposal, scene.prepare(0, proposal), scene.commit(0, proposal)):
        watched.give(each)
    turn = watched.enter(2)
    assert len(turn.of(Executed)) == (link == 2)
    assert turn.reasons == ([] if link == 2 else [Reason.BAD_SIGNATURE])


def test_a_peer_that_fills_its_room_harms_itself_alone():
    """Its own later messages are not kept; another's are, and count."""
    watched = watch(ReplicaSettings(early_bytes=4_096))
    scene = watched.scene
    while watched.give(scene.prepare(3, scene.pre_prepare(1, view=6))).reasons == [Reason.TOO_EARLY]:
        pass
    proposal = scene.pre_prepare(1, view=2)
    assert watched.give(proposal).reasons == [Reason.TOO_EARLY]
    assert watched.give(proposal, 3).reasons == [Reason.FULL]
    assert watched.enter(2).said(Kind.PREPARE)
    assert watched.replica.usage()["early_bytes"] <= 4_096
