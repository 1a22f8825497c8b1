"""RequestFlood: asks everybody one thing after the other in a few sessions, and waits for no answer (K4, N6).

Others keep their turns, and its own share of the rooms is bounded.
"""

from __future__ import annotations

from typing import ClassVar

from pbft.core.effects import Send
from pbft.testing.faulty_clients.faulty_client import ClientMeans, FaultyClient, Speech, nonsense


class RequestFlood(FaultyClient):
    """Each session takes its next timestamp each time."""

    at_once: ClassVar[int] = 2
    """How many sessions it has. A test that wants to see a flood takes more."""

    def __init__(self, label: str, means: ClientMeans, say: Speech = nonsense) -> None:
        super().__init__(label, means, say)
        self.sessions = [self.new_session() for _ in range(self.at_once)]

    def act(self) -> list[Send]:
        """Ask everybody once more in every session."""
        sends = []
        for session in self.sessions:
            if self.acts == 1:
                sends += self.greet(session)
            sends += self.to_all(self.request(session, self.acts))
        return sends
