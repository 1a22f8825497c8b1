"""OneBackup: asks one backup and nobody else (K3). Odd, but lawful: the backup relays, and the group serves.

The patience of one backup alone changes no view. Where the primary is faulty, such a client waits until others, who ask
everybody, have the primary replaced.
"""

from __future__ import annotations

from pbft.core.effects import Send
from pbft.core.envelope import Envelope
from pbft.testing.faulty_clients.asker import Asker
from pbft.testing.faulty_clients.faulty_client import ClientMeans, Speech, nonsense


class OneBackup(Asker):
    """Is answered by all, but asks one."""

    def __init__(self, label: str, means: ClientMeans, say: Speech = nonsense) -> None:
        super().__init__(label, means, say)
        self.backup = means.chance.choice([replica for replica in self.everybody if replica != self.primary])
        """Whom it asks: a backup of view 0, whatever becomes of that."""
        self._request: Envelope | None = None

    def begin(self) -> None:
        """Sign the next request."""
        self._request = self.request(self.session, self.timestamp)

    def ask(self) -> list[Send]:
        """Ask the backup."""
        assert self._request is not None
        return [Send(self.backup, self._request)]
