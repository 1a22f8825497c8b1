"""AllButPrimary: asks every replica except the primary, whoever that is (K3).

All backups relay its requests, and time the primary by them.
"""

from __future__ import annotations

from pbft.core.effects import Send
from pbft.core.envelope import Envelope
from pbft.testing.faulty_clients.asker import Asker
from pbft.testing.faulty_clients.faulty_client import ClientMeans, Speech, nonsense


class AllButPrimary(Asker):
    """Follows the views, so as to pass every primary over."""

    def __init__(self, label: str, means: ClientMeans, say: Speech = nonsense) -> None:
        super().__init__(label, means, say)
        self._request: Envelope | None = None

    def begin(self) -> None:
        """Sign the next request."""
        self._request = self.request(self.session, self.timestamp)

    def ask(self) -> list[Send]:
        """Ask the backups."""
        assert self._request is not None
        return [Send(replica, self._request) for replica in self.everybody if replica != self.primary]
