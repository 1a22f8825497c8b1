"""BogusNewView: begins its view with a NEW-VIEW that does not follow from a quorum's votes (P9)."""

from __future__ import annotations

from typing import ClassVar

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Kind
from pbft.core.messages import NewView, pack, unpack
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Adversary, Means
from pbft.testing.byzantine.new_view_flaws import FLAWS, vote_elsewhere


class BogusNewView(Adversary):
    """Spoils each NEW-VIEW of its own in one of its `flaws`, in the next one when its turn comes again."""

    flaws: ClassVar[tuple[str, ...]] = tuple(FLAWS)

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._first = means.chance.randrange(len(self.flaws))
        """Which flaw comes first: a run sees few views, and another one sees others of them."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Spoil the NEW-VIEW, and send before it the vote that it may name wrongly."""
        twisted: list[Effect] = []
        for effect in super().twist(effects, now):
            if isinstance(effect, Send) and effect.envelope.kind is Kind.NEW_VIEW and effect.envelope.sender == self.me:
                body = unpack(NewView, effect.envelope.body)
                turn = self._first + body.view // self.means.group.n
                flaw = FLAWS[self.flaws[turn % len(self.flaws)]]
                bogus = self.say(Kind.NEW_VIEW, pack(flaw(self, body)))
                twisted += [Send(effect.to, vote_elsewhere(self, body)), Send(effect.to, bogus)]
            else:
                twisted.append(effect)
        return twisted
