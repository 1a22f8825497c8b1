"""Restless: always asks for the next view, and is as good as any in the one that it is in (R5)."""

from __future__ import annotations

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import BEGINNING, ViewChange, pack, unpack
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Means
from pbft.testing.byzantine.flooder import Flooder


class Restless(Flooder):
    """Is one view ahead of all others with its VIEW-CHANGE, so that one correct wish is enough to make f+1 (R5)."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._asked = 0
        """The view of its latest VIEW-CHANGE."""

    def flood(self) -> list[Envelope]:
        """Ask for the view after the one that its core is in or wants."""
        self._asked = max(self._asked, self.core.status().target + 1)
        return [*super().flood(), self.say(Kind.VIEW_CHANGE, pack(ViewChange(self._asked, BEGINNING, ())))]

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Never ask for a view that the others want: it has gone further, and says one thing only of each."""
        return [each for each in super().twist(effects, now) if not self._lags(each)]

    def _lags(self, effect: Effect) -> bool:
        if not isinstance(effect, Send) or effect.envelope.kind is not Kind.VIEW_CHANGE:
            return False
        return effect.envelope.sender == self.me and unpack(ViewChange, effect.envelope.body).view <= self._asked
