"""The three phases: pre-prepare, prepare, commit (OSDI'99 section 4.2).

Owns: the view, the assignment of sequences, and what enters the log. A handler refuses (one test a rule, each with its
reason), records, and advances. What commits is left in the log for the replica to execute in order.
"""

from __future__ import annotations

from collections.abc import Callable

from pbft.core.batches import BatchError, SignedRequest, read_batch, write_batch
from pbft.core.effects import CommittedLocal, Prepared, Proposed, Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.core.log import Log, Proposal, Slot
from pbft.core.messages import Commit, Prepare, PrePrepare, batch_digest
from pbft.core.outbox import Outbox
from pbft.core.votes import Admission, Vote, Votes

_REASONS = {
    Admission.DUPLICATE: Reason.DUPLICATE,
    Admission.BAD_SIGNATURE: Reason.BAD_SIGNATURE,
    Admission.CONFLICTING: Reason.CONFLICTING,
    Admission.EQUIVOCATION: Reason.CONFLICTING,
}


class Agreement:
    """The order that replicas agree on within a view."""

    def __init__(self, outbox: Outbox, log: Log, vouched: Callable[[SignedRequest], bool]) -> None:
        """`vouched` says whether a request's signature was verified before."""
        self.view = 0
        self.assigned = 0
        """The sequence that the primary, if this replica is it, assigned last."""
        self._out = outbox
        self._log = log
        self._vouched = vouched
        self._quorums = outbox.group.quorums

    @property
    def is_primary(self) -> bool:
        """Whether this replica is the primary of its view."""
        return self._out.group.primary(self.view) == self._out.me

    # The primary.

    def propose(self, sequence: int, requests: tuple[SignedRequest, ...]) -> None:
        """Assign a sequence to a batch and tell the backups (OSDI'99 section 4.2)."""
        self.assigned = sequence
        data = write_batch(self._out.now.wall_ms, requests)
        body = PrePrepare(self.view, sequence, batch_digest(data))
        envelope = self._out.seal(Kind.PRE_PREPARE, body, data)
        slot = self._log.slot(sequence)
        slot.proposal = Proposal(self.view, body.digest, envelope, self._out.now.wall_ms, requests)
        self._log.keep(slot)
        self._out.notice(Proposed(self.view, sequence, body.digest, len(requests)))
        self._out.vote(envelope, ())
        self._advance(slot)

    # Handlers.

    def on_pre_prepare(self, body: PrePrepare, envelope: Envelope, signer: ReplicaId, sender: ReplicaId) -> None:
        """Accept the primary's assignment of a sequence to a batch (OSDI'99 section 4.2).

        Refused unless it is signed by the primary of our view, lies between the watermarks, names the batch beside it,
        and no other was accepted for this view and sequence; the batch must be valid, and its time near ours.
        """
        if reason := self._refusal(body.view, body.sequence):
            return self._out.ignore(reason, envelope, sender)
        if signer != self._out.group.primary(body.view):
            return self._out.ignore(Reason.NOT_PRIMARY, envelope, sender)
        slot = self._log.slot(body.sequence)
        first = slot.proposed
        if first is not None:
            return self._on_second_pre_prepare(slot, first.envelope, envelope, sender)
        if batch_digest(envelope.beside) != body.digest:
            return self._out.ignore(Reason.WRONG_DIGEST, envelope, sender)
        if not self._out.genuine(envelope):
            return self._out.ignore(Reason.BAD_SIGNATURE, envelope, sender)
        try:
            proposal = self._read(body, envelope)
        except BatchError:
            return self._out.ignore(Reason.BAD_BATCH, envelope, sender)
        if not self._timely(proposal, slot):
            slot.held_back = proposal
            self._log.keep(slot)
            return self._out.ignore(Reason.CLOCK_DRIFT, envelope, sender)
        self._accept(proposal, slot)

    def on_prepare(self, body: Prepare, envelope: Envelope, signer: ReplicaId, sender: ReplicaId) -> None:
        """Count a backup's vote for the primary's proposal (OSDI'99 section 4.2).

        Refused unless the view is ours, the sequence lies between the watermarks, and the signer is a backup: the
        primary's vote is its pre-prepare.
        """
        if reason := self._refusal(body.view, body.sequence):
            return self._out.ignore(reason, envelope, sender)
        if signer == self._out.group.primary(body.view):
            return self._out.ignore(Reason.NOT_BACKUP, envelope, sender)
        slot = self._log.slot(body.sequence)
        if slot.prepared and self._is_surplus(slot.prepares, slot, body.digest, signer):
            return self._out.ignore(Reason.SURPLUS, envelope, sender)
        if self._record(slot, slot.prepares, Vote(body.digest, envelope, trusted=False), signer, sender):
            self.reconsider(slot)
            self._advance(slot)

    def on_commit(self, body: Commit, envelope: Envelope, signer: ReplicaId, sender: ReplicaId) -> None:
        """Count a replica's word that it is prepared (OSDI'99 section 4.2).

        Refused unless the view is ours and the sequence lies between the watermarks. It counts on the strength of its
        signer's own link; relayed by somebody else, its signature is checked (design 4.4).
        """
        if reason := self._refusal(body.view, body.sequence):
            return self._out.ignore(reason, envelope, sender)
        slot = self._log.slot(body.sequence)
        if slot.committed and self._is_surplus(slot.commits, slot, body.digest, signer):
            return self._out.ignore(Reason.SURPLUS, envelope, sender)
        if self._record(slot, slot.commits, Vote(body.digest, envelope, trusted=signer == sender), signer, sender):
            self._advance(slot)

    # Rules.

    def _refusal(self, view: int, sequence: int) -> Reason | None:
        """The tests that all three phases share (OSDI'99 section 4.2): our view, between the watermarks."""
        if view != self.view:
            return Reason.WRONG_VIEW
        if not self._log.within(sequence):
            return Reason.OUTSIDE_WATERMARKS
        return None

    def _read(self, body: PrePrepare, envelope: Envelope) -> Proposal:
        batch, requests = read_batch(
            envelope.beside,
            self._out.group,
            lambda signed: self._vouched(signed) or self._out.genuine(signed.envelope),
        )
        return Proposal(body.view, body.digest, envelope, batch.time_ms, requests)

    def _on_second_pre_prepare(self, slot: Slot, first: Envelope, envelope: Envelope, sender: ReplicaId) -> None:
        if first.body == envelope.body:
            return self._out.ignore(Reason.DUPLICATE, envelope, sender)
        if sender not in slot.judged:
            slot.judged[sender] = None
            if not self._out.genuine(envelope):
                return self._out.ignore(Reason.BAD_SIGNATURE, envelope, sender)
            self._out.blame(self._out.group.primary(self.view), first, envelope)
        self._out.ignore(Reason.CONFLICTING, envelope, sender)

    def _timely(self, proposal: Proposal, slot: Slot) -> bool:
        """Say whether a first proposal's time is acceptable (design 4.5).

        Near our clock, or vouched for by f+1 members: the primary, and f whose prepares we hold. A correct one among
        them found it near its own, so a replica whose clock is wrong follows instead of standing apart.
        """
        if abs(proposal.time_ms - self._out.now.wall_ms) <= self._out.group.limits.clock_drift_ms:
            return True
        faults = self._quorums.faults
        return slot.prepares.certificate(proposal.view, proposal.digest, faults, self._out.genuine) is not None

    def reconsider(self, slot: Slot) -> None:
        """Take up a pre-prepare again that was held back for its time: a backup voted for it, or our clock moved on."""
        if slot.held_back is not None and self._timely(slot.held_back, slot):
            self._accept(slot.held_back, slot)

    def _accept(self, proposal: Proposal, slot: Slot) -> None:
        slot.proposal, slot.held_back = proposal, None
        self._log.keep(slot)
        if self.is_primary:
            self.assigned = max(self.assigned, slot.sequence)
        elif slot.prepares.held(self.view, self._out.me) is None:
            prepare = self._out.seal(Kind.PREPARE, Prepare(self.view, slot.sequence, proposal.digest))
            self._cast(slot.prepares, Vote(proposal.digest, prepare, trusted=True), (proposal.envelope,))
        self._advance(slot)

    def _is_surplus(self, votes: Votes, slot: Slot, digest: bytes, signer: ReplicaId) -> bool:
        """Say whether a vote adds nothing to a complete certificate: it agrees, and contradicts none held."""
        return slot.proposal is not None and slot.proposal.digest == digest and votes.held(self.view, signer) is None

    def _record(self, slot: Slot, votes: Votes, vote: Vote, signer: ReplicaId, sender: ReplicaId) -> bool:
        held = votes.held(self.view, signer)
        admission = votes.admit(self.view, signer, vote, relayed=signer != sender, verify=self._out.genuine)
        if admission is Admission.HELD:
            self._log.keep(slot)
            return True
        if admission is Admission.EQUIVOCATION and held is not None:
            self._out.blame(signer, held.envelope, vote.envelope)
        self._out.ignore(_REASONS[admission], vote.envelope, sender)
        return False

    def _cast(self, votes: Votes, vote: Vote, basis: tuple[Envelope, ...]) -> None:
        votes.admit(self.view, self._out.me, vote, relayed=False, verify=self._out.genuine)
        self._out.vote(vote.envelope, basis)

    def _advance(self, slot: Slot) -> None:
        """Draw what follows from a slot's votes: prepared, then committed_local (OSDI'99 section 4.2)."""
        proposal = slot.proposal
        if proposal is None or slot.committed:
            return
        if not slot.prepared:
            needed = self._quorums.prepared - 1
            prepares = slot.prepares.certificate(self.view, proposal.digest, needed, self._out.genuine)
            if prepares is None:
                return
            slot.prepared = True
            certificate = (proposal.envelope, *prepares)
            self._out.notice(Prepared(self.view, slot.sequence, proposal.digest, certificate))
            if slot.commits.held(self.view, self._out.me) is None:
                commit = self._out.seal(Kind.COMMIT, Commit(self.view, slot.sequence, proposal.digest))
                self._cast(slot.commits, Vote(proposal.digest, commit, trusted=True), certificate)
        commits = slot.commits.certificate(self.view, proposal.digest, self._quorums.committed, self._out.genuine)
        if commits is not None:
            slot.committed = True
            self._out.notice(CommittedLocal(self.view, slot.sequence, proposal.digest, commits))
