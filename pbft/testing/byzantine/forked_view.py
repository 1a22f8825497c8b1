"""ForkedView: begins its view in two ways, both of which follow from votes that a quorum signed.

To the second half of the correct replicas its own VIEW-CHANGE shows no certificate, and its NEW-VIEW rests on that one.
What it alone had prepared is proposed again to the first half, and to the second half something else: neither can tell
that from a correct primary. With true quorums one of the two at most can prepare.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeVar

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.messages import NamedVote, NewView, PrePrepare, Renewal, ViewChange, pack, unpack, view_change_digest
from pbft.core.replica import Replica
from pbft.core.reproposal import repropose
from pbft.core.settings import Now
from pbft.encoding import EncodingError
from pbft.testing.byzantine.adversary import Adversary, Means

Key = TypeVar("Key")
Value = TypeVar("Value")

_KEPT: Final = 1_024
"""More votes than replicas have in flight; only a colluder that floods could make it forget one too soon."""


class ForkedView(Adversary):
    """Tells the second half another beginning of its view."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._votes: dict[bytes, ViewChange] = {}
        """The latest votes of others, and its own without certificates, by digest."""
        self._bare: dict[int, bytes] = {}
        """The digest of its own vote without certificates, for the views that it asked for lately."""

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Remember who asks for which view."""
        if envelope.kind is Kind.VIEW_CHANGE and isinstance(envelope.sender, int):
            try:
                vote = unpack(ViewChange, envelope.body)
            except EncodingError:
                return super().receive(envelope, sender, now)
            _keep(self._votes, view_change_digest(envelope.sender, envelope.body), vote)
        return super().receive(envelope, sender, now)

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Rewrite what the second half hears of a view's beginning."""
        return [self._retell(each) if isinstance(each, Send) else each for each in super().twist(effects, now)]

    def _retell(self, sent: Send) -> Effect:
        envelope = sent.envelope
        if envelope.sender != self.me or not self.means.in_second_half(sent.to):
            return sent
        if envelope.kind is Kind.VIEW_CHANGE:
            vote = replace(unpack(ViewChange, envelope.body), prepared=())
            bare = self.say(Kind.VIEW_CHANGE, pack(vote))
            _keep(self._bare, vote.view, view_change_digest(self.me, bare.body))
            _keep(self._votes, self._bare[vote.view], vote)
            return Send(sent.to, bare)
        if envelope.kind is Kind.NEW_VIEW:
            return Send(sent.to, self.say(Kind.NEW_VIEW, pack(self._fork(unpack(NewView, envelope.body)))))
        return sent

    def _fork(self, body: NewView) -> NewView:
        """Return what follows from the same votes, but for its own."""
        bare = NamedVote(self.me, self._bare[body.view])
        names = tuple(bare if each.replica == self.me else each for each in body.votes)
        votes = [self._votes[each.digest] for each in names]
        again = repropose(votes, self.means.group.limits.log_size, lambda _: True, lambda _: True)
        renewals = tuple(
            Renewal(batch, self.say(Kind.PRE_PREPARE, pack(PrePrepare(body.view, sequence, batch))).signature)
            for sequence, batch in enumerate(again.digests, start=again.stable.sequence + 1)
        )
        return NewView(body.view, names, again.stable.sequence, renewals)


def _keep(memory: dict[Key, Value], key: Key, value: Value) -> None:
    """Remember something, and let go of the oldest where that is much by now."""
    memory[key] = value
    if len(memory) > _KEPT:
        del memory[next(iter(memory))]
