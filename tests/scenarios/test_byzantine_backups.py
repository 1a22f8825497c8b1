"""Wicked backups (R1 to R3, R6): silent, two-faced, speaking in others' names or out of the past; the rest go on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.core.effects import BecameStable, Reason
from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.group import Group
from pbft.core.messages import BEGINNING, Checkpoint, Commit, Prepare, ViewChange, pack
from pbft.core.settings import ReplicaSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import (
    Adversary,
    BadSignature,
    CheckpointLiar,
    Equivocator,
    Impostor,
    Replayer,
    Silent,
    TwoFaced,
)
from pbft.testing.journal import Journal
from pbft_apps.counter import Counter
from tests.scenarios.stories import (
    ROUND_MS,
    SIZES,
    SMALL_LOG,
    Load,
    backups,
    core,
    effective,
    faults,
    primaries,
    refused,
    served_ms,
    views_entered,
    views_left,
)


@SIZES
def test_r1_silent_backups_are_not_missed(n: int) -> None:
    """f backups say nothing at all; the rest are a quorum, and nobody waits for more than three rounds."""
    group = Cluster(Counter, seed=21, n=n, byzantine=backups(n, Silent))
    alice, bob = group.clients("alice", "bob")

    group.run(ROUND_MS)
    assert max(group.gather(alice.call("add", 5), bob.call("add", 2), within_ms=3 * ROUND_MS)) == 7
    assert views_left(group) == [0] * len(group.correct)
    assert group.histories_agree()


@SIZES
def test_r1_silent_primaries_are_replaced(n: int) -> None:
    """The first f primaries say nothing: each costs its timeout, and the next one serves."""
    group = Cluster(Counter, seed=22, n=n, byzantine=primaries(n, Silent))
    alice, bob = group.clients("alice", "bob")

    totals = group.gather(alice.call("add", 5), bob.call("add", 2), within_ms=served_ms(faults(n)))

    assert max(totals) == 7
    assert group.views() == {faults(n)}
    group.run_until_level()
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("kind", [Equivocator, TwoFaced])
def test_r2_conflicting_votes_count_once(n: int, kind: type[Adversary]) -> None:
    """f backups vote for one digest here and another there, or for both everywhere; the others' votes are a quorum.

    Who says both to one replica's face is remembered for it there.
    """
    group = Cluster(Counter, seed=28, n=n, byzantine=backups(n, kind), limits=SMALL_LOG)
    load = Load(group, "alice", "bob")

    group.run(1_000)
    group.finish(*load.stop())

    assert load.exactly_once()
    assert views_left(group) == [0] * len(group.correct)
    assert group.histories_agree()
    if kind is TwoFaced:
        for replica in group.correct:
            assert {each.culprit for each in group.evidence(replica)} == set(backups(n, kind))


@SIZES
def test_r2_two_votes_of_one_backup_are_kept_as_evidence(n: int) -> None:
    """A backup prepares two batches for sequence 1, and tells one replica alone: there both together prove it."""
    group = Cluster(Counter, seed=20, n=n, byzantine={n - 1: Silent})
    signer = group.identity(f"replica {n - 1}").signer
    for digest in (bytes(32), b"x" * 32):
        group.inject(seal(group.group, signer, Kind.PREPARE, n - 1, pack(Prepare(0, 1, digest))), to=1)
    alice = group.client("alice")

    assert group.gather(alice.call("add", 5)) == [5]

    assert [each.culprit for each in group.evidence(1)] == [n - 1]
    assert group.ignored(1)[Reason.CONFLICTING] == 1
    assert group.evidence(2) == []


@SIZES
@pytest.mark.parametrize("wicked", ["backups", "primaries"])
def test_r2_impostors_speak_for_nobody(n: int, wicked: str) -> None:
    """Votes in others' names, a backup's proposals and a primary's prepares all come first, and none counts."""
    byzantine = primaries(n, Impostor) if wicked == "primaries" else backups(n, Impostor)
    group = Cluster(Counter, seed=20, n=n, byzantine=byzantine)
    alice, bob = group.clients("alice", "bob")

    assert max(group.gather(alice.call("add", 5), bob.call("add", 2))) == 7

    group.run_until_level()
    assert group.histories_agree()
    assert all(count > 0 for count in refused(group, Reason.BAD_SIGNATURE))
    role = Reason.NOT_BACKUP if wicked == "primaries" else Reason.NOT_PRIMARY
    assert all(count > 0 for count in refused(group, role))


@SIZES
def test_r2_bad_signatures_of_backups_count_nothing(n: int) -> None:
    """f backups sign nothing that verifies; quorums form without their prepares, and are the true ones (K2)."""
    group = Cluster(Counter, seed=25, n=n, byzantine=backups(n, BadSignature))
    alice = group.client("alice")
    # Their prepares come first, so that whoever counts them unread is found out by the oracle of certificates.
    for replica in range(1, n - faults(n)):
        group.network.on(Kind.PREPARE, src=replica).delay(30)

    call = alice.call("add", 5, receipt=True)

    assert group.gather(call) == [5]
    assert group.histories_agree()
    assert call.completed is not None
    assert call.completed.receipt is not None
    proven = call.completed.receipt.verify(group.group, group.verifier)
    assert all(replica not in proven for replica in backups(n, BadSignature))


@SIZES
def test_r3_replays_are_ignored_and_no_view_moves_back(n: int) -> None:
    """f backups say again whatever they heard, as it was, as another kind, and as of another group, through two views.

    Primaries are made to fail one after the other, so that there is an old view to replay.
    """
    settings = ReplicaSettings(view_timeout_ms=300)
    group = Cluster(Journal, seed=61, n=n, byzantine=backups(n, Replayer), settings=settings, limits=SMALL_LOG)
    alice, bob = group.clients("alice", "bob")
    words = 0
    for primary in (0, 1):
        for _ in range(5):
            words += 2
            assert max(group.gather(alice.call("write", "a"), bob.call("write", "b"))) == words
        stalled = group.network.on(Kind.PRE_PREPARE, src=primary).drop()
        words += 1
        assert group.gather(alice.call("write", "c"), within_ms=served_ms(1, settings=settings)) == [words]
        stalled.stop()
    group.run(500)

    assert views_entered(group) == [[1, 2]] * len(group.correct)
    for reason in (Reason.WRONG_VIEW, Reason.OUTSIDE_WATERMARKS, Reason.STALE, Reason.MALFORMED):
        assert sum(refused(group, reason)) > 0
    group.run_until_level()
    assert effective(group, group.correct[0]) == words
    assert group.histories_agree()


@SIZES
def test_r3_what_replicas_say_in_another_group_or_as_another_kind_counts_nothing_here(n: int) -> None:
    """One key may serve two groups, and a prepare spells what a commit does: a signature stays where it was given.

    A colluder hands replica 1 genuine votes that all the others gave in another group, and the prepares of this one as
    commits. Were any of them counted, it would execute, change its view, or take a checkpoint for stable.
    """
    group = Cluster(Counter, seed=62, n=n, byzantine={n - 1: Silent})
    elsewhere = Group.of(replace(group.group.genesis, nonce=bytes(16)))
    prepare = Prepare(0, 1, b"x" * 32)
    for other in group.correct[2:]:
        signer = group.identity(f"replica {other}").signer
        for kind, body in (
            (Kind.PREPARE, pack(prepare)),
            (Kind.COMMIT, pack(Commit(0, 1, b"x" * 32))),
            (Kind.CHECKPOINT, pack(Checkpoint(128, b"x" * 32))),
            (Kind.VIEW_CHANGE, pack(ViewChange(1, BEGINNING, ()))),
        ):
            group.inject(seal(elsewhere, signer, kind, other, body), to=1, sender=n - 1)
        signed = seal(group.group, signer, Kind.PREPARE, other, pack(prepare))
        group.inject(Envelope(Kind.COMMIT, other, signed.body, signed.signature), to=1, sender=n - 1)
    group.run(1_000)

    others = len(group.correct) - 2
    assert group.ignored(1) == {Reason.BAD_SIGNATURE: 4 * others, Reason.NOT_WANTED: others}
    status = core(group, 1).status()
    assert (status.target, status.executed, status.stable_checkpoint) == (0, 0, 0)
    assert core(group, 1).usage()["votes"] == core(group, 1).usage()["checkpoint_votes"] == 0


@SIZES
def test_r6_bogus_checkpoints_are_not_stable(n: int) -> None:
    """f backups vouch for states that nobody has, and for sequences to come, with proofs that are none.

    What becomes stable is what a quorum has, each time, and the log is cut there.
    """
    group = Cluster(Counter, seed=63, n=n, byzantine=backups(n, CheckpointLiar), limits=SMALL_LOG)
    alice = group.client("alice")

    for total in range(1, 31):
        assert group.gather(alice.call("add", 1)) == [total]
    group.run(1_000)

    for replica in group.correct:
        proofs = [step.proof for step in group.steps(replica, BecameStable)]
        assert [proof.sequence for proof in proofs] == list(range(4, 29, 4))
        assert all(len({share.signer for share in proof.shares}) == group.group.quorums.stable for proof in proofs)
        assert not [share for proof in proofs for share in proof.shares if share.signer not in group.correct]
        assert group.ignored(replica)[Reason.OUTSIDE_WATERMARKS] > 0
        assert group.ignored(replica)[Reason.BAD_CERTIFICATE] > 0
    assert views_left(group) == [0] * len(group.correct)
    assert group.histories_agree()
