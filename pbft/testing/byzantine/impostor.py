"""Impostor: says what is not its to say, over its own link: votes in others' names, and steps of another role (R2).

As a backup it proposes batches, as primary it sends prepares, and whatever it votes for it also prepares and commits
in the name of every correct replica. Nothing of this may count.
"""

from __future__ import annotations

from dataclasses import replace

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import NULL_BATCH, NULL_DIGEST, Commit, Prepare, PrePrepare, pack, unpack
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Adversary


class Impostor(Adversary):
    """Adds forgeries to each of its votes, and sends them first."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Put forgeries before what a correct replica would send."""
        twisted: list[Effect] = []
        for effect in super().twist(effects, now):
            if isinstance(effect, Send) and effect.envelope.kind in (Kind.PRE_PREPARE, Kind.PREPARE):
                twisted += [Send(effect.to, forgery) for forgery in self._forgeries(effect.envelope)]
            twisted.append(effect)
        return twisted

    def _forgeries(self, vote: Envelope) -> list[Envelope]:
        body = unpack(PrePrepare, vote.body)
        prepare = pack(Prepare(body.view, body.sequence, body.digest))
        commit = pack(Commit(body.view, body.sequence, body.digest))
        forgeries = [self.say(Kind.PREPARE, prepare)]
        if self.means.group.primary(body.view) != self.me:
            other = pack(PrePrepare(body.view, body.sequence + 1, NULL_DIGEST))
            forgeries.append(self.say(Kind.PRE_PREPARE, other, NULL_BATCH))
        for member in self.means.correct:
            # Signed with the only key at hand, which is the wrong one.
            for kind, words in ((Kind.PREPARE, prepare), (Kind.COMMIT, commit)):
                forgeries.append(replace(self.say(kind, words), sender=member))
        return forgeries
