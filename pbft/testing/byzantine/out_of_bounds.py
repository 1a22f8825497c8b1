"""OutOfBounds: says with each of its votes what nobody may take: other views, sequences, digests and groups (P4)."""

from __future__ import annotations

from dataclasses import replace

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.group import Group
from pbft.core.messages import PrePrepare, pack, unpack
from pbft.core.settings import Now
from pbft.encoding import digest
from pbft.testing.byzantine.adversary import Adversary


class OutOfBounds(Adversary):
    """Puts before each proposal and vote of its own the same beyond every bound, signed as well as it can."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Say first what is out of bounds, and then what is right."""
        twisted: list[Effect] = []
        for effect in super().twist(effects, now):
            if isinstance(effect, Send) and effect.envelope.sender == self.me:
                twisted += [Send(effect.to, each) for each in self._beyond(effect.envelope)]
            twisted.append(effect)
        return twisted

    def _beyond(self, vote: Envelope) -> list[Envelope]:
        if vote.kind not in (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT):
            return []
        body = unpack(PrePrepare, vote.body)
        n, log_size = self.means.group.n, self.means.group.limits.log_size
        wrong = [
            replace(body, sequence=0),
            replace(body, sequence=body.sequence + log_size),
            replace(body, sequence=body.sequence + 4 * log_size),
            replace(body, view=body.view + n),
        ]
        if body.view >= n:
            wrong.append(replace(body, view=body.view - n))
        if vote.kind is Kind.PRE_PREPARE:
            wrong.append(replace(body, digest=digest(b"pbft/lie", body.digest)))
        beyond = [self.say(vote.kind, pack(each), vote.beside) for each in wrong]
        signer = self.means.signers[self.me]
        return [*beyond, seal(self._elsewhere, signer, vote.kind, self.me, vote.body, vote.beside)]

    @property
    def _elsewhere(self) -> Group:
        """A group of the same members, with another id."""
        return Group.of(replace(self.means.group.genesis, nonce=bytes(16)))
