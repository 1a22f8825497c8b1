"""TwoTongues: signs two operations under one timestamp, and tells one to half of the replicas, the other to the rest.

One of the two may execute, everywhere the same one. Whoever holds the other must let it go then, and neither relay it
for ever nor take a primary that ordered its twin for one that censors it (K1).
"""

from __future__ import annotations

from pbft.core.effects import Send
from pbft.core.envelope import Envelope
from pbft.testing.faulty_clients.asker import Asker
from pbft.testing.faulty_clients.faulty_client import ClientMeans, Speech, nonsense


class TwoTongues(Asker):
    """Tells even replicas one thing and odd ones another, the same each time."""

    def __init__(self, label: str, means: ClientMeans, say: Speech = nonsense) -> None:
        super().__init__(label, means, say)
        self._tongues: tuple[Envelope, Envelope] | None = None

    def begin(self) -> None:
        """Sign the two."""
        self._tongues = (self.request(self.session, self.timestamp), self.request(self.session, self.timestamp))

    def ask(self) -> list[Send]:
        """Tell each replica what is for its side."""
        assert self._tongues is not None
        return [Send(replica, self._tongues[replica % 2]) for replica in self.everybody]
