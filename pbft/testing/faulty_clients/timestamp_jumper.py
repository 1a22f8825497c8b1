"""TimestampJumper: timestamps that leap to the greatest there is, and back, and differ from replica to replica (K4).

A session runs what is newer than what it ran last, and nothing else: it may lock itself out, and nobody else.
"""

from __future__ import annotations

from pbft.core.codec import MAX_UINT
from pbft.core.effects import Send
from pbft.testing.faulty_clients.faulty_client import ClientMeans, FaultyClient, Speech, nonsense

_ACTS_A_SESSION = 8


class TimestampJumper(FaultyClient):
    """Draws a timestamp for each replica, and takes another session when this one has had its time."""

    def __init__(self, label: str, means: ClientMeans, say: Speech = nonsense) -> None:
        super().__init__(label, means, say)
        self.session = self.new_session()

    def act(self) -> list[Send]:
        """Ask each replica something under a timestamp of its own."""
        sends = []
        if self.acts % _ACTS_A_SESSION == 1:
            self.session = self.new_session()
            sends = self.greet(self.session)
        chance = self.means.chance
        for replica in self.everybody:
            timestamp = chance.choice((0, 1, self.acts, chance.randrange(MAX_UINT), MAX_UINT - 1, MAX_UINT))
            sends.append(Send(replica, self.request(self.session, timestamp)))
        return sends
