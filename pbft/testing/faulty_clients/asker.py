"""Asker: what those share who ask one thing after the other, in one session, and go on once they are answered."""

from __future__ import annotations

from pbft.core.effects import Send
from pbft.testing.faulty_clients.faulty_client import ClientMeans, FaultyClient, Speech, nonsense

_GREETING_EVERY = 16
"""Acts after which it greets again: a greeting may be lost."""


class Asker(FaultyClient):
    """Asks the same again and again until f+1 replicas gave one answer, and then the next. A subclass says how."""

    def __init__(self, label: str, means: ClientMeans, say: Speech = nonsense) -> None:
        super().__init__(label, means, say)
        self.session = self.new_session()
        self.timestamp = 0
        """Of the request that it asks now; 0 before the first."""

    @property
    def answered(self) -> int:
        """How many of its requests were answered."""
        return self.timestamp - (not self.accepted((self.session, self.timestamp)))

    def begin(self) -> None:
        """Prepare what it says under the next timestamp."""

    def ask(self) -> list[Send]:
        """Return what it says under this timestamp, this time."""
        return []

    def act(self) -> list[Send]:
        """Ask, and greet every now and then so as to be answered."""
        if self.timestamp == 0 or self.accepted((self.session, self.timestamp)):
            self.timestamp += 1
            self.begin()
        greeting = self.greet(self.session) if self.acts % _GREETING_EVERY == 1 else []
        return greeting + self.ask()
