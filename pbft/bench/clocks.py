"""How time and memory are measured.

Owns: the processor's time of this thread, pauses for the collection of garbage, percentiles, and a process's memory.
"""

from __future__ import annotations

import gc
import math
import resource
import sys
import time
from collections.abc import Sequence
from typing import Final, Literal

from pbft.net.metrics import rss_bytes

__all__ = ["COLLECTIONS", "MILLISECONDS", "cpu_ms", "peak_rss_bytes", "percentile", "rss_bytes"]

MILLISECONDS: Final = (
    "Milliseconds are the processor's time of the one thread that works, so that a busy machine spoils them less; "
    "seconds are the wall's."
)


def cpu_ms() -> float:
    """Return the processor's time that this thread has taken, in milliseconds."""
    return time.thread_time_ns() / 1e6


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that is not exceeded by this share of all; 0 for none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def peak_rss_bytes() -> int:
    """Return the most memory that this process has held."""
    try:
        # Not getrusage on Linux: there a process inherits the peak of whoever started it.
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


class _Collections:
    """Counts the time that Python takes to look for garbage, while it is watched: `with COLLECTIONS`."""

    def __init__(self) -> None:
        self.ms = 0.0
        """How long all of them took so far."""
        self._began = 0.0

    def __enter__(self) -> None:
        gc.callbacks.append(self._note)

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._note)

    def _note(self, phase: Literal["start", "stop"], _info: dict[str, int]) -> None:
        if phase == "start":
            self._began = cpu_ms()
        else:
            self.ms += cpu_ms() - self._began


COLLECTIONS: Final = _Collections()
"""One for the whole process, whose garbage it is."""
