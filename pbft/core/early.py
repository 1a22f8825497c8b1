"""What came too soon: messages for a view or a sequence that this replica has not come to (design 4.6).

Owns: a small room for each peer, so that a replica somewhat slower than the others need not ask again for all that it
missed, and a liar fills nobody's room but its own. Reads nothing of what it keeps.
"""

from __future__ import annotations

from pbft.core.envelope import Envelope
from pbft.core.group import ReplicaId

_OVERHEAD_BYTES = 256
"""What keeping an envelope costs besides its bytes, about."""


class Early:
    """Messages that wait for their time, by the peer on whose link they came."""

    def __init__(self, bytes_per_peer: int) -> None:
        self._bytes_per_peer = bytes_per_peer
        self._kept: dict[ReplicaId, list[Envelope]] = {}
        self._bytes: dict[ReplicaId, int] = {}
        self.kept = 0
        """How often something was kept."""

    def __bool__(self) -> bool:
        return bool(self._kept)

    @property
    def held_bytes(self) -> int:
        """What all that is kept counts for."""
        return sum(self._bytes.values())

    def keep(self, sender: ReplicaId, envelope: Envelope) -> bool:
        """Keep a message while its sender's room lasts; say whether it is kept."""
        size = len(envelope.body) + len(envelope.beside) + _OVERHEAD_BYTES
        if self._bytes.get(sender, 0) + size > self._bytes_per_peer:
            return False
        self._kept.setdefault(sender, []).append(envelope)
        self._bytes[sender] = self._bytes.get(sender, 0) + size
        self.kept += 1
        return True

    def take(self) -> list[tuple[ReplicaId, Envelope]]:
        """Take out everything, each peer's in the order in which it came: whatever is still too early comes back."""
        taken = [(sender, envelope) for sender, kept in self._kept.items() for envelope in kept]
        self._kept.clear()
        self._bytes.clear()
        return taken
