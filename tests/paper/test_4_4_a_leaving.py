"""OSDI'99 section 4.4: when a backup leaves a view, and what it says and does then."""

from __future__ import annotations

import pytest

from pbft.core.effects import BecameStable, Broadcast, Cause, Executed, Persist, ViewChangeStarted, ViewEntered
from pbft.core.envelope import Kind, genuine
from pbft.core.messages import BEGINNING, Checkpoint, ViewChange, unpack
from tests.core.builders import Microscope, Scene
from tests.paper.stage import (
    SIZES,
    SMALL,
    T,
    agree,
    asked,
    digest_of,
    is_silent,
    join,
    only,
    proposals,
    stabilise,
    told,
    wait,
)


def backup(n: int = 4) -> Microscope:
    """Return a backup of view 0, which is no primary of view 1 either."""
    return Scene(n, limits=SMALL).watch(2)


def departure(watched: Microscope) -> ViewChange:
    """Have f+1 others ask for view 1, and return what the replica says when it joins them."""
    return unpack(ViewChange, only(join(watched).said(Kind.VIEW_CHANGE)).body)


# The timer.


def test_a_request_starts_the_timer():
    """4.4: A backup that has a valid request and has not executed it waits for it, and its timer runs."""
    watched = backup()
    watched.give(watched.scene.request())
    assert asked(wait(watched, T - 1)) == []
    turn = wait(watched, T)
    assert asked(turn) == [1]
    assert only(turn.of(ViewChangeStarted)).cause is Cause.STALLED


def test_no_timer_runs_while_nothing_waits():
    """4.4: A backup that waits for nothing stays in its view for ever."""
    watched = backup()
    assert watched.replica.deadline_ms is None
    assert asked(wait(watched, 1_000 * T)) == []
    assert watched.replica.status().view == watched.replica.status().target == 0


def test_what_is_no_valid_request_starts_no_timer():
    """4.4: Only a valid request is waited for: not one that is badly signed, a stranger's, or executed already."""
    watched = backup()
    request = watched.scene.request()
    agree(watched, watched.scene.pre_prepare(1, request))
    forgery = watched.scene.request("bob")
    watched.give(type(forgery)(forgery.kind, forgery.sender, forgery.body, bytes(64)))
    watched.give(watched.scene.request("mallory"))
    watched.give(request)
    assert watched.replica.deadline_ms is None
    assert asked(wait(watched, 10 * T)) == []


def test_a_running_timer_is_not_started_again():
    """4.4: A request that comes while the timer runs does not start it anew: the first one is not waited for longer."""
    watched = backup()
    watched.give(watched.scene.request())
    wait(watched, T - 1)
    watched.give(watched.scene.request("bob"))
    assert asked(wait(watched, T)) == [1]


def test_the_timer_stops_when_nothing_waits_any_more():
    """4.4: When the request that was waited for has executed and no other waits, the timer stops."""
    watched = backup()
    request = watched.scene.request()
    watched.give(request)
    wait(watched, T - 1)
    agree(watched, watched.scene.pre_prepare(1, request))
    assert watched.replica.deadline_ms is None
    assert asked(wait(watched, 10 * T)) == []


def test_the_timer_starts_again_for_another_request():
    """4.4: If another request waits when the one waited for executes, the timer starts again from then."""
    watched = backup()
    first, second = watched.scene.request(), watched.scene.request("bob")
    watched.give(first)
    wait(watched, 300)
    watched.give(second)
    wait(watched, 600)
    agree(watched, watched.scene.pre_prepare(1, first))
    assert asked(wait(watched, 600 + T - 1)) == []
    assert asked(wait(watched, 600 + T)) == [1]


def test_serving_others_does_not_keep_the_timer_from_a_request():
    """4.4: The timer keeps a backup from waiting for ever for any request.

    Differs: as the paper has it, a primary that goes on with others' requests could pass one client over for ever: the
    timer starts again each time. A backup leaves it as well when others are served twice meanwhile (design 4.10).
    """
    watched = backup()
    watched.give(watched.scene.request("alice"))
    left = []
    for sequence in range(1, 41):
        watched.give(watched.scene.request("bob", timestamp=sequence))
        left += asked(wait(watched, 100 * sequence))
        agree(watched, watched.scene.pre_prepare(sequence, watched.scene.request("bob", timestamp=sequence)))
        if left:
            break
    assert left == [1]
    assert watched.ms <= 2 * T


def test_a_proposal_under_way_is_waited_for_too():
    """4.4: The timer runs while a request waits.

    Differs: also while anything is proposed and not executed, though this replica has no request of its own waiting:
    others may have executed it, and have nothing to wait for.
    """
    watched = backup()
    watched.give(watched.scene.pre_prepare(1, watched.scene.request()))
    assert asked(wait(watched, T - 1)) == []
    assert asked(wait(watched, T)) == [1]


@pytest.mark.parametrize("view", [0, 1, 4])
def test_a_timer_that_expires_asks_for_the_next_view(view):
    """4.4: A backup whose timer expires in view v asks for view v+1."""
    watched = backup()
    if view:
        watched.enter(view)
    watched.give(watched.scene.request())
    turn = wait(watched, 10 * T)
    assert asked(turn) == [view + 1]
    assert only(turn.of(ViewChangeStarted)).left == view


# The message.


def test_a_view_change_is_signed_and_goes_to_all():
    """4.4: The VIEW-CHANGE is signed and sent to all replicas; here it is durable first (design 4.8)."""
    watched = backup()
    effects = join(watched).effects
    envelope = only([each.envelope for each in effects if isinstance(each, Broadcast)])
    assert (envelope.kind, envelope.sender) == (Kind.VIEW_CHANGE, 2)
    assert unpack(ViewChange, envelope.body).view == 1
    assert genuine(watched.scene.group, watched.scene.verifier, envelope)
    assert effects.index(Persist(envelope, ())) < effects.index(Broadcast(envelope))


def test_with_nothing_to_show_a_view_change_shows_nothing():
    """4.4: Before the first checkpoint and the first request, n is 0, and C and P are empty."""
    assert departure(backup()) == ViewChange(1, BEGINNING, ())


@SIZES
def test_a_view_change_shows_the_last_stable_checkpoint(n):
    """4.4: It holds the number n of the last stable checkpoint known, and C: a quorum's messages that prove it."""
    watched = backup(n)
    reached = agree(watched, *proposals(watched.scene, 4))
    first, second = (unpack(Checkpoint, each.body) for each in reached.said(Kind.CHECKPOINT))
    told(watched, *(watched.scene.checkpoint(each, 2, first.digest) for each in watched.peers))
    assert second.sequence == 4, "it is not stable, and is not shown"
    shown = departure(watched).stable
    assert (shown.sequence, shown.digest) == (2, first.digest)
    assert len({share.signer for share in shown.shares}) == watched.scene.group.quorums.quorum
    for share in shown.shares:
        assert share.signature == watched.scene.checkpoint(share.signer, 2, first.digest).signature


@SIZES
def test_a_view_change_shows_what_prepared(n):
    """4.4: P has, for each request prepared here beyond n, its pre-prepare and 2f matching prepares of backups, signed.

    Prepared is enough, executed or not; what is merely accepted is left out.
    """
    watched = backup(n)
    batches = proposals(watched.scene, 5)
    agree(watched, batches[0])
    told(watched, *batches[1:])
    watched.prepare(batches[2])
    watched.prepare(batches[4])

    shown = departure(watched).prepared

    assert [each.sequence for each in shown] == [1, 3, 5]
    for each, batch in zip(shown, (batches[0], batches[2], batches[4]), strict=True):
        place = (0, each.sequence, digest_of(batch))
        assert (each.view, each.sequence, each.digest) == place
        assert each.pre_prepare == batch.signature
        assert len({share.signer for share in each.prepares} - {0}) == watched.scene.group.quorums.quorum - 1
        for share in each.prepares:
            assert share.signature == watched.scene.prepare(share.signer, batch).signature


def test_a_view_change_shows_nothing_up_to_its_checkpoint():
    """4.4: P is of requests with numbers above n only: the checkpoint stands for the others."""
    watched = backup()
    batches = proposals(watched.scene, 3)
    stabilise(watched, agree(watched, *batches[:2]))
    told(watched, batches[2])
    watched.prepare(batches[2])
    vote = departure(watched)
    assert (vote.stable.sequence, [each.sequence for each in vote.prepared]) == (2, [3])


def test_a_view_change_shows_the_highest_view():
    """4.4: P speaks of each request that prepared.

    Differs: for each number the certificate of the highest view alone, which is all that a new primary looks at.
    """
    watched = backup()
    batch = watched.scene.pre_prepare(1, watched.scene.request())
    agree(watched, batch)
    watched.enter(1, [watched.scene.certificate(batch)])
    watched.prepare(watched.scene.propose(1, batch.beside, view=1))
    shown = unpack(ViewChange, only(join(watched, 3).said(Kind.VIEW_CHANGE)).body).prepared
    assert [(each.view, each.sequence, each.digest) for each in shown] == [(1, 1, digest_of(batch))]


def test_a_view_change_holds_no_requests():
    """4.4: The pre-prepares in P come without the clients' requests."""
    watched = backup()
    batch = watched.scene.pre_prepare(1, watched.scene.request(operations=[b"x" * 10_000]))
    told(watched, batch)
    watched.prepare(batch)
    envelope = only(join(watched).said(Kind.VIEW_CHANGE))
    assert len(unpack(ViewChange, envelope.body).prepared) == 1
    assert len(envelope.body) < 1_000
    assert envelope.beside == b""


# What still counts.


def left() -> Microscope:
    """Return a backup that is prepared for sequence 1, accepted 2, executed neither and asks for view 1."""
    watched = backup()
    batches = proposals(watched.scene, 2)
    told(watched, *batches)
    watched.prepare(batches[0])
    join(watched)
    return watched


@pytest.mark.parametrize("kind", [Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT])
def test_who_left_a_view_votes_no_more_in_it(kind):
    """4.4: A backup that left a view accepts no pre-prepare, prepare or commit of it.

    Differs: it takes them in, but they make it vote for nothing: what quorums commit there it still executes, since
    that has been decided whatever the next view says (design 4.8).
    """
    watched = left()
    scene, accepted = watched.scene, proposals(watched.scene, 2)[1]
    turn = {
        Kind.PRE_PREPARE: lambda: told(watched, scene.pre_prepare(3, scene.request("bob"))),
        Kind.PREPARE: lambda: watched.prepare(accepted),
        Kind.COMMIT: lambda: watched.commit(accepted),
    }[kind]()
    assert is_silent(turn)
    assert watched.executed == 0


def test_what_quorums_commit_in_a_view_is_executed_by_who_left_it():
    """4.4: A request that a backup waits for is executed once it is committed.

    Differs: even in a view that the backup has left; the paper has it deaf until the next one (design 4.8).
    """
    watched = left()
    first, second = proposals(watched.scene, 2)
    turn = told(watched, *(watched.scene.commit(each, batch) for batch in (first, second) for each in (0, 1, 3)))
    assert [each.sequence for each in turn.of(Executed)] == [1, 2]
    assert not turn.said(Kind.PREPARE)
    assert not turn.said(Kind.COMMIT)


def test_who_left_a_view_still_accepts_checkpoints():
    """4.4: A backup that left its view accepts checkpoint messages."""
    watched = backup()
    reached = agree(watched, *proposals(watched.scene, 2))
    join(watched)
    assert stabilise(watched, reached).of(BecameStable)


def test_who_left_a_view_still_accepts_view_changes_and_new_views():
    """4.4: A backup that left its view accepts VIEW-CHANGE and NEW-VIEW messages: so it comes to the next one."""
    watched = backup()
    votes = [watched.scene.view_change(each, 1) for each in (0, 1, 3)]
    told(watched, *votes)
    assert watched.replica.status().target == 1
    assert watched.replica.status().view == 0
    assert watched.give(watched.scene.new_view(1, votes)).of(ViewEntered)
    assert watched.replica.status().view == 1
