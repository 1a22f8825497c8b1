"""PartialPrimary: tells one backup what it proposes and how its view begins, and the others nothing (P5)."""

from __future__ import annotations

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Kind
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Adversary


class PartialPrimary(Adversary):
    """Keeps its PRE-PREPAREs and NEW-VIEWs from everybody but its colluders and the last correct replica."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Leave out what most are not to hear from it."""
        return [effect for effect in super().twist(effects, now) if not self._is_withheld(effect)]

    def _is_withheld(self, effect: Effect) -> bool:
        return (
            isinstance(effect, Send)
            and effect.envelope.kind in (Kind.PRE_PREPARE, Kind.NEW_VIEW)
            and effect.to in self.means.correct[:-1]
        )
