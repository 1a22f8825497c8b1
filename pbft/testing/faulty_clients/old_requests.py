"""OldRequests: sends again, for ever, what was answered long ago (K5).

Nothing runs twice; what its session ran last may be answered again, and what came before is not.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pbft.core.effects import Send
from pbft.core.envelope import Envelope
from pbft.testing.faulty_clients.asker import Asker
from pbft.testing.faulty_clients.faulty_client import ClientMeans, Speech, nonsense

_KEPT: Final = 256


class OldRequests(Asker):
    """Asks like a correct client, and besides repeats its first request, and a few out of all that it kept."""

    at_once: ClassVar[int] = 3

    def __init__(self, label: str, means: ClientMeans, say: Speech = nonsense) -> None:
        super().__init__(label, means, say)
        self._sent: list[Envelope] = []

    def begin(self) -> None:
        """Sign the next request, and keep it."""
        if len(self._sent) == _KEPT:
            del self._sent[1]
        self._sent.append(self.request(self.session, self.timestamp))

    def ask(self) -> list[Send]:
        """Ask what is next, and what is not."""
        old = [self._sent[0], *(self.means.chance.choice(self._sent) for _ in range(self.at_once))]
        return [send for envelope in (*old, self._sent[-1]) for send in self.to_all(envelope)]
