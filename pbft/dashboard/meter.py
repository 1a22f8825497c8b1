"""Speed over time: latencies of late, and the last minute of throughput, latency and messages.

Owns: the windows and the points. Knows nothing of who measured.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

from pbft.dashboard.views import POINTS, Series

WINDOW_US: Final = 30_000_000
"""How long a latency counts."""

_KEPT: Final = 4_096
_LONGEST_MS: Final = 3_600_000.0
_SECOND_US: Final = 1_000_000


class Latencies:
    """Latencies of the last 30 seconds; of very many the latest."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, float]] = deque(maxlen=_KEPT)

    def add(self, ms: float, now_us: int) -> None:
        """Count one; what is no duration is none."""
        if 0 <= ms <= _LONGEST_MS:
            self._kept.append((now_us, ms))

    def quantiles(self, now_us: int) -> tuple[float, float] | None:
        """Return p50 and p99 in milliseconds, None where nothing was counted of late."""
        while self._kept and now_us - self._kept[0][0] > WINDOW_US:
            self._kept.popleft()
        if not self._kept:
            return None
        ordered = sorted(ms for _, ms in self._kept)
        return _at(ordered, 50), _at(ordered, 99)

    def median_since(self, since_us: int) -> float | None:
        """Return the median of those counted since a time."""
        found = []
        for us, ms in reversed(self._kept):
            if us < since_us:
                break
            found.append(ms)
        return _at(sorted(found), 50) if found else None


class Meter:
    """Latencies of our own calls and of sampled sequences, and the series of a minute."""

    def __init__(self) -> None:
        self.calls = Latencies()
        self.flows = Latencies()
        self._second: int | None = None
        self._points: deque[tuple[float | None, float | None, float | None]] = deque(
            [(None, None, None)] * POINTS, maxlen=POINTS
        )

    def latency(self, now_us: int) -> tuple[float | None, float | None, Literal["calls", "flows", ""]]:
        """Return p50, p99 and whose they are: our own calls' where there were any."""
        found = self.calls.quantiles(now_us)
        if found is not None:
            return *found, "calls"
        found = self.flows.quantiles(now_us)
        return (None, None, "") if found is None else (*found, "flows")

    def due(self, now_us: int) -> bool:
        """Say whether a second has passed since the last point."""
        return self._second is None or now_us // _SECOND_US > self._second

    def add_point(self, throughput: float | None, messages: float | None, now_us: int) -> None:
        """Close a second; those that passed unseen stay empty."""
        second = now_us // _SECOND_US
        if self._second is not None:
            self._points.extend([(None, None, None)] * min(POINTS, second - self._second - 1))
            since_us = now_us - _SECOND_US
            median = self.calls.median_since(since_us)
            self._points.append((throughput, self.flows.median_since(since_us) if median is None else median, messages))
        self._second = second

    def series(self) -> Series:
        """Return the points, oldest first."""
        throughput, latency, messages = zip(*self._points, strict=True)
        return Series(throughput, latency, messages)


def _at(ordered: list[float], percent: int) -> float:
    """Return the smallest value that so many of a hundred do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
