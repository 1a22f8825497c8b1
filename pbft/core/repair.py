"""Lost messages, mended: a replica says what it lacks, and whoever has it sends just that (design 4.9; thesis 5.2).

Owns: the status timer with its growing interval, what peers claim to have executed, and how much each is answered. It
sends what the log holds, and changes nothing there.
"""

from __future__ import annotations

from typing import NamedTuple

from pbft.core.certificates import Certificates, shares
from pbft.core.early import Early
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.core.log import Log, Proposal, Slot
from pbft.core.messages import CommitCertificate, Status
from pbft.core.outbox import Outbox
from pbft.core.settings import ReplicaSettings
from pbft.core.situation import PeerStanding

_PATIENCE = 16
"""Statuses sent in vain before votes alone, without a proposal, are no longer a reason to ask."""
_ANOTHER = 2
"""Statuses sent in vain after which a peer's batch is taken for another than the one that committed."""
_HAS_BATCH = 1
_IS_PREPARED = 2

_GREETINGS = 5
"""Statuses that a replica sends after its start though nothing seems unfinished: only those ahead answer them."""
_SHARE_BYTES = 72
"""What a member's signature takes in a certificate, about."""
_PLACES_PER_MS = 32
"""Nodes of the state that a peer may have looked up, in the time in which it could be sent `repair_bytes_per_ms`."""
_BURST = 4
"""Answers' worth of bytes that a peer may ask for at once, after a while without any."""
_BURST_OF_NODES = 16
"""As much for nodes of the state: a correct peer asks for thousands of small ones at once, and each counts as more."""


class Standing(NamedTuple):
    """Where a replica stands: the parts of a STATUS that the log does not know."""

    view: int
    target: int
    stable: int
    executed: int
    view_changes: tuple[int, ...]
    wanted: tuple[bytes, ...]


class Repair:
    """Statuses, sent and answered."""

    def __init__(
        self, outbox: Outbox, log: Log, early: Early, certificates: Certificates, settings: ReplicaSettings
    ) -> None:
        self._out = outbox
        self._log = log
        self._certificates = certificates
        self._early = early
        self._settings = settings
        self._interval_ms = settings.status_interval_ms
        self._claims: dict[ReplicaId, int] = {}
        self._heard_ms: dict[ReplicaId, int] = {}
        """When anything last came from each peer."""
        self._answer_ms: dict[tuple[ReplicaId, bool], int] = {}
        """When each peer's next status is answered again: apart for questions and for accounts given in answer.

        Where timers run in step both of a peer come in one moment, and an account does not tell what was asked in vain.
        """
        self._spent: dict[ReplicaId, int] = {}
        """How many bytes each peer would have drawn by now if it had always asked for as many as it may."""
        self.attempts = 0
        """Statuses sent since something last went forward."""
        self._kept = 0
        self._vain = 0
        """Statuses sent since anything new was kept."""
        self._greetings = 0
        self.due_ms = 0
        """When the next status is due while anything is unfinished: at once after a start."""

    @property
    def greeted(self) -> bool:
        """Whether f+1 peers have told where they are, or enough statuses have asked them: a first one may be lost."""
        return len(self._claims) >= self._out.group.quorums.weak or self._greetings >= _GREETINGS

    def caught_up(self, executed: int) -> None:
        """A state was taken over: ask where the others are, as at the start.

        What they said while it was fetched may have been refused. Whoever catches up with a group that has fallen
        silent would not know what is still missing.
        """
        self.progressed(executed)
        self._claims.clear()
        self._greetings = 0

    def postpone(self) -> None:
        """Give what has just begun a quiet interval before its absence counts as loss."""
        due_ms = self.due_ms
        self.restart()
        self.due_ms = max(due_ms, self.due_ms)

    def restart(self) -> None:
        """Ask again after a quiet interval, however long the last pause had grown: what is missing is another now."""
        self.attempts = 0
        self._interval_ms = self._settings.status_interval_ms
        self.due_ms = self._out.now.monotonic_ms + self._interval_ms

    @property
    def patient(self) -> bool:
        """Whether asking in vain has only just begun."""
        return self._vain < _PATIENCE or self._kept != self._known

    @property
    def _known(self) -> int:
        """What grows whenever a message told something that was kept."""
        return self._log.kept + self._early.kept

    def progressed(self, executed: int) -> None:
        """Start over after progress: soon when peers are known to be ahead, after a quiet interval otherwise."""
        behind = self.supported() > executed
        self.attempts = 0
        self._interval_ms = self._settings.status_interval_ms
        wait_ms = self._settings.repair_gap_ms if behind else self._interval_ms
        self.due_ms = self._out.now.monotonic_ms + wait_ms

    def claim(self, sender: ReplicaId, executed: int) -> None:
        """Note how far a peer says that it has come. It may go back: who lost its memory starts over."""
        self._claims[sender] = executed

    def hint(self, sender: ReplicaId, executed: int) -> None:
        """Note that a peer has come at least so far, though it did not say where it stands."""
        self._claims[sender] = max(executed, self._claims.get(sender, 0))

    def heard(self, sender: ReplicaId) -> None:
        """Note that a peer is there."""
        self._heard_ms[sender] = self._out.now.monotonic_ms

    def peers(self, now_ms: int) -> tuple[PeerStanding, ...]:
        """Return what is known of each other replica."""
        others = (member.id for member in self._out.group.members if member.id != self._out.me)
        heard_ms = self._heard_ms
        return tuple(
            PeerStanding(each, self._claims.get(each), now_ms - heard_ms[each] if each in heard_ms else None)
            for each in others
        )

    def supported(self) -> int:
        """Return the greatest sequence that f+1 peers claim to have executed, so at least one correct one has."""
        return self._out.group.quorums.weakly_supported(self._claims.values()) or 0

    def send_status(self, standing: Standing) -> None:
        """Tell all what is missing here. Without progress the next status comes later, up to a bound.

        `attempt` grows meanwhile, so that each time another replica's turn comes to send the large parts.
        """
        self._out.broadcast(self._account(standing, asks=True))
        self._greetings += 1
        self._vain = self._vain + 1 if self._kept == self._known else 1
        self._kept = self._known
        self.attempts += 1
        self.due_ms = self._out.now.monotonic_ms + self._interval_ms
        self._interval_ms = min(2 * self._interval_ms, self._settings.status_interval_max_ms)

    def _account(self, standing: Standing, *, asks: bool) -> Envelope:
        held = bytearray()
        executed = standing.executed
        for sequence in range(executed + 1, min(self._log.last, executed + self._settings.repair_slots) + 1):
            slot = self._log.find(sequence)
            has_batch = slot is not None and slot.proposed is not None
            is_prepared = slot is not None and slot.prepared
            held.append(_HAS_BATCH * has_batch | _IS_PREPARED * is_prepared)
        view, target, stable, executed, views, wanted = standing
        attempt = self.attempts if asks else 0
        status = Status(view, target, stable, executed, attempt, asks, bytes(held), views, wanted)
        return self._out.plain(Kind.STATUS, status)

    # Answering.

    def hears(self, sender: ReplicaId, *, asks: bool) -> bool:
        """Say whether a peer's status is answered now: one that speaks too often is not answered more often."""
        now_ms = self._out.now.monotonic_ms
        due_ms = self._answer_ms.get((sender, asks), now_ms)
        spent_ms = self._spent.get(sender, 0) // self._settings.repair_bytes_per_ms
        return now_ms >= max(due_ms, spent_ms - self._allowed_ms(_BURST))

    def answered(self, sender: ReplicaId, sent_bytes: int, *, asks: bool) -> None:
        """Note what a peer was sent: after many bytes it waits the longer."""
        self._answer_ms[sender, asks] = self._out.now.monotonic_ms + self._settings.repair_gap_ms
        self.spent(sender, sent_bytes)

    def asked(self, sender: ReplicaId) -> None:
        """Count one question against a peer's share, whatever it says: no more than one a millisecond is read."""
        self.spent(sender, self._settings.repair_bytes_per_ms)

    def looked_up(self, sender: ReplicaId, places: int) -> None:
        """Count the work that nodes of the state take, there or not, as if it were bytes: small ones take most.

        What `asked` counted covers the first ones.
        """
        rate = self._settings.repair_bytes_per_ms
        self.spent(sender, rate * max(0, places - _PLACES_PER_MS) // _PLACES_PER_MS)

    def spent(self, sender: ReplicaId, sent_bytes: int) -> None:
        """Count bytes against a peer's share."""
        # In bytes, not in milliseconds: thousands of small answers would each be rounded down to nothing.
        since = self._out.now.monotonic_ms * self._settings.repair_bytes_per_ms
        self._spent[sender] = max(self._spent.get(sender, 0), since) + sent_bytes

    def room(self, sender: ReplicaId) -> int:
        """Return how many bytes a peer may be sent now at most, beyond what it waits for."""
        return self._room(sender, _BURST)

    def serves(self, sender: ReplicaId) -> bool:
        """Say whether a peer is sent nodes of the state now."""
        return self._room(sender, _BURST_OF_NODES) > 0

    def _room(self, sender: ReplicaId, answers: int) -> int:
        rate, burst_ms = self._settings.repair_bytes_per_ms, self._allowed_ms(answers)
        free = (self._out.now.monotonic_ms + burst_ms) * rate - self._spent.get(sender, 0)
        return max(0, min(free, burst_ms * rate))

    def _allowed_ms(self, answers: int) -> int:
        # At least what one moment allows: with tiny settings nothing large would ever be sent otherwise.
        return max(1, answers * self._settings.repair_bytes // self._settings.repair_bytes_per_ms)

    def tell(self, peer: ReplicaId, standing: Standing) -> None:
        """Tell one peer where this replica stands, without asking anything in turn."""
        self._out.send(peer, self._account(standing, asks=False))

    def answer(self, status: Status, sender: ReplicaId, view: int) -> int:
        """Send a peer what it lacks of the log; return the bytes of batches.

        In our view, our votes, and batches where it is our turn. What committed goes as a certificate, from one replica
        at a time, to whoever is in another view, or has asked for votes in vain: one may be lost for good.
        """
        room = self._settings.repair_bytes
        for offset in range(self._settings.repair_slots):
            slot = self._log.find(status.executed + 1 + offset)
            if slot is None:
                continue
            held = status.held[offset] if offset < len(status.held) else 0
            certified = status.view != view or status.attempt > 0
            if certified and self._is_turn_for(slot, status.attempt, sender) and (proof := self._proof(slot)):
                room -= self._send_committed(proof, slot, held, status.attempt, sender)
            elif status.view == view and slot.proposal is not None:
                room -= self._send_missing(slot, slot.proposal, held, status.attempt, sender)
            if room < 0:
                break
        return self._settings.repair_bytes - room

    def _send_missing(self, slot: Slot, proposal: Proposal, held: int, attempt: int, peer: ReplicaId) -> int:
        """Send what a peer lacks of one slot; return the bytes of the batch if it went."""
        batch_bytes = 0
        if not held & _HAS_BATCH and self._is_turn_for(slot, attempt, peer):
            self._out.send(peer, proposal.envelope)
            batch_bytes = len(proposal.envelope.beside)
        for votes in (slot.commits,) if held & _IS_PREPARED else (slot.prepares, slot.commits):
            own = votes.held(proposal.view, self._out.me)
            if own is not None:
                self._out.send(peer, own.envelope)
        return batch_bytes

    def _send_committed(self, proof: CommitCertificate, slot: Slot, held: int, attempt: int, peer: ReplicaId) -> int:
        """Send the certificate that a slot committed, with the batch unless the peer holds one, likely the same.

        One that still asks holds another: a lying primary told it something else.
        """
        holds_it = held & _HAS_BATCH and attempt < _ANOTHER
        batch = b"" if holds_it or slot.committed is None else slot.committed.envelope.beside
        self._out.send(peer, self._out.plain(Kind.COMMITTED, proof, batch))
        return len(batch) + len(proof.commits) * _SHARE_BYTES

    def _proof(self, slot: Slot) -> CommitCertificate | None:
        """Return a slot's commit certificate if every signature in it is good: none was looked at so far.

        Where one is not, the commits that were not needed take its place.
        """
        proof = slot.commit_certificate
        if proof is None or self._certificates.is_committed(proof):
            return proof
        needed = self._out.group.quorums.committed
        for view in dict.fromkeys((proof.view, slot.proposal.view if slot.proposal is not None else proof.view)):
            commits = slot.commits.proven(view, proof.digest, needed, self._out.genuine)
            if commits is not None:
                slot.commit_certificate = CommitCertificate(view, proof.sequence, proof.digest, shares(commits))
                return slot.commit_certificate
        return None

    def _is_turn_for(self, slot: Slot, attempt: int, peer: ReplicaId) -> bool:
        held = slot.proposal or slot.committed
        return self.is_turn(held.view if held is not None else 0, slot.sequence, attempt, peer)

    def is_turn(self, view: int, start: int, attempt: int, peer: ReplicaId) -> bool:
        """Say whether it is our turn to send a peer something large: a view's primary first, then others, then again.

        Each attempt asks twice as many as the one before, since the pauses between them double too: one, one, two, four
        and so on. Where the peer is that primary itself, `start` says who is first.
        """
        servers = [member.id for member in self._out.group.members if member.id != peer]
        primary = self._out.group.primary(view)
        first = servers.index(primary) if primary in servers else start
        place = (servers.index(self._out.me) - first) % len(servers)
        return place.bit_length() == attempt % ((len(servers) - 1).bit_length() + 1)
