"""Votes that a NEW-VIEW names and a replica lacks, and whoever is behind in views (OSDI'99 section 4.4; design 4.8)."""

from __future__ import annotations

import pytest

from pbft.core.effects import Broadcast, Evidence, Executed, Persist, Reason, Send, ViewEntered
from pbft.core.envelope import Kind
from pbft.core.messages import BEGINNING, PreparedCertificate, Status, ViewChange, unpack
from tests.core.builders import Microscope, Scene, vote_digest


def watch(me: int = 2) -> Microscope:
    return Scene().watch(me)


def certified(scene: Scene) -> list[PreparedCertificate]:
    return [scene.certificate(scene.pre_prepare(1, scene.request()))]


# Votes that are missing.


def test_a_new_view_waits_for_votes_that_are_missing():
    """A replica asks for them by digest, takes them from anybody, and enters once the last one has come."""
    watched = watch()
    scene = watched.scene
    votes = watched.votes(1, certified(scene))
    watched.give(votes[0])
    watched.give(scene.request())
    watched.wait(1_000)
    assert watched.give(scene.new_view(1, votes)).effects == []
    (told, *_) = watched.wait(2_000).said(Kind.STATUS)
    assert unpack(Status, told.body).wanted == tuple(vote_digest(each) for each in votes[1:])
    assert watched.give(votes[2], 0).of(ViewEntered) == []
    assert watched.give(scene.view_change(1, 1), 0).reasons == [Reason.NOT_WANTED]
    assert watched.give(votes[1], 0).of(ViewEntered)


def test_a_named_vote_counts_where_another_of_its_sender_is_held():
    """Who votes twice cannot keep apart those who heard the one and those who heard the other (design 4.8)."""
    watched = watch()
    scene = watched.scene
    here = [scene.view_change(by, 1) for by in watched.peers]
    there = scene.view_change(3, 1, certified(scene))
    for vote in here:
        watched.give(vote)
    assert watched.give(scene.new_view(1, [*here[:2], there])).of(ViewEntered) == []
    (told, *_) = watched.wait(1_000).said(Kind.STATUS)
    assert unpack(Status, told.body).wanted == (vote_digest(there),)
    turn = watched.give(there, 0)
    assert turn.of(Evidence) == [Evidence(3, here[2], there)]
    (entered,) = turn.of(ViewEntered)
    assert entered.votes == (*here[:2], there)
    assert len(entered.digests) == 1


def test_a_named_vote_counts_where_its_sender_has_gone_on():
    """Of a sender who asks for a later view by now, the vote for this one is fetched."""
    watched = watch()
    scene = watched.scene
    votes = watched.votes(1)
    watched.give(votes[0])
    watched.give(scene.view_change(3, 6))
    watched.give(votes[1])
    assert watched.replica.status().target == 1
    assert watched.give(scene.new_view(1, votes)).of(ViewEntered) == []
    turn = watched.give(votes[2], 0)
    assert turn.of(Evidence) == []
    assert turn.of(ViewEntered)


def test_a_named_vote_is_taken_once():
    """While the NEW-VIEW waits for another one, whoever brings it again costs nothing and tells nothing new."""
    watched = watch()
    scene = watched.scene
    here = [scene.view_change(by, 1) for by in watched.peers]
    there, missing = (scene.view_change(by, 1, certified(scene)) for by in (3, 1))
    for each in (*here, scene.new_view(1, [here[0], missing, there])):
        watched.give(each)
    assert watched.give(there, 0).of(Evidence)
    before = scene.verifier.count
    turn = watched.give(there, 0)
    assert (turn.reasons, turn.of(Evidence)) == ([Reason.DUPLICATE], [])
    assert scene.verifier.count == before


def test_a_new_view_far_ahead_hides_no_other():
    """A primary to come may say what it likes of a view that nobody asks for: the one asked for is entered (R5)."""
    watched = watch()
    scene = watched.scene
    votes = watched.votes(1)
    far = scene.new_view(4 * 10**9 + 3, [scene.view_change(by, 4 * 10**9 + 3) for by in (0, 1, 3)])
    for each in (far, *votes):
        watched.give(each)
    assert watched.give(scene.new_view(1, votes)).of(ViewEntered)


def test_votes_for_later_views_outlast_an_earlier_one():
    """Who asked for view 6 before view 1 was entered need not ask again: with one more, f+1 do."""
    watched = watch()
    watched.give(watched.scene.view_change(3, 6))
    votes = [watched.scene.view_change(by, 1) for by in (0, 1)]
    own = [vote for each in votes for vote in watched.give(each).said(Kind.VIEW_CHANGE)]
    assert watched.give(watched.scene.new_view(1, [*votes, *own])).of(ViewEntered)
    watched.give(watched.scene.view_change(0, 7))
    assert watched.replica.status().target == 6


@pytest.mark.parametrize("entered", [False, True])
def test_votes_that_others_want_are_sent(entered):
    """By whoever holds them, in the view or not yet: just those, one replica at a time."""
    watched = watch(me=1 if entered else 0)
    scene = watched.scene
    if entered:
        vote = watched.votes(1)[-1]
        watched.enter(1)
    else:
        vote = scene.view_change(3, 1)
        watched.give(vote)
    wanted = (vote_digest(vote), bytes(32))
    sent = []
    for attempt in range(3):
        watched.ms += 1_000
        turn = watched.give(scene.status(2, 0, attempt, target=1, wanted=wanted, view_changes=(1,) * 4))
        sent.append([each for each in turn.said(Kind.VIEW_CHANGE) if each.sender != watched.me])
    assert sent == [[vote], [], []]


# Who is behind.


def test_who_is_behind_is_sent_the_new_view():
    """By one replica at a time, the view's primary first; who has entered the view is sent nothing of it."""
    group = [watch(me=me) for me in (0, 1, 3)]
    scene = group[0].scene
    for each in group:
        each.enter(1)
    served = []
    for attempt in range(3):
        for each in group:
            each.ms += 1_000
            sent = each.give(scene.status(2, 0, attempt, target=1)).said(Kind.NEW_VIEW)
            served += [each.me] * len(sent)
            assert each.give(scene.status(2, 0, attempt, view=1)).said(Kind.NEW_VIEW) == []
    assert served == [1, 3, 0]


def test_a_lower_new_view_is_entered_without_voting():
    """Who asks for view 2 still executes what quorums commit in view 1, and votes for nothing there."""
    watched = watch(me=3)
    scene = watched.scene
    votes = [scene.view_change(by, 1) for by in (0, 1, 2)]
    for vote in votes:
        watched.give(vote)
    watched.wait(10_000)
    assert watched.replica.status().target == 2
    turn = watched.give(scene.new_view(1, votes))
    assert turn.of(ViewEntered)
    assert (watched.replica.status().view, watched.replica.status().target) == (1, 2)
    proposal = scene.pre_prepare(1, scene.request(), view=1)
    turns = [watched.give(each) for each in (proposal, scene.prepare(0, proposal), scene.prepare(2, proposal))]
    turns += [watched.give(scene.commit(by, proposal)) for by in (0, 1, 2)]
    assert not [each for turn in turns for each in turn.effects if isinstance(each, Persist | Broadcast | Send)]
    assert [each.view for turn in turns for each in turn.of(Executed)] == [1]
    turn = watched.enter(2)
    proposal = scene.pre_prepare(2, scene.request("bob"), view=2)
    assert watched.give(proposal).said(Kind.PREPARE)


def test_views_never_move_back():
    """A NEW-VIEW of an earlier view is refused, also of one that was skipped (R3)."""
    watched = watch(me=3)
    scene = watched.scene
    votes = [scene.view_change(by, 1) for by in (0, 1, 2)]
    watched.enter(2)
    assert watched.give(scene.new_view(1, votes)).reasons == [Reason.WRONG_VIEW]
    assert watched.replica.status().view == 2


def test_a_new_view_that_comes_before_anybody_is_impatient_waits():
    """It is kept, and entered once f+1 others ask for its view and its votes are there."""
    watched = watch()
    scene = watched.scene
    votes = watched.votes(1)
    assert watched.give(scene.new_view(1, votes)).effects == []
    turns = [watched.give(vote) for vote in votes]
    assert [len(turn.of(ViewEntered)) for turn in turns] == [0, 0, 1]
    assert unpack(ViewChange, turns[1].said(Kind.VIEW_CHANGE)[0].body) == ViewChange(1, BEGINNING, ())
