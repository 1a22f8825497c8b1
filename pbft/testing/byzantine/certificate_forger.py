"""CertificateForger: shows in its VIEW-CHANGEs what never prepared, hides what did, and vouches for no state (R4)."""

from __future__ import annotations

from typing import ClassVar

from pbft.core.group import ReplicaId
from pbft.core.messages import ViewChange
from pbft.core.replica import Replica
from pbft.testing.byzantine.adversary import Means
from pbft.testing.byzantine.certificate_flaws import FLAWS
from pbft.testing.byzantine.misquoter import Misquoter


class CertificateForger(Misquoter):
    """Spoils each VIEW-CHANGE of its own in one of its `forgeries`, one a view in turn, and begins views on it (R4)."""

    forgeries: ClassVar[tuple[str, ...]] = tuple(FLAWS)

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._begins_with = means.chance.randrange(len(self.forgeries))
        """Which flaw comes first: a run sees few views, and another one sees others of them."""

    def ask(self, to: ReplicaId, vote: ViewChange) -> ViewChange:
        """Spoil a vote."""
        vote = super().ask(to, vote)
        return FLAWS[self.forgeries[(self._begins_with + vote.view) % len(self.forgeries)]](self, vote)
