"""Amnesiac: forgets again and again all that it ever said and knew, and starts over with the same keys (C4, R2)."""

from __future__ import annotations

from typing import ClassVar

from pbft.core.effects import Effect
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Adversary, Means


class Amnesiac(Adversary):
    """Is a correct replica whose disk is lost each time it has lived a while: it counts within f (C4).

    It may vote for another batch, state or view than it did before, and means no harm.
    """

    lives_ms: ClassVar[int] = 700
    """How long it remembers."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self.lives = 0
        """How many times it has begun."""
        self._forgets_ms = 0

    def tick(self, now: Now) -> list[Effect]:
        """Start over when it is time to."""
        if now.monotonic_ms >= self._forgets_ms:
            self._forgets_ms = now.monotonic_ms + self.lives_ms
            self.lives += 1
            self.core = self.means.another()
        return super().tick(now)

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is next due: for the core, or to forget."""
        due_ms = super().deadline_ms
        return self._forgets_ms if due_ms is None else min(due_ms, self._forgets_ms)
