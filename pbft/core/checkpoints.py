"""Checkpoints: what lets the log be cut, and a replica that fell behind catch up (OSDI'99 section 4.3).

Owns: CHECKPOINT votes, the highest proof that a state is stable, and this replica's own snapshots: digested in slices,
voted for when that is done, and served node by node to whoever fetches one. Moves no watermark and installs no state:
the replica does, when it has come that far.
"""

from __future__ import annotations

from pbft.core.certificates import Certificates, shares
from pbft.core.effects import BecameStable, Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.core.messages import BEGINNING, Checkpoint, CheckpointProof, Status
from pbft.core.outbox import Outbox
from pbft.core.settings import ReplicaSettings
from pbft.core.situation import CheckpointStanding
from pbft.core.snapshot import Snapshot
from pbft.core.state_messages import NODES_BYTES, Fetch, NodeAt, Nodes
from pbft.core.votes import Vote, Votes

_NO_VIEW = 0
"""A CHECKPOINT belongs to no view: its identity is (sender, sequence)."""
_LEASE_MS = 5_000
"""A snapshot that a peer asked for within this time is kept, though two later ones are stable: one for each peer."""
_LONGEST_LEASE_MS = 60_000
"""How long such a one is kept at most, whoever asks for it: what is written meanwhile is remembered for its sake."""


class Checkpoints:
    """What the group vouches for, and what this replica can show for it."""

    def __init__(self, outbox: Outbox, certificates: Certificates, settings: ReplicaSettings) -> None:
        self.proof = BEGINNING
        """The highest sequence known to be stable, with its proof; this replica may not have come there itself."""
        self.before = 0
        """The sequence that was stable before."""
        self._out = outbox
        self._certificates = certificates
        self._limits = outbox.group.limits
        self._settings = settings
        self._votes: dict[int, Votes] = {}
        self._snapshots: dict[int, Snapshot] = {}
        """By sequence, ascending."""
        self._pending: list[Snapshot] = []
        """Those whose digests are still to be made, in the order in which they were taken."""
        self.split: tuple[int, bytes] | None = None
        """The first sequence for whose state no quorum can be found any more, with this replica's own digest."""
        self._leases: dict[ReplicaId, tuple[int, int]] = {}
        """The sequence of the snapshot that each peer asked for last, and until when it is kept for that peer."""
        self._outdated_ms: dict[int, int] = {}
        """Since when each snapshot is kept only because somebody fetches it."""

    @property
    def snapshots(self) -> int:
        """How many snapshots are kept."""
        return len(self._snapshots)

    @property
    def votes(self) -> int:
        """How many votes are kept."""
        return sum(len(votes) for votes in self._votes.values())

    @property
    def unproven(self) -> bool:
        """Whether this replica voted for a checkpoint that is not stable yet."""
        return any(sequence > self.proof.sequence for sequence in self._snapshots)

    def pending(self) -> CheckpointStanding | None:
        """Return this replica's latest checkpoint that is not stable yet, with those who vouch for the same state."""
        sequence = max((each.sequence for each in self._snapshots.values() if each.settled), default=0)
        if sequence <= self.proof.sequence:
            return None
        votes = self._votes.get(sequence) or Votes()
        have = tuple(member for member, _ in votes.matching(_NO_VIEW, self._snapshots[sequence].digest))
        return CheckpointStanding(sequence, have, self._out.group.quorums.stable)

    def is_due(self, executed: int) -> bool:
        """Say whether the state after a sequence is a checkpoint: each K sequences (OSDI'99 section 4.3)."""
        return executed % self._limits.checkpoint_interval == 0

    def own_digest(self, sequence: int) -> bytes | None:
        """Return the digest of this replica's own state after a sequence, if it is kept and known by now."""
        snapshot = self._snapshots.get(sequence)
        return snapshot.digest if snapshot is not None and snapshot.settled else None

    def snapshot(self, sequence: int) -> Snapshot | None:
        """Return this replica's own state after a sequence, if it is kept."""
        return self._snapshots.get(sequence)

    def take(self, snapshot: Snapshot) -> None:
        """Keep a snapshot. It is voted for when its digest is known, which later turns may have to find out."""
        self._snapshots[snapshot.sequence] = snapshot
        self._pending.append(snapshot)
        self.settle()

    def put_right(self, snapshot: Snapshot) -> None:
        """Keep the snapshot of a state that was taken over, and none of what was executed beyond it before."""
        self._snapshots = {each: kept for each, kept in self._snapshots.items() if each < snapshot.sequence}
        self._pending = []
        self.take(snapshot)

    @property
    def pending_digests(self) -> bool:
        """Whether digests of snapshots are still to be made."""
        return bool(self._pending)

    def settle(self, executed: int = 0) -> None:
        """Digest a slice of what a checkpoint covers, and vote for each whose digest is known then (OSDI'99 4.3).

        A digest that was not ready by the next checkpoint would have to be finished at once. So slices double with each
        eighth of an interval that was `executed` since: little work is done in small slices, and much in none that is
        larger than it takes.
        """
        if not self._pending:
            return
        eighths = 8 * max(0, executed - self._pending[0].sequence) // self._limits.checkpoint_interval
        left = self._settings.checkpoint_nodes << min(eighths, 8)
        while self._pending:
            left = self._pending[0].settle(left)
            if not self._pending[0].settled:
                return
            self._vote(self._pending.pop(0))

    def _vote(self, snapshot: Snapshot) -> None:
        """Vouch for a state, unless it is stable already."""
        if snapshot.sequence <= self.proof.sequence:
            return
        votes = self._votes.setdefault(snapshot.sequence, Votes())
        if votes.held(_NO_VIEW, self._out.me) is None:
            envelope = self._out.seal(Kind.CHECKPOINT, Checkpoint(snapshot.sequence, snapshot.digest))
            self._out.cast(votes, _NO_VIEW, Vote(snapshot.digest, envelope, trusted=True), ())
        self._conclude(snapshot.sequence, snapshot.digest)

    # Handlers.

    def on_checkpoint(self, body: Checkpoint, envelope: Envelope, signer: ReplicaId, sender: ReplicaId) -> None:
        """Count a replica's word for its state (OSDI'99 section 4.3).

        Refused unless its sequence is a multiple of K between the watermarks. What lies beyond is proven later, by
        those who keep the votes.
        """
        low = self.proof.sequence
        if not low < body.sequence <= low + self._limits.log_size or not self.is_due(body.sequence):
            return self._out.ignore(Reason.OUTSIDE_WATERMARKS, envelope, sender)
        votes = self._votes.get(body.sequence) or Votes()
        if self._out.admit(votes, _NO_VIEW, signer, Vote(body.digest, envelope, trusted=False), sender):
            self._votes[body.sequence] = votes
            self._conclude(body.sequence, body.digest)

    def on_proof(self, proof: CheckpointProof, envelope: Envelope, sender: ReplicaId) -> None:
        """Learn that a later state is stable than was known here. Refused unless a quorum's signatures show it."""
        if proof.sequence <= self.proof.sequence:
            return self._out.ignore(Reason.NOT_WANTED, envelope, sender)
        if not self._certificates.is_stable(proof):
            return self._out.ignore(Reason.BAD_CERTIFICATE, envelope, sender)
        self.adopt(proof)

    def adopt(self, proof: CheckpointProof) -> None:
        """Take a valid proof for the highest one, and forget what lies before it."""
        if proof.sequence <= self.proof.sequence:
            return
        self.before, self.proof, self.split = self.proof.sequence, proof, None
        self._votes = {sequence: votes for sequence, votes in self._votes.items() if sequence > proof.sequence}
        self._out.notice(BecameStable(proof))
        self._prune()

    def _prune(self) -> None:
        """Drop snapshots older than the last two stable ones, but for those that are being fetched (design 5).

        One for each peer, and none for long: else whoever asks without end would make this replica hold more and more.
        """
        keep_from = max((s for s in self._snapshots if s <= self.before), default=0)
        for sequence in [each for each in self._snapshots if each < keep_from and not self._is_leased(each)]:
            del self._snapshots[sequence]
        self._outdated_ms = {each: since_ms for each, since_ms in self._outdated_ms.items() if each in self._snapshots}
        for sequence, snapshot in self._snapshots.items():
            if sequence < keep_from:
                for view in snapshot.views:
                    view.shorten()

    def _is_leased(self, sequence: int) -> bool:
        """Say whether a peer still fetches an outdated snapshot, and may."""
        now_ms = self._out.now.monotonic_ms
        if now_ms >= self._outdated_ms.setdefault(sequence, now_ms) + _LONGEST_LEASE_MS:
            return False
        return any(leased == sequence and now_ms < until_ms for leased, until_ms in self._leases.values())

    def _conclude(self, sequence: int, digest: bytes) -> None:
        needed = self._out.group.quorums.stable
        certificate = self._votes[sequence].certificate(_NO_VIEW, digest, needed, self._out.genuine)
        if certificate is not None:
            self.adopt(CheckpointProof(sequence, digest, shares(certificate)))
        elif self.split is None and (own := self.own_digest(sequence)) is not None and self._is_split(sequence):
            self.split = (sequence, own)

    def _is_split(self, sequence: int) -> bool:
        """Say whether no state can have a quorum any more, whatever those who did not vote yet will say."""
        members = range(self._out.group.n)
        held = [vote.digest for each in members if (vote := self._votes[sequence].held(_NO_VIEW, each)) is not None]
        return max(map(held.count, held)) + len(members) - len(held) < self._out.group.quorums.stable

    # What others lack.

    def answer(self, status: Status, peer: ReplicaId) -> int:
        """Send a peer the proof of a later stable checkpoint, or our votes for those to come; return the bytes."""
        if self.proof.sequence > status.stable:
            envelope = self._out.plain(Kind.CHECKPOINT_PROOF, self.proof)
            self._out.send(peer, envelope)
            return len(envelope.body)
        sent = 0
        for sequence, votes in self._votes.items():
            own = votes.held(_NO_VIEW, self._out.me)
            if sequence > status.stable and own is not None:
                self._out.send(peer, own.envelope)
                sent += len(own.envelope.body)
        return sent

    def serve(self, fetch: Fetch, peer: ReplicaId) -> int:
        """Send nodes of a snapshot that this replica keeps, or the proof of a later one; return the bytes.

        As many as one NODES holds: whoever asks knows how large nodes are, and asks for no more at once.
        """
        snapshot = self._snapshots.get(fetch.sequence)
        if snapshot is None or not snapshot.settled or snapshot.digest != fetch.digest:
            if self.proof.sequence <= fetch.sequence:
                return 0
            newer = self._out.plain(Kind.CHECKPOINT_PROOF, self.proof)
            self._out.send(peer, newer)
            return len(newer.body)
        self._leases[peer] = (fetch.sequence, self._out.now.monotonic_ms + _LEASE_MS)
        sent = 0
        nodes: list[NodeAt] = []
        for address in fetch.addresses:
            payload = snapshot.node(address)
            if payload is None or (nodes and sent + len(payload) > NODES_BYTES):
                break
            nodes.append(NodeAt(address, payload))
            sent += len(payload)
        if nodes:
            self._out.send(peer, self._out.plain(Kind.NODES, Nodes(fetch.sequence, tuple(nodes))))
        return sent
