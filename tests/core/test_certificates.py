"""What a quorum has signed, checked share by share, and no signature twice (OSDI'99 section 4.2, 4.3; design 4.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import pytest

from pbft.core.certificates import Certificates, shares
from pbft.core.envelope import Kind, genuine
from pbft.core.group import Limits
from pbft.core.messages import (
    BEGINNING,
    CheckpointProof,
    CommitCertificate,
    PreparedCertificate,
    Share,
)
from tests.core.builders import Scene

SIZES = [4, 5, 6, 7]
DIGEST = bytes(range(32))
LIMITS = Limits(checkpoint_interval=4, log_size=8)

C = TypeVar("C", PreparedCertificate, CommitCertificate, CheckpointProof)


def judge(scene: Scene) -> Certificates:
    return Certificates(scene.group, lambda envelope: genuine(scene.group, scene.verifier, envelope))


def scene_of(n: int = 4) -> Scene:
    return Scene(n, limits=LIMITS)


def altered_shares(good: tuple[Share, ...], strangers: tuple[Share, ...]) -> Iterator[tuple[Share, ...]]:
    """Yield signatures that are no quorum: one too few, one twice, one bad, one of another, one too many."""
    first, second, *rest = good
    yield ()
    yield (second, *rest)
    yield (first, first, *rest)
    yield (replace(first, signature=bytes(64)), second, *rest)
    yield (first, second, *rest[:-1], replace(good[-1], signature=first.signature))
    yield (replace(first, signer=second.signer), replace(second, signer=first.signer), *rest)
    for stranger in strangers:
        yield (stranger, second, *rest)
    yield (*good, first)


@pytest.mark.parametrize("n", SIZES)
def test_a_prepared_certificate_takes_the_primary_and_one_backup_less_than_a_quorum(n):
    """Whichever backups they are, and in whichever view; not one fewer or more, nor the primary's prepare (4.2)."""
    scene = scene_of(n)
    needed = scene.group.quorums.quorum - 1
    for view in (0, 1, n + 2):
        proposal = scene.pre_prepare(1, scene.request(), view=view)
        backups = [number for number in range(n) if number != scene.group.primary(view)]
        certificates = judge(scene)
        assert certificates.is_prepared(scene.certificate(proposal, backups[:needed]))
        assert certificates.is_prepared(scene.certificate(proposal, backups[::-1][:needed]))
        assert not certificates.is_prepared(scene.certificate(proposal, backups[: needed - 1]))
        assert not certificates.is_prepared(scene.certificate(proposal, [view % n, *backups[: needed - 1]]))
        assert not certificates.is_prepared(scene.certificate(proposal, backups[: needed + 1]))


@pytest.mark.parametrize("n", SIZES)
def test_a_prepared_certificate_that_was_altered_is_none(n):
    """Every part is covered by signatures: the view, the sequence, the digest, the pre-prepare and each prepare."""
    scene = scene_of(n)
    good = scene.certificate(scene.pre_prepare(1, view=1))
    certificates = judge(scene)
    altered = [
        replace(good, view=2),
        replace(good, view=n + 1),
        replace(good, sequence=2),
        replace(good, digest=DIGEST),
        replace(good, pre_prepare=bytes(64)),
        replace(good, pre_prepare=good.prepares[0].signature),
    ]
    outsider = Share(n, good.prepares[0].signature)
    altered += [replace(good, prepares=each) for each in altered_shares(good.prepares, (outsider,))]
    assert [each for each in altered if certificates.is_prepared(each)] == []
    assert certificates.is_prepared(good)


@pytest.mark.parametrize("n", SIZES)
def test_a_commit_certificate_takes_a_quorum(n):
    """Of whichever members, the primary among them or not; commits of one view and digest alone."""
    scene = scene_of(n)
    proposal = scene.pre_prepare(1, scene.request(), view=1)
    needed = scene.group.quorums.committed
    certificates = judge(scene)
    everybody = range(n)
    good = scene.commit_certificate(proposal, everybody[:needed])
    assert certificates.is_committed(good)
    assert certificates.is_committed(scene.commit_certificate(proposal, everybody[n - needed :]))
    assert not certificates.is_committed(scene.commit_certificate(proposal, everybody[: needed - 1]))
    altered = [replace(good, view=2), replace(good, sequence=2), replace(good, digest=DIGEST)]
    outsider = Share(n, good.commits[0].signature)
    altered += [replace(good, commits=each) for each in altered_shares(good.commits, (outsider,))]
    assert [each for each in altered if certificates.is_committed(each)] == []


@pytest.mark.parametrize("n", SIZES)
def test_a_proof_takes_a_quorum_at_a_multiple_of_k(n):
    """The same digest from each, at a sequence where checkpoints are taken (OSDI'99 section 4.3)."""
    scene = scene_of(n)
    needed = scene.group.quorums.stable
    certificates = judge(scene)
    good = scene.proof(8, DIGEST)
    assert certificates.is_stable(good)
    assert certificates.is_stable(scene.proof(8, DIGEST, range(n - needed, n)))
    assert not certificates.is_stable(scene.proof(8, DIGEST, range(needed - 1)))
    assert not any(certificates.is_stable(scene.proof(sequence, DIGEST)) for sequence in (1, 7, 9))
    altered = [replace(good, sequence=4), replace(good, digest=bytes(32))]
    other = scene.proof(8, bytes(32)).shares[0]
    altered += [replace(good, shares=each) for each in altered_shares(good.shares, (other, Share(n, bytes(64))))]
    assert [each for each in altered if certificates.is_stable(each)] == []


def test_the_beginning_is_stable_by_itself():
    """Sequence 0 needs no signatures, since the genesis fixes it, and nobody can give it another digest."""
    certificates = judge(scene_of())
    assert certificates.is_stable(BEGINNING)
    assert not certificates.is_stable(replace(BEGINNING, digest=DIGEST))
    assert not certificates.is_stable(scene_of().proof(0, DIGEST))


def test_words_of_one_kind_prove_nothing_of_another():
    """PRE-PREPARE, PREPARE and COMMIT spell alike; a certificate of one cannot be made of another's signatures (R3)."""
    scene = scene_of()
    proposal = scene.pre_prepare(1)
    prepared, committed = scene.certificate(proposal), scene.commit_certificate(proposal, (1, 2))
    certificates = judge(scene)
    assert not certificates.is_prepared(replace(prepared, prepares=committed.commits))
    commits = (Share(0, prepared.pre_prepare), *prepared.prepares)
    assert not certificates.is_committed(CommitCertificate(0, 1, prepared.digest, commits))


# Never twice.


def test_a_good_signature_is_verified_once():
    """However many VIEW-CHANGEs carry a certificate, or parts of it (design 4.8)."""
    scene = scene_of(7)
    certificates = judge(scene)
    proposal = scene.pre_prepare(1)
    quorum = scene.group.quorums.quorum
    one, two = (scene.certificate(proposal, backups) for backups in ([1, 2, 3, 4], [2, 3, 4, 5]))
    for certificate, cost in ((one, quorum), (one, 0), (two, 1), (two, 0), (one, 0)):
        before = scene.verifier.count
        assert certificates.is_prepared(certificate)
        assert scene.verifier.count - before == cost


def test_a_bad_signature_is_not_remembered_as_good():
    """Nor does it make a good one of the same member look bad, in whichever order they come."""
    scene = scene_of()
    certificates = judge(scene)
    good = scene.proof(4, DIGEST)
    bad = replace(good, shares=(replace(good.shares[0], signature=bytes(64)), *good.shares[1:]))
    for each, verdict in ((bad, False), (good, True), (bad, False), (good, True)):
        assert certificates.is_stable(each) is verdict


def test_certificates_out_of_shape_cost_nothing():
    """Numbers of signers are looked at before any signature is."""
    scene = scene_of()
    certificates = judge(scene)
    good = scene.commit_certificate(scene.pre_prepare(1))
    before = scene.verifier.count
    assert not certificates.is_committed(replace(good, commits=good.commits * 300))
    assert not certificates.is_committed(replace(good, commits=(good.commits[0],) * 3))
    assert not certificates.is_stable(replace(scene.proof(4, DIGEST), sequence=5))
    assert scene.verifier.count == before


def test_the_memory_of_good_signatures_is_bounded():
    """The oldest is forgotten and verified again when it comes back: 2nL are remembered."""
    scene = scene_of()
    certificates = judge(scene)
    room = 2 * scene.n * LIMITS.log_size
    first = scene.proof(4, DIGEST)
    assert certificates.is_stable(first)
    cost = scene.group.quorums.stable
    for number in range(room // cost):
        assert certificates.is_stable(scene.proof(8 + 4 * number, DIGEST))
    before = scene.verifier.count
    assert certificates.is_stable(scene.proof(4 + 4 * (room // cost), DIGEST))
    assert scene.verifier.count == before
    assert certificates.is_stable(first)
    assert 0 < scene.verifier.count - before <= cost


def test_votes_make_shares_by_member():
    """In the order of members, whatever the order of votes, so that two replicas make equal certificates of them."""
    scene = scene_of()
    votes = [scene.checkpoint(by, 4, DIGEST) for by in (2, 0, 1)]
    assert shares(votes) == scene.proof(4, DIGEST).shares
    assert all(vote.kind is Kind.CHECKPOINT for vote in votes)
