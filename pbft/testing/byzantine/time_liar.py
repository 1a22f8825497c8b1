"""TimeLiar: proposes times that lie beyond the drift, in the past, in the future and at the end of all times (P8)."""

from __future__ import annotations

from dataclasses import replace

from pbft.core.codec import MAX_UINT
from pbft.core.envelope import Envelope
from pbft.core.group import ReplicaId
from pbft.core.messages import Batch, PrePrepare, unpack
from pbft.testing.byzantine.proposer import Proposer


class TimeLiar(Proposer):
    """Gives its batches four wrong times, one after the other, and all who collude vote for them."""

    def propose(self, to: ReplicaId, body: PrePrepare, envelope: Envelope) -> list[Envelope]:
        """Propose the batch for another time."""
        batch = unpack(Batch, envelope.beside)
        beyond_ms = 2 * self.means.group.limits.clock_drift_ms
        times_ms = (batch.time_ms + beyond_ms, max(0, batch.time_ms - beyond_ms), 0, MAX_UINT)
        return self.assign(body.view, body.sequence, replace(batch, time_ms=times_ms[body.sequence % 4]))
