"""Mutator: corrupts something of what it says now and then, a little or beyond recognition (P, R; ByzzFuzz)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import ClassVar, Final

from pbft.core.effects import Answer, Effect, Send
from pbft.core.envelope import Envelope
from pbft.core.group import ClientKey, ReplicaId
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.net.verbs import BODIES
from pbft.testing.byzantine.adversary import Adversary, Means
from pbft.testing.byzantine.mutations import ANY_SCOPE, SMALL_SCOPE, Hand, Way, mutated

_KEPT: Final = 64


class Mutator(Adversary):
    """Sends one in five of its messages as one of `ways` makes it, to each receiver another."""

    ways: Mapping[str, Way] = {**ANY_SCOPE, **SMALL_SCOPE}
    share: ClassVar[float] = 0.2

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._said: deque[Envelope] = deque(maxlen=_KEPT)
        """What it truly had to say, the latest last; a broadcast once."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Corrupt what is its own; pass on what others said."""
        twisted: list[Effect] = []
        for effect in super().twist(effects, now):
            envelope = effect.envelope if isinstance(effect, Send | Answer) else None
            if envelope is None or envelope.sender != self.me or envelope.kind not in BODIES:
                twisted.append(effect)
                continue
            if isinstance(effect, Send):
                twisted += [Send(effect.to, each) for each in self.corrupt(effect.to, envelope)]
            elif isinstance(effect, Answer):
                told = self.corrupt(effect.client, envelope)
                twisted += [Answer(effect.client, effect.session, each) for each in told]
            if not self._said or self._said[-1] is not envelope:
                self._said.append(envelope)
        return twisted

    def corrupt(self, to: ReplicaId | ClientKey, envelope: Envelope) -> tuple[Envelope, ...]:
        """Return what one receiver is sent in place of an envelope."""
        if self.means.chance.random() >= self.share:
            return (envelope,)
        return mutated(self.ways, self.hand, envelope)[1]

    @property
    def hand(self) -> Hand:
        """What mutations of the next message work with."""
        return Hand(self, self.means.chance, self._said)
