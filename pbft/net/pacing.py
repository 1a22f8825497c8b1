"""How fast the fragments of large messages leave: no faster than a receiver's buffer can take them.

Owns: for each address what waits, and a budget that refills with time. Knows no sockets; time is handed in. Messages of
one datagram pass by, so that votes never wait behind a batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

To = TypeVar("To", bound=Hashable)


@dataclass(frozen=True)
class PacingLimits:
    """The budget of one address. The burst fits the receive buffer that Linux grants when nobody raised its bounds."""

    burst_bytes: int = 128 * 1024
    bytes_per_ms: int = 64 * 1024
    waiting_bytes: int = 16 * 1024 * 1024


@dataclass(slots=True)
class _Lane:
    budget: int
    since_ms: int
    waiting: deque[bytes] = field(default_factory=deque)
    waiting_bytes: int = 0


class Pacer(Generic[To]):
    """Decides which datagrams leave now and which later, in order for each address."""

    def __init__(self, limits: PacingLimits | None = None) -> None:
        self._limits = limits or PacingLimits()
        self._lanes: dict[To, _Lane] = {}
        self._deadline_ms: int | None = None
        self.dropped = 0
        """Datagrams of messages that found too much waiting for their address, in all."""

    @property
    def deadline_ms(self) -> int | None:
        """When `ready` next has something, or None while nothing waits."""
        return self._deadline_ms

    def offer(self, to: To, datagrams: Sequence[bytes], now_ms: int) -> Sequence[bytes]:
        """Take one message's datagrams; return those that may leave now. `ready` returns the others in time."""
        if len(datagrams) <= 1:
            return datagrams
        lane = self._lanes.get(to)
        if lane is None:
            self._forget_idle(now_ms)
            lane = self._lanes[to] = _Lane(self._limits.burst_bytes, now_ms)
        size = sum(map(len, datagrams))
        if lane.waiting and lane.waiting_bytes + size > self._limits.waiting_bytes:
            # The whole message goes: a part of it would be sent for nothing.
            self.dropped += len(datagrams)
            return ()
        lane.waiting.extend(datagrams)
        lane.waiting_bytes += size
        return self._release(lane, now_ms)

    def ready(self, now_ms: int) -> list[tuple[To, bytes]]:
        """Return what may leave now."""
        if self._deadline_ms is None or now_ms < self._deadline_ms:
            return []
        self._deadline_ms = None
        waiting = [(to, lane) for to, lane in self._lanes.items() if lane.waiting]
        return [(to, datagram) for to, lane in waiting for datagram in self._release(lane, now_ms)]

    def _release(self, lane: _Lane, now_ms: int) -> list[bytes]:
        self._refill(lane, now_ms)
        released = []
        while lane.waiting and lane.budget > 0:
            datagram = lane.waiting.popleft()
            lane.waiting_bytes -= len(datagram)
            lane.budget -= len(datagram)
            released.append(datagram)
        if lane.waiting and (self._deadline_ms is None or now_ms + 1 < self._deadline_ms):
            self._deadline_ms = now_ms + 1
        return released

    def _refill(self, lane: _Lane, now_ms: int) -> None:
        earned = (now_ms - lane.since_ms) * self._limits.bytes_per_ms
        lane.budget = min(self._limits.burst_bytes, lane.budget + earned)
        lane.since_ms = now_ms

    def _forget_idle(self, now_ms: int) -> None:
        for to, lane in list(self._lanes.items()):
            self._refill(lane, now_ms)
            if not lane.waiting and lane.budget >= self._limits.burst_bytes:
                del self._lanes[to]
