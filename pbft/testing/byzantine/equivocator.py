"""Equivocator: tells the two halves of the group two stories, and votes for both (P1, R2).

As primary of whichever view it proposes different batches to different backups at one sequence, and adds its own and
its colluders' votes for whatever each half was told. With prepare and commit quorums one short each, both batches
commit; with true quorums one at most can. As a backup it votes rightly to one half and for something else to the other.
"""

from __future__ import annotations

from dataclasses import replace

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.group import ReplicaId
from pbft.core.messages import Batch, PrePrepare, batch_digest, pack, unpack
from pbft.core.settings import Now
from pbft.encoding import digest
from pbft.testing.byzantine.adversary import Adversary


class Equivocator(Adversary):
    """Shows the first half of the correct replicas what its core would say, and the rest another story."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Rewrite what goes to the second half; leave no vote that would tell it of the first story."""
        effects = super().twist(effects, now)
        return [each for effect in effects for each in (self._retell(effect) if isinstance(effect, Send) else [effect])]

    def _retell(self, sent: Send) -> list[Effect]:
        envelope = sent.envelope
        if envelope.kind not in (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT):
            return [sent]
        body = unpack(PrePrepare, envelope.body)
        if self.means.group.primary(body.view) in self.means.signers:
            # The primary casts the votes of all who collude, each half its own; what their cores say would mix them up.
            told = self._tell(sent.to, body, envelope) if envelope.kind is Kind.PRE_PREPARE else []
            return [Send(sent.to, each) for each in told]
        if envelope.sender != self.me or not self.means.in_second_half(sent.to):
            return [sent]
        return [Send(sent.to, self.say(envelope.kind, pack(replace(body, digest=digest(b"pbft/lie", body.digest)))))]

    def _tell(self, to: ReplicaId, body: PrePrepare, proposal: Envelope) -> list[Envelope]:
        group, signers = self.means.group, self.means.signers
        primary = group.primary(body.view)
        if self.means.in_second_half(to):
            batch = unpack(Batch, proposal.beside)
            mirrored = pack(Batch(batch.time_ms + 1, batch.requests[::-1]))
            body = replace(body, digest=batch_digest(mirrored))
            proposal = seal(group, signers[primary], Kind.PRE_PREPARE, primary, pack(body), mirrored)
        return [proposal, *self.means.support(body)]
