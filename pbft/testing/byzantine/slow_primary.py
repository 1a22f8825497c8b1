"""SlowPrimary: as primary does each of its steps just before the others lose patience, and all else at once (P7).

Its core proposes late rather than being heard late, so that what came in the meantime rides in one batch of a recent
time: it looks busy, is fair to everybody, and serves as few as it may.
"""

from __future__ import annotations

from typing import ClassVar

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Kind
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Means
from pbft.testing.byzantine.holding import Holding


class SlowPrimary(Holding):
    """Delays its PRE-PREPAREs and its NEW-VIEW by a share of the view timeout each, one after the other (P7)."""

    share: ClassVar[float] = 0.9
    """How much of the timeout it takes for each step."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._begins_ms = 0
        """When the others hear that its latest view has begun."""
        self._proposes_ms: int | None = None
        """When it lets its core propose what waits; None while nothing does."""

    def tick(self, now: Now) -> list[Effect]:
        """Let the core tick, but not while a proposal is to wait."""
        if self.is_in_office and self.core.status().waiting:
            if self._proposes_ms is None:
                self._proposes_ms = max(now.monotonic_ms, self._begins_ms) + self.patience_ms
            if now.monotonic_ms < self._proposes_ms:
                return self.twist([], now)
        self._proposes_ms = None
        return super().tick(now)

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Note when a view begins that is its own."""
        if any(isinstance(each, Send) and self._begins_view(each) for each in effects):
            self._begins_ms = now.monotonic_ms + self.patience_ms
        return super().twist(effects, now)

    def delay_ms(self, sent: Send) -> int:
        """Hold back its NEW-VIEW."""
        return max(super().delay_ms(sent), self.patience_ms if self._begins_view(sent) else 0)

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is next due: for what is late, for the next proposal, or for the core while none waits."""
        if not self.is_in_office or self._proposes_ms is None:
            return super().deadline_ms
        held_ms = self.held_until_ms()
        return self._proposes_ms if held_ms is None else min(self._proposes_ms, held_ms)

    @property
    def patience_ms(self) -> int:
        """How long it lets the others wait for each step."""
        return int(self.share * self.core.status().timeout_ms)

    def _begins_view(self, sent: Send) -> bool:
        return sent.envelope.kind is Kind.NEW_VIEW and sent.envelope.sender == self.me


class SlowVoter(SlowPrimary):
    """Casts every vote late too, as backup or primary, for a quorum that needs it: two steps in one timeout (P7)."""

    share: ClassVar[float] = 0.45

    def delay_ms(self, sent: Send) -> int:
        """Hold back its votes."""
        votes = (Kind.PREPARE, Kind.COMMIT, Kind.CHECKPOINT, Kind.VIEW_CHANGE)
        return max(super().delay_ms(sent), self.patience_ms if sent.envelope.kind in votes else 0)
