"""Proposer: what wicked primaries share. It says nothing wrong by itself."""

from __future__ import annotations

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.core.messages import Batch, PrePrepare, batch_digest, pack, unpack
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Adversary


class Proposer(Adversary):
    """Lets a subclass say something else in place of each proposal that it makes as primary, backup by backup."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Replace proposals; leave the rest."""
        twisted: list[Effect] = []
        for effect in super().twist(effects, now):
            if isinstance(effect, Send) and effect.envelope.kind is Kind.PRE_PREPARE and self._is_own(effect.envelope):
                body = unpack(PrePrepare, effect.envelope.body)
                twisted += [Send(effect.to, each) for each in self.propose(effect.to, body, effect.envelope)]
            else:
                twisted.append(effect)
        return twisted

    def propose(self, to: ReplicaId, body: PrePrepare, envelope: Envelope) -> list[Envelope]:
        """Return what one backup is told in place of one proposal."""
        return [envelope]

    def assign(self, view: int, sequence: int, batch: Batch) -> list[Envelope]:
        """Return a proposal of this batch, with the votes of all who collude."""
        data = pack(batch)
        body = PrePrepare(view, sequence, batch_digest(data))
        return [self.say(Kind.PRE_PREPARE, pack(body), data), *self.means.support(body)]

    def _is_own(self, envelope: Envelope) -> bool:
        return envelope.sender == self.me
