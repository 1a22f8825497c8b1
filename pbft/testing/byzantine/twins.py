"""Twins: a replica that runs twice, under the same keys (Bano et al., "Twins: BFT Systems Made Robust", OPODIS 2021).

Each of the two is correct by itself. What makes them wicked is that they hear different things and speak under one
name: as primary they propose twice, as backups they vote twice, and a certificate holds one of the two (T1 to T3).
"""

from __future__ import annotations

from typing import Final

from pbft.core.effects import Answer, Effect, Send
from pbft.core.envelope import Envelope, Sender
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Adversary, Means

_CHANGE: Final = 0.01
"""How often, of the times it is asked, it is drawn anew who talks with which."""

_EITHER: Final = (0, 1)


class Twins(Adversary):
    """Two correct cores, each in touch with some of the others: by default with a half each, or both with all."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self.cores = (core, means.another())
        self._sides: dict[Sender, tuple[int, ...]] = {}

    def sides(self, party: Sender) -> tuple[int, ...]:
        """Return which of the two a replica or client talks with now. A subclass may know better than chance."""
        chance = self.means.chance
        if not self._sides or chance.random() < _CHANGE:
            order = chance.sample(self.others, len(self.others))
            apart = chance.random() < 0.8
            self._sides = {other: (place % 2,) if apart else _EITHER for place, other in enumerate(order)}
        if party not in self._sides:
            self._sides[party] = chance.choice(((0,), (1,), _EITHER))
        return self._sides[party]

    def hearers(self, envelope: Envelope, sender: Sender) -> tuple[int, ...]:
        """Return which of the two receive an envelope."""
        return self.sides(sender)

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Let whoever of the two is in touch with the sender receive."""
        effects: list[Effect] = []
        for side in self.hearers(envelope, sender):
            self.core = self.cores[side]
            effects += super().receive(envelope, sender, now)
        return effects

    def tick(self, now: Now) -> list[Effect]:
        """Let each tick that is due."""
        effects: list[Effect] = []
        for core in self.cores:
            if core.deadline_ms is not None and core.deadline_ms <= now.monotonic_ms:
                self.core = core
                effects += super().tick(now)
        return effects

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Let each speak to those alone with whom it is in touch."""
        side = self.cores.index(self.core)
        return [each for each in super().twist(effects, now) if self._reaches(side, each)]

    @property
    def deadline_ms(self) -> int | None:
        """When the first of the two is due."""
        return min((core.deadline_ms for core in self.cores if core.deadline_ms is not None), default=None)

    def _reaches(self, side: int, effect: Effect) -> bool:
        if isinstance(effect, Send):
            return side in self.sides(effect.to)
        return not isinstance(effect, Answer) or side in self.sides(effect.client)
