"""Replayer: sends again what was said long ago, to others, as something else, and in another group's name (R3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind, Sender, seal
from pbft.core.group import Group
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Adversary, Means

_KEPT: Final = 256
_KINDS: Final = (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT, Kind.CHECKPOINT, Kind.VIEW_CHANGE, Kind.NEW_VIEW)


class Replayer(Adversary):
    """Keeps what it hears, old and new, and follows each turn of its own with something out of that."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._heard: list[Envelope] = []
        # The same keys might serve two groups: what one said there must not count here.
        self._other_group = Group.of(replace(means.group.genesis, nonce=bytes(16)))

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Keep what is worth saying again."""
        if envelope.kind in (*_KINDS, Kind.REQUEST):
            if len(self._heard) < _KEPT:
                self._heard.append(envelope)
            else:
                self._heard[self.means.chance.randrange(_KEPT)] = envelope
        return super().receive(envelope, sender, now)

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Add a replay."""
        effects = super().twist(effects, now)
        if self._heard:
            effects.append(Send(self.means.chance.choice(self.others), self._replay()))
        return effects

    def _replay(self) -> Envelope:
        chance = self.means.chance
        old = chance.choice(self._heard)
        way = chance.randrange(3)
        if way == 0 or old.kind is Kind.REQUEST:
            return old
        kind = chance.choice(_KINDS)
        beside = old.beside if kind is Kind.PRE_PREPARE else b""
        if way == 1:
            return Envelope(kind, old.sender, old.body, old.signature, beside)
        return seal(self._other_group, self.means.signers[self.me], old.kind, self.me, old.body, old.beside)
