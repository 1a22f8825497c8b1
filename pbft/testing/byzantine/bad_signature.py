"""BadSignature: says the right words under signatures that do not verify (R2)."""

from __future__ import annotations

from dataclasses import replace

from pbft.core.effects import Answer, Effect, Send
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Adversary


class BadSignature(Adversary):
    """Flips one byte of every signature of its own; what it relays for others stays as it is."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Spoil the signatures."""
        return [self._spoilt(effect) for effect in super().twist(effects, now)]

    def _spoilt(self, effect: Effect) -> Effect:
        if not isinstance(effect, Send | Answer) or effect.envelope.sender != self.me:
            return effect
        signature = effect.envelope.signature
        if not signature:
            return effect
        at = self.means.chance.randrange(len(signature))
        spoilt = signature[:at] + bytes((signature[at] ^ 1,)) + signature[at + 1 :]
        return replace(effect, envelope=replace(effect.envelope, signature=spoilt))
