"""Leaving a view: when, with what, and whom a replica follows (OSDI'99 section 4.4, 4.5; design 4.8; attack R5)."""

from __future__ import annotations

import pytest

from pbft.core.effects import (
    Broadcast,
    Cause,
    CommittedLocal,
    Evidence,
    Executed,
    Persist,
    Prepared,
    Reason,
    Send,
    ViewChangeStarted,
)
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.evidence import Misbehaviour
from pbft.core.group import Limits
from pbft.core.messages import BEGINNING, Status, ViewChange, unpack
from tests.core.builders import Microscope, Scene, Turn, forged, session_id

ME = 2
LIMITS = Limits(checkpoint_interval=4, log_size=8)
T = 1_000
"""The timeout of a replica that has seen no trouble yet."""


def watch(n: int = 4, me: int = ME) -> Microscope:
    return Scene(n, limits=LIMITS).watch(me)


def lose_patience(watched: Microscope, session: int = 99) -> Turn:
    """Let a request wait for as long as a replica has patience."""
    watched.give(watched.scene.request("bob", session=session_id(session)))
    turn = watched.wait(watched.replica.status().timeout_ms)
    assert turn.of(ViewChangeStarted)
    return turn


def started(turn: Turn) -> list[tuple[int, Cause]]:
    return [(each.view, each.cause) for each in turn.of(ViewChangeStarted)]


def own_vote(turn: Turn) -> ViewChange:
    (envelope,) = turn.said(Kind.VIEW_CHANGE)
    return unpack(ViewChange, envelope.body)


# Leaving.


def test_a_replica_that_loses_patience_asks_for_the_next_view():
    """Its VIEW-CHANGE is signed and durable before it goes to all; the view it was in stays the view it is in."""
    watched = watch()
    turn = lose_patience(watched)
    assert started(turn) == [(1, Cause.STALLED)]
    (persist,) = turn.of(Persist)
    assert persist.basis == ()
    assert genuine(watched.scene.group, watched.scene.verifier, persist.vote)
    assert turn.effects[turn.effects.index(persist) + 1] == Broadcast(persist.vote)
    assert own_vote(turn) == ViewChange(1, BEGINNING, ())
    status = watched.replica.status()
    assert (status.view, status.target) == (0, 1)


def test_a_vote_shows_what_prepared_since_the_stable_checkpoint():
    """P: executed or not, by sequence; nothing that was only proposed, nothing at or below the checkpoint (4.4)."""
    watched = watch()
    scene = watched.scene
    (vote,) = watched.run(5).said(Kind.CHECKPOINT)
    watched.stabilise(vote)
    waiting, proposed, last = (scene.pre_prepare(number, scene.request("alice", number)) for number in (6, 7, 8))
    for proposal in (last, waiting):
        watched.give(proposal)
        assert watched.prepare(proposal).of(Prepared)
    watched.give(proposed)
    said = own_vote(lose_patience(watched))
    assert said.stable.sequence == 4
    assert [(each.view, each.sequence) for each in said.prepared] == [(0, 5), (0, 6), (0, 8)]
    backups = [number for number in range(4) if number != 0]
    assert all({share.signer for share in each.prepares} < {*backups} for each in said.prepared)


def test_a_vote_shows_the_certificate_of_the_highest_view():
    """What prepared again in a later view has the later certificate; what did not, still the earlier one."""
    watched = watch(me=3)
    scene = watched.scene
    first, second = (scene.pre_prepare(number, scene.request("alice", number)) for number in (1, 2))
    for proposal in (first, second):
        watched.give(proposal)
        watched.prepare(proposal)
    watched.enter(1, [scene.certificate(first), scene.certificate(second)])
    again = scene.propose(1, first.beside, view=1)
    watched.prepare(again)
    said = own_vote(lose_patience(watched))
    assert [(each.view, each.sequence) for each in said.prepared] == [(1, 1), (0, 2)]


def test_a_vote_is_built_once_and_resent_byte_for_byte():
    """In answers to whoever does not hold it, whatever happened here since; to who holds it, it does not go again."""
    watched = watch()
    scene = watched.scene
    (vote,) = lose_patience(watched).said(Kind.VIEW_CHANGE)
    proposal = scene.pre_prepare(1)
    watched.give(proposal)
    for by in (0, 1, 3):
        watched.give(scene.commit(by, proposal))
    assert watched.executed == 1
    for held, resent in ((), [vote]), ((0, 0, 0, 0), [vote]), ((0, 0, 1, 0), []), ((0, 0, 5, 0), []):
        watched.ms += 100
        turn = watched.give(scene.status(3, 1, view_changes=held))
        assert [each.to_bytes() for each in turn.said(Kind.VIEW_CHANGE)] == [each.to_bytes() for each in resent]
        assert {each.to for each in turn.of(Send)} <= {3}
    watched.ms += 100
    assert watched.give(scene.status(3, 1, view=1)).said(Kind.VIEW_CHANGE) == []


def test_who_left_a_view_votes_no_more_in_it():
    """Neither prepare nor commit, however much is there: its VIEW-CHANGE said what it had prepared (OSDI'99 4.4)."""
    watched = watch()
    scene = watched.scene
    half_way, new = scene.pre_prepare(1), scene.pre_prepare(2)
    watched.give(half_way)
    lose_patience(watched)
    turns = [watched.prepare(half_way), watched.give(new), watched.prepare(new)]
    for turn in turns:
        assert not [each for each in turn.effects if isinstance(each, Persist | Broadcast | Send)]


def test_who_left_a_view_executes_what_a_quorum_commits_there():
    """A quorum of others' commits is enough, also where the prepared certificate lacks the vote that it withheld."""
    watched = watch()
    scene = watched.scene
    lose_patience(watched)
    proposal = scene.pre_prepare(1, scene.request())
    watched.give(proposal)
    for by in (0, 1):
        assert watched.give(scene.commit(by, proposal)).effects == []
    turn = watched.give(scene.commit(3, proposal))
    assert turn.of(CommittedLocal)
    assert [each.sequence for each in turn.of(Executed)] == [1]
    assert turn.answers()


def test_a_primary_that_left_proposes_no_more():
    """Requests wait for the next view, which may well be another's."""
    watched = watch(me=0)
    for vote in watched.votes(1)[:2]:
        watched.give(vote)
    assert watched.replica.status().target == 1
    watched.give(watched.scene.request())
    assert watched.tick().said(Kind.PRE_PREPARE) == []
    assert watched.replica.status().waiting == 1


def test_who_left_a_view_relays_nothing_to_its_primary():
    """A request waits for a primary that is trusted; in the new view it is passed on."""
    watched = watch()
    lose_patience(watched)
    request, client = watched.scene.request("alice"), watched.scene.key("alice")
    assert watched.give(request).said(Kind.REQUEST) == []
    watched.ms += 200
    assert watched.give(request, client).said(Kind.REQUEST) == []
    watched.enter(1)
    watched.ms += 200
    assert [each.to for each in watched.give(request).of(Send)] == [1]


# Following others.


@pytest.mark.parametrize(("n", "weak"), [(4, 2), (6, 2), (7, 3)])
def test_one_more_than_f_pull_a_replica_along(n, weak):
    """f may all be liars; among f+1 a correct one has lost patience (OSDI'99 section 4.5.2)."""
    watched = watch(n)
    votes = [watched.scene.view_change(by, 3) for by in watched.peers[:weak]]
    for vote in votes[:-1]:
        assert watched.give(vote).effects == []
    turn = watched.give(votes[-1])
    assert started(turn) == [(3, Cause.JOINED)]
    assert own_vote(turn).view == 3


def test_who_joins_goes_no_further_than_one_correct_replica():
    """To the smallest of the f+1 highest views that others ask for, and on when that rises."""
    watched = watch(7)
    asked = [(0, 5), (1, 2**62), (3, 3), (4, 4), (5, 2**62), (6, 9), (3, 9)]
    joined = [started(watched.give(watched.scene.view_change(by, view))) for by, view in asked]
    views = [[view for view, _ in each] for each in joined]
    assert views == [[], [], [3], [4], [5], [9], []]


def test_one_replica_is_one_vote_however_often_it_asks():
    """Its highest view counts, and once (R2)."""
    watched = watch(7)
    for view in (1, 2, 3, 4, 5):
        assert started(watched.give(watched.scene.view_change(6, view))) == []
    watched.give(watched.scene.view_change(5, 3))
    assert started(watched.give(watched.scene.view_change(4, 4))) == [(3, Cause.JOINED)]


def test_own_patience_is_not_counted_among_the_others():
    """Who has left already follows f+1 others, not f others and itself."""
    watched = watch(4)
    lose_patience(watched)
    assert started(watched.give(watched.scene.view_change(3, 5))) == []
    assert started(watched.give(watched.scene.view_change(0, 5))) == [(5, Cause.JOINED)]


def test_nobody_leaps_alone():
    """Alone with its wish, or with f others of it, a replica asks for one view and waits for the rest to come."""
    for votes in (0, 1):
        watched = watch()
        lose_patience(watched)
        for by in (0, 3)[:votes]:
            watched.give(watched.scene.view_change(by, 1))
        assert watched.wait(2_000 * T).of(ViewChangeStarted) == []
        assert watched.replica.status().target == 1


def test_a_quorum_starts_the_timer_of_the_new_view():
    """Once a quorum asks for a view its primary is awaited for a timeout, twice as long as before; then the next."""
    watched = watch()
    lose_patience(watched)
    assert watched.wait(50 * T).of(ViewChangeStarted) == []
    for by in (0, 3):
        watched.give(watched.scene.view_change(by, 1))
    assert watched.wait(2 * T - 1).of(ViewChangeStarted) == []
    assert started(watched.wait(1)) == [(2, Cause.NO_NEW_VIEW)]


def test_votes_for_later_views_start_the_timer_too():
    """Whoever asks for a later view has left as well: counted for one view alone, two halves could wait for ever."""
    watched = watch()
    lose_patience(watched)
    watched.give(watched.scene.view_change(0, 1))
    watched.give(watched.scene.view_change(3, 2))
    assert started(watched.wait(2 * T)) == [(2, Cause.NO_NEW_VIEW)]


def test_a_status_tells_whose_votes_are_held():
    """For each member the view of its vote here, so that whoever is missing can send its own again."""
    watched = watch()
    watched.give(watched.scene.view_change(3, 7))
    lose_patience(watched)
    (told, *_) = watched.wait(T).said(Kind.STATUS)
    status = unpack(Status, told.body)
    assert (status.view, status.target, status.view_changes) == (0, 1, (0, 0, 1, 7))


# Who says two things.


def second_vote(watched: Microscope, by: int, view: int, sequence: int = 1) -> Envelope:
    """Return another VIEW-CHANGE for a view, which shows something prepared."""
    return watched.scene.view_change(by, view, [watched.scene.certificate(watched.scene.pre_prepare(sequence))])


def test_two_votes_for_one_view_are_evidence_once():
    """The first keeps its place; the contradiction is told once a view, with both messages, for anybody to check."""
    watched = watch()
    scene = watched.scene
    first, second = scene.view_change(3, 6), second_vote(watched, 3, 6)
    watched.give(first)
    turn = watched.give(second)
    assert turn.reasons == [Reason.CONFLICTING]
    (evidence,) = turn.of(Evidence)
    assert evidence == Evidence(3, first, second)
    assert Misbehaviour.of(scene.group, evidence).verify(scene.group, scene.verifier).culprit == 3
    before = scene.verifier.count
    for again in (second, second_vote(watched, 3, 6, sequence=2), forged(second)):
        turn = watched.give(again)
        assert turn.reasons == [Reason.CONFLICTING]
        assert turn.of(Evidence) == []
    assert scene.verifier.count == before
    watched.give(scene.view_change(3, 8))
    assert watched.give(second_vote(watched, 3, 8)).of(Evidence)


def test_a_forged_second_vote_is_no_evidence():
    """And it does not use up the judgement of a real one."""
    watched = watch()
    watched.give(watched.scene.view_change(3, 6))
    turn = watched.give(forged(second_vote(watched, 3, 6)))
    assert (turn.reasons, turn.of(Evidence)) == ([Reason.BAD_SIGNATURE], [])
    assert watched.give(second_vote(watched, 3, 6)).of(Evidence)


def test_two_new_views_of_one_view_are_evidence():
    """Its primary made one for some replicas and another for the others; neither is entered without its votes."""
    watched = watch()
    scene = watched.scene
    votes = [scene.view_change(by, 1) for by in (0, 1, 3)]
    first = scene.new_view(1, votes)
    second = scene.new_view(1, [*votes[:2], second_vote(watched, 3, 1)])
    watched.give(first)
    assert watched.give(forged(second)).of(Evidence) == []
    turn = watched.give(second)
    assert turn.reasons == [Reason.CONFLICTING]
    assert turn.of(Evidence) == [Evidence(1, first, second)]
    before = scene.verifier.count
    for again in (second, forged(second), scene.new_view(1, [*votes[:2], second_vote(watched, 3, 1, sequence=2)])):
        turn = watched.give(again)
        assert (turn.reasons, turn.of(Evidence)) == ([Reason.CONFLICTING], [])
    assert scene.verifier.count == before
