"""Messages larger than a datagram: how they are cut, and how they come together again in bounded memory.

Owns: the geometry of fragments and the unfinished messages of every peer. Knows no keys, sockets or clocks: the link
has authenticated each fragment before it comes here, and time is handed in.

Geometry is a function of (count, total): chunk = ceil(total / count) bytes in every fragment but the last. So a single
fragment shows whether it is well formed, and no peer can describe a message in two ways.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pbft.core.envelope import Sender

MIN_CHUNK_BYTES: Final = 128
"""The least a fragment of several may carry, so that a peer cannot make us keep books about single bytes."""

MAX_FRAGMENTS: Final = 2**16 - 1

_BOOKKEEPING_BYTES: Final = 128
"""What holding one fragment costs beyond its payload, roughly."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a message, authenticated. (sender, stream, message) names the message; most have one part only."""

    sender: Sender
    stream: bytes
    message: int
    index: int
    count: int
    total: int
    payload: bytes


def split(message: bytes, most_bytes: int) -> list[bytes]:
    """Cut a message into parts of at most `most_bytes`.

    Raises ValueError for an empty message or one that would need more parts than a header can count.
    """
    if not message or most_bytes < 2 * MIN_CHUNK_BYTES:
        raise ValueError(f"a message has at least one byte, a fragment room for {2 * MIN_CHUNK_BYTES}")
    count = -(-len(message) // most_bytes)
    if count > MAX_FRAGMENTS:
        raise ValueError(f"a message of {len(message)} bytes is too large for fragments of {most_bytes}")
    chunk = -(-len(message) // count)
    return [message[start : start + chunk] for start in range(0, len(message), chunk)]


def well_formed(index: int, count: int, total: int, payload_bytes: int) -> bool:
    """Say whether a fragment's numbers are those that `split` gives to some message."""
    if not 0 <= index < count <= total:
        return False
    chunk = -(-total // count)
    if count > 1 and chunk < MIN_CHUNK_BYTES:
        return False
    return 0 < payload_bytes == min(chunk, total - index * chunk)


@dataclass(frozen=True)
class ReassemblyLimits:
    """What the unfinished messages of one peer may cost."""

    most_bytes: int
    """Payloads held, with bookkeeping; at least twice the largest message, or that one never fits."""
    most_messages: int = 64
    timeout_ms: int = 5_000
    """An unfinished message is given up this long after its first fragment came."""


@dataclass(slots=True)
class _Unfinished:
    count: int
    total: int
    since_ms: int
    parts: dict[int, bytes] = field(default_factory=dict)
    cost: int = 0


@dataclass(slots=True)
class _Desk:
    """One peer's unfinished messages, oldest first."""

    messages: dict[tuple[bytes, int], _Unfinished] = field(default_factory=dict)
    cost: int = 0


class Reassembly:
    """Puts fragments together. Each peer has its own share of memory, so that none can spend another's."""

    def __init__(self, limits: ReassemblyLimits) -> None:
        self._limits = limits
        self._desks: dict[Sender, _Desk] = {}
        self.abandoned = 0
        """Fragments that never became part of a message, in all."""

    @property
    def held_bytes(self) -> int:
        """What all unfinished messages cost now."""
        return sum(desk.cost for desk in self._desks.values())

    @property
    def unfinished(self) -> int:
        """How many messages wait for more fragments."""
        return sum(len(desk.messages) for desk in self._desks.values())

    def add(self, fragment: Fragment, now_ms: int) -> bytes | None:
        """Take one well-formed fragment; return the whole message once its last missing part has come."""
        if fragment.count == 1:
            return fragment.payload
        desk = self._desks.setdefault(fragment.sender, _Desk())
        name = (fragment.stream, fragment.message)
        held = desk.messages.get(name)
        if held is not None and (held.count, held.total) != (fragment.count, fragment.total):
            # One number for two messages: whichever is meant, the peer is at fault, and neither is worth keeping.
            self._abandon(desk, name)
            self.abandoned += 1
            return None
        if held is None:
            held = desk.messages[name] = _Unfinished(fragment.count, fragment.total, now_ms)
        if fragment.index in held.parts:
            self.abandoned += 1
            return None
        cost = len(fragment.payload) + _BOOKKEEPING_BYTES
        held.parts[fragment.index] = fragment.payload
        held.cost += cost
        desk.cost += cost
        if len(held.parts) == held.count:
            del desk.messages[name]
            desk.cost -= held.cost
            return b"".join(held.parts[index] for index in range(held.count))
        while desk.cost > self._limits.most_bytes or len(desk.messages) > self._limits.most_messages:
            self._abandon(desk, next(iter(desk.messages)))
        return None

    def expire(self, now_ms: int) -> None:
        """Give up what has waited too long."""
        for desk in self._desks.values():
            while desk.messages:
                name, oldest = next(iter(desk.messages.items()))
                if now_ms - oldest.since_ms < self._limits.timeout_ms:
                    break
                self._abandon(desk, name)

    def _abandon(self, desk: _Desk, name: tuple[bytes, int]) -> None:
        given_up = desk.messages.pop(name)
        desk.cost -= given_up.cost
        self.abandoned += len(given_up.parts)
