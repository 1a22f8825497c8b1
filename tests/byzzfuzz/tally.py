"""How many runs there are, and what they came to."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from pbft.testing.byzzfuzz import Report

RUNS = int(os.environ.get("PBFT_BYZZFUZZ_RUNS", "300"))


@dataclass
class Tally:
    """Runs and what happened in them, and how long that took with all processors at work."""

    runs: int = 0
    violations: int = 0
    parted: int = 0
    lies: int = 0
    view_changes: int = 0
    seconds: float = 0.0
    mutations: dict[str, int] = field(default_factory=dict)
    _began: float = field(default=0.0, repr=False)

    def begin(self) -> None:
        """Start to measure."""
        self._began = time.perf_counter()

    def end(self) -> None:
        """Stop measuring."""
        self.seconds += time.perf_counter() - self._began

    def count(self, done: Report) -> None:
        """Add a run."""
        self.runs += 1
        if done.outcome is None:
            self.violations += 1
            return
        self.parted += done.outcome.parted
        self.lies += done.outcome.lies
        self.view_changes += done.outcome.view_changes
        for name, times in done.outcome.mutations:
            self.mutations[name] = self.mutations.get(name, 0) + times

    def told(self) -> list[str]:
        """Return the tally as two sentences."""
        return [
            f"{self.runs:,} runs in {self.seconds:.1f} s, {self.violations or 'no'} violations",
            f"{self.parted:,} messages parted, {self.lies:,} mutated, {self.view_changes:,} view changes",
        ]


TALLY = Tally()
