"""SessionFlood: opens session after session, each for one request, and never comes back to any (K1).

Its own client's table fills over and over. That may cost its own client old sessions, never one that is in use, and
nobody else anything.
"""

from __future__ import annotations

from typing import ClassVar

from pbft.core.effects import Send
from pbft.testing.faulty_clients.faulty_client import FaultyClient


class SessionFlood(FaultyClient):
    """Opens a few sessions at once, again and again."""

    at_once: ClassVar[int] = 2
    """Sessions opened each time. A test that wants to see a flood takes more."""

    def act(self) -> list[Send]:
        """Greet everybody in each new session, and ask everybody once."""
        sends = []
        for _ in range(self.at_once):
            session = self.new_session()
            sends += self.greet(session) + self.to_all(self.request(session, 1))
        return sends
