"""ForgingPrimary: puts into its batches what no client ever asked for (P2)."""

from __future__ import annotations

from dataclasses import replace

from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.group import ReplicaId
from pbft.core.messages import Batch, PrePrepare, Request, pack, unpack
from pbft.encoding import digest
from pbft.testing.byzantine.proposer import Proposer


class ForgingPrimary(Proposer):
    """Adds to each batch a request that nobody signed, that it signed for its client, or of a client it invented."""

    def propose(self, to: ReplicaId, body: PrePrepare, envelope: Envelope) -> list[Envelope]:
        """Propose the batch with one request more."""
        batch = unpack(Batch, envelope.beside)
        if not batch.requests:
            return [envelope]
        forgery = self._forge(Envelope.from_bytes(batch.requests[0]), body.sequence)
        return self.assign(body.view, body.sequence, replace(batch, requests=(*batch.requests, forgery.to_bytes())))

    def _forge(self, real: Envelope, sequence: int) -> Envelope:
        """Return what the client of a real request might have asked for next, in one of three ways."""
        request = unpack(Request, real.body)
        again = replace(request, timestamp=request.timestamp + 1)
        signer = self.means.signers[self.me]
        match sequence % 3:
            case 0:
                return replace(real, body=pack(again), signature=bytes(64))
            case 1:
                return seal(self.means.group, signer, Kind.REQUEST, real.sender, pack(again))
            case _:
                nobody = digest(b"pbft/nobody", self.means.group.id)
                body = pack(replace(again, client=nobody))
                return Envelope(Kind.REQUEST, nobody, body, signer.sign(body))
