"""Whoever looks at what replicas hold, at every moment of a run (O13, O14)."""

from __future__ import annotations

from pbft.core.settings import ReplicaSettings
from pbft.core.usage import bounds
from pbft.testing import Cluster
from tests.scenarios.stories import core


class Watch:
    """Looks at what correct replicas hold at every moment of a run, and remembers the greatest of each count."""

    def __init__(self, group: Cluster, settings: ReplicaSettings) -> None:
        self._group = group
        self._replicas = [core(group, i) for i in group.correct]
        self._allowed = bounds(group.group, settings)
        self.greatest = dict.fromkeys(self._allowed, 0)

    def run(self, ms: int) -> None:
        """Let this much virtual time pass."""
        end_ms = self._group.now_ms + ms
        self._group.run_until(lambda: self._look() or self._group.now_ms >= end_ms)

    @property
    def excesses(self) -> dict[str, tuple[int, int]]:
        """The counts that went beyond their bounds, each with that."""
        return {
            name: (count, self._allowed[name]) for name, count in self.greatest.items() if count > self._allowed[name]
        }

    def _look(self) -> bool:
        for replica in self._replicas:
            for name, count in replica.usage().items():
                self.greatest[name] = max(self.greatest[name], count)
        return False
