"""Sums over many simulated runs, failed ones included, and how they are told.

Owns: what is counted of runs that end one after the other.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pbft.testing.runs import Report
    from pbft.testing.swarm import Outcome

_SUMMED: Final = (
    "deliveries",
    "virtual_ms",
    "sequences",
    "calls",
    "view_changes",
    "checkpoints",
    "transfers",
    "undecided",
)

_MANY: Final = 10
"""Rare paths never gone, after which they are not named."""


class Totals:
    """How many runs ended and failed, and what they came to together."""

    def __init__(self, *summed: str) -> None:
        self.ended = 0
        self.failed = 0
        self.summed = dict.fromkeys(summed, 0)
        """Counts of outcomes, by name."""

    def count(self, done: Report[Any]) -> None:
        """Add a run, whatever its end."""
        self.ended += 1
        self.failed += done.outcome is None
        if done.reached is not None:
            self.summed = {name: each + getattr(done.reached, name) for name, each in self.summed.items()}


class Sums(Totals):
    """What seeds came to, together."""

    def __init__(self) -> None:
        super().__init__(*_SUMMED)
        self.found: dict[str, int] = {}
        """The first seed that each oracle found wanting."""
        self.times: Counter[str] = Counter()
        """How often each rare path was gone."""
        self.runs: Counter[str] = Counter()
        """In how many runs."""

    def count(self, done: Report[Outcome]) -> None:
        """Add a run, whatever its end."""
        super().count(done)
        if done.outcome is None:
            self.found.setdefault(done.oracle, done.number)
        if done.reached is not None:
            self.times.update(done.reached.rare_paths)
            self.runs.update(dict.fromkeys(done.reached.rare_paths, 1))

    def told(self, seconds: float) -> dict[str, Any]:
        """Return the sums for a program, with the speed that comes of so many seconds."""
        return {
            "seeds": self.ended,
            "failed": self.failed,
            **self.summed,
            "rare_paths": {name: self.times[name] for name in _paths()},
            "seconds": round(seconds, 3),
            "deliveries_per_second": round(self.summed["deliveries"] / seconds),
            "virtual_hours_per_minute": round(self.summed["virtual_ms"] / 60_000 / seconds, 2),
        }


def told_paths(times: Counter[str], runs: Counter[str]) -> list[str]:
    """Return how often each rare path was gone, a line each, and in one line those that never were."""
    if not runs:
        return []
    lines = [f"{times[name]:>8} in {runs[name]:>5} seeds: {name}" for name in _paths() if times[name]]
    never = [name for name in _paths() if not times[name]]
    if len(never) > _MANY:
        return [*lines, f"   never: {len(never)} other rare paths"]
    return lines + ([f"   never: {'; '.join(never)}"] if never else [])


def _paths() -> list[str]:
    # Imported here: commands start without the simulator.
    from pbft.testing.rare_paths import RarePath

    return [path.value for path in RarePath]
