"""SequenceFlooder: votes for what nobody proposed, at sequences and in views that nobody has come to (R5)."""

from __future__ import annotations

from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import (
    Batch,
    Checkpoint,
    Commit,
    CommitCertificate,
    Prepare,
    PrePrepare,
    Share,
    batch_digest,
    pack,
)
from pbft.core.state_messages import TOP, Fetch, NodeAt, Nodes
from pbft.testing.byzantine.flooder import Flooder


class SequenceFlooder(Flooder):
    """Sends proposals, votes, checkpoints, certificates and nodes for every place but those that are due."""

    def flood(self) -> list[Envelope]:
        """Return the three phases for one place, a checkpoint, and something that nobody asked for.

        The place lies in the log, beyond it or far beyond it, in this view or in one to come of which it is primary.
        """
        group, chance = self.means.group, self.means.chance
        status, log_size, interval = self.core.status(), group.limits.log_size, group.limits.checkpoint_interval
        near = status.low_watermark + chance.randint(1, log_size)
        sequence = near + chance.choice((0, log_size, 100 * log_size))
        own_view = (status.view // group.n + chance.randint(1, 3)) * group.n + self.me
        state = Checkpoint(sequence - sequence % interval, self.noise(32))
        return [
            *super().flood(),
            *self._phases(chance.choice((status.view, own_view)), sequence),
            self.say(Kind.CHECKPOINT, pack(state)),
            self._unasked(near),
        ]

    def _phases(self, view: int, sequence: int) -> list[Envelope]:
        data = pack(Batch(self.floods, ()))
        place = (view, sequence, batch_digest(data))
        return [
            self.say(Kind.PRE_PREPARE, pack(PrePrepare(*place)), data),
            self.say(Kind.PREPARE, pack(Prepare(*place))),
            self.say(Kind.COMMIT, pack(Commit(*place))),
        ]

    def _unasked(self, sequence: int) -> Envelope:
        data = pack(Batch(self.floods, ()))
        match self.floods % 3:
            case 0:
                shares = tuple(Share(who, self.noise(64)) for who in range(self.means.group.quorums.committed))
                committed = CommitCertificate(0, sequence, batch_digest(data), shares)
                return Envelope(Kind.COMMITTED, self.me, pack(committed), b"", data)
            case 1:
                return Envelope(Kind.NODES, self.me, pack(Nodes(sequence, (NodeAt(TOP, self.noise(512)),))))
            case _:
                return Envelope(Kind.FETCH, self.me, pack(Fetch(sequence, self.noise(32), (TOP,))))
