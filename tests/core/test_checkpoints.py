"""Checkpoints at one replica: votes, stability, watermarks, snapshots (OSDI'99 section 4.3; design 4.7; attack R6)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pbft.core.effects import BecameStable, Broadcast, Evidence, Persist, Reason, Send
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.evidence import Misbehaviour
from pbft.core.group import Limits
from pbft.core.messages import Checkpoint, CheckpointProof, Chunk, Fetch, pack, unpack
from pbft.core.snapshot import leads_to
from tests.core.builders import Microscope, Scene, Turn, forged

K = 4
LIMITS = Limits(checkpoint_interval=K, log_size=4 * K)
OTHER, THIRD = b"\1" * 32, b"\2" * 32


def watch(n: int = 4, me: int = 2) -> Microscope:
    return Scene(n, limits=LIMITS).watch(me)


def read(vote: Envelope) -> Checkpoint:
    return unpack(Checkpoint, vote.body)


def make_stable(watched: Microscope, upto: int) -> list[Checkpoint]:
    """Have the replica execute so far, and each of its checkpoints become stable; return these."""
    votes = []
    while watched.executed < upto:
        turn = watched.run(min(upto, watched.executed + K))
        for vote in turn.said(Kind.CHECKPOINT):
            watched.stabilise(vote)
            votes.append(read(vote))
    return votes


# Votes.


def test_each_k_sequences_a_replica_votes_for_its_state():
    """Signed and durable before it goes; not in between (OSDI'99 section 4.3)."""
    watched = watch()
    turn = watched.run(2 * K + 1)
    votes = turn.said(Kind.CHECKPOINT)
    assert [read(vote).sequence for vote in votes] == [K, 2 * K]
    for vote in votes:
        assert genuine(watched.scene.group, watched.scene.verifier, vote)
        place = turn.effects.index(Broadcast(vote))
        assert turn.effects[place - 1] == Persist(vote, ())


def test_equal_states_have_equal_digests():
    """Whoever executed the same batches votes alike; another batch, its time or its clients make another digest."""
    alike = [read(watch(me=me).run(K).said(Kind.CHECKPOINT)[0]) for me in (1, 2, 3)]
    assert len(set(alike)) == 1
    different = read(watch().run(K, "bob").said(Kind.CHECKPOINT)[0])
    assert different.digest != alike[0].digest


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_a_quorum_of_equal_votes_makes_it_stable(n):
    """One short is not enough; the proof holds a quorum's signatures, of distinct members, each of them good."""
    watched = watch(n)
    (vote,) = watched.run(K).said(Kind.CHECKPOINT)
    said, quorum = read(vote), watched.scene.group.quorums.stable
    voters = watched.peers[: quorum - 1]
    for by in voters[:-1]:
        assert watched.give(watched.scene.checkpoint(by, K, said.digest)).effects == []
    (stable,) = watched.give(watched.scene.checkpoint(voters[-1], K, said.digest)).of(BecameStable)
    assert (stable.proof.sequence, stable.proof.digest) == (K, said.digest)
    assert [share.signer for share in stable.proof.shares] == sorted([watched.me, *voters])
    for share in stable.proof.shares:
        envelope = Envelope(Kind.CHECKPOINT, share.signer, vote.body, share.signature)
        assert genuine(watched.scene.group, watched.scene.verifier, envelope)


def test_it_takes_equal_values_and_not_just_votes():
    """A quorum of messages that speak of different digests makes nothing stable: each value is counted apart (R6)."""
    watched = watch(7)
    (vote,) = watched.run(K).said(Kind.CHECKPOINT)
    said = read(vote)
    spread = [said.digest, said.digest, said.digest, OTHER, OTHER, THIRD]
    for by, digest in zip(watched.peers[:5], spread, strict=False):
        assert watched.give(watched.scene.checkpoint(by, K, digest)).of(BecameStable) == []
    turn = watched.give(watched.scene.checkpoint(watched.peers[5], K, said.digest))
    assert [each.proof.digest for each in turn.of(BecameStable)] == [said.digest]


def test_one_member_counts_once():
    """Whatever it repeats, under other signatures or by other links (R2)."""
    watched = watch()
    (vote,) = watched.run(K).said(Kind.CHECKPOINT)
    one = watched.scene.checkpoint(3, K, read(vote).digest)
    for again, link in ((one, 3), (one, 0), (one, 1), (forged(one), 3), (vote, 0), (vote, 1)):
        assert watched.give(again, link).of(BecameStable) == []
    assert watched.replica.status().stable_checkpoint == 0


def test_a_bad_signature_takes_nobodys_place():
    """A vote is verified when it is to count; a forged one makes room for its member's good one."""
    watched = watch()
    (vote,) = watched.run(K).said(Kind.CHECKPOINT)
    good = [watched.scene.checkpoint(by, K, read(vote).digest) for by in (0, 3)]
    watched.give(forged(good[0]), 0)
    assert watched.give(good[1]).of(BecameStable) == []
    assert watched.give(good[0]).of(BecameStable)


def test_votes_may_come_before_a_replica_is_there():
    """Stable without its own vote: it knows where the group is, and moves its watermark when it has come so far."""
    watched = watch()
    digest = read(watch().run(K).said(Kind.CHECKPOINT)[0]).digest
    turns = [watched.give(watched.scene.checkpoint(by, K, digest)) for by in (0, 1, 3)]
    assert [len(turn.of(BecameStable)) for turn in turns] == [0, 0, 1]
    status = watched.replica.status()
    assert (status.stable_checkpoint, status.low_watermark, status.executed) == (K, 0, 0)
    turn = watched.run(K)
    assert turn.said(Kind.CHECKPOINT) == []
    assert watched.replica.status().low_watermark == K


def test_votes_tell_how_far_the_others_are():
    """f+1 members that vote for a later state have come there: whoever has not asks for what it missed."""
    watched = watch()
    far = [watched.scene.checkpoint(by, K, bytes([by]) * 32) for by in (0, 1, 3)]
    watched.give(far[0])
    watched.give(far[1], 3)
    assert (watched.replica.status().behind, watched.replica.deadline_ms) == (0, None)
    watched.give(far[2])
    assert watched.replica.status().behind == K
    assert watched.wait(1_000).said(Kind.STATUS)


def test_two_digests_for_one_sequence_are_evidence():
    """A member that says two things of one state is proven to; the first keeps its place, and this is told once."""
    watched = watch()
    first, second = (watched.scene.checkpoint(3, K, digest) for digest in (OTHER, THIRD))
    watched.give(first)
    assert watched.give(forged(second), 0).of(Evidence) == []
    turn = watched.give(second)
    (evidence,) = turn.of(Evidence)
    assert evidence == Evidence(3, first, second)
    proven = Misbehaviour.of(watched.scene.group, evidence).verify(watched.scene.group, watched.scene.verifier)
    assert proven.culprit == 3
    assert watched.give(watched.scene.checkpoint(3, K, bytes(32))).of(Evidence) == []
    assert watched.give(second).reasons == [Reason.CONFLICTING]


# Watermarks and what goes with them.


def test_watermarks_follow_the_stable_checkpoint():
    """h is the last stable checkpoint, H = h + L; what lies at or below h is taken no more."""
    watched = watch()
    watched.run(2 * K + 1)
    assert (watched.replica.status().low_watermark, watched.replica.status().high_watermark) == (0, 4 * K)
    watched = watch()
    make_stable(watched, 2 * K + 1)
    status = watched.replica.status()
    assert (status.stable_checkpoint, status.low_watermark, status.high_watermark) == (2 * K, 2 * K, 6 * K)
    late = watched.scene.pre_prepare(2 * K)
    assert watched.give(watched.scene.prepare(3, late)).reasons == [Reason.OUTSIDE_WATERMARKS]


def test_what_lies_before_the_last_two_checkpoints_is_forgotten():
    """Slots, votes and snapshots: however long a group runs, a replica holds the same."""
    watched = watch()
    make_stable(watched, 3 * K)
    after_three = watched.replica.usage()
    make_stable(watched, 12 * K)
    after_twelve = watched.replica.usage()
    for count in ("slots", "votes", "checkpoint_votes", "snapshots"):
        assert after_twelve[count] == after_three[count], count
    assert (after_twelve["slots"], after_twelve["checkpoint_votes"], after_twelve["snapshots"]) == (K, 0, 2)


def test_a_group_that_agrees_on_no_checkpoint_stops_at_the_high_watermark():
    """Without a quorum's word the log cannot be cut, and nothing beyond it is taken: memory stays bounded."""
    watched = watch()
    watched.run(4 * K)
    assert watched.give(watched.scene.pre_prepare(4 * K + 1)).reasons == [Reason.TOO_EARLY]
    assert watched.replica.status().in_flight == 0


# Proofs.


def proof_of(scene: Scene, vote: Checkpoint, by: Sequence[int] | None = None) -> Envelope:
    """Return a proof as replica 0 sends it."""
    return Envelope(Kind.CHECKPOINT_PROOF, 0, pack(scene.proof(vote.sequence, vote.digest, by)))


def test_a_proof_makes_stable_what_a_replica_had_no_votes_for():
    """One message in place of a quorum's: after that the vote of nobody is needed."""
    watched = watch()
    (vote,) = watched.run(K).said(Kind.CHECKPOINT)
    turn = watched.give(proof_of(watched.scene, read(vote), by=(0, 1, 3)))
    assert [each.proof for each in turn.of(BecameStable)] == [watched.scene.proof(K, read(vote).digest, (0, 1, 3))]
    assert watched.replica.status().low_watermark == K


def test_who_does_not_know_a_stable_checkpoint_is_sent_its_proof():
    """Whoever asks with a lower one; with the same one, it is sent nothing of it."""
    watched = watch()
    (vote,) = make_stable(watched, K)
    watched.ms += 1_000
    (sent,) = watched.give(watched.scene.status(3, K, stable=0)).said(Kind.CHECKPOINT_PROOF)
    proof = unpack(CheckpointProof, sent.body)
    assert (proof.sequence, proof.digest) == (K, vote.digest)
    watched.ms += 1_000
    assert watched.give(watched.scene.status(3, K, stable=K)).said(Kind.CHECKPOINT_PROOF) == []
    assert watch().give(proof_of(watched.scene, vote)).of(BecameStable)


def test_a_vote_is_sent_again_to_who_asks_while_it_is_not_stable():
    """Votes may be lost: byte for byte the same, to whoever cannot prove that checkpoint either."""
    watched = watch()
    (vote,) = watched.run(K).said(Kind.CHECKPOINT)
    for _ in range(2):
        watched.ms += 1_000
        turn = watched.give(watched.scene.status(3, K))
        assert [each.to_bytes() for each in turn.said(Kind.CHECKPOINT)] == [vote.to_bytes()]
        assert [each.to for each in turn.of(Send)] == [3]
    watched.stabilise(vote)
    watched.ms += 1_000
    assert watched.give(watched.scene.status(3, K)).said(Kind.CHECKPOINT) == []


def test_a_replica_asks_until_its_checkpoint_is_stable():
    """An unproven vote is unfinished work; after a proof there is nothing to ask."""
    watched = watch()
    (vote,) = watched.run(K).said(Kind.CHECKPOINT)
    assert len(watched.wait(60_000).said(Kind.STATUS)) > 16
    watched.stabilise(vote)
    assert watched.replica.deadline_ms is None


# Snapshots.


def fetch(watched: Microscope, checkpoint: Checkpoint, *chunks: int) -> Turn:
    """Ask for chunks of the state at a checkpoint, as replica 3 does."""
    return watched.give(Envelope(Kind.FETCH, 3, pack(Fetch(checkpoint.sequence, checkpoint.digest, chunks))))


def served(turn: Turn) -> list[Chunk]:
    assert {each.to for each in turn.of(Send)} <= {3}
    return [unpack(Chunk, each.body) for each in turn.said(Kind.CHUNK)]


def test_chunks_lead_to_the_digest_that_a_quorum_signed():
    """Each with its path; there are as many as it says, and none beyond."""
    watched = watch()
    (vote,) = make_stable(watched, K)
    (chunk,) = served(fetch(watched, vote, 0))
    assert leads_to(K, vote.digest, chunk.index, chunk.chunks, chunk.path, chunk.data)
    assert served(fetch(watched, vote, 1)) == []
    assert served(fetch(watched, Checkpoint(K, OTHER), 0)) == []


def test_the_last_two_stable_states_can_be_had():
    """One may just be fetched while the next becomes stable; of an older one, only that there is a later one."""
    watched = watch()
    votes = make_stable(watched, 4 * K)
    assert [len(served(fetch(watched, vote, 0))) for vote in votes] == [0, 0, 1, 1]
    turn = fetch(watched, votes[0], 0)
    (proof,) = turn.said(Kind.CHECKPOINT_PROOF)
    assert unpack(CheckpointProof, proof.body).sequence == 4 * K


def test_a_state_that_is_being_fetched_is_kept_longer():
    """Asked for within five seconds it stays, however many later ones become stable; and one such at most."""
    watched = watch()
    votes = make_stable(watched, 2 * K)
    assert served(fetch(watched, votes[0], 0))
    for _ in range(3):
        watched.ms += 4_000
        votes += make_stable(watched, watched.executed + K)
        assert served(fetch(watched, votes[0], 0))
    assert watched.replica.usage()["snapshots"] == 3
    assert served(fetch(watched, votes[2], 0)) == []
    watched.ms += 5_000
    make_stable(watched, watched.executed + K)
    assert served(fetch(watched, votes[0], 0)) == []
    assert watched.replica.usage()["snapshots"] == 2


def test_a_peer_draws_chunks_at_a_bounded_rate():
    """Asking for the same chunk all the time draws no more than its share of bytes (R7)."""
    watched = Scene(limits=LIMITS).watch(2)
    requests = [watched.scene.request("alice", sequence, (bytes(60_000),)) for sequence in range(1, K + 1)]
    turns = [watched.agree(watched.scene.pre_prepare(number, each)) for number, each in enumerate(requests, 1)]
    (vote,) = turns[-1].said(Kind.CHECKPOINT)
    watched.stabilise(vote)
    drawn = 0
    for _ in range(1_000):
        drawn += sum(len(chunk.data) for chunk in served(fetch(watched, read(vote), 0, 1, 2, 3)))
    settings = watched.replica.settings
    assert 0 < drawn <= 4 * settings.repair_bytes + 4 * 48 * 1024
    watched.ms += 1_000
    assert served(fetch(watched, read(vote), 0))
