"""The message log: what is known of each sequence between the watermarks (OSDI'99 section 4.2).

Owns: slots with their pre-prepare, batch, votes and certificate, and the watermarks. Verifies no signature and sends
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pbft.core.batches import SignedRequest
from pbft.core.envelope import Envelope
from pbft.core.group import ReplicaId
from pbft.core.messages import CommitCertificate, PreparedCertificate
from pbft.core.votes import Votes

KEPT_BATCHES: Final = 4
"""Batches of views gone by that are kept of one sequence: a view that succeeds commits one, and the others can go."""


@dataclass(slots=True)
class Proposal:
    """An accepted pre-prepare with its batch, decoded and with every client's signature verified.

    `time_ms` is the time that its primary proposed. `requests` is emptied when they have executed: for slower peers the
    batch stays beside the envelope, and need not be held twice.
    """

    view: int
    digest: bytes
    envelope: Envelope
    time_ms: int
    requests: tuple[SignedRequest, ...]


@dataclass(slots=True)
class Slot:
    """Everything known of one sequence. What belongs to a view is forgotten when the next one begins."""

    sequence: int
    proposal: Proposal | None = None
    """What the primary of this view proposed, with its batch."""
    proposed_ms: int | None = None
    """When that was accepted here."""
    agreeing_ms: int | None = None
    """How long it took from then until it committed in the same view; None where it did not, or not yet."""
    renewal: Envelope | None = None
    """What a new view proposes again, while its batch is missing here: the pre-prepare without it."""
    earlier: dict[bytes, Proposal] = field(default_factory=dict)
    """What primaries of views gone by proposed, by digest, the latest last.

    Somebody may hold a certificate for it that this replica never saw. It took votes of f+1 correct replicas: if they
    forgot the batch, a liar who shows the certificate view after view could stop them all for ever.
    """
    held_back: Proposal | None = None
    """One whose time is too far from our clock; it waits for f+1 members to vote for it (design 4.5)."""
    prepares: Votes = field(default_factory=Votes)
    commits: Votes = field(default_factory=Votes)
    prepared: bool = False
    """Whether a prepared certificate of this view is complete."""
    judged: dict[ReplicaId, None] = field(default_factory=dict)
    """Whose word for a second pre-prepare was verified: once each, so that a forgery hides no real one (design 4.4)."""
    certificate: PreparedCertificate | None = None
    """The prepared certificate of the highest view: what a VIEW-CHANGE shows of this sequence."""
    certified: Proposal | None = None
    """The proposal that the certificate is for: its batch must be there when a new view proposes it again."""
    committed: Proposal | None = None
    """What a quorum committed, in whichever view: this never changes."""
    commit_certificate: CommitCertificate | None = None
    """The quorum's commits for it, for whoever lacks them; some may have counted on their links alone."""

    @property
    def proposed(self) -> Proposal | None:
        """What the primary proposed first, accepted or held back."""
        return self.proposal or self.held_back

    @property
    def first(self) -> Envelope | None:
        """The pre-prepare that counts in this view, with or without its batch."""
        return self.proposed.envelope if self.proposed is not None else self.renewal

    def with_batch(self, digest: bytes) -> Proposal | None:
        """Return a proposal of any view for this batch, if the batch is held."""
        return next((each for each in self._known if each.digest == digest), None)

    @property
    def _known(self) -> list[Proposal]:
        """Every proposal whose batch is held."""
        known = (self.proposal, self.held_back, self.certified, self.committed, *self.earlier.values())
        return [each for each in known if each is not None]

    def release(self) -> None:
        """Let go of the decoded requests, now that they ran: the batch's bytes stay for slower peers."""
        for each in self._known:
            each.requests = ()

    @property
    def batch_bytes(self) -> int:
        """What the different batches held for this sequence take."""
        return sum({each.digest: len(each.envelope.beside) for each in self._known}.values())

    def begin_view(self) -> None:
        """Forget what belongs to the view before; keep what was certified, what committed, and the batch proposed."""
        if self.committed is not None:
            self.earlier.clear()
        elif self.proposed is not None:
            self.earlier.pop(self.proposed.digest, None)
            self.earlier[self.proposed.digest] = self.proposed
            if len(self.earlier) > KEPT_BATCHES:
                del self.earlier[next(iter(self.earlier))]
        self.proposal = self.proposed_ms = self.agreeing_ms = self.renewal = self.held_back = None
        self.prepares, self.commits = Votes(), Votes()
        self.prepared = False
        self.judged.clear()


class Log:
    """Slots between the low watermark h, the last stable checkpoint, and the high watermark H = h + L.

    Slots at or below h are kept until the next checkpoint is stable, though nothing enters them any more: they are what
    a slightly slower peer can still be given, which costs less than moving the state.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._slots: dict[int, Slot] = {}
        self._last = 0
        self._kept_from = 0
        self.low = 0
        self.begun = 0
        """The greatest sequence that the primary of this view proposed something for, as far as is known here."""
        self.kept = 0
        """How often something was kept: it grows with what is known, and with nothing else."""

    @property
    def high(self) -> int:
        """The high watermark H = h + L."""
        return self.low + self._size

    def within(self, sequence: int) -> bool:
        """Say whether a sequence lies between the watermarks: h < n <= H."""
        return self.low < sequence <= self.high

    def slot(self, sequence: int) -> Slot:
        """Return the slot of a sequence between the watermarks: an empty one, not kept yet, where nothing is known."""
        if not self.within(sequence):
            raise ValueError("the log keeps nothing outside its watermarks")
        return self._slots.get(sequence) or Slot(sequence)

    def keep(self, slot: Slot) -> None:
        """Keep a slot, now that something in it counts: what is refused must leave nothing behind."""
        self._slots[slot.sequence] = slot
        self.kept += 1
        self._last = max(self._last, slot.sequence)
        if slot.first is not None:
            self.begun = max(self.begun, slot.sequence)

    def find(self, sequence: int) -> Slot | None:
        """Return a slot if it exists."""
        return self._slots.get(sequence)

    def after(self, sequence: int) -> Iterator[Slot]:
        """Yield the slots beyond a sequence, in order."""
        for number in range(sequence + 1, self._last + 1):
            slot = self._slots.get(number)
            if slot is not None:
                yield slot

    @property
    def last(self) -> int:
        """The greatest sequence of which anything is known, or the low watermark."""
        return max(self._last, self.low)

    def batch_bytes(self, after: int) -> int:
        """Return what the batches held beyond a sequence take."""
        return sum(slot.batch_bytes for slot in self.after(after))

    def usage(self, executed: int) -> dict[str, int]:
        """Return how much is held, for `pbft.core.usage`."""
        slots = self._slots.values()
        return {
            "slots": len(slots),
            "batch_bytes": sum(slot.batch_bytes for slot in slots),
            "unexecuted_bytes": self.batch_bytes(executed),
            "votes": sum(len(slot.prepares) + len(slot.commits) for slot in slots),
            "above_high": sum(1 for number in self._slots if number > self.high),
        }

    def advance(self, stable: int) -> None:
        """Move the low watermark to a stable checkpoint, and forget what lies below the one before (4.3)."""
        if stable > self.low:
            self._forget(self.low)
            self.low = stable
            self.begun = max(self.begun, stable)

    def begin_view(self, stable: int, last: int) -> None:
        """Enter a view that starts from a stable checkpoint and proposes again up to `last`.

        Nothing below the watermark is kept, since its votes are of views gone by; beyond `last` only certificates and
        batches are.
        """
        self.advance(stable)
        self._forget(self.low)
        for slot in list(self._slots.values()):
            slot.begin_view()
            if slot.sequence > last and slot.certificate is None and not slot.earlier:
                del self._slots[slot.sequence]
        self._last = max(self._slots, default=self.low)
        self.begun = self.low

    def certificates(self, after: int) -> tuple[PreparedCertificate, ...]:
        """Return the prepared certificates beyond a sequence, in order: P of a VIEW-CHANGE (OSDI'99 section 4.4)."""
        slots = (self._slots[number] for number in sorted(self._slots) if number > after)
        return tuple(slot.certificate for slot in slots if slot.certificate is not None)

    def _forget(self, upto: int) -> None:
        for sequence in range(self._kept_from + 1, upto + 1):
            self._slots.pop(sequence, None)
        self._kept_from = max(self._kept_from, upto)
