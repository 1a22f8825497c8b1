"""Silent: receives everything and never says a word (R1)."""

from __future__ import annotations

from pbft.core.effects import Action, Effect
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Adversary


class Silent(Adversary):
    """Looks dead from outside, to replicas and to clients alike."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Keep the notices, and do nothing."""
        return [effect for effect in super().twist(effects, now) if not isinstance(effect, Action)]
