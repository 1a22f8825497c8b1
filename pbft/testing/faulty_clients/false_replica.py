"""FalseReplica: a client that says over its own link what only replicas say, in the name of each of them (K2).

Votes, VIEW-CHANGEs for the next view and statuses that claim the impossible. Nothing of it may count: above all no view
change may begin.
"""

from __future__ import annotations

from pbft.core.effects import Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import BEGINNING, NULL_DIGEST, Checkpoint, Commit, Prepare, Status, ViewChange, pack
from pbft.testing.faulty_clients.faulty_client import FaultyClient


class FalseReplica(FaultyClient):
    """Speaks for one replica after the other."""

    def act(self) -> list[Send]:
        """Say everything in the next replica's name."""
        name = self.acts % self.means.group.n
        status = Status(1, 2, self.acts, self.acts, 1, True, b"", (), ())
        said = (
            (Kind.VIEW_CHANGE, pack(ViewChange(1, BEGINNING, ()))),
            (Kind.PREPARE, pack(Prepare(0, self.acts, NULL_DIGEST))),
            (Kind.COMMIT, pack(Commit(0, self.acts, NULL_DIGEST))),
            (Kind.CHECKPOINT, pack(Checkpoint(self.acts, NULL_DIGEST))),
        )
        envelopes = [Envelope(kind, name, body, self.sign(kind, body)) for kind, body in said]
        envelopes.append(Envelope(Kind.STATUS, name, pack(status)))
        return [send for envelope in envelopes for send in self.to_all(envelope)]
