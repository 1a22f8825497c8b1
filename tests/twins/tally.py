"""How many scenarios of twins there are to play, and how much they came to in this run."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from pbft.testing.twins import Outcome

SCENARIOS = int(os.environ.get("PBFT_TWIN_SCENARIOS", "5000"))


@dataclass
class Tally:
    """Scenarios that ended well, what they came to, and how long that took with all processors at work."""

    scenarios: int = 0
    deliveries: int = 0
    view_changes: int = 0
    checkpoints: int = 0
    transfers: int = 0
    accused: int = 0
    seconds: float = 0.0
    _began: float = field(default=0.0, repr=False)

    def begin(self) -> None:
        """Start to measure."""
        self._began = time.perf_counter()

    def end(self) -> None:
        """Stop measuring."""
        self.seconds += time.perf_counter() - self._began

    def count(self, outcome: Outcome) -> None:
        """Add a scenario."""
        self.scenarios += 1
        self.deliveries += outcome.deliveries
        self.view_changes += outcome.view_changes
        self.checkpoints += outcome.checkpoints
        self.transfers += outcome.transfers
        self.accused += outcome.accusers > 0

    def told(self) -> list[str]:
        """Return the tally as two sentences."""
        came_to = f"{self.view_changes} view changes, {self.checkpoints} checkpoints, {self.transfers} transfers"
        rate = self.scenarios / self.seconds
        ended = f"{self.scenarios} scenarios of twins agreed and finished in {self.seconds:.1f} s"
        return [
            f"{ended}: {rate:,.0f} a second, {self.deliveries:,} deliveries",
            f"{came_to}; evidence against a twin in {self.accused}",
        ]


TALLY = Tally()
