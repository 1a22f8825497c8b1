"""Misquoter: what those share who say something else than their core in a VIEW-CHANGE. It changes nothing by itself.

Owns: the votes that others told, and what each was told in place of its own. Where it is the primary to be, its
NEW-VIEW names the vote that it told, and proposes again what follows from that if all of it is taken for true.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeVar

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.group import ReplicaId
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


class Misquoter(Adversary):
    """Tells each replica what a subclass makes of its VIEW-CHANGE, and begins its views accordingly."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._votes: dict[bytes, ViewChange] = {}
        """The latest votes of others, and its own as others were told them, by digest."""
        self._quoted: dict[tuple[ReplicaId, int], bytes] = {}
        """The digest of its own vote, as it was told to a replica for a view."""

    def ask(self, to: ReplicaId, vote: ViewChange) -> ViewChange:
        """Return what one replica is told in place of a vote; each time the same."""
        return vote

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
        """Rewrite what is said of a view's beginning."""
        return [self._requote(each) if isinstance(each, Send) else each for each in super().twist(effects, now)]

    def _requote(self, sent: Send) -> Effect:
        if sent.envelope.sender != self.me:
            return sent
        if sent.envelope.kind is Kind.VIEW_CHANGE:
            vote = self.ask(sent.to, unpack(ViewChange, sent.envelope.body))
            told = self.say(Kind.VIEW_CHANGE, pack(vote))
            _keep(self._quoted, (sent.to, vote.view), view_change_digest(self.me, told.body))
            _keep(self._votes, self._quoted[sent.to, vote.view], vote)
            return Send(sent.to, told)
        if sent.envelope.kind is Kind.NEW_VIEW:
            return Send(
                sent.to, self.say(Kind.NEW_VIEW, pack(self._rest_on_it(sent.to, unpack(NewView, sent.envelope.body))))
            )
        return sent

    def _rest_on_it(self, to: ReplicaId, body: NewView) -> NewView:
        """Return what follows from the same votes, but for its own."""
        told = self._quoted.get((to, body.view))
        names = tuple(NamedVote(self.me, told) if each.replica == self.me and told else each for each in body.votes)
        if names == body.votes or any(each.digest not in self._votes for each in names):
            return body
        votes = [self._votes[each.digest] for each in names]
        again = repropose(votes, self.means.group.limits.log_size, lambda _: True, lambda _: True)
        renewals = tuple(
            Renewal(batch, self.say(Kind.PRE_PREPARE, pack(PrePrepare(body.view, sequence, batch))).signature)
            for sequence, batch in enumerate(again.digests, start=again.stable.sequence + 1)
        )
        return replace(body, votes=names, stable=again.stable.sequence, renewals=renewals)


def _keep(memory: dict[Key, Value], key: Key, value: Value) -> None:
    """Remember something, and let go of the oldest where that is much by now."""
    memory[key] = value
    if len(memory) > _KEPT:
        del memory[next(iter(memory))]
