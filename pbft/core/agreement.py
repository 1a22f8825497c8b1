"""The three phases: pre-prepare, prepare, commit (OSDI'99 section 4.2).

Owns: the view, whether this replica still votes in it, the assignment of sequences, and what enters the log. A handler
refuses (one test a rule, each with its reason), records, and advances. What commits is left in the log for the replica
to execute in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pbft.core.batches import BatchError, SignedRequest, read_batch, write_batch
from pbft.core.certificates import Certificates, shares
from pbft.core.early import Early
from pbft.core.effects import CommittedLocal, Prepared, Proposed, Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.core.log import Log, Proposal, Slot
from pbft.core.messages import (
    NULL_BATCH,
    NULL_DIGEST,
    Commit,
    CommitCertificate,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    batch_digest,
    pack,
    unpack,
)
from pbft.core.outbox import Outbox
from pbft.core.settings import ReplicaSettings
from pbft.core.votes import Vote, Votes


class Agreement:
    """The order that replicas agree on within a view."""

    def __init__(
        self,
        outbox: Outbox,
        log: Log,
        early: Early,
        certificates: Certificates,
        vouched: Callable[[SignedRequest], bool],
        settings: ReplicaSettings,
    ) -> None:
        """`vouched` says whether a request's signature was verified before."""
        self.view = 0
        """The view entered last."""
        self.voting = True
        """False from the moment this replica asks for another view: what quorums commit in this one still counts."""
        self.assigned = 0
        """The sequence that the primary, if this replica is it, assigned last."""
        self.executed = 0
        """How far execution has come: what is proposed beyond the next one is kept within bounds."""
        self._out = outbox
        self._log = log
        self._early = early
        self._certificates = certificates
        self._vouched = vouched
        self._settings = settings
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

    # A new view.

    def leave(self) -> None:
        """Vote no more in this view (OSDI'99 section 4.4): what was promised to the next one must stay true."""
        self.voting = False

    def begin(self, view: int, stable: int, renewals: Sequence[Envelope], *, voting: bool) -> list[Proposal]:
        """Enter a view: take up what it proposes again, one pre-prepare for each sequence after `stable`.

        Not `voting` is who has asked for a later view. Return those whose batches are held here. The others wait for
        theirs; times are not judged again (design 4.5).
        """
        self.view, self.voting = view, voting
        self.assigned = stable + len(renewals)
        self._log.begin_view(stable, self.assigned)
        held = []
        for offset, envelope in enumerate(renewals):
            sequence = stable + 1 + offset
            if self._log.within(sequence) and (proposal := self._renew(self._log.slot(sequence), envelope)):
                held.append(proposal)
        return held

    def _renew(self, slot: Slot, envelope: Envelope) -> Proposal | None:
        digest = unpack(PrePrepare, envelope.body).digest
        known = slot.with_batch(digest)
        if known is not None:
            data, time_ms, requests = known.envelope.beside, known.time_ms, known.requests
        elif digest == NULL_DIGEST:
            data, time_ms, requests = NULL_BATCH, 0, ()
        else:
            slot.renewal = envelope
            self._log.keep(slot)
            return None
        whole = Envelope(Kind.PRE_PREPARE, envelope.sender, envelope.body, envelope.signature, data)
        proposal = Proposal(self.view, digest, whole, time_ms, requests)
        self._accept(proposal, slot)
        return proposal

    # Handlers.

    def on_pre_prepare(self, body: PrePrepare, envelope: Envelope, signer: ReplicaId, sender: ReplicaId) -> None:
        """Accept the primary's assignment of a sequence to a batch (OSDI'99 section 4.2).

        Refused unless it is signed by the primary of our view, lies between the watermarks, names the batch beside it,
        and no other was accepted for this view and sequence; the batch must be valid, and its time near ours. Where the
        view began with a proposal for this sequence, it is that one whose batch comes now.
        """
        if reason := self._refusal(body.view, body.sequence, envelope, sender):
            return self._out.ignore(reason, envelope, sender)
        if signer != self._out.group.primary(body.view):
            return self._out.ignore(Reason.NOT_PRIMARY, envelope, sender)
        slot = self._log.slot(body.sequence)
        renewed = slot.renewal is not None and slot.renewal.body == envelope.body
        if slot.first is not None and not renewed:
            return self._on_second_pre_prepare(slot, slot.first, envelope, sender)
        if batch_digest(envelope.beside) != body.digest:
            return self._out.ignore(Reason.WRONG_DIGEST, envelope, sender)
        if not self._out.genuine(envelope):
            return self._out.ignore(Reason.BAD_SIGNATURE, envelope, sender)
        if not self._has_room(body.sequence, len(envelope.beside)):
            return self._out.ignore(Reason.FULL, envelope, sender)
        try:
            proposal = self._read(body, envelope)
        except BatchError:
            return self._out.ignore(Reason.BAD_BATCH, envelope, sender)
        if not renewed and not self._timely(proposal, slot):
            slot.held_back = proposal
            self._log.keep(slot)
            return self._out.ignore(Reason.CLOCK_DRIFT, envelope, sender)
        self._accept(proposal, slot)

    def on_prepare(self, body: Prepare, envelope: Envelope, signer: ReplicaId, sender: ReplicaId) -> None:
        """Count a backup's vote for the primary's proposal (OSDI'99 section 4.2).

        Refused unless the view is ours, the sequence lies between the watermarks, and the signer is a backup: the
        primary's vote is its pre-prepare.
        """
        if reason := self._refusal(body.view, body.sequence, envelope, sender):
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
        if reason := self._refusal(body.view, body.sequence, envelope, sender):
            return self._out.ignore(reason, envelope, sender)
        slot = self._log.slot(body.sequence)
        if slot.committed is not None and self._is_surplus(slot.commits, slot, body.digest, signer):
            if signer == sender:
                # Not looked at, but kept: a commit that counted on its link may turn out to be signed by nobody.
                slot.commits.spare(self.view, signer, Vote(body.digest, envelope, trusted=True))
            return self._out.ignore(Reason.SURPLUS, envelope, sender)
        if self._record(slot, slot.commits, Vote(body.digest, envelope, trusted=signer == sender), signer, sender):
            self._advance(slot)

    def on_committed(self, body: CommitCertificate, envelope: Envelope, sender: ReplicaId) -> None:
        """Take over what a quorum committed, in whichever view it was (design 4.9).

        Refused unless it is missing here, lies between the watermarks, a quorum's signatures show it, and its batch is
        held or comes beside it.
        """
        if not self._log.within(body.sequence):
            return self._out.ignore(Reason.OUTSIDE_WATERMARKS, envelope, sender)
        slot = self._log.slot(body.sequence)
        if slot.committed is not None or body.sequence <= self.executed:
            return self._out.ignore(Reason.DUPLICATE, envelope, sender)
        known = slot.with_batch(body.digest)
        if known is None and batch_digest(envelope.beside) != body.digest:
            return self._out.ignore(Reason.WRONG_DIGEST, envelope, sender)
        if known is None and not self._has_room(body.sequence, len(envelope.beside)):
            return self._out.ignore(Reason.FULL, envelope, sender)
        if not self._certificates.is_committed(body):
            return self._out.ignore(Reason.BAD_CERTIFICATE, envelope, sender)
        if known is None:
            place = PrePrepare(body.view, body.sequence, body.digest)
            primary = self._out.group.primary(body.view)
            try:
                known = self._read(place, Envelope(Kind.PRE_PREPARE, primary, pack(place), b"", envelope.beside))
            except BatchError:
                return self._out.ignore(Reason.BAD_BATCH, envelope, sender)
        slot.committed, slot.commit_certificate = replace(known, view=body.view), body
        self._log.keep(slot)
        commit = pack(Commit(body.view, body.sequence, body.digest))
        votes = tuple(Envelope(Kind.COMMIT, share.signer, commit, share.signature) for share in body.commits)
        self._out.notice(CommittedLocal(body.view, body.sequence, body.digest, votes))

    # Rules.

    def _refusal(self, view: int, sequence: int, envelope: Envelope, sender: ReplicaId) -> Reason | None:
        """The tests that all three phases share (OSDI'99 section 4.2): our view, between the watermarks.

        What we have not come to yet is kept for later, as far as its sender's room goes (design 4.6).
        """
        if view < self.view:
            return Reason.WRONG_VIEW
        if sequence <= self._log.low or sequence > self._log.high + self._out.group.limits.log_size:
            return Reason.OUTSIDE_WATERMARKS
        if view > self.view or sequence > self._log.high:
            return Reason.TOO_EARLY if self._early.keep(sender, envelope) else Reason.FULL
        return None

    def _has_room(self, sequence: int, size: int) -> bool:
        """Say whether a batch may be kept. The next to execute always may; what is refused is asked for again later."""
        if sequence <= max(self.executed, self._log.low) + 1:
            return True
        return self._log.batch_bytes(self.executed) + size <= self._settings.unexecuted_bytes

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
        slot.proposal, slot.renewal, slot.held_back = proposal, None, None
        slot.proposed_ms = self._out.now.monotonic_ms
        self._log.keep(slot)
        if self.is_primary:
            # The NEW-VIEW was this vote; from now on its batch goes out beside it.
            self.assigned = max(self.assigned, slot.sequence)
            self._out.remember(proposal.envelope, ())
        elif self.voting and slot.prepares.held(self.view, self._out.me) is None:
            prepare = self._out.seal(Kind.PREPARE, Prepare(self.view, slot.sequence, proposal.digest))
            self._cast(slot.prepares, Vote(proposal.digest, prepare, trusted=True), (proposal.envelope,))
        self._advance(slot)

    def _is_surplus(self, votes: Votes, slot: Slot, digest: bytes, signer: ReplicaId) -> bool:
        """Say whether a vote adds nothing to a complete certificate: it agrees, and contradicts none held."""
        return slot.proposal is not None and slot.proposal.digest == digest and votes.held(self.view, signer) is None

    def _record(self, slot: Slot, votes: Votes, vote: Vote, signer: ReplicaId, sender: ReplicaId) -> bool:
        if not self._out.admit(votes, self.view, signer, vote, sender):
            return False
        self._log.keep(slot)
        return True

    def _cast(self, votes: Votes, vote: Vote, basis: tuple[Envelope, ...]) -> None:
        self._out.cast(votes, self.view, vote, basis)

    def _advance(self, slot: Slot) -> None:
        """Draw what follows from a slot's votes: prepared, then committed_local (OSDI'99 section 4.2)."""
        proposal = slot.proposal
        if proposal is None:
            return
        if not slot.prepared:
            self._prepare(slot, proposal)
        # Who left the view may lack its own vote for the first certificate; a quorum's commits tell that others had it.
        if slot.committed is not None or (self.voting and not slot.prepared):
            return
        commits = slot.commits.certificate(self.view, proposal.digest, self._quorums.committed, self._out.genuine)
        if commits is not None:
            slot.committed = proposal
            if slot.proposed_ms is not None:
                slot.agreeing_ms = self._out.now.monotonic_ms - slot.proposed_ms
            slot.commit_certificate = CommitCertificate(self.view, slot.sequence, proposal.digest, shares(commits))
            self._out.notice(CommittedLocal(self.view, slot.sequence, proposal.digest, commits))

    def _prepare(self, slot: Slot, proposal: Proposal) -> None:
        needed = self._quorums.prepared - 1
        prepares = slot.prepares.certificate(self.view, proposal.digest, needed, self._out.genuine)
        if prepares is None:
            return
        slot.prepared = True
        slot.certified = proposal
        slot.certificate = PreparedCertificate(
            self.view, slot.sequence, proposal.digest, proposal.envelope.signature, shares(prepares)
        )
        certificate = (proposal.envelope, *prepares)
        self._out.notice(Prepared(self.view, slot.sequence, proposal.digest, certificate))
        if self.voting and slot.commits.held(self.view, self._out.me) is None:
            commit = self._out.seal(Kind.COMMIT, Commit(self.view, slot.sequence, proposal.digest))
            self._cast(slot.commits, Vote(proposal.digest, commit, trusted=True), certificate)
