"""Sums over many simulated runs, failed ones included, and how they are told.

Owns: what is counted of runs that end one after the other.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pbft.testing.swarm import Report

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


class Sums:
    """What runs came to, together."""

    def __init__(self) -> None:
        self.seeds = 0
        self.failed = 0
        self.found: dict[str, int] = {}
        """The first seed that each oracle found wanting."""
        self.times: Counter[str] = Counter()
        """How often each rare path was gone."""
        self.runs: Counter[str] = Counter()
        """In how many runs."""
        self._totals = dict.fromkeys(_SUMMED, 0)

    def count(self, done: Report) -> None:
        """Add a run, whatever its end."""
        self.seeds += 1
        if done.outcome is None:
            self.failed += 1
            self.found.setdefault(done.oracle, done.seed)
        if done.reached is not None:
            self._totals = {name: self._totals[name] + getattr(done.reached, name) for name in _SUMMED}
            self.times.update(done.reached.rare_paths)
            self.runs.update(dict.fromkeys(done.reached.rare_paths, 1))

    def told(self, seconds: float) -> dict[str, Any]:
        """Return the sums for a program, with the speed that comes of so many seconds."""
        return {
            "seeds": self.seeds,
            "failed": self.failed,
            **self._totals,
            "rare_paths": {name: self.times[name] for name in _paths()},
            "seconds": round(seconds, 3),
            "deliveries_per_second": round(self._totals["deliveries"] / seconds),
            "virtual_hours_per_minute": round(self._totals["virtual_ms"] / 60_000 / seconds, 2),
        }


def told_paths(times: Counter[str], runs: Counter[str]) -> list[str]:
    """Return how often each rare path was gone, a line each, and in one line those that never were."""
    lines = [f"{times[name]:>8} in {runs[name]:>5} seeds: {name}" for name in _paths() if times[name]]
    never = [name for name in _paths() if not times[name]]
    if len(never) > _MANY:
        return [*lines, f"   never: {len(never)} other rare paths"]
    return lines + ([f"   never: {'; '.join(never)}"] if never else [])


def _paths() -> list[str]:
    # Imported here: commands start without the simulator.
    from pbft.testing.rare_paths import RarePath

    return [path.value for path in RarePath]
