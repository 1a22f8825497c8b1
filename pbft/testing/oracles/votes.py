"""What replicas sign: no equivocation (O5), no blame for the innocent (O16), no vote sent before it is durable.

Owns: how an envelope's vote is named, and the oracles that watch every envelope a correct replica hands out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from pbft.core.effects import Answer, Broadcast, Effect, Evidence, Persist, Send
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.group import ReplicaId
from pbft.core.messages import (
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Reply,
    ViewChange,
    unpack,
)
from pbft.encoding import EncodingError, digest
from pbft.testing.oracles.base import Facts, Oracle
from pbft.testing.words import short


@dataclass(frozen=True, slots=True)
class Vote:
    """What a signed message of a replica commits it to.

    A REPLY and a CHECKPOINT are bound to no view: the value is a root, or a state. A VIEW-CHANGE and a NEW-VIEW are
    bound to no sequence: the value is the digest of all that they say.
    """

    kind: Kind
    view: int | None
    sequence: int | None
    digest: bytes

    @property
    def place(self) -> tuple[Kind, int | None, int | None]:
        """Where a correct replica says one thing only; with the sender, the identity of a vote."""
        return self.kind, self.view, self.sequence

    def __str__(self) -> str:
        view = "" if self.view is None else f" v{self.view}"
        sequence = "" if self.sequence is None else f" s{self.sequence}"
        return f"{self.kind.name}{view}{sequence} {short(self.digest)}"


def read_vote(envelope: Envelope) -> Vote | None:
    """Return the vote that an envelope carries, or None when it carries none or nothing legible."""
    return _read_vote(envelope.kind, envelope.body)


@lru_cache(maxsize=4096)
def _read_vote(kind: Kind, body: bytes) -> Vote | None:
    try:
        match kind:
            case Kind.PRE_PREPARE:
                proposal = unpack(PrePrepare, body)
                return Vote(kind, proposal.view, proposal.sequence, proposal.digest)
            case Kind.PREPARE | Kind.COMMIT:
                vote = unpack(Prepare, body) if kind is Kind.PREPARE else unpack(Commit, body)
                return Vote(kind, vote.view, vote.sequence, vote.digest)
            case Kind.REPLY:
                reply = unpack(Reply, body)
                return Vote(kind, None, reply.sequence, reply.root)
            case Kind.CHECKPOINT:
                checkpoint = unpack(Checkpoint, body)
                return Vote(kind, None, checkpoint.sequence, checkpoint.digest)
            case Kind.VIEW_CHANGE:
                return Vote(kind, unpack(ViewChange, body).view, None, digest(b"oracle/view-chg", body))
            case Kind.NEW_VIEW:
                return Vote(kind, unpack(NewView, body).view, None, digest(b"oracle/new-view", body))
            case _:
                return None
    except EncodingError:
        return None


def renewed(envelope: Envelope) -> list[Vote]:
    """Return the pre-prepares that a NEW-VIEW holds, none for anything else: its primary has signed each."""
    if envelope.kind is not Kind.NEW_VIEW:
        return []
    try:
        said = unpack(NewView, envelope.body)
    except EncodingError:
        return []
    return [
        Vote(Kind.PRE_PREPARE, said.view, sequence, renewal.digest)
        for sequence, renewal in enumerate(said.renewals, start=said.stable + 1)
    ]


class NoEquivocation(Oracle):
    """O5: a correct replica never signs two different things in one place, what it proposes again included."""

    id = "O5"
    watches = (Persist, Send, Broadcast, Answer)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._said: dict[tuple[ReplicaId, Kind, int | None, int | None], bytes] = {}

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Compare what the replica says in its own name with what it said in the same place before."""
        assert isinstance(effect, Persist | Send | Broadcast | Answer)
        envelope = effect.vote if isinstance(effect, Persist) else effect.envelope
        vote = read_vote(envelope) if envelope.sender == replica else None
        if vote is None:
            return
        for each in (vote, *renewed(envelope)):
            self._compare(replica, each)

    def _compare(self, replica: ReplicaId, vote: Vote) -> None:
        said = self._said.setdefault((replica, *vote.place), vote.digest)
        if said != vote.digest:
            self.fail(f"replica {replica} signed {vote}, after {short(said)} in the same place")


class HonestEvidence(Oracle):
    """O16: evidence holds two genuine, different votes in one place, and never names a correct replica."""

    id = "O16"
    watches = (Evidence,)

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Judge the evidence as somebody would who was not there, and then as somebody who knows."""
        assert isinstance(effect, Evidence)
        blames = f"replica {replica} blames replica {effect.culprit}"
        one, other = read_vote(effect.first), read_vote(effect.second)
        if one is None or other is None or one.place != other.place or one == other:
            self.fail(
                f"replica {replica} blames replica {effect.culprit} for {one} and {other}, which may both be said"
            )
        for envelope in (effect.first, effect.second):
            if envelope.sender != effect.culprit or not genuine(self.facts.group, self.facts.verifier, envelope):
                self.fail(
                    f"replica {replica} blames replica {effect.culprit} for a {envelope.kind.name} it never signed"
                )
        if effect.culprit in self.facts.correct:
            self.fail(f"{blames}, which is correct")


class PersistBeforeSend(Oracle):
    """No vote of a correct replica leaves before the Persist of that vote, which stands earlier in its effects."""

    id = "persist-before-send"
    watches = (Persist, Send, Broadcast)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._durable: dict[tuple[ReplicaId, Kind, bytes], None] = {}

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Note what is made durable, and look up each vote that leaves."""
        if isinstance(effect, Persist):
            self._durable[replica, effect.vote.kind, effect.vote.body] = None
        elif isinstance(effect, Send | Broadcast):
            envelope = effect.envelope
            vote = read_vote(envelope) if envelope.sender == replica else None
            # A REPLY rests on the batch, which every replica can execute again; it is no vote of the three phases.
            if vote is None or vote.kind is Kind.REPLY:
                return
            if (replica, envelope.kind, envelope.body) not in self._durable:
                self.fail(f"replica {replica} sent {vote} before it made that vote durable")
