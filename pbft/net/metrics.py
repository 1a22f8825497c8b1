"""What a node counts.

Owns: the counters, and the one flat table of reasons for everything that was not acted upon. Knows neither sockets nor
replicas: both report here.
"""

from __future__ import annotations

import os
import resource
import sys
from collections import Counter
from enum import Enum


class Metrics:
    """Counters of one process. They only grow; whoever wants rates takes differences."""

    def __init__(self, started_ms: int) -> None:
        self.started_ms = started_ms
        """When the process began, on the monotonic clock."""
        self.ignored: Counter[str] = Counter()
        """What was not acted upon, by reason: the node's drops and the core's refusals."""
        self.messages_in = 0
        self.messages_out = 0
        self.unaddressed = 0
        """Messages with nowhere to go: answers to sessions without a proven address, peers whose name is unknown."""
        self.turns = 0

    def ignore(self, reason: Enum, times: int = 1) -> None:
        """Count something that was not acted upon."""
        if times:
            self.ignored[reason.value] += times


def rss_bytes() -> int:
    """Return the memory this process holds, in bytes; its greatest so far where the system tells no more."""
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
