"""How much the swarm has seen in this run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Tally:
    """Seeds that ended well, what they delivered, and how long that took."""

    seeds: int = 0
    deliveries: int = 0
    seconds: float = 0.0

    def told(self) -> str:
        """Return the tally as a sentence."""
        rate = self.deliveries / self.seconds
        return f"{self.seconds:.1f} s: {self.seeds} seeds agreed, {self.deliveries} deliveries, {rate:,.0f} a second"


TALLY = Tally()
