"""OSDI'99 section 4.4: which NEW-VIEW a backup accepts, and what it does with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pbft.core.effects import BecameStable, Broadcast, Evidence, Persist, Reason, ViewEntered
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import (
    NULL_BATCH,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Renewal,
    Status,
    batch_digest,
    unpack,
)
from pbft.testing import Cluster
from pbft.testing.byzantine import Silent
from pbft_apps.counter import Counter
from tests.core.builders import Microscope, Scene, Turn, forged
from tests.paper.stage import SIZES, SMALL, agree, digest_of, is_silent, only, prepares, proposals, told

NULL = batch_digest(NULL_BATCH)


@dataclass
class Case:
    """A backup, the VIEW-CHANGEs of a quorum for view 1 that it has heard, and the NEW-VIEW that follows from them.

    The votes show sequence 2 stable, and prepared 3 and 5: the new view is to propose 3, a null request and 5.
    """

    watched: Microscope
    votes: list[Envelope]
    batches: list[Envelope]
    stable: int
    digests: list[bytes]

    @property
    def scene(self) -> Scene:
        return self.watched.scene

    def new_view(self, **changes: Any) -> Envelope:
        """Return the right NEW-VIEW, or one with some of its parts changed."""
        parts = {"view": 1, "votes": self.votes, "stable": self.stable, "digests": self.digests, **changes}
        return self.scene.new_view(**parts)


def case(n: int = 4, told_votes: Sequence[int] | None = None) -> Case:
    """Return the case with all votes heard, or those of the replicas named only."""
    watched = Scene(n, limits=SMALL).watch(2)
    scene = watched.scene
    batches = proposals(scene, 5)
    said = agree(watched, *batches[:2]).said(Kind.CHECKPOINT)
    for batch in batches[2:]:
        watched.give(batch)
        watched.prepare(batch)
    stable = scene.proof(2, unpack(Checkpoint, only(said).body).digest, watched.peers[: scene.group.quorums.quorum])
    first, second, *more = watched.peers[: scene.group.quorums.quorum]
    votes = [
        scene.view_change(first, 1, [scene.certificate(batches[0]), scene.certificate(batches[2])]),
        scene.view_change(second, 1, [scene.certificate(batches[4])], stable),
        *(scene.view_change(each, 1) for each in more),
    ]
    told(watched, *(vote for vote in votes if told_votes is None or vote.sender in told_votes))
    return Case(watched, votes, batches, 2, [digest_of(batches[2]), NULL, digest_of(batches[4])])


def is_refused(turn: Turn, watched: Microscope) -> bool:
    """Say whether a replica stayed where it was, without a word."""
    return is_silent(turn) and not turn.of(ViewEntered) and watched.replica.status().view == 0


# What is accepted.


@SIZES
def test_a_right_new_view_is_accepted(n):
    """4.4: A backup accepts a NEW-VIEW that is rightly signed, holds valid VIEW-CHANGEs and the right O."""
    given = case(n)
    entered = only(given.watched.give(given.new_view()).of(ViewEntered))
    assert (entered.view, entered.stable, list(entered.digests)) == (1, 2, given.digests)
    assert set(entered.votes) == set(given.votes)
    assert given.watched.replica.status().view == 1


@SIZES
def test_a_new_view_is_signed_by_its_primary(n):
    """4.4: A NEW-VIEW is accepted only under the signature of the primary of its view."""
    given = case(n)
    forgery = given.watched.give(forged(given.new_view()))
    assert forgery.reasons == [Reason.BAD_SIGNATURE]
    usurped = given.watched.give(given.new_view(by=3))
    assert usurped.reasons == [Reason.NOT_PRIMARY]
    assert is_refused(forgery, given.watched)
    assert is_refused(usurped, given.watched)
    assert given.watched.give(given.new_view()).of(ViewEntered), "neither hides the right one"


@SIZES
@pytest.mark.parametrize("other", ["one short", "one twice", "another view"])
def test_a_new_view_rests_on_a_quorum_of_votes_for_it(n, other):
    """4.4: A NEW-VIEW is accepted only if it holds VIEW-CHANGEs of 2f+1 replicas, valid for its view.

    Differs: of q replicas, with q = ceil((n+f+1)/2), which is 2f+1 for n = 3f+1.
    """
    given = case(n)
    elsewhere = [given.scene.view_change(int(vote.sender), 3) for vote in given.votes]
    if other == "another view":
        told(given.watched, *elsewhere)
    wrong: dict[str, dict[str, Any]] = {
        "one short": {"votes": given.votes[:-1]},
        "one twice": {"votes": [given.votes[0], *given.votes[:-1]]},
        "another view": {"votes": elsewhere, "stable": 0, "digests": []},
    }
    turn = given.watched.give(given.new_view(**wrong[other]))
    assert turn.reasons == [Reason.BAD_NEW_VIEW]
    assert is_refused(turn, given.watched)


@SIZES
def test_a_new_view_that_names_an_unsigned_vote_is_not_entered(n):
    """4.4: The VIEW-CHANGEs of a NEW-VIEW are valid: an unsigned one among them is not."""
    given = case(n, told_votes=())
    *good, bad = given.votes
    told(given.watched, *good, given.new_view())
    assert given.watched.give(forged(bad)).reasons == [Reason.BAD_SIGNATURE]
    assert given.watched.replica.status().view == 0
    assert given.watched.give(bad).of(ViewEntered)


@SIZES
def test_votes_that_are_missing_are_fetched(n):
    """4.4: The VIEW-CHANGEs come in the NEW-VIEW.

    Differs: it has their digests only. A backup asks for those it lacks, takes them from whoever has them, and judges
    the NEW-VIEW when all are there: most were heard before, and are large (design 4.8).
    """
    weak = [0, 1, 3][: (n - 1) // 3 + 1]
    given = case(n, told_votes=weak)
    watched = given.watched
    assert not watched.give(given.new_view()).of(ViewEntered)
    watched.ms += 200
    asked = unpack(Status, only(watched.tick().said(Kind.STATUS)).body)
    lacking = [vote for vote in given.votes if vote.sender not in weak]
    assert len(asked.wanted) == len(lacking)
    assert told(watched, *lacking, sender=1).of(ViewEntered)


def without_the_last(given: Case) -> dict[str, Any]:
    """O ends too soon."""
    return {"digests": given.digests[:-1]}


def with_one_more(given: Case) -> dict[str, Any]:
    """O goes on beyond max-s."""
    return {"digests": [*given.digests, NULL]}


def with_an_invention(given: Case) -> dict[str, Any]:
    """O proposes a batch where a null request is due."""
    return {"digests": [given.digests[0], digest_of(given.batches[3]), given.digests[2]]}


def null_for_prepared(given: Case) -> dict[str, Any]:
    """O proposes a null request where a batch had prepared."""
    return {"digests": [NULL, *given.digests[1:]]}


def in_another_order(given: Case) -> dict[str, Any]:
    """O has the right batches at wrong numbers."""
    return {"digests": given.digests[::-1]}


def nothing(given: Case) -> dict[str, Any]:
    """O is empty."""
    return {"digests": []}


def from_an_earlier_checkpoint(given: Case) -> dict[str, Any]:
    """It starts below min-s, and proposes what is stable."""
    return {"stable": 0, "digests": [digest_of(given.batches[0]), NULL, *given.digests]}


def from_a_later_checkpoint(given: Case) -> dict[str, Any]:
    """It starts above min-s, and leaves out what had prepared."""
    return {"stable": 4, "digests": given.digests[2:]}


WRONG_O = [
    without_the_last,
    with_one_more,
    with_an_invention,
    null_for_prepared,
    in_another_order,
    nothing,
    from_an_earlier_checkpoint,
    from_a_later_checkpoint,
]


@SIZES
@pytest.mark.parametrize("change", WRONG_O)
def test_o_is_computed_again(n, change):
    """4.4: A NEW-VIEW is accepted only if O is what a backup itself computes from the VIEW-CHANGEs that it holds."""
    given = case(n)
    turn = given.watched.give(given.new_view(**change(given)))
    assert turn.reasons == [Reason.BAD_NEW_VIEW]
    assert is_refused(turn, given.watched)


def test_the_digest_of_the_highest_view_is_demanded():
    """4.4: Of two batches prepared for a number, a NEW-VIEW must propose the one of the higher view."""
    for right in (False, True):
        watched = Scene(limits=SMALL).watch(1)
        scene = watched.scene
        older, newer = scene.pre_prepare(1, scene.request()), scene.pre_prepare(1, scene.request("bob"), view=1)
        votes = [
            scene.view_change(0, 2, [scene.certificate(older)]),
            scene.view_change(2, 2, [scene.certificate(newer)]),
            scene.view_change(3, 2, [scene.certificate(older)]),
        ]
        told(watched, *votes)
        digest = digest_of(newer if right else older)
        turn = watched.give(scene.new_view(2, votes, stable=0, digests=[digest]))
        assert bool(turn.of(ViewEntered)) == right


@SIZES
def test_every_pre_prepare_of_o_is_signed(n):
    """4.4: The messages of O are the new primary's pre-prepares: each must carry its signature."""
    given = case(n)
    right = unpack(NewView, given.new_view().body)
    first, *more = right.renewals
    unsigned = replace(right, renewals=(Renewal(first.digest, bytes(64)), *more))
    turn = given.watched.give(given.scene.say(1, Kind.NEW_VIEW, unsigned))
    assert turn.reasons == [Reason.BAD_NEW_VIEW]
    assert is_refused(turn, given.watched)


@SIZES
def test_one_new_view_of_a_primary_counts(n):
    """4.4: A primary sends one NEW-VIEW for its view: a second, different one is refused, and is evidence."""
    given = case(n)
    wrong, right = given.new_view(digests=given.digests[:-1]), given.new_view()
    assert is_refused(given.watched.give(wrong), given.watched)
    turn = given.watched.give(right)
    assert turn.reasons == [Reason.CONFLICTING]
    assert turn.of(Evidence) == [Evidence(1, wrong, right)]
    assert is_refused(turn, given.watched)


def test_a_new_view_of_a_view_gone_by_is_refused():
    """4.4: A NEW-VIEW counts for who has not entered its view, or a later one, yet."""
    given = case()
    new_view = given.new_view()
    assert given.watched.give(new_view).of(ViewEntered)
    turn = given.watched.give(new_view)
    assert turn.reasons == [Reason.WRONG_VIEW]
    assert is_silent(turn)


# What a backup does with it.


@SIZES
def test_a_backup_prepares_all_of_o(n):
    """4.4: Having accepted it, a backup sends all others a prepare for each message of O, and logs them.

    Differs: for what it holds the batch of; the others follow when their batches have come (design 4.8).
    """
    given = case(n)
    turn = given.watched.give(given.new_view())
    said = only([[each for each in turn.of(Broadcast) if each.envelope.kind is Kind.PREPARE]])
    assert [unpack(Prepare, each.envelope.body) for each in said] == [
        Prepare(1, 3 + offset, digest) for offset, digest in enumerate(given.digests)
    ]
    durable = [each.vote for each in turn.of(Persist)]
    assert [each.envelope for each in said] == [each for each in durable if each.kind is Kind.PREPARE]


def test_a_backup_logs_the_new_view_and_its_checkpoint():
    """4.4: A backup adds to its log what the NEW-VIEW tells it, as its primary did: O, and the proof for min-s."""
    given = case()
    new_view = given.new_view()
    turn = given.watched.give(new_view)
    assert Persist(new_view, tuple(given.votes)) in turn.effects
    assert only(turn.of(BecameStable)).proof.sequence == 2
    status = given.watched.replica.status()
    assert (status.stable_checkpoint, status.low_watermark) == (2, 2)
    given.watched.ms += 1_000
    asking = given.scene.status(3, 0, target=1, attempt=1)
    assert given.watched.give(asking).said(Kind.NEW_VIEW) == [new_view]


@SIZES
def test_a_backup_that_lacks_a_request_prepares_when_it_has_it(n):
    """4.4: A replica that lacks a request of O gets it from another one, and then takes part."""
    watched = Scene(n, limits=SMALL).watch(2)
    scene = watched.scene
    batch = scene.pre_prepare(1, scene.request())
    assert not prepares(watched.enter(1, [scene.certificate(batch)]))
    watched.ms += 1_000
    asked = unpack(Status, only(watched.tick().said(Kind.STATUS)).body)
    assert asked.held == b"\x00", "the batch of sequence 1 is not held"
    renewed = scene.propose(1, batch.beside, view=1)
    other = scene.propose(1, NULL_BATCH, view=1)
    assert not prepares(watched.give(replace(renewed, beside=other.beside))), "another request will not do"
    assert prepares(watched.give(renewed, 3)) == [Prepare(1, 1, digest_of(batch))]


def test_whoever_has_a_request_of_o_sends_it():
    """4.4: A replica that has a request which another lacks sends it: the new primary first, then others by turns."""
    scene = Scene(limits=SMALL)
    batch = scene.pre_prepare(1, scene.request())
    senders = []
    for member in (0, 1, 3):
        for attempt in (0, 1, 2):
            watched = scene.watch(member)
            watched.give(batch)
            watched.prepare(batch)
            watched.enter(1, [scene.certificate(batch)])
            watched.ms += 1_000
            turn = watched.give(scene.status(2, 0, view=1, attempt=attempt, held=b"\x00"))
            sent = [each for each in turn.said(Kind.PRE_PREPARE) if each.beside == batch.beside]
            senders += [(attempt, member)] * len(sent)
    assert sorted(senders) == [(0, 1), (1, 3), (2, 0)]


@SIZES
def test_a_backup_goes_on_as_in_any_view(n):
    """4.4: From then on the protocol goes on as in the normal case: votes of view v+1 count, those of v do not."""
    given = case(n)
    watched, scene = given.watched, given.scene
    watched.give(given.new_view())
    renewed = scene.propose(3, given.batches[2].beside, view=1)
    assert unpack(Commit, only(watched.prepare(renewed).said(Kind.COMMIT)).body) == Commit(1, 3, given.digests[0])
    assert watched.give(scene.prepare(3, given.batches[2])).reasons == [Reason.WRONG_VIEW]
    fresh = scene.pre_prepare(6, scene.request("bob"), view=1)
    assert prepares(watched.give(fresh)) == [Prepare(1, 6, digest_of(fresh))]
    assert unpack(PrePrepare, fresh.body).view == 1


@SIZES
def test_the_new_view_of_a_correct_primary_is_accepted_by_all(n):
    """4.4: What a correct primary makes of the VIEW-CHANGEs is what all correct backups make of them."""
    group = Cluster(Counter, seed=46, n=n, byzantine={0: Silent}, loss=0.05, reorder=0.1)
    alice, bob = group.clients("alice", "bob")
    group.gather(alice.call("add", 1), bob.call("add", 1))
    group.run_until(lambda: group.views() == {1})
    entered = [only(group.steps(replica, ViewEntered)) for replica in group.correct]
    assert len({(each.view, each.stable, each.digests) for each in entered}) == 1
    assert all(Reason.BAD_NEW_VIEW not in group.ignored(replica) for replica in group.correct)
