"""Flooder: what floods share. It speaks without being asked, again and again, to everybody."""

from __future__ import annotations

from typing import ClassVar

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Adversary, Means


class Flooder(Adversary):
    """Does all that a correct replica does, and besides sends what a subclass makes up."""

    every_ms: ClassVar[int] = 100
    """How far apart it speaks. A test that wants to see a flood takes less."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self.floods = 0
        """How many times it has spoken."""
        self._due_ms = 0

    def flood(self) -> list[Envelope]:
        """Return what everybody is told this time."""
        return []

    def spread(self, now: Now) -> list[Effect]:
        """Return what is done this time: everybody is told the same, unless a subclass tells each something else."""
        return [Send(to, envelope) for envelope in self.flood() for to in self.others]

    def tick(self, now: Now) -> list[Effect]:
        """Let the core tick, and flood when that is due."""
        effects = super().tick(now)
        if now.monotonic_ms >= self._due_ms:
            self._due_ms = now.monotonic_ms + self.every_ms
            self.floods += 1
            effects += self.spread(now)
        return effects

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is next due: for the core, or for the flood."""
        due_ms = super().deadline_ms
        return self._due_ms if due_ms is None else min(due_ms, self._due_ms)

    def noise(self, size: int) -> bytes:
        """Return bytes that mean nothing."""
        return self.means.chance.randbytes(size)
