"""How many seeds there are, and how much the swarm has seen in this run."""

from __future__ import annotations

import os
from collections import Counter

from pbft.testing.rare_paths import RarePath
from pbft.testing.swarm import Outcome
from tests import tallies

SEEDS = int(os.environ.get("PBFT_SWARM_SEEDS", "1000"))


class Tally(tallies.Tally):
    """Seeds, and the rare paths that they went."""

    summed = ("deliveries", "virtual_ms", "view_changes", "checkpoints", "transfers", "undecided")

    def __init__(self) -> None:
        super().__init__()
        self.times: Counter[str] = Counter()
        """How often each rare path was gone."""
        self.runs: Counter[str] = Counter()
        """By how many seeds."""

    def count(self, outcome: Outcome) -> None:
        """Add a run."""
        self.add(outcome)
        self.times.update(outcome.rare_paths)
        self.runs.update(dict.fromkeys(outcome.rare_paths, 1))

    @property
    def never(self) -> list[str]:
        """The rare paths that no seed has gone."""
        return [path.value for path in RarePath if not self.times[path.value]]

    def told(self) -> list[str]:
        """Return the tally as three sentences, then every rare path with how often it was gone."""
        if not self.ended:
            return []
        sums = self.sums
        rate = sums["deliveries"] / self.seconds
        hours = sums["virtual_ms"] / 60_000 / self.seconds
        came_to = (
            f"{sums['view_changes']} view changes, {sums['checkpoints']} checkpoints, {sums['transfers']} transfers"
        )
        return [
            f"{self.ended} seeds agreed and finished in {self.seconds:.1f} s: {sums['deliveries']:,} deliveries",
            f"{came_to}; {rate:,.0f} deliveries a second, {hours:.2f} simulated hours a minute",
            f"{sums['undecided']} histories were too entangled for a search of their order",
            *(f"{path.value}: {self.times[path.value]} in {self.runs[path.value]} seeds" for path in RarePath),
        ]


TALLY = Tally()
