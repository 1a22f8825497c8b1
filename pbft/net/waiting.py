"""Time, and waiting for something to happen.

Owns: the two clocks, and the bell that wakes a loop. Knows nothing of what it is woken for.
"""

from __future__ import annotations

import asyncio
import time

from pbft.core.settings import Now


def system_now() -> Now:
    """Return the time by this machine's two clocks."""
    return Now(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)


def fine_clock_us() -> int:
    """Return the monotonic time in microseconds: a phase on one machine takes less than the core's milliseconds."""
    return time.monotonic_ns() // 1_000


class Bell:
    """Wakes the one task that waits on it. Rung while nobody waits, it lets the next wait return at once."""

    def __init__(self) -> None:
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake who waits. Only from the loop's own thread."""
        self._rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, timeout_ms: int | None) -> None:
        """Return when the bell has been rung, or after a time; every call gives other tasks a turn."""
        if self._rung or (timeout_ms is not None and timeout_ms <= 0):
            await asyncio.sleep(0)
            self._rung = False
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(timeout_ms / 1000, self.ring) if timeout_ms is not None else None
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._rung = False
            if timer is not None:
                timer.cancel()
