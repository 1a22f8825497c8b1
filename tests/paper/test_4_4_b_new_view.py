"""OSDI'99 section 4.4: how the primary of a new view makes its NEW-VIEW, and what it proposes again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.core.effects import BecameStable, Broadcast, Executed, Persist, Reason, ViewEntered
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.messages import (
    NULL_BATCH,
    Checkpoint,
    Commit,
    NewView,
    PreparedCertificate,
    PrePrepare,
    batch_digest,
    unpack,
)
from tests.core.builders import Microscope, Scene, Turn, forged, vote_digest
from tests.paper.stage import SIZES, SMALL, agree, digest_of, join, only, proposals, told

NULL = batch_digest(NULL_BATCH)


def primary(n: int = 4) -> Microscope:
    """Return the replica that is the primary of view 1."""
    return Scene(n, limits=SMALL).watch(1)


def made(turn: Turn) -> NewView:
    """Return the NEW-VIEW that a replica sent."""
    return unpack(NewView, only(turn.said(Kind.NEW_VIEW)).body)


def proposed(turn: Turn) -> list[tuple[int, bytes]]:
    """Return what a NEW-VIEW proposes again: numbers and digests."""
    body = made(turn)
    return [(body.stable + 1 + offset, each.digest) for offset, each in enumerate(body.renewals)]


def certificates(scene: Scene, *sequences: int, view: int = 0) -> list[PreparedCertificate]:
    """Return prepared certificates for different batches at these numbers."""
    requests = {sequence: scene.request(timestamp=100 * (view + 1) + sequence) for sequence in sequences}
    return [scene.certificate(scene.pre_prepare(each, request, view=view)) for each, request in requests.items()]


# When.


@SIZES
def test_the_new_primary_waits_for_2f_others(n):
    """4.4: The primary of view v+1 sends its NEW-VIEW when it has 2f valid VIEW-CHANGEs for it from others.

    Differs: q-1 of them, with q = ceil((n+f+1)/2), which is 2f for n = 3f+1.
    """
    watched = primary(n)
    scene = watched.scene
    *first, last = [scene.view_change(each, 1) for each in watched.peers[: 2 * scene.group.quorums.faults]]
    assert not told(watched, *first).said(Kind.NEW_VIEW)
    assert watched.replica.status().view == 0
    assert only(watched.give(last).said(Kind.NEW_VIEW)).sender == 1


@SIZES
def test_the_new_primary_counts_its_own(n):
    """4.4: V holds the VIEW-CHANGEs that the primary received, and the one that it sent or would have sent.

    Differs: V names them by their digests, and whoever lacks one asks for it (design 4.8); and the primary has always
    sent its own, since f+1 others make it leave its view.
    """
    watched = primary(n)
    votes = [watched.scene.view_change(each, 1) for each in watched.peers[: 2 * watched.scene.group.quorums.faults]]
    turn = told(watched, *votes)
    own = only(turn.said(Kind.VIEW_CHANGE))
    everybody = sorted([own, *votes], key=lambda vote: int(vote.sender))
    assert [(name.replica, name.digest) for name in made(turn).votes] == [
        (each.sender, vote_digest(each)) for each in everybody
    ]
    assert only(turn.of(ViewEntered)).votes == tuple(everybody)


def test_a_replica_makes_no_new_view_that_is_not_its_to_make():
    """4.4: It is the primary of the new view that sends the NEW-VIEW: no other replica does."""
    watched = Scene().watch(2)
    turn = told(watched, *(watched.scene.view_change(each, 1) for each in watched.peers))
    assert not turn.said(Kind.NEW_VIEW)
    assert watched.replica.status().view == 0


def unsigned(scene: Scene) -> Envelope:
    """Signed by nobody."""
    return forged(scene.view_change(3, 1))


def for_another_view(scene: Scene) -> Envelope:
    """For the view after."""
    return scene.view_change(3, 2)


def once_more(scene: Scene) -> Envelope:
    """The vote that was there before."""
    return scene.view_change(2, 1)


def of_its_own_view(scene: Scene) -> Envelope:
    """It shows what prepared in the very view it asks for."""
    return scene.view_change(3, 1, certificates(scene, 1, view=1))


def beyond_its_log(scene: Scene) -> Envelope:
    """It shows what prepared beyond the high watermark."""
    return scene.view_change(3, 1, certificates(scene, SMALL.log_size + 1))


def one_number_twice(scene: Scene) -> Envelope:
    """It shows two batches for one number."""
    return scene.view_change(3, 1, [*certificates(scene, 1), *certificates(scene, 1)])


@pytest.mark.parametrize(
    "wrong", [unsigned, for_another_view, once_more, of_its_own_view, beyond_its_log, one_number_twice]
)
def test_only_valid_view_changes_count(wrong):
    """4.4: A VIEW-CHANGE counts if it is valid: rightly signed, for that view, one for each replica, well formed."""
    watched = primary()
    told(watched, watched.scene.view_change(2, 1))
    assert not watched.give(wrong(watched.scene)).said(Kind.NEW_VIEW)
    assert watched.give(watched.scene.view_change(0, 1)).said(Kind.NEW_VIEW)


def test_the_new_view_is_signed_and_goes_to_all():
    """4.4: The NEW-VIEW is signed by the primary and sent to all replicas; here it is durable first (design 3)."""
    watched = primary()
    turn = watched.enter(1)
    envelope = only(turn.said(Kind.NEW_VIEW))
    assert Broadcast(envelope) in turn.effects
    assert genuine(watched.scene.group, watched.scene.verifier, envelope)
    persist = only([each for each in turn.of(Persist) if each.vote == envelope])
    assert turn.effects.index(persist) < turn.effects.index(Broadcast(envelope))


# What is proposed again.


@SIZES
def test_nothing_prepared_is_nothing_proposed(n):
    """4.4: Where max-s is min-s, since nothing prepared beyond the checkpoint, O is empty."""
    watched = primary(n)
    turn = watched.enter(1)
    assert (made(turn).stable, proposed(turn)) == (0, [])


@SIZES
def test_every_number_between_min_s_and_max_s_is_proposed_again(n):
    """4.4: O has one pre-prepare for each number above min-s up to max-s.

    min-s is the last stable checkpoint in V, max-s the highest number in a prepare in V.
    """
    watched = primary(n)
    scene = watched.scene
    stable = scene.proof(2, b"s" * 32)
    shown = {each.sequence: each for each in certificates(scene, 1, 3, 4, 6)}
    first, second, *more = watched.peers[: 2 * scene.group.quorums.faults]
    turn = told(
        watched,
        scene.view_change(first, 1, [shown[1], shown[4]]),
        scene.view_change(second, 1, [shown[3], shown[6]], stable),
        *(scene.view_change(each, 1) for each in more),
    )
    assert made(turn).stable == 2
    assert proposed(turn) == [(3, shown[3].digest), (4, shown[4].digest), (5, NULL), (6, shown[6].digest)]


def test_what_is_proposed_again_is_signed_for_the_new_view():
    """4.4: Each message of O is a pre-prepare of view v+1 under the new primary's signature."""
    watched = primary()
    shown = certificates(watched.scene, 1, 2)
    body = made(watched.enter(1, shown))
    for sequence, (certificate, renewal) in enumerate(zip(shown, body.renewals, strict=True), start=1):
        assert renewal.digest == certificate.digest
        right = watched.scene.say(1, Kind.PRE_PREPARE, PrePrepare(1, sequence, certificate.digest))
        assert renewal.signature == right.signature


def test_what_the_new_primary_itself_prepared_is_proposed_again():
    """4.4: The primary's own VIEW-CHANGE is in V, so that what only it has prepared is proposed again."""
    watched = primary()
    batch = watched.scene.pre_prepare(1, watched.scene.request())
    watched.give(batch)
    watched.prepare(batch)
    assert proposed(watched.enter(1)) == [(1, digest_of(batch))]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_digest_of_the_highest_view_is_proposed(order):
    """4.4: Where V shows different batches for a number, the one prepared in the highest view is proposed."""
    watched = Scene(limits=SMALL).watch(2)
    scene = watched.scene
    shown = [certificates(scene, 1, view=view) for view in order]
    votes = [scene.view_change(each, 2, prepared) for each, prepared in zip((0, 1), shown, strict=True)]
    turn = told(watched, *votes)
    assert proposed(turn) == [(1, only(certificates(scene, 1, view=1)).digest)]


def test_a_number_that_nobody_shows_gets_the_null_request():
    """4.4: Where no P in V has a number between min-s and max-s, the null request is proposed for it."""
    watched = primary()
    shown = certificates(watched.scene, 3)
    assert proposed(watched.enter(1, shown)) == [(1, NULL), (2, NULL), (3, shown[0].digest)]


@SIZES
def test_the_null_request_goes_through_the_protocol_and_does_nothing(n):
    """4.4: The null request is agreed on like any other; executing it changes nothing."""
    watched = primary(n)
    scene = watched.scene
    batch = scene.pre_prepare(2, scene.request())
    watched.give(batch)
    watched.enter(1, [scene.certificate(batch)])
    null = scene.propose(1, NULL_BATCH, view=1)
    before = (watched.replica.state_digest(), watched.replica.status().agreed_time_ms)
    assert unpack(Commit, only(watched.prepare(null).said(Kind.COMMIT)).body) == Commit(1, 1, NULL)
    executed = only(watched.commit(null).of(Executed))
    assert (executed.sequence, executed.requests) == (1, ())
    assert (watched.replica.state_digest(), watched.replica.status().agreed_time_ms) == before
    assert only(agree(watched, scene.propose(2, batch.beside, view=1)).of(Executed)).sequence == 2
    assert len(watched.application.ran) == 1


def badly_signed(scene: Scene, shown: PreparedCertificate) -> PreparedCertificate:
    """One of its prepares is signed by nobody."""
    return replace(shown, prepares=(replace(shown.prepares[0], signature=bytes(64)), *shown.prepares[1:]))


def without_its_pre_prepare(scene: Scene, shown: PreparedCertificate) -> PreparedCertificate:
    """Its pre-prepare is signed by nobody."""
    return replace(shown, pre_prepare=bytes(64))


def one_prepare_short(scene: Scene, shown: PreparedCertificate) -> PreparedCertificate:
    """It has one prepare less than it takes."""
    return replace(shown, prepares=shown.prepares[1:])


def one_backup_twice(scene: Scene, shown: PreparedCertificate) -> PreparedCertificate:
    """It counts a backup twice."""
    return replace(shown, prepares=(shown.prepares[0], *shown.prepares[:-1]))


def with_the_primary(scene: Scene, shown: PreparedCertificate) -> PreparedCertificate:
    """It counts the primary among the backups."""
    proposal = scene.propose(shown.sequence, scene.pre_prepare(shown.sequence).beside)
    backups = [0, *(share.signer for share in shown.prepares[1:])]
    return scene.certificate(proposal, backups)


def of_another_digest(scene: Scene, shown: PreparedCertificate) -> PreparedCertificate:
    """Its signatures are for another digest."""
    return replace(shown, digest=bytes(32))


@SIZES
@pytest.mark.parametrize(
    "spoil",
    [badly_signed, without_its_pre_prepare, one_backup_twice, with_the_primary, of_another_digest],
)
def test_a_certificate_that_proves_nothing_is_not_proposed(n, spoil):
    """4.4: P counts if it is valid: a pre-prepare and 2f prepares of different backups that match, rightly signed.

    Differs: the paper takes the whole VIEW-CHANGE of such a P for invalid. Here the certificate counts as absent, as if
    its sender had left it out: so signatures within are looked at only when a NEW-VIEW rests on them (design 4.4).
    """
    watched = primary(n)
    scene = watched.scene
    good, bad = certificates(scene, 1, 2)
    first, *more = watched.peers[: 2 * scene.group.quorums.faults]
    votes = [scene.view_change(first, 1, [good, spoil(scene, bad)]), *(scene.view_change(each, 1) for each in more)]
    assert proposed(told(watched, *votes)) == [(1, good.digest)]


@SIZES
def test_a_checkpoint_without_its_proof_is_not_taken_for_one(n):
    """4.4: C counts if it is valid: checkpoints of 2f+1 different replicas, rightly signed.

    Differs: as with P, a proof that is none counts as absent; the paper takes the whole VIEW-CHANGE for invalid.
    """
    watched = primary(n)
    scene = watched.scene
    whole = scene.proof(4, b"s" * 32)
    unsigned = replace(whole, shares=(replace(whole.shares[0], signature=bytes(64)), *whole.shares[1:]))
    first, second, *more = watched.peers[: 2 * scene.group.quorums.faults]
    shown = certificates(scene, 3)
    votes = [
        scene.view_change(first, 1, (), unsigned),
        scene.view_change(second, 1, shown, scene.proof(2, b"s" * 32)),
        *(scene.view_change(each, 1) for each in more),
    ]
    turn = told(watched, *votes)
    assert (made(turn).stable, proposed(turn)) == (2, [(3, shown[0].digest)])


@SIZES
def test_too_few_signatures_make_no_vote(n):
    """4.4: A VIEW-CHANGE is valid only if its C has 2f+1 checkpoints, and each of its P 2f prepares.

    Whether there are as many as it takes is seen without checking any, so such a vote is refused at once.
    """
    watched = primary(n)
    scene = watched.scene
    (good,) = certificates(scene, 1)
    short = scene.proof(4, b"s" * 32, range(scene.group.quorums.quorum - 1))
    for vote in (
        scene.view_change(watched.peers[0], 1, [one_prepare_short(scene, good)]),
        scene.view_change(watched.peers[0], 1, (), short),
    ):
        assert watched.give(vote).reasons == [Reason.BAD_CERTIFICATE]
    assert watched.give(scene.view_change(watched.peers[0], 1, [good])).reasons == []


# What the primary does then.


def test_the_new_primary_logs_what_it_proposes_and_enters_the_view():
    """4.4: The primary appends O to its log and enters view v+1: from then on it accepts messages of that view.

    Differs: a pre-prepare enters the log when its batch is there; one that is missing is fetched (design 4.8).
    """
    watched = primary()
    scene = watched.scene
    held, missing = proposals(scene, 2)
    watched.give(held)
    watched.prepare(held)
    turn = watched.enter(1, [scene.certificate(held), scene.certificate(missing)])
    assert watched.replica.status().view == 1
    assert [unpack(PrePrepare, each.vote.body) for each in turn.of(Persist) if each.vote.kind is Kind.PRE_PREPARE] == [
        PrePrepare(1, 1, digest_of(held))
    ]
    assert watched.prepare(scene.propose(1, held.beside, view=1)).said(Kind.COMMIT)
    assert watched.give(scene.propose(2, missing.beside, view=1), 3).of(Persist)
    assert watched.prepare(scene.propose(2, missing.beside, view=1)).said(Kind.COMMIT)


def test_a_later_checkpoint_in_v_becomes_the_primarys_own():
    """4.4: Where min-s is above the primary's stable checkpoint, it logs the proof and discards what lies before.

    Differs: if it has not executed so far, it fetches that state (section 4.3).
    """
    watched = primary()
    scene = watched.scene
    said = agree(watched, *proposals(scene, 3)).said(Kind.CHECKPOINT)
    shown = scene.proof(2, unpack(Checkpoint, said[0].body).digest, (0, 2, 3))
    assert watched.replica.status().stable_checkpoint == 0
    turn = told(watched, scene.view_change(0, 1, (), shown), scene.view_change(2, 1))
    assert only(turn.of(BecameStable)).proof == shown
    status = watched.replica.status()
    assert (status.view, status.stable_checkpoint, status.low_watermark) == (1, 2, 2)
    assert watched.replica.usage()["slots"] == 1
    assert watched.give(scene.prepare(3, scene.propose(2, NULL_BATCH, view=1))).reasons == [Reason.OUTSIDE_WATERMARKS]


def test_the_vote_and_the_new_view_are_the_same_however_often_they_are_sent():
    """4.4: A replica says one thing about a view.

    Differs: the paper leaves lost messages open. VIEW-CHANGE and NEW-VIEW are made once and sent again, byte for byte,
    to whoever lacks them (design 4.8).
    """
    watched = primary(7)
    own = only(join(watched).said(Kind.VIEW_CHANGE))
    watched.ms += 1_000
    again = watched.give(watched.scene.status(6, 0, target=1))
    assert again.said(Kind.VIEW_CHANGE) == [own]
    new_view = only(told(watched, watched.scene.view_change(4, 1)).said(Kind.NEW_VIEW))
    watched.ms += 1_000
    again = watched.give(watched.scene.status(6, 0, target=1))
    assert again.said(Kind.NEW_VIEW) == [new_view]
