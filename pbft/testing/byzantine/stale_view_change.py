"""StaleViewChange: asks for views with VIEW-CHANGEs that are long out of date (R3, R4)."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.core.messages import BEGINNING, ViewChange, pack
from pbft.testing.byzantine.flooder import Flooder
from pbft.testing.byzantine.misquoter import Misquoter


class StaleViewChange(Flooder, Misquoter):
    """Swears in every VIEW-CHANGE that nothing has happened since the beginning, and repeats those of views gone by.

    It says one thing only of each view, so that nothing of it contradicts itself: what it forgets it is free to forget.
    """

    views_back: ClassVar[int] = 3
    """Of how many views gone by it asks for each again and again, besides the one to come."""

    def ask(self, to: ReplicaId, vote: ViewChange) -> ViewChange:
        """Forget all that is stable or prepared."""
        return replace(super().ask(to, vote), stable=BEGINNING, prepared=())

    def flood(self) -> list[Envelope]:
        """Ask for the next view, for the one that is, and for some before it."""
        view = self.core.status().view
        asked = range(max(1, view - self.views_back), view + 2)
        votes = [self.say(Kind.VIEW_CHANGE, pack(ViewChange(each, BEGINNING, ()))) for each in asked]
        return [*super().flood(), *votes]
