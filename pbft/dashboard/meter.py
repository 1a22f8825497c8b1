"""Speed over time: latencies of late, and the last minute of throughput, latency and messages.

Owns: the windows and the points. Knows nothing of who measured.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

from pbft.console.load import percentile
from pbft.dashboard.views import POINTS, Series

WINDOW_US: Final = 30_000_000
"""How long a latency counts."""

Load = tuple[int, float | None, float | None]
"""How many answers a load has had, and p50 and p99 of its latest in milliseconds, None before the first."""

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
        return percentile(ordered, 50), percentile(ordered, 99)

    def median_since(self, since_us: int) -> float | None:
        """Return the median of those counted since a time."""
        found = []
        for us, ms in reversed(self._kept):
            if us < since_us:
                break
            found.append(ms)
        return percentile(sorted(found), 50) if found else None


class Meter:
    """Latencies of our load, of our own calls and of sampled sequences, and the series of a minute."""

    def __init__(self) -> None:
        self.calls = Latencies()
        self.flows = Latencies()
        self.load: Load | None = None
        """What a load of ours measures, None while there is none."""
        self._answered = 0
        self._second: int | None = None
        self._points: deque[tuple[float | None, float | None, float | None]] = deque(
            [(None, None, None)] * POINTS, maxlen=POINTS
        )

    def latency(self, now_us: int) -> tuple[float | None, float | None, Literal["load", "calls", "flows", ""]]:
        """Return p50, p99 and whose they are: our load's while it runs, else our own calls' where there were any."""
        if self.load is not None and self.load[1] is not None:
            return *self.load[1:], "load"
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
            median = self._of_load()
            for each in (self.calls, self.flows):
                median = each.median_since(since_us) if median is None else median
            self._points.append((throughput, median, messages))
        self._second = second

    def _of_load(self) -> float | None:
        """Return the load's p50 where it had answers since the last point."""
        before, self._answered = self._answered, self.load[0] if self.load else 0
        return self.load[1] if self.load and self._answered != before else None

    def series(self) -> Series:
        """Return the points, oldest first."""
        throughput, latency, messages = zip(*self._points, strict=True)
        return Series(throughput, latency, messages)
