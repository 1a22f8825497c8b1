"""Published defects of what was taken for a vote or a proof: other values, other instances, other groups, strangers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.core import envelope as envelopes
from pbft.core.certificates import Certificates, shares
from pbft.core.checkpoints import Checkpoints
from pbft.core.effects import Effect, Reason, Send
from pbft.core.envelope import MAGIC, Envelope, Kind, Sender, seal, sender_key
from pbft.core.group import Group, Limits
from pbft.core.messages import (
    BEGINNING,
    Batch,
    Checkpoint,
    CheckpointProof,
    CommitCertificate,
    NamedVote,
    NewView,
    PrePrepare,
    Share,
    ViewChange,
    batch_digest,
    pack,
    unpack,
    view_change_digest,
)
from pbft.core.settings import Now
from pbft.core.view_change import Candidate, HeldVote, ViewChanges
from pbft.core.votes import Vote, Votes
from pbft.encoding import digest
from pbft.testing import Cluster, OracleFailure
from pbft.testing.byzantine import Adversary, Silent
from pbft_apps.counter import Counter
from tests.core.builders import Scene
from tests.regressions.plant import both


class OtherState(Adversary):
    """Votes for a state that nobody has, at every checkpoint."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Put another digest into its CHECKPOINTs."""
        return [self._other(effect) for effect in effects]

    def _other(self, effect: Effect) -> Effect:
        if not isinstance(effect, Send) or effect.envelope.kind is not Kind.CHECKPOINT:
            return effect
        body = unpack(Checkpoint, effect.envelope.body)
        said = pack(replace(body, digest=digest(b"pbft/lie", body.digest)))
        return replace(effect, envelope=self.say(Kind.CHECKPOINT, said))


def test_bft_smart_62_messages_were_counted_instead_of_equal_values() -> None:
    """A quorum has to say the same thing.

    There the code was content once a quorum had said something. Ours has one class for votes of every kind, which
    groups them by what they are for.

    Planted: a checkpoint is stable with any quorum of CHECKPOINTs.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=1, byzantine={3: OtherState}, limits=Limits(checkpoint_interval=2, log_size=4))
        alice = group.client("alice")
        for _ in range(6):
            group.gather(alice.call("add", 1))
        group.run_until(lambda: all(group.replica(i).status().stable_checkpoint == 6 for i in group.correct))

    def of_anything(self: Checkpoints, sequence: int, digest: bytes) -> None:
        votes = self._votes[sequence]
        if len(votes) >= self._out.group.quorums.stable:
            every = [vote.envelope for vote in votes._held.values()]
            self.adopt(CheckpointProof(sequence, digest, shares(every)))

    both(
        scenario,
        (Checkpoints, "_conclude", of_anything),
        fails=OracleFailure,
        words="O6: .* is stable proves nothing: replica . never signed it",
    )


def test_bft_smart_121_votes_of_an_old_view_made_a_new_one() -> None:
    """A view begins on votes for that view.

    A leader could show, for its own regency, what others had signed for an ancient one, and so leave out whatever was
    decided since. Ours refuses a NEW-VIEW that names a vote for another view than its own.

    Planted: the view of a vote that a NEW-VIEW names is not looked at.
    """

    def scenario() -> None:
        scene = Scene()
        watched = scene.watch(3)
        old = [scene.say(i, Kind.VIEW_CHANGE, ViewChange(1, BEGINNING, ())) for i in (0, 1, 2)]
        for i in (1, 2):
            watched.give(scene.say(i, Kind.VIEW_CHANGE, ViewChange(2, BEGINNING, ())))
        assert watched.replica.status().target == 2

        names = tuple(NamedVote(i, view_change_digest(i, vote.body)) for i, vote in enumerate(old))
        watched.give(scene.say(2, Kind.NEW_VIEW, NewView(2, names, 0, ())))
        turns = [watched.give(vote, 2) for vote in old]
        assert watched.replica.status().view == 0, "view 2 was entered with votes for view 1"
        assert turns[-1].reasons == [Reason.BAD_NEW_VIEW]

    named = ViewChanges._named

    def of_whatever_view(self: ViewChanges, candidate: Candidate, name: NamedVote) -> HeldVote | None:
        held = named(self, candidate, name)
        return held and replace(held, vote=replace(held.vote, view=candidate.body.view))

    both(
        scenario,
        (ViewChanges, "_named", of_whatever_view),
        fails=AssertionError,
        words="view 2 was entered with votes for view 1",
    )


def test_bft_smart_121_strangers_votes_counted() -> None:
    """Only members vote, in proofs too.

    In the same place, messages of nodes that were not in the present view counted. Ours looks every signer up among the
    members, wherever its signature stands.

    Planted: the key of who is no member is believed.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=2, byzantine={3: Silent}, limits=Limits(checkpoint_interval=2, log_size=4))
        alice = group.client("alice")
        body = pack(Checkpoint(2, bytes(32)))
        signed = seal(group.group, group.identity("replica 3").signer, Kind.CHECKPOINT, 3, body).signature
        proof = CheckpointProof(2, bytes(32), (Share(3, signed), Share(4, bytes(64)), Share(5, bytes(64))))
        group.inject(Envelope(Kind.CHECKPOINT_PROOF, 3, pack(proof)), to=1)
        assert group.gather(alice.call("add", 5)) == [5]
        assert group.ignored(1)[Reason.BAD_CERTIFICATE] == 1

    is_good = Certificates._is_good

    def or_strange(self: Certificates, kind: Kind, signer: int, body: bytes, signature: bytes) -> bool:
        return signer >= self._group.n or is_good(self, kind, signer, body, signature)

    both(
        scenario,
        (Certificates, "_are_members", lambda *_: True),
        (Certificates, "_is_good", or_strange),
        fails=OracleFailure,
        words="O6: .* is stable proves nothing: it counts somebody who is no member",
    )


def test_bft_smart_121_a_proof_mixed_instances() -> None:
    """A proof is made of votes for one view, sequence and batch.

    A decision was believed on votes of other consensus instances: whoever had gathered those could make a node run a
    request again, or out of place. Ours spells what was signed once for a whole certificate, so that every signature in
    it is for the very thing that it is to prove.

    Planted: commits count for a batch, whichever sequence they gave it.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=3, byzantine={3: Silent})
        alice = group.client("alice")
        group.gather(alice.call("add", 5))
        group.run_until_level()
        votes = [persist.vote for i in (0, 1, 2) for persist in group.durable(i) if persist.vote.kind is Kind.COMMIT]
        (batch,) = [persist.vote.beside for persist in group.durable(0) if persist.vote.kind is Kind.PRE_PREPARE]
        moved = CommitCertificate(0, 2, batch_digest(batch), shares(votes))
        group.inject(Envelope(Kind.COMMITTED, 3, pack(moved), b"", batch), to=1)
        assert group.gather(alice.call("add", 2)) == [7]
        assert group.ignored(1)[Reason.BAD_CERTIFICATE] == 1

    is_committed = Certificates.is_committed

    def of_any_instance(self: Certificates, certificate: CommitCertificate) -> bool:
        return any(is_committed(self, replace(certificate, sequence=sequence)) for sequence in range(1, 9))

    both(
        scenario,
        (Certificates, "is_committed", of_any_instance),
        fails=OracleFailure,
        words="O6: replica 1's commit certificate for v0 s2 .* counts a commit that replica . never voted",
    )


class Mutator(Adversary):
    """As primary, tells one backup another batch at one sequence, and is honest otherwise."""

    receiver = 1
    position = 1

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Change one PRE-PREPARE."""
        return [self._mutated(effect) for effect in effects]

    def _mutated(self, effect: Effect) -> Effect:
        if not isinstance(effect, Send) or effect.to != self.receiver or effect.envelope.kind is not Kind.PRE_PREPARE:
            return effect
        body = unpack(PrePrepare, effect.envelope.body)
        if body.sequence != self.position:
            return effect
        batch = unpack(Batch, effect.envelope.beside)
        mutated = pack(replace(batch, time_ms=batch.time_ms + 1))
        said = pack(replace(body, digest=batch_digest(mutated)))
        return replace(effect, envelope=self.say(Kind.PRE_PREPARE, said, mutated))


@pytest.mark.parametrize("receiver", [1, 2, 3])
@pytest.mark.parametrize("position", [1, 2, 3])
def test_byzzfuzz_one_mutated_pre_prepare_broke_agreement(receiver: int, position: int) -> None:
    """Who is told another batch than the others executes nothing there (P1).

    Fuzzing an implementation of PBFT with small changes to single messages, one PRE-PREPARE altered on its way to one
    replica was enough: that replica executed another request than the others. Ours counts PREPAREs and COMMITs for the
    batch that they name.

    Planted: votes count for a view and sequence, whatever they are for. O6 would see that a step before agreement
    breaks, and is left out.
    """
    kind = type("Mutator", (Mutator,), {"receiver": receiver, "position": position})

    def scenario() -> None:
        group = Cluster(Counter, seed=4, byzantine={0: kind}, without_oracles=("O6",))
        alice = group.client("alice")
        for total in (1, 2, 3):
            assert group.gather(alice.call("add", 1)) == [total]
        assert group.histories_agree()

    def matching(self: Votes, view: int, digest: bytes) -> list[tuple[int, Vote]]:
        return sorted(
            ((who, vote) for (seen, who), vote in self._held.items() if seen == view), key=lambda pair: pair[0]
        )

    both(
        scenario,
        (Votes, "matching", matching),
        fails=OracleFailure,
        words=f"O1: agreement broke at sequence {position}",
    )


def test_massa_4979_a_signature_of_one_chain_was_evidence_on_another() -> None:
    """What was signed for one group says nothing in another.

    Endorsements were signed without saying for which chain, and operators ran several with one key: two honest words,
    one of each chain, passed for two contradicting ones of the same, and cost their signer its stake. Ours puts the
    group's id under every signature.

    Planted: signatures that do not cover the group id. O2 spells out what clients sign, id included, and would object
    to any request of that build: it is left out.
    """

    def scenario() -> None:
        first = Cluster(Counter, seed=5, without_oracles=("O2",))
        first.gather(first.client("alice").call("add", 5))
        (replayed,) = [each.vote for each in first.durable(3) if each.vote.kind is Kind.PREPARE]

        second = Cluster(Counter, seed=5, limits=Limits(checkpoint_interval=64), without_oracles=("O2",))
        assert [each.public_key for each in second.group.members] == [each.public_key for each in first.group.members]
        alice = second.client("alice")
        call = alice.call("add", 7)
        second.run_until(lambda: any(each.vote.kind is Kind.COMMIT for each in second.durable(1)))
        second.inject(replayed, to=1, sender=2)
        assert second.gather(call) == [7]
        assert second.ignored(1)[Reason.BAD_SIGNATURE] == 1

    def without_the_group(group: Group, kind: Kind, sender: Sender, body: bytes) -> bytes:
        key = sender_key(group, sender)
        assert key is not None
        return b"".join((MAGIC, bytes((kind,)), b"c" if isinstance(sender, bytes) else b"r", key, body))

    both(
        scenario,
        (envelopes, "signed_bytes", without_the_group),
        fails=OracleFailure,
        words="O16: replica 1 blames replica 3, which is correct",
    )
