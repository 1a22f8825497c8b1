"""Which part of a replica a message is for, and who may say what to whom.

Owns: the tests of role that come before any other, decoding, and the answer to a STATUS, which several parts give
together. Draws no conclusions: the replica does, once a message has been taken in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from pbft.core.agreement import Agreement
from pbft.core.checkpoints import Checkpoints
from pbft.core.effects import Reason
from pbft.core.envelope import WITH_SOMETHING_BESIDE, Envelope, Kind, Sender
from pbft.core.group import ReplicaId
from pbft.core.messages import (
    Checkpoint,
    CheckpointProof,
    Commit,
    CommitCertificate,
    NewView,
    Prepare,
    PrePrepare,
    Status,
    ViewChange,
    unpack,
)
from pbft.core.outbox import Outbox
from pbft.core.recall import Recollection
from pbft.core.repair import Repair, Standing
from pbft.core.service import Service
from pbft.core.state_messages import Fetch, Nodes, Recall, Recalled
from pbft.core.transfer import Transfer
from pbft.core.view_change import ViewChanges
from pbft.encoding import EncodingError


class Intake:
    """Hands every message to whom it concerns."""

    def __init__(
        self,
        outbox: Outbox,
        service: Service,
        agreement: Agreement,
        view_changes: ViewChanges,
        checkpoints: Checkpoints,
        transfer: Transfer,
        recollection: Recollection,
        repair: Repair,
        standing: Callable[[], Standing],
    ) -> None:
        """`standing` tells where the replica stands."""
        self._out = outbox
        self._group = outbox.group
        self._service = service
        self._agreement = agreement
        self._view_changes = view_changes
        self._checkpoints = checkpoints
        self._transfer = transfer
        self._recollection = recollection
        self._repair = repair
        self._standing = standing

    def take(self, envelope: Envelope, sender: Sender) -> None:
        """Take in one message. `sender` is whom the link authenticated, who may differ from the envelope's signer."""
        if not isinstance(sender, bytes):
            self._repair.heard(sender)
        try:
            self._dispatch(envelope, sender)
        except EncodingError:
            self._out.ignore(Reason.MALFORMED, envelope, sender)

    def _dispatch(self, envelope: Envelope, sender: Sender) -> None:
        if envelope.beside and envelope.kind not in WITH_SOMETHING_BESIDE:
            return self._out.ignore(Reason.MALFORMED, envelope, sender)
        match envelope.kind:
            case Kind.REQUEST:
                primary = self._group.primary(self._agreement.view) if self._agreement.voting else None
                self._service.on_request(envelope, sender, primary)
            case Kind.HELLO:
                self._service.on_hello(envelope, sender, self._agreement.view)
            case (
                Kind.PRE_PREPARE
                | Kind.PREPARE
                | Kind.COMMIT
                | Kind.CHECKPOINT
                | Kind.VIEW_CHANGE
                | Kind.NEW_VIEW
                | Kind.STATUS
                | Kind.CHECKPOINT_PROOF
                | Kind.FETCH
                | Kind.NODES
                | Kind.COMMITTED
                | Kind.RECALL
                | Kind.RECALLED
            ):
                if isinstance(sender, bytes):
                    self._out.ignore(Reason.WRONG_SENDER, envelope, sender)
                elif isinstance(envelope.sender, bytes) or envelope.sender >= self._group.n:
                    self._out.ignore(Reason.NOT_A_MEMBER, envelope, sender)
                else:
                    self._dispatch_protocol(envelope, envelope.sender, sender)
            case Kind.REPLY | Kind.CHALLENGE | Kind.WELCOME | Kind.REFUSAL | Kind.INSPECT | Kind.REPORT:
                self._out.ignore(Reason.NOT_FOR_REPLICAS, envelope, sender)
            case _:
                assert_never(envelope.kind)

    def _dispatch_protocol(self, envelope: Envelope, signer: ReplicaId, sender: ReplicaId) -> None:
        """Hand on what a replica signed, whoever brings it."""
        body = envelope.body
        match envelope.kind:
            case Kind.PRE_PREPARE:
                proposal = unpack(PrePrepare, body)
                self._notice_distance(proposal.sequence, signer, sender)
                self._agreement.on_pre_prepare(proposal, envelope, signer, sender)
            case Kind.PREPARE:
                prepare = unpack(Prepare, body)
                self._notice_distance(prepare.sequence, signer, sender)
                self._agreement.on_prepare(prepare, envelope, signer, sender)
            case Kind.COMMIT:
                commit = unpack(Commit, body)
                self._notice_distance(commit.sequence, signer, sender)
                self._agreement.on_commit(commit, envelope, signer, sender)
            case Kind.CHECKPOINT:
                self._on_checkpoint(unpack(Checkpoint, body), envelope, signer, sender)
            case Kind.VIEW_CHANGE:
                self._view_changes.on_view_change(unpack(ViewChange, body), envelope, signer, sender)
            case Kind.NEW_VIEW:
                self._view_changes.on_new_view(unpack(NewView, body), envelope, signer, sender)
            case _ if signer != sender:
                self._out.ignore(Reason.WRONG_SENDER, envelope, sender)
            case _:
                self._dispatch_unsigned(envelope, sender)

    def _dispatch_unsigned(self, envelope: Envelope, sender: ReplicaId) -> None:
        """Hand on what a replica says to this one alone, on the strength of its link."""
        match envelope.kind:
            case Kind.STATUS:
                self._on_status(unpack(Status, envelope.body), sender)
            case Kind.COMMITTED:
                self._agreement.on_committed(unpack(CommitCertificate, envelope.body), envelope, sender)
            case Kind.CHECKPOINT_PROOF:
                self._checkpoints.on_proof(unpack(CheckpointProof, envelope.body), envelope, sender)
            case Kind.FETCH:
                self._on_fetch(envelope, sender)
            case Kind.NODES if self._transfer.goal is None:
                # Before it is read, since reading takes the longer the more it brings.
                self._out.ignore(Reason.NOT_WANTED, envelope, sender)
            case Kind.NODES:
                self._transfer.on_nodes(unpack(Nodes, envelope.body), envelope, sender)
            case Kind.RECALL:
                self._on_recall(envelope, sender)
            case Kind.RECALLED:
                self._recollection.on_recalled(unpack(Recalled, envelope.body), envelope, sender)

    def _on_fetch(self, envelope: Envelope, sender: ReplicaId) -> None:
        """Serve a peer nodes of a state. One that drew its share is left waiting, and what it asks is not even read."""
        if not self._repair.serves(sender):
            return None
        self._repair.asked(sender)
        fetch = unpack(Fetch, envelope.body)
        self._repair.looked_up(sender, len(fetch.addresses))
        if len(set(fetch.addresses)) < len(fetch.addresses):
            return self._out.ignore(Reason.MALFORMED, envelope, sender)
        self._repair.spent(sender, self._checkpoints.serve(fetch, sender))

    def _on_recall(self, envelope: Envelope, sender: ReplicaId) -> None:
        """Tell a peer what is remembered here, if it did not draw its share."""
        if self._repair.room(sender) > 0:
            recall = unpack(Recall, envelope.body)
            self._repair.spent(sender, self._recollection.serve(recall, envelope, sender))

    def _notice_distance(self, sequence: int, signer: ReplicaId, sender: ReplicaId) -> None:
        """Note that a correct sender's low watermark lies no more than L below what it votes on.

        Who slept while the group went on by more than two logs hears only what it cannot keep. f+1 such votes are a
        reason to ask.
        """
        low = sequence - self._group.limits.log_size
        if signer == sender and low > self._agreement.executed:
            self._repair.hint(sender, low)

    def _on_checkpoint(self, body: Checkpoint, envelope: Envelope, signer: ReplicaId, sender: ReplicaId) -> None:
        if signer == sender and body.sequence > self._agreement.executed:
            # Not yet a reason to believe it; f+1 such are, to ask what we missed.
            self._repair.hint(sender, body.sequence)
        self._checkpoints.on_checkpoint(body, envelope, signer, sender)

    def _on_status(self, status: Status, sender: ReplicaId) -> None:
        """Answer a peer with just what it lacks and this replica has (design 4.9)."""
        self._repair.claim(sender, status.executed)
        if not self._repair.hears(sender, asks=status.asks):
            return
        sent = self._view_changes.answer(
            status, sender, lambda view: self._repair.is_turn(view, view, status.attempt, sender)
        )
        sent += self._checkpoints.answer(status, sender)
        sent += self._repair.answer(status, sender, self._agreement.view)
        self._repair.answered(sender, sent, asks=status.asks)
        ours = self._standing()
        if status.asks and (ours.executed, ours.target, ours.stable) != (status.executed, status.target, status.stable):
            self._repair.tell(sender, ours)
