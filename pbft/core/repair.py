"""Lost messages, mended: a replica says what it lacks, and whoever has it sends just that (design 4.9; thesis 5.2).

Owns: the status timer with its growing interval, what peers claim to have executed, and how much each is answered. It
sends what the log holds, and changes nothing there.
"""

from __future__ import annotations

from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.core.log import Log, Proposal, Slot
from pbft.core.messages import Status
from pbft.core.outbox import Outbox
from pbft.core.settings import ReplicaSettings

_PATIENCE = 16
"""Statuses sent in vain before votes alone, without a proposal, are no longer a reason to ask."""
_HAS_BATCH = 1
_IS_PREPARED = 2

_GREETINGS = 5
"""Statuses that a replica sends after its start though nothing seems unfinished: only those ahead answer them."""


class Repair:
    """Statuses, sent and answered."""

    def __init__(self, outbox: Outbox, log: Log, settings: ReplicaSettings) -> None:
        self._out = outbox
        self._log = log
        self._settings = settings
        self._interval_ms = settings.status_interval_ms
        self._claims: dict[ReplicaId, int] = {}
        self._answer_ms: dict[ReplicaId, int] = {}
        """When each peer's next status is answered again."""
        self._attempt = 0
        self._kept = 0
        self._vain = 0
        """Statuses sent since the log last kept something new."""
        self._greetings = 0
        self.due_ms = 0
        """When the next status is due while anything is unfinished: at once after a start."""

    @property
    def greeted(self) -> bool:
        """Whether f+1 peers have told where they are, or enough statuses have asked them: a first one may be lost."""
        return len(self._claims) >= self._out.group.quorums.weak or self._greetings >= _GREETINGS

    def postpone(self) -> None:
        """Give what has just begun a quiet interval before its absence counts as loss."""
        self._attempt = 0
        self._interval_ms = self._settings.status_interval_ms
        self.due_ms = max(self.due_ms, self._out.now.monotonic_ms + self._interval_ms)

    @property
    def patient(self) -> bool:
        """Whether asking in vain has only just begun."""
        return self._vain < _PATIENCE or self._kept != self._log.kept

    def progressed(self, executed: int) -> None:
        """Start over after progress: soon when peers are known to be ahead, after a quiet interval otherwise."""
        behind = self.supported() > executed
        self._attempt = 0
        self._interval_ms = self._settings.status_interval_ms
        wait_ms = self._settings.repair_gap_ms if behind else self._interval_ms
        self.due_ms = self._out.now.monotonic_ms + wait_ms

    def supported(self) -> int:
        """Return the greatest sequence that f+1 peers claim to have executed, so at least one correct one has."""
        weak = self._out.group.quorums.weak
        claims = sorted(self._claims.values(), reverse=True)
        return claims[weak - 1] if len(claims) >= weak else 0

    def send_status(self, view: int, executed: int) -> None:
        """Tell all what is missing here. Without progress the next status comes later, up to a bound.

        `attempt` grows meanwhile, so that each time another replica's turn comes to send the large parts.
        """
        self._out.broadcast(self._account(view, executed, self._attempt))
        self._greetings += 1
        self._vain = self._vain + 1 if self._kept == self._log.kept else 1
        self._kept = self._log.kept
        self._attempt += 1
        self.due_ms = self._out.now.monotonic_ms + self._interval_ms
        self._interval_ms = min(2 * self._interval_ms, self._settings.status_interval_max_ms)

    def _account(self, view: int, executed: int, attempt: int) -> Envelope:
        held = bytearray()
        for sequence in range(executed + 1, min(self._log.last, executed + self._settings.repair_slots) + 1):
            slot = self._log.find(sequence)
            has_batch = slot is not None and slot.proposed is not None
            is_prepared = slot is not None and slot.prepared
            held.append(_HAS_BATCH * has_batch | _IS_PREPARED * is_prepared)
        return self._out.plain(Kind.STATUS, Status(view, executed, attempt, bytes(held)))

    def on_status(self, status: Status, sender: ReplicaId, view: int, executed: int) -> None:
        """Send a peer what it lacks and this replica has: its own votes, and the batch where it is its turn.

        A peer that asks too often is not answered more often, and after many bytes it waits the longer.
        """
        self._claims[sender] = status.executed
        now_ms = self._out.now.monotonic_ms
        if now_ms < self._answer_ms.get(sender, now_ms):
            return
        room = self._settings.repair_bytes
        for offset in range(self._settings.repair_slots):
            slot = self._log.find(status.executed + 1 + offset)
            if slot is None or slot.proposal is None:
                continue
            held = status.held[offset] if offset < len(status.held) else 0
            room -= self._send_missing(slot, slot.proposal, held, status.attempt, sender)
            if room < 0:
                break
        sent_bytes = self._settings.repair_bytes - room
        wait_ms = max(self._settings.repair_gap_ms, sent_bytes // self._settings.repair_bytes_per_ms)
        self._answer_ms[sender] = now_ms + wait_ms
        if executed > status.executed:
            self._out.send(sender, self._account(view, executed, 0))

    def _send_missing(self, slot: Slot, proposal: Proposal, held: int, attempt: int, peer: ReplicaId) -> int:
        """Send what a peer lacks of one slot; return the bytes of the batch if it went."""
        batch_bytes = 0
        if not held & _HAS_BATCH and self._serves_batch(slot, proposal, attempt, peer):
            self._out.send(peer, proposal.envelope)
            batch_bytes = len(proposal.envelope.beside)
        for votes in (slot.commits,) if held & _IS_PREPARED else (slot.prepares, slot.commits):
            own = votes.held(proposal.view, self._out.me)
            if own is not None:
                self._out.send(peer, own.envelope)
        return batch_bytes

    def _serves_batch(self, slot: Slot, proposal: Proposal, attempt: int, peer: ReplicaId) -> bool:
        """Say whose turn it is to send the large part: the primary's first, then one replica after the other."""
        servers = [member.id for member in self._out.group.members if member.id != peer]
        primary = self._out.group.primary(proposal.view)
        start = servers.index(primary) if primary in servers else slot.sequence
        return servers[(start + attempt) % len(servers)] == self._out.me
