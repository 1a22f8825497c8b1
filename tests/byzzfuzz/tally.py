"""How many runs there are, and what they came to."""

from __future__ import annotations

import os

from pbft.testing.byzzfuzz import Report
from tests import tallies

RUNS = int(os.environ.get("PBFT_BYZZFUZZ_RUNS", "300"))


class Tally(tallies.Tally):
    """Runs and what happened in them."""

    summed = ("parted", "lies", "view_changes")

    def __init__(self) -> None:
        super().__init__()
        self.violations = 0

    def count(self, done: Report) -> None:
        """Add a run, whatever its end."""
        if done.outcome is None:
            self.violations += 1
        else:
            self.add(done.outcome)

    def told(self) -> list[str]:
        """Return the tally as two sentences."""
        runs, sums = self.ended + self.violations, self.sums
        if not runs:
            return []
        return [
            f"{runs:,} runs in {self.seconds:.1f} s, {self.violations or 'no'} violations",
            f"{sums['parted']:,} messages parted, {sums['lies']:,} mutated, {sums['view_changes']:,} view changes",
        ]


TALLY = Tally()
