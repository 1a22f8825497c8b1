"""OSDI'99 section 4.3: checkpoints, what makes one stable, and what may be forgotten then."""

from __future__ import annotations

import pytest

from pbft.core.effects import BecameStable, Broadcast, Executed, Persist, Reason, StateInstalled
from pbft.core.envelope import Kind, genuine
from pbft.core.group import GroupError, Limits
from pbft.core.messages import Checkpoint, CheckpointProof, unpack
from pbft.core.snapshot import read_top
from pbft.core.state_messages import Nodes
from pbft.testing import Cluster
from pbft_apps.counter import Counter
from tests.core.builders import Microscope, Scene, forged
from tests.paper.stage import (
    SIZES,
    SMALL,
    agree,
    fetch,
    only,
    plain,
    prepares,
    proposals,
    stabilise,
    told,
)


def backup(n: int = 4) -> Microscope:
    """Return a backup of a group that takes a checkpoint every two sequences, and whose log is of eight."""
    return Scene(n, limits=SMALL).watch(1)


def said_checkpoint(watched: Microscope, last: int) -> Checkpoint:
    """Bring a backup to a sequence, and return the last checkpoint it spoke of."""
    return unpack(Checkpoint, agree(watched, *proposals(watched.scene, last)).said(Kind.CHECKPOINT)[-1].body)


# Checkpoints.


def test_checkpoints_are_taken_at_multiples_of_k():
    """4.3: Proofs of the state are made now and then only: when a number divisible by a constant was executed."""
    watched = backup()
    taken = []
    for batch in proposals(watched.scene, 6):
        taken += [unpack(Checkpoint, each.body).sequence for each in agree(watched, batch).said(Kind.CHECKPOINT)]
    assert taken == [2, 4, 6]


def test_a_checkpoint_is_announced_to_all():
    """4.3: Who takes a checkpoint tells all others, signed: the last number executed, and the state's digest."""
    watched = backup()
    effects = agree(watched, *proposals(watched.scene, 2)).effects
    envelope = only(
        [one.envelope for one in effects if isinstance(one, Broadcast) and one.envelope.kind is Kind.CHECKPOINT]
    )
    assert unpack(Checkpoint, envelope.body).sequence == 2
    assert envelope.sender == 1
    assert genuine(watched.scene.group, watched.scene.verifier, envelope)
    assert effects.index(Persist(envelope, ())) < effects.index(Broadcast(envelope))
    executed = [each for each in effects if isinstance(each, Executed)]
    assert effects.index(executed[-1]) < effects.index(Broadcast(envelope))


def test_the_digest_is_of_the_state():
    """4.3: A checkpoint's digest names the state: the same after the same requests, another after others.

    Differs: the state is the application's and all else that replicas must agree on: the client table, agreed time, the
    chain of batches (design 4.7).
    """
    scene = Scene(limits=SMALL)
    same = [scene.pre_prepare(1, scene.request()), scene.pre_prepare(2, scene.request("bob"))]
    another_request = [same[0], scene.pre_prepare(2, scene.request("bob", operations=[b"other"]))]
    another_client = [same[0], scene.pre_prepare(2, scene.request("alice", timestamp=2))]
    no_request = [same[0], scene.pre_prepare(2)]
    found = []
    for batches in (same, another_request, another_client, no_request):
        for member in (1, 2):
            envelope = only(agree(scene.watch(member), *batches).said(Kind.CHECKPOINT))
            found.append(unpack(Checkpoint, envelope.body).digest)
    assert found[::2] == found[1::2], "two replicas say the same"
    assert len(set(found)) == 4


def test_several_copies_of_the_state_are_kept():
    """4.3: A replica keeps the last stable checkpoint, later ones that are not stable yet, and the present state."""
    watched = backup()
    batches = proposals(watched.scene, 7)
    stabilise(watched, agree(watched, *batches[:2]))
    said = agree(watched, *batches[2:]).said(Kind.CHECKPOINT)
    assert watched.replica.status().stable_checkpoint == 2
    assert watched.replica.usage()["snapshots"] == 3
    for sequence, digest in [(each.sequence, each.digest) for each in (unpack(Checkpoint, one.body) for one in said)]:
        nodes = unpack(Nodes, only(watched.give(fetch(3, sequence, digest)).said(Kind.NODES)).body)
        assert read_top(only(nodes.nodes).payload, sequence, digest)
    assert watched.executed == 7


# Stable ones.


@SIZES
def test_2f_plus_1_equal_checkpoints_prove_one(n):
    """4.3: 2f+1 signed messages of different replicas for one number and digest, one's own too, prove a checkpoint.

    Differs: q of them, with q = ceil((n+f+1)/2), which is 2f+1 for n = 3f+1.
    """
    watched = backup(n)
    said = said_checkpoint(watched, 2)
    *first, last = watched.peers[: 2 * watched.scene.group.quorums.faults]
    for member in first:
        assert not watched.give(watched.scene.checkpoint(member, 2, said.digest)).of(BecameStable)
    assert watched.replica.status().stable_checkpoint == 0
    shown = only(watched.give(watched.scene.checkpoint(last, 2, said.digest)).of(BecameStable)).proof
    assert watched.replica.status().stable_checkpoint == 2
    assert (shown.sequence, shown.digest) == (2, said.digest)
    assert sorted(share.signer for share in shown.shares) == sorted([1, *first, last])
    for share in shown.shares:
        assert watched.scene.checkpoint(share.signer, 2, said.digest).signature == share.signature


@SIZES
@pytest.mark.parametrize("other", ["digest", "number", "sender", "signature"])
def test_checkpoints_that_do_not_match_do_not_count(n, other):
    """4.3: Only messages for the same number and digest, of different replicas and rightly signed, make a proof."""
    watched = backup(n)
    said = said_checkpoint(watched, 4)
    *first, last = watched.peers[: 2 * watched.scene.group.quorums.faults]
    told(watched, *(watched.scene.checkpoint(each, 4, said.digest) for each in first))
    peers = [each for each in range(n) if each not in (1, *first)]
    wrong = {
        "digest": [watched.scene.checkpoint(each, 4, bytes(32)) for each in peers],
        "number": [watched.scene.checkpoint(each, 6, said.digest) for each in peers],
        "sender": [watched.scene.checkpoint(each, 4, said.digest) for each in (1, *first)],
        "signature": [forged(watched.scene.checkpoint(each, 4, said.digest)) for each in peers],
    }
    assert not told(watched, *wrong[other]).of(BecameStable)
    assert watched.replica.status().stable_checkpoint == 0
    if other != "digest":
        assert watched.give(watched.scene.checkpoint(last, 4, said.digest)).of(BecameStable)


@pytest.mark.parametrize("sequence", [0, 3, 9, 10])
def test_checkpoints_are_of_multiples_of_k_within_the_log(sequence):
    """4.3: Messages for no checkpoint are not collected: another number than a multiple of K, or outside of h and H."""
    watched = backup()
    for member in (0, 2, 3):
        turn = watched.give(watched.scene.checkpoint(member, sequence, bytes(32)))
        assert turn.reasons == [Reason.OUTSIDE_WATERMARKS]
    assert watched.replica.usage()["checkpoint_votes"] == 0


@SIZES
def test_a_proof_convinces_whoever_has_it(n):
    """4.3: The quorum's messages are the proof that a state is right, for a replica that saw none of them come, too."""
    watched = backup(n)
    scene = watched.scene
    quorum = scene.group.quorums.quorum
    said = said_checkpoint(watched, 2)

    def give(shown: CheckpointProof) -> list[Reason]:
        return watched.give(plain(2, Kind.CHECKPOINT_PROOF, shown)).reasons

    right = scene.proof(2, said.digest)
    assert give(scene.proof(2, said.digest, range(quorum - 1))) == [Reason.BAD_CERTIFICATE]
    assert give(scene.proof(2, said.digest, [0] * quorum)) == [Reason.BAD_CERTIFICATE]
    assert give(CheckpointProof(2, bytes(32), right.shares)) == [Reason.BAD_CERTIFICATE]
    assert give(CheckpointProof(4, said.digest, right.shares)) == [Reason.BAD_CERTIFICATE]
    assert watched.replica.status().stable_checkpoint == 0
    assert give(right) == []
    assert watched.replica.status().stable_checkpoint == 2


# What is forgotten, and what is not.


def test_messages_are_kept_until_a_checkpoint_is_stable():
    """4.3: Messages stay in the log until f+1 correct replicas have surely executed what they are for.

    Executing it oneself is not enough: whoever still needs them is given them.
    """
    watched = backup()
    batches = proposals(watched.scene, 7)
    agree(watched, *batches)
    assert watched.executed == 7
    usage = watched.replica.usage()
    assert usage["slots"] == 7
    assert usage["votes"] == 7 * 5, "of each, its own prepare and another's, and three commits"
    turn = watched.give(watched.scene.status(0, 0))
    assert len(prepares(turn)) == 7


def test_a_stable_checkpoint_discards_the_messages_before_it():
    """4.3: When a checkpoint becomes stable, all pre-prepares, prepares and commits up to it are discarded.

    Differs: from then on nothing enters at or below it, and those it had go with the next stable checkpoint: they cost
    less than the state that a somewhat slower replica would need in their place (design 4.9).
    """
    watched = backup()
    batches = proposals(watched.scene, 4)
    stabilise(watched, agree(watched, *batches[:2]))
    for vote in (batches[1], watched.scene.prepare(3, batches[1]), watched.scene.commit(3, batches[1])):
        assert watched.give(vote).reasons == [Reason.OUTSIDE_WATERMARKS]
    assert watched.replica.usage()["slots"] == 2

    stabilise(watched, agree(watched, *batches[2:]))

    usage = watched.replica.usage()
    assert (usage["slots"], usage["votes"]) == (2, 2 * 5), "only those of 3 and 4 are left"
    assert [each.sequence for each in prepares(watched.give(watched.scene.status(0, 0)))] == [3, 4]


def test_a_stable_checkpoint_discards_the_checkpoints_before_it():
    """4.3: When a checkpoint becomes stable, the earlier ones and all messages about them are discarded.

    Differs: the last two stable states are kept, since somebody may just be fetching the older one (design 5).
    """
    watched = backup()
    said = agree(watched, *proposals(watched.scene, 6)).said(Kind.CHECKPOINT)
    assert watched.replica.usage()["snapshots"] == watched.replica.usage()["checkpoint_votes"] == 3
    states = [unpack(Checkpoint, each.body) for each in said]
    for state, snapshots, votes in zip(states, (3, 3, 2), (2, 1, 0), strict=True):
        told(watched, *(watched.scene.checkpoint(each, state.sequence, state.digest) for each in (0, 2)))
        usage = watched.replica.usage()
        assert (usage["snapshots"], usage["checkpoint_votes"]) == (snapshots, votes)


def test_the_watermarks_follow_the_stable_checkpoint():
    """4.3: The low watermark is the last stable checkpoint and the high one L more: between them is what counts."""
    watched = backup()
    batches = proposals(watched.scene, 13)
    marks = [(watched.replica.status().low_watermark, watched.replica.status().high_watermark)]
    for first in (0, 2):
        stabilise(watched, agree(watched, *batches[first : first + 2]))
        status = watched.replica.status()
        marks.append((status.low_watermark, status.high_watermark))
    assert marks == [(0, 8), (2, 10), (4, 12)]
    assert not prepares(watched.give(batches[12]))
    assert prepares(watched.give(batches[11]))


def test_a_replica_behind_moves_its_watermarks_with_its_state():
    """4.3: The watermarks move when a checkpoint is stable.

    Differs: a replica that has not come there itself keeps its own until it has executed so far, or has taken over the
    state: until then the messages that it lacks may still come (design 4.9).
    """
    watched = backup()
    batches = proposals(watched.scene, 2)
    reached = said_checkpoint(Scene(limits=SMALL).watch(3), 2)
    turn = told(watched, *(watched.scene.checkpoint(each, 2, reached.digest) for each in (0, 2, 3)))
    assert turn.of(BecameStable)
    assert watched.replica.status().low_watermark == 0
    agree(watched, *batches)
    assert watched.replica.status().low_watermark == 2


def test_the_log_is_large_enough_not_to_wait_for_a_checkpoint():
    """4.3: H lies far enough above h that replicas go on while a checkpoint is becoming stable: L is 2K at least."""
    with pytest.raises(GroupError):
        Limits(checkpoint_interval=4, log_size=7).check()
    Limits(checkpoint_interval=4, log_size=8).check()
    watched = backup()
    agree(watched, *proposals(watched.scene, 8))
    assert (watched.executed, watched.replica.status().stable_checkpoint) == (8, 0)


@SIZES
def test_who_missed_what_all_discarded_is_given_the_state(n):
    """4.3: A replica that lacks messages which nobody has any more is brought up to date with the state itself."""
    group = Cluster(Counter, seed=45, n=n, limits=SMALL)
    alice = group.client("alice")
    group.network.isolate(n - 1)
    for _ in range(20):
        group.gather(alice.call("add", 1))
    assert all(group.steps(replica, BecameStable)[-1].proof.sequence >= 16 for replica in range(n - 1))
    group.heal()

    assert group.gather(alice.call("add", 1)) == [21]
    group.run_until_level()

    assert group.steps(n - 1, StateInstalled)
    assert len(group.history(n - 1)) < 21
    assert group.histories_agree()
