"""Checkpoints at one replica: votes, stability, watermarks, snapshots (OSDI'99 section 4.3; design 4.7; attack R6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import ClassVar

import pytest

from pbft.core.certificates import Certificates
from pbft.core.checkpoints import Checkpoints
from pbft.core.effects import BecameStable, Broadcast, Diverged, Evidence, Persist, Reason, Send
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.evidence import Misbehaviour
from pbft.core.group import Limits
from pbft.core.messages import Checkpoint, CheckpointProof, pack, unpack
from pbft.core.outbox import Outbox
from pbft.core.settings import ReplicaSettings
from pbft.core.snapshot import Snapshot, read_top
from pbft.core.state_messages import MAX_FETCHED_NODES, NODES_BYTES, TOP, Address, Fetch, NodeAt, Nodes
from pbft.core.usage import bounds
from tests.core.builders import Microscope, Recorder, Scene, Turn, at, forged
from tests.core.states import change, contents_of, freeze, nodes_of

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


def fetch(watched: Microscope, checkpoint: Checkpoint, *addresses: Address, by: int = 3) -> Turn:
    """Ask for nodes of the state at a checkpoint, as another replica does."""
    turn = watched.give(Envelope(Kind.FETCH, by, pack(Fetch(checkpoint.sequence, checkpoint.digest, addresses))))
    assert {each.to for each in turn.of(Send)} <= {by}
    return turn


def served(turn: Turn) -> list[NodeAt]:
    return [node for each in turn.said(Kind.NODES) for node in unpack(Nodes, each.body).nodes]


def test_nodes_lead_to_the_digest_that_a_quorum_signed():
    """The top first, then what it names; where there is nothing, nothing is sent."""
    watched = watch()
    (vote,) = make_stable(watched, K)
    (node,) = served(fetch(watched, vote, TOP))
    top = read_top(node.payload, K, vote.digest)
    assert top is not None
    roots = [Address(section, b"") for section in range(len(top.sections))]
    sent = served(fetch(watched, vote, *roots))
    assert [each.address for each in sent] == roots
    for section, each in enumerate(sent):
        named = top.root(section)
        assert named is not None
        assert named.matches(each.payload)
    assert served(fetch(watched, vote, Address(len(roots), b""))) == []
    assert served(fetch(watched, Checkpoint(K, OTHER), TOP)) == []


def test_the_last_two_stable_states_can_be_had():
    """One may just be fetched while the next becomes stable; of an older one, only that there is a later one."""
    watched = watch()
    votes = make_stable(watched, 4 * K)
    assert [len(served(fetch(watched, vote, TOP))) for vote in votes] == [0, 0, 1, 1]
    turn = fetch(watched, votes[0], TOP)
    (proof,) = turn.said(Kind.CHECKPOINT_PROOF)
    assert unpack(CheckpointProof, proof.body).sequence == 4 * K


def test_a_state_that_is_being_fetched_is_kept_longer():
    """Asked for within five seconds it stays, however many later ones become stable; and one such for each peer."""
    watched = watch()
    votes = make_stable(watched, 2 * K)
    assert served(fetch(watched, votes[0], TOP))
    for _ in range(3):
        watched.ms += 4_000
        votes += make_stable(watched, watched.executed + K)
        assert served(fetch(watched, votes[0], TOP))
    assert watched.replica.usage()["snapshots"] == 3
    assert served(fetch(watched, votes[2], TOP)) == []
    assert served(fetch(watched, votes[0], TOP))
    watched.ms += 5_000
    make_stable(watched, watched.executed + K)
    assert served(fetch(watched, votes[0], TOP)) == []
    assert watched.replica.usage()["snapshots"] == 2


def test_nobody_holds_a_state_for_ever():
    """A minute after it could have been dropped it is, whoever asks for it all the time, and whoever else began to."""
    watched = watch()
    votes = make_stable(watched, 2 * K)
    since_ms = watched.ms
    kept_ms = 0
    for turn in range(40):
        watched.ms += 3_000
        by = 3 if turn % 4 else 1
        if served(fetch(watched, votes[0], TOP, by=by)):
            kept_ms = watched.ms - since_ms
        make_stable(watched, watched.executed + K)
    assert 57_000 <= kept_ms <= 66_000
    assert watched.replica.usage()["snapshots"] == 2


def test_a_state_is_kept_for_each_peer_that_fetches_one():
    """One that asks for an old one all the time takes nobody's place; who asks for another lets go of its own."""
    watched = watch()
    votes = make_stable(watched, 4 * K)
    assert served(fetch(watched, votes[2], TOP, by=3))
    votes += make_stable(watched, 5 * K)
    assert served(fetch(watched, votes[3], TOP, by=1))
    for _ in range(4):
        watched.ms += 3_000
        votes += make_stable(watched, watched.executed + K)
        assert served(fetch(watched, votes[2], TOP, by=3))
        assert served(fetch(watched, votes[3], TOP, by=1))
    usage, most = watched.replica.usage(), bounds(watched.scene.group, watched.replica.settings)
    assert usage["snapshots"] == 4
    assert most["snapshots"] == 2 * (LIMITS.log_size // K) + 2 + 3
    assert served(fetch(watched, votes[-1], TOP, by=3))
    make_stable(watched, watched.executed + K)
    assert served(fetch(watched, votes[2], TOP, by=3)) == []
    assert served(fetch(watched, votes[3], TOP, by=1))


def test_a_state_that_is_held_does_not_keep_those_after_it():
    """However many later ones come and go, what it remembers of them is one map of what changed since."""
    rig = Rig(entries=100, nodes=2**20)
    for number in (1, 2):
        rig.take(number * rig.K)
        rig.prove(number * rig.K)
    held = rig.checkpoints.snapshot(rig.K)
    assert held is not None
    nodes = nodes_of(held)
    for number in range(3, 30):
        assert rig.serve(held, TOP)[1]
        rig.take(number * rig.K)
        rig.prove(number * rig.K)
    assert rig.checkpoints.snapshots == 3
    links, view = 0, held.views[0].after
    while view is not None:
        links, view = links + 1, view.after
    assert links <= 3
    assert nodes_of(held) == nodes


def test_a_peer_draws_nodes_at_a_bounded_rate():
    """Asking for the same node all the time draws no more than its share of bytes, however small the node is (R7)."""
    settings = ReplicaSettings(repair_bytes=64 * 1024, repair_bytes_per_ms=1024)
    watched = Scene(limits=LIMITS).watch(2, settings)
    requests = [watched.scene.request("alice", sequence, (bytes(60_000),)) for sequence in range(1, K + 1)]
    turns = [watched.agree(watched.scene.pre_prepare(number, each)) for number, each in enumerate(requests, 1)]
    (vote,) = turns[-1].said(Kind.CHECKPOINT)
    watched.stabilise(vote)
    for place in (TOP, Address(0, b""), Address(1, b"")):
        drawn, largest, questions = 0, 1, 0
        while answer := served(fetch(watched, read(vote), place)):
            largest = max(len(each.payload) for each in answer)
            drawn += largest + settings.repair_bytes_per_ms
            questions += 1
            assert drawn <= 16 * settings.repair_bytes + largest + settings.repair_bytes_per_ms
        assert questions >= 16 * settings.repair_bytes // (largest + settings.repair_bytes_per_ms)
        watched.ms += 2_000
    assert served(fetch(watched, read(vote), TOP))


def test_one_question_names_a_bounded_number_of_nodes():
    """At least one, and as many as one answer may bring: what a peer says beyond that is no message."""
    watched = watch()
    (vote,) = make_stable(watched, K)
    for count in (0, MAX_FETCHED_NODES + 1):
        assert fetch(watched, vote, *[TOP] * count).reasons == [Reason.MALFORMED]
    turn = fetch(watched, vote, TOP, *(Address(section, b"") for section in range(MAX_FETCHED_NODES - 1)))
    assert turn.reasons == []
    assert len(served(turn)) > 1


# Digests in slices: what a checkpoint covers is digested while execution goes on.

SLOW = ReplicaSettings(checkpoint_nodes=1)
WIDE = Limits(checkpoint_interval=16, log_size=64)


class Ballasted(Recorder):
    """A Recorder with a thousand pieces that never change, so that a digest is made of several nodes."""

    ballast: ClassVar = [b"ballast %d" % number for number in range(1_000)]

    def snapshot(self) -> Iterable[bytes]:
        return [*self.ballast, *super().snapshot()]

    def restore(self, pieces: Iterable[bytes]) -> None:
        super().restore(list(pieces)[len(self.ballast) :])


def watch_ballasted(settings: ReplicaSettings | None = None) -> Microscope:
    return Scene(limits=WIDE).watch(2, settings, application=Ballasted())


def first_stable(watched: Microscope) -> Microscope:
    """Have a replica come to its first checkpoint, with all of the ballast, which becomes stable; and to the next."""
    votes = watched.run(16).said(Kind.CHECKPOINT)
    while not votes:
        votes = watched.tick().said(Kind.CHECKPOINT)
    watched.stabilise(votes[0])
    return watched


@cache
def second_vote() -> Checkpoint:
    """Return the vote for sequence 32 of a replica that digests everything at once."""
    watched = first_stable(watch_ballasted(ReplicaSettings(checkpoint_nodes=2**20)))
    return read(watched.run(32).said(Kind.CHECKPOINT)[0])


def test_a_digest_in_slices_is_the_same_and_comes_later():
    """While batches execute: each of them takes a slice, and the vote is for the state as it was at the checkpoint."""
    watched = first_stable(watch_ballasted(SLOW))
    assert watched.run(32).said(Kind.CHECKPOINT) == []
    turns = [watched.run(sequence) for sequence in range(33, 48)]
    (vote,) = [vote for turn in turns for vote in turn.said(Kind.CHECKPOINT)]
    assert read(vote) == second_vote()
    assert turns[0].said(Kind.CHECKPOINT) == []
    assert watched.executed == 47


def test_ticks_finish_a_digest_when_nothing_executes():
    """One is due at once as long as digests are to be made, and not after; the vote is cast once."""
    watched = first_stable(watch_ballasted(SLOW))
    watched.run(32)
    ticks, votes = 0, list[Envelope]()
    while not votes:
        assert watched.replica.deadline_ms == watched.ms
        votes = watched.tick().said(Kind.CHECKPOINT)
        ticks += 1
    assert 2 <= ticks < 30
    assert [read(vote) for vote in votes] == [second_vote()]
    due_ms = watched.replica.deadline_ms
    assert due_ms is not None
    assert due_ms > watched.ms
    assert watched.wait(60_000).said(Kind.CHECKPOINT) == []
    watched.stabilise(votes[0])
    assert watched.replica.status().low_watermark == 32


def test_a_state_that_is_proven_before_its_digest_is_known():
    """The log is cut at once. Its own vote is needed no more; what it has is served as soon as it is known."""
    watched = first_stable(watch_ballasted(SLOW))
    watched.run(32)
    proof = proof_of(watched.scene, second_vote())
    assert watched.give(proof).of(BecameStable)
    assert watched.replica.status().low_watermark == 32
    assert served(fetch(watched, second_vote(), TOP)) == []
    while watched.replica.deadline_ms == watched.ms:
        assert watched.tick().said(Kind.CHECKPOINT) == []
    assert served(fetch(watched, second_vote(), TOP))


def test_another_state_than_the_proven_one_is_found_when_its_digest_is():
    """Until then it cannot be told; it goes on, and what it did is put right afterwards."""
    watched = first_stable(watch_ballasted(SLOW))
    watched.run(32)
    assert watched.give(proof_of(watched.scene, Checkpoint(32, OTHER))).of(Diverged) == []
    assert watched.run(33).of(Diverged) == []
    found: list[Diverged] = []
    while not found:
        assert watched.replica.deadline_ms == watched.ms
        found = watched.tick().of(Diverged)
    assert [(each.sequence, each.own, each.proven) for each in found] == [(32, second_vote().digest, OTHER)]
    assert watched.replica.status().transferring == 32


class Rig:
    """Checkpoints without a replica around them, of a map with some thousand entries, a few nodes at a time."""

    K = 512

    def __init__(self, entries: int = 2_000, nodes: int = 8) -> None:
        self.scene = Scene(limits=Limits(checkpoint_interval=self.K, log_size=8 * self.K))
        self.outbox = Outbox(2, self.scene.group, self.scene.signers[2], self.scene.verifier)
        self.outbox.begin(at(0))
        certificates = Certificates(self.scene.group, self.outbox.genuine)
        self.checkpoints = Checkpoints(self.outbox, certificates, ReplicaSettings(checkpoint_nodes=nodes))
        self.contents = contents_of({b"key-%d" % number: b"value" for number in range(entries)})

    def freeze(self, sequence: int) -> Snapshot:
        """Return the state as it is, as that after a sequence."""
        return freeze([self.contents], sequence)

    def take(self, sequence: int) -> Snapshot:
        """Write something, and take a checkpoint."""
        change(self.contents, {b"key-7": b"%d" % sequence, b"new-%d" % sequence: b"entry"})
        snapshot = self.freeze(sequence)
        self.checkpoints.take(snapshot)
        return snapshot

    def turn(self) -> Turn:
        """Return what came of it since this was asked last."""
        turn = Turn(self.outbox.effects())
        self.outbox.begin(at(0))
        return turn

    @property
    def votes(self) -> list[Checkpoint]:
        return [read(each) for each in self.turn().said(Kind.CHECKPOINT)]

    def settle(self) -> list[Checkpoint]:
        """Take slices until all is known; return the votes."""
        votes = self.votes
        slices = 0
        while self.checkpoints.pending_digests:
            self.checkpoints.settle()
            votes += self.votes
            slices += 1
            assert slices < 1_000
        return votes

    def prove(self, sequence: int, digest: bytes = OTHER) -> None:
        self.checkpoints.adopt(self.scene.proof(sequence, digest))

    def serve(self, snapshot: Snapshot, *addresses: Address) -> tuple[int, list[NodeAt]]:
        sent = self.checkpoints.serve(Fetch(snapshot.sequence, snapshot.digest, addresses), 3)
        return sent, served(self.turn())


def test_several_checkpoints_may_wait_for_their_digests():
    """They are voted for in their order, each with the digest of its own state, and none twice."""
    rig, whole = Rig(), Rig(nodes=2**20)
    taken = [rig.take(number * rig.K) for number in (1, 2, 3)]
    assert rig.votes == []
    expected = [(each.sequence, each.digest) for each in (whole.take(number * rig.K) for number in (1, 2, 3))]
    assert [rig.checkpoints.own_digest(each.sequence) for each in taken] == [None] * 3
    assert rig.checkpoints.pending() is None
    assert rig.checkpoints.unproven
    votes = rig.settle()
    assert [(vote.sequence, vote.digest) for vote in votes] == expected
    assert [(vote.sequence, vote.digest) for vote in whole.votes] == expected
    assert [rig.checkpoints.own_digest(sequence) for sequence, _ in expected] == [digest for _, digest in expected]
    standing = rig.checkpoints.pending()
    assert standing is not None
    assert (standing.sequence, standing.have) == (3 * rig.K, (2,))
    rig.checkpoints.settle()
    assert rig.votes == []


def test_slices_grow_so_that_a_digest_is_ready_before_the_next_checkpoint():
    """However small they begin, and however much there is to digest: none is left over for one long pause."""
    rig = Rig(entries=20_000, nodes=1)
    rig.take(rig.K)
    most = 0
    for executed in range(rig.K, 2 * rig.K):
        before = sum(view.made for view in rig.freeze(rig.K).views)
        rig.checkpoints.settle(executed)
        most = max(most, sum(view.made for view in rig.freeze(rig.K).views) - before)
        if not rig.checkpoints.pending_digests:
            break
    assert not rig.checkpoints.pending_digests
    assert rig.votes
    assert most < 1_000


def test_what_is_pruned_while_its_digest_is_made_is_voted_for_no_more():
    """Others proved later states meanwhile. The next own checkpoint has the right digest all the same."""
    rig, whole = Rig(), Rig(nodes=2**20)
    first, *_ = [rig.take(number * rig.K) for number in (1, 2, 3)]
    for number in (2, 3):
        rig.prove(number * rig.K)
    assert rig.checkpoints.snapshots == 2
    assert rig.checkpoints.own_digest(first.sequence) is None
    rig.turn()
    assert rig.settle() == []
    assert rig.checkpoints.own_digest(first.sequence) is None
    for number in (1, 2, 3):
        whole.take(number * rig.K)
    rig.take(4 * rig.K)
    assert [vote.digest for vote in rig.settle()] == [whole.take(4 * rig.K).digest]


def test_a_state_put_right_drops_those_beyond_it():
    """What was executed on a wrong state is no checkpoint; earlier ones are kept, and no second vote is cast."""
    rig = Rig()
    snapshots = [rig.take(number * rig.K) for number in (1, 2, 3)]
    assert len(rig.settle()) == 3
    rig.prove(2 * rig.K)
    rig.turn()
    change(rig.contents, {b"key-9": b"as the group has it"})
    right = rig.freeze(2 * rig.K)
    rig.checkpoints.put_right(right)
    assert rig.settle() == []
    own = [rig.checkpoints.own_digest(number * rig.K) for number in (1, 2, 3)]
    assert own == [snapshots[0].digest, right.digest, None]
    assert rig.serve(snapshots[2], TOP) == (0, [])
    rig.take(3 * rig.K)
    assert rig.settle() == []
    assert rig.checkpoints.own_digest(3 * rig.K) not in (None, snapshots[2].digest)


def test_putting_right_forgets_digests_that_were_still_to_be_made():
    """Of what was wrong nothing is worth the work, and nothing is voted for."""
    rig = Rig()
    rig.take(rig.K)
    rig.take(2 * rig.K)
    assert rig.checkpoints.pending_digests
    rig.prove(rig.K)
    rig.turn()
    right = rig.freeze(rig.K)
    right.settle(2**30)
    rig.checkpoints.put_right(right)
    assert rig.settle() == []
    assert rig.checkpoints.own_digest(rig.K) == right.digest
    assert rig.checkpoints.snapshots == 1


# What is served, of a state with nodes of all sizes.


def large(rig: Rig) -> tuple[Snapshot, list[Address], list[Address]]:
    """Return a settled state, where its leaves of about 20 KB stand, and where those larger than a message do."""
    change(rig.contents, {b"medium-%d" % number: bytes(20_000) for number in range(8)})
    change(rig.contents, {b"huge-%d" % number: bytes(2**20 - 100) for number in range(2)})
    snapshot = rig.take(rig.K)
    rig.settle()
    sizes = {place: len(payload) for place, payload in nodes_of(snapshot).items()}
    medium = [place for place, size in sizes.items() if 20_000 <= size <= NODES_BYTES]
    return snapshot, medium, [place for place, size in sizes.items() if size > NODES_BYTES]


def test_one_answer_holds_so_many_bytes_or_one_larger_node():
    """In the order in which they were asked for, up to the first that does not fit."""
    rig = Rig()
    snapshot, medium, huge = large(rig)
    nodes = nodes_of(snapshot)
    for wanted, count in (
        (medium[:2], 2),
        (medium[:3], 2),
        ([TOP, *medium[:3]], 3),
        (huge[:1], 1),
        (huge[:2], 1),
        ([huge[0], TOP], 1),
        ([TOP, huge[0], medium[0]], 1),
    ):
        sent, answer = rig.serve(snapshot, *wanted)
        assert [(each.address, each.payload) for each in answer] == [(place, nodes[place]) for place in wanted[:count]]
        assert sent == sum(len(each.payload) for each in answer)
        assert sent <= NODES_BYTES or count == 1


def test_all_that_is_asked_for_comes_in_one_answer_where_it_fits():
    """256 small nodes, as many as one question names: one message."""
    rig = Rig(entries=20_000)
    snapshot = rig.take(rig.K)
    rig.settle()
    places = list(nodes_of(snapshot))[-MAX_FETCHED_NODES:]
    _, answer = rig.serve(snapshot, *places)
    assert [each.address for each in answer] == places


def test_where_nothing_stands_an_answer_ends():
    """What comes before it is sent: whoever asks for a node that is not there was not told of it by this state."""
    rig = Rig()
    snapshot = rig.take(rig.K)
    rig.settle()
    root = Address(0, b"")
    for nowhere in (Address(1, b""), Address(0, b"\x10"), Address(0, bytes(64)), Address(2**16 - 1, b"\0")):
        assert [each.address for each in rig.serve(snapshot, TOP, nowhere, root)[1]] == [TOP]
        assert rig.serve(snapshot, nowhere, root) == (0, [])


def test_instead_of_another_state_the_proof_of_a_later_one_is_sent():
    """Its bytes count as those of nodes do."""
    rig = Rig()
    rig.take(rig.K)
    rig.settle()
    rig.prove(2 * rig.K)
    rig.turn()
    sent = rig.checkpoints.serve(Fetch(rig.K, OTHER, (TOP,)), 3)
    (proof,) = rig.turn().said(Kind.CHECKPOINT_PROOF)
    assert sent == len(proof.body)


def test_a_state_whose_digest_is_not_known_yet_is_not_served():
    """Nor one of another digest: the proof of a later one goes instead, where there is one."""
    rig, whole = Rig(), Rig(nodes=2**20)
    rig.take(rig.K)
    known = whole.take(rig.K)
    assert rig.serve(known, TOP) == (0, [])
    rig.prove(2 * rig.K)
    rig.turn()
    assert rig.checkpoints.serve(Fetch(rig.K, known.digest, (TOP,)), 3) > 0
    assert len(rig.turn().said(Kind.CHECKPOINT_PROOF)) == 1
    rig.settle()
    assert [each.payload for each in rig.serve(known, TOP)[1]] == [known.top]
