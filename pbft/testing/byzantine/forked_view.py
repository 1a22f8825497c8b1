"""ForkedView: begins its view in two ways, both of which follow from votes that a quorum signed (P1).

To the second half of the correct replicas its own VIEW-CHANGE shows no certificate, and its NEW-VIEW rests on that one.
What it alone had prepared is proposed again to the first half, and to the second half something else: neither can tell
that from a correct primary. With true quorums one of the two at most can prepare.
"""

from __future__ import annotations

from dataclasses import replace

from pbft.core.group import ReplicaId
from pbft.core.messages import ViewChange
from pbft.testing.byzantine.misquoter import Misquoter


class ForkedView(Misquoter):
    """Tells the second half another beginning of its view."""

    def ask(self, to: ReplicaId, vote: ViewChange) -> ViewChange:
        """Show the second half no certificate."""
        vote = super().ask(to, vote)
        return replace(vote, prepared=()) if self.means.in_second_half(to) else vote
