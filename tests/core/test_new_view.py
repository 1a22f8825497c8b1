"""Entering a view: what its primary makes, what backups accept and refuse, what is fetched (OSDI'99 section 4.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from pbft.core.effects import (
    BecameStable,
    Broadcast,
    Cause,
    Evidence,
    Executed,
    Persist,
    Proposed,
    Reason,
    Send,
    ViewChangeStarted,
    ViewEntered,
)
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.evidence import Misbehaviour
from pbft.core.group import Limits
from pbft.core.log import KEPT_BATCHES
from pbft.core.messages import (
    NULL_BATCH,
    NULL_DIGEST,
    NewView,
    PreparedCertificate,
    PrePrepare,
    Status,
    batch_digest,
    unpack,
)
from pbft.core.settings import ReplicaSettings
from tests.core.builders import WALL_MS, Microscope, Scene, renewed, vote_digest

LIMITS = Limits(checkpoint_interval=4, log_size=8)
DIGEST = bytes(range(32))


def watch(n: int = 4, me: int = 2) -> Microscope:
    return Scene(n, limits=LIMITS).watch(me)


def proposals(scene: Scene, *sequences: int) -> list[Envelope]:
    """Return a proposal of view 0 for each sequence."""
    return [scene.pre_prepare(each, scene.request("alice", each)) for each in sequences]


def certified(scene: Scene, *sequences: int) -> list[PreparedCertificate]:
    return [scene.certificate(each) for each in proposals(scene, *sequences)]


# Its primary.


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_a_new_view_takes_a_quorum_of_votes_and_no_more(n):
    """The primary makes it with its own vote and q-1 others': not with one less, and once (OSDI'99 section 4.4)."""
    watched = watch(n, me=1)
    votes = watched.votes(1)
    for vote in votes[:-1]:
        assert watched.give(vote).said(Kind.NEW_VIEW) == []
    turn = watched.give(votes[-1])
    (new_view,) = turn.said(Kind.NEW_VIEW)
    quorum = watched.scene.group.quorums.view_change
    named = unpack(NewView, new_view.body).votes
    assert len(named) == quorum
    assert [each.replica for each in named] == sorted([1, *(int(vote.sender) for vote in votes)])
    assert {vote_digest(vote) for vote in votes} < {each.digest for each in named}
    late = watched.scene.view_change(watched.peers[-1], 1, certified(watched.scene, 1))
    assert watched.give(late).said(Kind.NEW_VIEW) == []


def test_a_new_view_is_durable_with_its_votes_before_it_goes():
    """It rests on the VIEW-CHANGEs that it names; then its primary enters, and backups hear of it."""
    watched = watch(me=1)
    scene = watched.scene
    first, second = watched.votes(1, certified(scene, 2))
    watched.give(first)
    turn = watched.give(second)
    (own,) = turn.said(Kind.VIEW_CHANGE)
    (new_view,) = turn.said(Kind.NEW_VIEW)
    persist = next(each for each in turn.of(Persist) if each.vote == new_view)
    assert persist.basis == (first, own, second)
    assert turn.effects[turn.effects.index(persist) + 1] == Broadcast(new_view)
    (entered,) = turn.of(ViewEntered)
    batch = certified(scene, 2)[0].digest
    assert entered == ViewEntered(1, 0, (NULL_DIGEST, batch), persist.basis)
    assert genuine(scene.group, scene.verifier, new_view)
    for sequence in (1, 2):
        assert genuine(scene.group, scene.verifier, renewed(new_view, sequence, b""))
    assert (watched.replica.status().view, watched.replica.status().role) == (1, "primary")


def test_the_new_primary_makes_its_proposals_durable_with_their_batches():
    """The NEW-VIEW was its vote; the batches that it holds are kept with the pre-prepares, which nobody is sent."""
    watched = watch(me=1)
    scene = watched.scene
    (held,) = proposals(scene, 2)
    watched.give(held)
    watched.prepare(held)
    turn = watched.enter(1, [scene.certificate(held)])
    (new_view,) = turn.said(Kind.NEW_VIEW)
    kept = [each.vote for each in turn.of(Persist) if each.vote.kind is Kind.PRE_PREPARE]
    assert kept == [renewed(new_view, 1, NULL_BATCH), renewed(new_view, 2, held.beside)]
    assert turn.said(Kind.PRE_PREPARE) == []
    assert turn.said(Kind.PREPARE) == []


def test_a_batch_that_the_new_primary_lacks_comes_from_who_has_it():
    """It says that it lacks the batch, and takes it under the signature that is already its own."""
    watched = watch(me=1)
    scene = watched.scene
    (missed,) = proposals(scene, 1)
    (new_view,) = watched.enter(1, [scene.certificate(missed)]).said(Kind.NEW_VIEW)
    (told, *_) = watched.wait(1_000).said(Kind.STATUS)
    assert unpack(Status, told.body).held == b"\0"
    whole = renewed(new_view, 1, missed.beside)
    turn = watched.give(whole, 3)
    assert [each.vote for each in turn.of(Persist)] == [whole]
    watched.prepare(whole)
    assert [each.sequence for each in watched.commit(whole).of(Executed)] == [1]


def test_what_a_new_view_lacks_is_asked_for_soon():
    """After one quiet interval, however rarely this replica had come to ask in the view before."""
    watched = Scene(limits=LIMITS).watch(2, ReplicaSettings(view_timeout_ms=60_000))
    watched.give(watched.scene.request("bob"))
    watched.wait(5_000)
    watched.enter(1, certified(watched.scene, 1))
    assert watched.wait(watched.replica.settings.status_interval_ms).said(Kind.STATUS)


def test_the_new_primary_goes_on_behind_what_it_proposed_again():
    """Waiting requests get the sequences after that; what rides in a batch proposed again is not proposed twice."""
    watched = watch(me=1)
    scene = watched.scene
    (held,) = proposals(scene, 2)
    watched.give(held)
    watched.prepare(held)
    watched.give(scene.request("alice", 2))
    watched.give(scene.request("bob"))
    watched.enter(1, [scene.certificate(held)])
    turn = watched.tick()
    assert [(each.view, each.sequence, each.requests) for each in turn.of(Proposed)] == [(1, 3, 1)]
    (proposal,) = turn.said(Kind.PRE_PREPARE)
    assert scene.request("bob").to_bytes() in proposal.beside


# Its backups.


def test_a_backup_enters_and_prepares_what_it_holds():
    """Null requests and batches at hand at once, none for what it lacks; the NEW-VIEW is durable with its votes."""
    watched = watch()
    scene = watched.scene
    held, missed = proposals(scene, 2, 3)
    watched.give(held)
    watched.prepare(held)
    votes = watched.votes(1, [scene.certificate(held), scene.certificate(missed)])
    new_view = scene.new_view(1, votes)
    for vote in votes:
        watched.give(vote)
    turn = watched.give(new_view)
    first, *others = turn.of(Persist)
    assert (first.vote, first.basis) == (new_view, tuple(votes))
    assert Broadcast(new_view) not in turn.effects
    assert turn.of(ViewEntered) == [
        ViewEntered(1, 0, (NULL_DIGEST, *(each.digest for each in certified(scene, 2, 3))), tuple(votes))
    ]
    prepares = [unpack(PrePrepare, each.body) for each in turn.said(Kind.PREPARE)]
    assert [(each.view, each.sequence, each.digest) for each in prepares] == [
        (1, 1, NULL_DIGEST),
        (1, 2, batch_digest(held.beside)),
    ]
    assert [each.basis for each in others] == [
        (renewed(new_view, 1, NULL_BATCH),),
        (renewed(new_view, 2, held.beside),),
    ]
    status = watched.replica.status()
    assert (status.view, status.target, status.role) == (1, 1, "backup")


def test_a_batch_that_was_only_accepted_is_at_hand():
    """It prepared elsewhere: who accepted it has it still, and prepares it on entry, in this view or a later one."""
    for again in ([1], []):
        watched = watch()
        (accepted,) = proposals(watched.scene, 1)
        watched.give(accepted)
        turn = watched.enter(1, certified(watched.scene, *again))
        assert len(turn.said(Kind.PREPARE)) == len(again)
        assert watched.replica.usage()["batch_bytes"] == len(accepted.beside)


def test_a_batch_that_gave_way_to_another_is_kept_for_a_while():
    """Somebody may hold a certificate for it; what a few views proposed is kept, the oldest let go of first."""
    watched = watch()
    scene = watched.scene
    batches = [scene.pre_prepare(1, scene.request("bob", view + 1), view=view) for view in range(KEPT_BATCHES + 1)]
    for view, proposal in enumerate(batches):
        if view > 0:
            watched.enter(view)
        watched.give(proposal)
    assert watched.replica.usage()["batch_bytes"] == sum(len(each.beside) for each in batches)
    turn = watched.enter(len(batches), [scene.certificate(batches[1])])
    assert len(turn.said(Kind.PREPARE)) == 1
    assert watched.replica.usage()["batch_bytes"] == sum(len(each.beside) for each in batches[1:])


def test_what_is_proposed_again_runs_through_the_phases():
    """Null requests change nothing and keep agreed time; the batch runs once, in its place."""
    watched = watch()
    scene = watched.scene
    (held,) = proposals(scene, 2)
    watched.give(held)
    watched.prepare(held)
    votes = watched.votes(1, [scene.certificate(held)])
    new_view = scene.new_view(1, votes)
    for each in (*votes, new_view):
        watched.give(each)
    ran = []
    for sequence, batch in ((1, NULL_BATCH), (2, held.beside)):
        again = renewed(new_view, sequence, batch)
        watched.prepare(again)
        ran += watched.commit(again).of(Executed)
    assert [(each.view, each.sequence, len(each.requests)) for each in ran] == [(1, 1, 0), (1, 2, 1)]
    assert watched.replica.status().agreed_time_ms == WALL_MS
    assert len(watched.application.ran) == 1


def test_a_batch_that_a_backup_lacks_is_taken_at_any_time():
    """Its time was judged when it was proposed first (design 4.5); another batch is not taken in its place."""
    watched = watch()
    scene = watched.scene
    watched.wall_offset_ms = 86_400_000
    (missed,) = proposals(scene, 1)
    votes = watched.votes(1, [scene.certificate(missed)])
    new_view = scene.new_view(1, votes)
    for each in (*votes, new_view):
        assert watched.give(each).said(Kind.PREPARE) == []
    whole = renewed(new_view, 1, missed.beside)
    assert watched.give(replace(whole, beside=NULL_BATCH), 3).reasons == [Reason.WRONG_DIGEST]
    turn = watched.give(whole, 3)
    assert [each.body for each in turn.said(Kind.PREPARE)] == [whole.body]


def test_a_primary_that_proposes_otherwise_than_its_new_view_is_caught():
    """Its NEW-VIEW was the pre-prepare for that sequence: a second one contradicts it."""
    watched = watch()
    scene = watched.scene
    (missed,) = proposals(scene, 1)
    votes = watched.votes(1, [scene.certificate(missed)])
    new_view = scene.new_view(1, votes)
    for each in (*votes, new_view):
        watched.give(each)
    other = scene.pre_prepare(1, scene.request("bob"), view=1)
    turn = watched.give(other)
    assert turn.reasons == [Reason.CONFLICTING]
    (evidence,) = turn.of(Evidence)
    assert evidence == Evidence(1, renewed(new_view, 1, b""), other)
    assert Misbehaviour.of(scene.group, evidence).verify(scene.group, scene.verifier).culprit == 1


def test_requests_that_were_proposed_in_vain_wait_again():
    """What the old view proposed and did not prepare is the new primary's to propose: here, our own."""
    watched = watch(me=1)
    scene = watched.scene
    request = scene.request("bob")
    watched.give(request)
    watched.give(scene.pre_prepare(1, request))
    watched.enter(1)
    assert [(each.sequence, each.requests) for each in watched.tick().of(Proposed)] == [(1, 1)]


def test_who_is_primary_again_proposes_again_what_it_proposed_in_vain():
    """A request that was lost with view 0 still waits, and is no less urgent for having been proposed before."""
    watched = watch(me=0)
    watched.give(watched.scene.request())
    assert watched.tick().of(Proposed)
    watched.enter(1)
    watched.enter(4)
    assert [(each.view, each.sequence, each.requests) for each in watched.tick().of(Proposed)] == [(4, 1, 1)]


def test_a_view_starts_from_the_highest_proven_checkpoint():
    """Its proof makes a checkpoint stable here too; what lies above is proposed again, and nothing at or below."""
    watched = watch()
    scene = watched.scene
    (vote,) = watched.run(5).said(Kind.CHECKPOINT)
    proof = scene.proof(4, unpack_digest(vote))
    turn = watched.enter(1, certified(scene, 6), proof)
    assert turn.of(BecameStable) == [BecameStable(proof)]
    (entered,) = turn.of(ViewEntered)
    assert (entered.stable, entered.digests) == (4, (NULL_DIGEST, certified(scene, 6)[0].digest))
    status = watched.replica.status()
    assert (status.stable_checkpoint, status.low_watermark, status.executed) == (4, 4, 5)


def unpack_digest(checkpoint: Envelope) -> bytes:
    """Return the digest that a CHECKPOINT names."""
    return checkpoint.body[-32:]


def test_a_view_may_start_below_our_own_checkpoint():
    """Others could not prove it yet: what is stable here is settled, and only what lies beyond is prepared again."""
    watched = watch()
    scene = watched.scene
    (vote,) = watched.run(4).said(Kind.CHECKPOINT)
    watched.stabilise(vote)
    turn = watched.enter(1, certified(scene, 1, 2, 3, 4, 6))
    assert [each.stable for each in turn.of(ViewEntered)] == [0]
    assert [unpack(PrePrepare, each.body).sequence for each in turn.said(Kind.PREPARE)] == [5]
    assert (watched.replica.status().low_watermark, watched.executed) == (4, 4)


# What is refused.


def bad(**changes: object) -> Callable[[Scene, Sequence[Envelope]], Envelope]:
    """Return what makes a NEW-VIEW of good votes that does not follow from them."""

    def make(scene: Scene, votes: Sequence[Envelope]) -> Envelope:
        return scene.new_view(1, votes, **changes)  # type: ignore[arg-type]

    return make


FIRST, THIRD = (each.digest for each in certified(Scene(limits=LIMITS), 1, 3))
NULL, STRAY = NULL_DIGEST, batch_digest(b"stray")


def with_a_bad_signature(scene: Scene, votes: Sequence[Envelope]) -> Envelope:
    """Return a NEW-VIEW in which one pre-prepare carries another's signature."""
    body = unpack(NewView, scene.new_view(1, votes).body)
    renewals = list(body.renewals)
    renewals[1] = replace(renewals[1], signature=renewals[0].signature)
    return scene.say(1, Kind.NEW_VIEW, replace(body, renewals=tuple(renewals)))


WRONG: dict[str, Callable[[Scene, Sequence[Envelope]], Envelope]] = {
    "nothing at all": bad(digests=()),
    "the last batch left out": bad(digests=(FIRST, NULL)),
    "the first batch replaced": bad(digests=(STRAY, NULL, THIRD)),
    "a null request for a batch": bad(digests=(NULL, NULL, THIRD)),
    "a batch for a null request": bad(digests=(FIRST, STRAY, THIRD)),
    "in another order": bad(digests=(THIRD, NULL, FIRST)),
    "one sequence more": bad(digests=(FIRST, NULL, THIRD, STRAY)),
    "a null request more": bad(digests=(FIRST, NULL, THIRD, NULL)),
    "a later start": bad(stable=1, digests=(NULL, THIRD)),
    "a start that nobody proved": bad(stable=4, digests=()),
    "a bad signature": with_a_bad_signature,
}


@pytest.mark.parametrize("what", WRONG)
def test_a_new_view_that_does_not_follow_from_its_votes_is_refused(what):
    """Whatever is left out, altered or added (P9): not entered, nothing voted, and after a timeout the next view."""
    watched = watch()
    scene = watched.scene
    votes = watched.votes(1, certified(scene, 1, 3))
    for vote in votes:
        watched.give(vote)
    turn = watched.give(WRONG[what](scene, votes))
    assert turn.reasons == [Reason.BAD_NEW_VIEW]
    assert not [each for each in turn.effects if isinstance(each, Persist | Broadcast | Send | ViewEntered)]
    assert (watched.replica.status().view, watched.replica.status().target) == (0, 1)
    assert watched.give(scene.new_view(1, votes)).of(ViewEntered) == []
    causes = [(each.view, each.cause) for each in watched.wait(10_000).of(ViewChangeStarted)]
    assert causes == [(2, Cause.NO_NEW_VIEW)]


def test_a_certificate_that_does_not_verify_need_not_be_proposed_again():
    """A voter may invent one: what follows from the votes is the null request, or the good one below it (R4)."""
    watched = watch()
    scene = watched.scene
    good, invented = certified(scene, 1, 3)
    invented = replace(invented, pre_prepare=bytes(64))
    votes = watched.votes(1, [good, invented])
    for vote in votes:
        watched.give(vote)
    turn = watched.give(scene.new_view(1, votes, digests=(good.digest,)))
    assert [each.digests for each in turn.of(ViewEntered)] == [(good.digest,)]


def test_votes_for_other_views_make_no_new_view():
    """Each vote named must be for just this view: a stale one may have left out what prepared since (P9)."""
    for view in (3, 5):
        watched = watch()
        scene = watched.scene
        votes = [scene.view_change(by, view) for by in watched.peers]
        for vote in votes:
            watched.give(vote)
        assert watched.give(scene.new_view(1, votes)).reasons == [Reason.BAD_NEW_VIEW]
        assert watched.replica.status().view == 0
