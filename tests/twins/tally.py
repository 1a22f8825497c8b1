"""How many scenarios of twins there are to play, and how much they came to in this run."""

from __future__ import annotations

import os

from pbft.testing.twins import Outcome
from tests import tallies

SCENARIOS = int(os.environ.get("PBFT_TWIN_SCENARIOS", "5000"))


class Tally(tallies.Tally):
    """Scenarios, and in how many of them twins were caught."""

    summed = ("deliveries", "view_changes", "checkpoints", "transfers")

    def __init__(self) -> None:
        super().__init__()
        self.accused = 0

    def count(self, outcome: Outcome) -> None:
        """Add a scenario."""
        self.add(outcome)
        self.accused += outcome.accusers > 0

    def told(self) -> list[str]:
        """Return the tally as two sentences."""
        if not self.ended:
            return []
        sums = self.sums
        came_to = (
            f"{sums['view_changes']} view changes, {sums['checkpoints']} checkpoints, {sums['transfers']} transfers"
        )
        rate = self.ended / self.seconds
        ended = f"{self.ended} scenarios of twins agreed and finished in {self.seconds:.1f} s"
        return [
            f"{ended}: {rate:,.0f} a second, {sums['deliveries']:,} deliveries",
            f"{came_to}; evidence against a twin in {self.accused}",
        ]


TALLY = Tally()
