"""ViewFlooder: asks for one view after the other, and begins views that nobody asked for (R5)."""

from __future__ import annotations

from pbft.core.codec import MAX_UINT
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import (
    BEGINNING,
    NamedVote,
    NewView,
    PreparedCertificate,
    Renewal,
    Share,
    Status,
    ViewChange,
    pack,
)
from pbft.testing.byzantine.flooder import Flooder


class ViewFlooder(Flooder):
    """Sends VIEW-CHANGEs as large as they get for views that grow, NEW-VIEWs for huge ones, and claims beyond all."""

    def flood(self) -> list[Envelope]:
        """Return a VIEW-CHANGE and a NEW-VIEW, by turns for a view that is near and for a huge one, and a STATUS."""
        n, view = self.means.group.n, self.core.status().view
        huge = MAX_UINT // n - 2**20 + self.floods
        far = self.floods % 2
        return [
            *super().flood(),
            self.say(Kind.VIEW_CHANGE, pack(self._ask(huge if far else view + self.floods))),
            self.say(Kind.NEW_VIEW, pack(self._begin((huge - n if far else view // n + self.floods) * n + self.me))),
            self._claim(huge),
        ]

    def _ask(self, view: int) -> ViewChange:
        quorums, log_size = self.means.group.quorums, self.means.group.limits.log_size
        shares = tuple(Share(who, self.noise(64)) for who in range(1, quorums.prepared))
        prepared = tuple(
            PreparedCertificate(0, sequence, self.noise(32), self.noise(64), shares)
            for sequence in range(1, log_size + 1)
        )
        return ViewChange(view, BEGINNING, prepared)

    def _begin(self, view: int) -> NewView:
        votes = tuple(NamedVote(who, self.noise(32)) for who in range(self.means.group.quorums.view_change))
        renewals = tuple(Renewal(self.noise(32), self.noise(64)) for _ in range(self.means.group.limits.log_size))
        return NewView(view, votes, 0, renewals)

    def _claim(self, far: int) -> Envelope:
        views = (far,) * self.means.group.n
        wanted = tuple(self.noise(32) for _ in range(32))
        status = Status(far, far, far, far, far, asks=True, held=bytes(1024), view_changes=views, wanted=wanted)
        return Envelope(Kind.STATUS, self.me, pack(status))
