"""Holding: what those share who say the right thing late. It delays nothing by itself.

Owns: what is held back, and until when. Whatever else an adversary does to a message it does when that leaves.
"""

from __future__ import annotations

from pbft.core.effects import Effect, Send
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Adversary, Means


class Holding(Adversary):
    """Sends each message of its own as late as a subclass wants."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._late: list[tuple[int, Send]] = []

    def delay_ms(self, sent: Send) -> int:
        """Return for how long a message is held back; 0 for not at all."""
        return 0

    def held_until_ms(self) -> int | None:
        """Return when the next of what is held back leaves, if anything is."""
        return min((due_ms for due_ms, _ in self._late), default=None)

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Hold back what is to be late, and let go what has been held long enough."""
        punctual: list[Effect] = []
        for effect in super().twist(effects, now):
            delay_ms = self.delay_ms(effect) if isinstance(effect, Send) and effect.envelope.sender == self.me else 0
            if isinstance(effect, Send) and delay_ms:
                self._late.append((now.monotonic_ms + delay_ms, effect))
            else:
                punctual.append(effect)
        punctual += [each for due_ms, each in self._late if due_ms <= now.monotonic_ms]
        self._late = [(due_ms, each) for due_ms, each in self._late if due_ms > now.monotonic_ms]
        return punctual

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is next due: for the core, or for what is late."""
        return min((each for each in (super().deadline_ms, self.held_until_ms()) if each is not None), default=None)
