"""GarbageSigner: requests under signatures that are none, are of something else, or of somebody else (K2).

None of them may be held, relayed, ordered or answered, and none may hide a good one.
"""

from __future__ import annotations

from dataclasses import replace

from pbft.core.effects import Send
from pbft.core.envelope import Envelope
from pbft.core.messages import Request, pack
from pbft.testing.faulty_clients.faulty_client import ClientMeans, FaultyClient, Speech, nonsense


class GarbageSigner(FaultyClient):
    """Sends three bad requests each time, of one session, all under its first timestamp."""

    def __init__(self, label: str, means: ClientMeans, say: Speech = nonsense) -> None:
        super().__init__(label, means, say)
        self.session = self.new_session()

    def act(self) -> list[Send]:
        """Send them to everybody."""
        good = self.request(self.session, 1)
        noise = replace(good, signature=self.means.chance.randbytes(64))
        altered = replace(good, body=self.request(self.session, 1).body)
        return [
            *self.greet(self.session),
            *self.to_all(noise),
            *self.to_all(altered),
            *self.to_all(self._in_the_name_of_another()),
        ]

    def _in_the_name_of_another(self) -> Envelope:
        """Return a request of a client that is somebody else, signed with the only key at hand."""
        names = self.means.group.clients
        other = self.means.chance.choice([key for key in names if key != self.key] or [bytes(32)])
        body = pack(Request(other, self.session, 1, (self.operation(),)))
        envelope = self.request(self.session, 1)
        return replace(envelope, sender=other, body=body, signature=self.sign(envelope.kind, body))
