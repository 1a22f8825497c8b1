"""The message log: what is known of each sequence between the watermarks (OSDI'99 section 4.2).

Owns: slots with their pre-prepare, batch and votes, and the watermarks. Verifies no signature and
sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pbft.core.batches import SignedRequest
from pbft.core.envelope import Envelope
from pbft.core.group import ReplicaId
from pbft.core.votes import Votes


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
    """Everything known of one sequence."""

    sequence: int
    proposal: Proposal | None = None
    held_back: Proposal | None = None
    """One whose time is too far from our clock; it waits for f+1 members to vote for it (design 4.5)."""
    prepares: Votes = field(default_factory=Votes)
    commits: Votes = field(default_factory=Votes)
    prepared: bool = False
    committed: bool = False
    judged: dict[ReplicaId, None] = field(default_factory=dict)
    """Whose word for a second pre-prepare was verified: once each, so that a forgery hides no real one (design 4.4)."""

    @property
    def proposed(self) -> Proposal | None:
        """What the primary proposed first, accepted or held back."""
        return self.proposal or self.held_back


class Log:
    """Slots between the low watermark h and the high watermark H = h + L.

    Until checkpoints exist (OSDI'99 section 4.3), h trails this replica's own execution by half the log: that half is
    what a slower peer can still be given.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._slots: dict[int, Slot] = {}
        self._last = 0
        self.low = 0
        self.begun = 0
        """The greatest sequence that the primary of a view proposed something for, as far as is known here."""
        self.kept = 0
        """How often something was kept: it grows with what is known, and with nothing else."""

    @property
    def tail(self) -> int:
        """How many executed sequences are kept for slower peers."""
        return self._size // 2

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
        if slot.proposed is not None:
            self.begun = max(self.begun, slot.sequence)

    def find(self, sequence: int) -> Slot | None:
        """Return a slot if it exists."""
        return self._slots.get(sequence)

    def after(self, sequence: int) -> Iterator[Slot]:
        """Yield the slots beyond a sequence, in order."""
        for number in sorted(number for number in self._slots if number > sequence):
            yield self._slots[number]

    @property
    def last(self) -> int:
        """The greatest sequence of which anything is known, or the low watermark."""
        return max(self._last, self.low)

    def trail(self, executed: int) -> None:
        """Move the low watermark behind execution and forget what falls below it."""
        low = max(self.low, executed - self.tail)
        for sequence in range(self.low + 1, low + 1):
            self._slots.pop(sequence, None)
        self.low = low
