"""ManyTongues: tells every replica another operation under one timestamp, and yet another whenever it asks again (K1).

No two replicas ever hold the same request of this client, so that none waits for what the others saw.
"""

from __future__ import annotations

from pbft.core.effects import Send
from pbft.testing.faulty_clients.asker import Asker


class ManyTongues(Asker):
    """Never says the same twice."""

    def ask(self) -> list[Send]:
        """Sign an operation for each replica alone."""
        return [Send(replica, self.request(self.session, self.timestamp)) for replica in self.everybody]
