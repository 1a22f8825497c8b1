"""How many seeds there are, and how much the swarm has seen in this run."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field

from pbft.testing.rare_paths import RarePath
from pbft.testing.swarm import Outcome

SEEDS = int(os.environ.get("PBFT_SWARM_SEEDS", "1000"))


@dataclass
class Tally:
    """Seeds that ended well, what they came to, and how long that took with all processors at work."""

    seeds: int = 0
    deliveries: int = 0
    virtual_ms: int = 0
    view_changes: int = 0
    checkpoints: int = 0
    transfers: int = 0
    undecided: int = 0
    """Histories whose search for an order (O10) gave up."""
    times: Counter[str] = field(default_factory=Counter)
    """How often each rare path was gone."""
    runs: Counter[str] = field(default_factory=Counter)
    """By how many seeds."""
    seconds: float = 0.0
    _began: float = field(default=0.0, repr=False)

    def begin(self) -> None:
        """Start to measure."""
        self._began = time.perf_counter()

    def end(self) -> None:
        """Stop measuring."""
        self.seconds += time.perf_counter() - self._began

    def count(self, outcome: Outcome) -> None:
        """Add a run."""
        self.seeds += 1
        self.deliveries += outcome.deliveries
        self.virtual_ms += outcome.virtual_ms
        self.view_changes += outcome.view_changes
        self.checkpoints += outcome.checkpoints
        self.transfers += outcome.transfers
        self.undecided += outcome.undecided
        self.times.update(outcome.rare_paths)
        self.runs.update(dict.fromkeys(outcome.rare_paths, 1))

    @property
    def never(self) -> list[str]:
        """The rare paths that no seed has gone."""
        return [path.value for path in RarePath if not self.times[path.value]]

    def told(self) -> list[str]:
        """Return the tally as three sentences, then every rare path with how often it was gone."""
        rate = self.deliveries / self.seconds
        hours = self.virtual_ms / 60_000 / self.seconds
        came_to = f"{self.view_changes} view changes, {self.checkpoints} checkpoints, {self.transfers} transfers"
        return [
            f"{self.seeds} seeds agreed and finished in {self.seconds:.1f} s: {self.deliveries:,} deliveries",
            f"{came_to}; {rate:,.0f} deliveries a second, {hours:.2f} simulated hours a minute",
            f"{self.undecided} histories were too entangled for a search of their order",
            *(f"{path.value}: {self.times[path.value]} in {self.runs[path.value]} seeds" for path in RarePath),
        ]


TALLY = Tally()
