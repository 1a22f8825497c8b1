"""Hoarder: keeps prepared certificates back, and shows them views later, when others have gone on (R4)."""

from __future__ import annotations

from dataclasses import replace

from pbft.core.certificates import shares
from pbft.core.effects import Effect, Prepared, Send
from pbft.core.envelope import Kind
from pbft.core.group import ReplicaId
from pbft.core.messages import PreparedCertificate, ViewChange
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Means
from pbft.testing.byzantine.misquoter import Misquoter


class Hoarder(Misquoter):
    """Shows nothing when it asks for an odd view, and for an even one the first certificate it had of each place (R4).

    It prepares with the others, but keeps its commits to itself, so that a batch may be prepared here and there only.
    """

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._hoard: dict[int, PreparedCertificate] = {}

    def ask(self, to: ReplicaId, vote: ViewChange) -> ViewChange:
        """Hide everything, or show what is oldest."""
        vote = super().ask(to, vote)
        if vote.view % 2:
            return replace(vote, prepared=())
        low = vote.stable.sequence
        places = range(low + 1, low + self.means.group.limits.log_size + 1)
        return replace(vote, prepared=tuple(self._hoard[each] for each in places if each in self._hoard))

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Hoard what has prepared, and commit to nothing."""
        for effect in effects:
            if isinstance(effect, Prepared):
                proposal, *prepares = effect.certificate
                certificate = PreparedCertificate(
                    effect.view, effect.sequence, effect.digest, proposal.signature, shares(prepares)
                )
                self._hoard.setdefault(effect.sequence, certificate)
        return [each for each in super().twist(effects, now) if not self._is_commit(each)]

    def _is_commit(self, effect: Effect) -> bool:
        return isinstance(effect, Send) and effect.envelope.kind is Kind.COMMIT and effect.envelope.sender == self.me
