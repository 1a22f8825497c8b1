"""Complainer: a backup that says all the time that it waits, and that it lacks everything (R5, P6)."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from pbft.core.effects import Effect
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.messages import Status, pack
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Means
from pbft.testing.byzantine.flooder import Flooder
from pbft.testing.byzantine.overhearing import requests_in


class Complainer(Flooder):
    """Relays the requests it heard of to everybody, again and again, and begs for all that was ever said (R5)."""

    kept: ClassVar[int] = 4
    """How many requests it remembers, old ones and new ones."""
    times: ClassVar[int] = 2
    """How often it says the same at once."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._requests: deque[Envelope] = deque(maxlen=self.kept)

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Remember what clients want."""
        self._requests.extend(each for each in requests_in(envelope) if each not in self._requests)
        return super().receive(envelope, sender, now)

    def flood(self) -> list[Envelope]:
        """Complain about every request, whether or not it ran, and beg."""
        status = self.core.status()
        begging = Status(status.view, status.target, 0, 0, self.floods, True, b"", (), ())
        complaints = [*self._requests, Envelope(Kind.STATUS, self.me, pack(begging))]
        return super().flood() + complaints * self.times
