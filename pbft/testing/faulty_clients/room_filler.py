"""RoomFiller: keeps its share of the primary's room full, and asks the backups for what finds no room there (K1, K4).

Backups relay that request to a primary that has no room for it, though it serves this client all the time. They may
take it for unfair once in a while, since a primary that censors one request looks like this. They must not for ever:
each time their patience with this client doubles.
"""

from __future__ import annotations

from typing import ClassVar

from pbft.core.effects import Send
from pbft.core.envelope import Envelope
from pbft.testing.faulty_clients.asker import Asker
from pbft.testing.faulty_clients.faulty_client import ClientMeans, Speech, nonsense


class RoomFiller(Asker):
    """Asks the primary something new in every other session before it can have served the last."""

    at_once: ClassVar[int] = 2
    """How many sessions fill the room: as many as a primary holds of one client, where that is to be full."""

    def __init__(self, label: str, means: ClientMeans, say: Speech = nonsense) -> None:
        super().__init__(label, means, say)
        self.sessions = [self.new_session() for _ in range(self.at_once)]
        self._passed_over: Envelope | None = None

    def begin(self) -> None:
        """Sign what the backups are asked next."""
        self._passed_over = self.request(self.session, self.timestamp)

    def ask(self) -> list[Send]:
        """Fill the primary's room, and remind the backups."""
        assert self._passed_over is not None
        # Greeted again and again: it must learn of each new view, to know whose room it has to fill.
        sends = self.greet(self.sessions[0])
        sends += [Send(self.primary, self.request(session, self.acts)) for session in self.sessions]
        return sends + [Send(replica, self._passed_over) for replica in self.everybody if replica != self.primary]
