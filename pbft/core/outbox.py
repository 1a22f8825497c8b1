"""The desk that a replica's parts share: who it is, what time it is, and the effects of the turn.

Owns: the list of effects, signing in this replica's name and checking others' signatures. Decides nothing.
"""

from __future__ import annotations

from pbft.core.effects import Answer, Broadcast, Effect, Evidence, Ignored, Notice, Persist, Reason, Send
from pbft.core.envelope import Envelope, Kind, Sender, Signer, Verifier, genuine, seal
from pbft.core.group import ClientKey, Group, ReplicaId
from pbft.core.messages import pack
from pbft.core.settings import Now
from pbft.core.votes import Admission, Vote, Votes

_REFUSALS = {
    Admission.DUPLICATE: Reason.DUPLICATE,
    Admission.BAD_SIGNATURE: Reason.BAD_SIGNATURE,
    Admission.CONFLICTING: Reason.CONFLICTING,
    Admission.EQUIVOCATION: Reason.CONFLICTING,
}


class Outbox:
    """Effects in the order they are to be performed."""

    def __init__(self, me: ReplicaId, group: Group, signer: Signer, verifier: Verifier) -> None:
        self.me = me
        self.group = group
        self.signer = signer
        self.now = Now(0, 0)
        self._verifier = verifier
        self._effects: list[Effect] = []

    def begin(self, now: Now) -> None:
        """Start a turn at a time."""
        self.now = now
        self._effects = []

    def effects(self) -> list[Effect]:
        """Return what the turn came to."""
        return self._effects

    def seal(self, kind: Kind, message: object, beside: bytes = b"") -> Envelope:
        """Return a message signed by this replica."""
        return seal(self.group, self.signer, kind, self.me, pack(message), beside)

    def plain(self, kind: Kind, message: object, beside: bytes = b"") -> Envelope:
        """Return a message of a kind that its link alone authenticates."""
        return Envelope(kind, self.me, pack(message), b"", beside)

    def genuine(self, envelope: Envelope) -> bool:
        """Say whether an envelope's sender signed it."""
        return genuine(self.group, self._verifier, envelope)

    def vote(self, envelope: Envelope, basis: tuple[Envelope, ...]) -> None:
        """Cast a vote: durable first, with what it rests on, then on its way (design 3)."""
        self._effects.append(Persist(envelope, basis))
        self._effects.append(Broadcast(envelope))

    def cast(self, votes: Votes, view: int, vote: Vote, basis: tuple[Envelope, ...]) -> None:
        """Count a vote of our own, and cast it."""
        votes.admit(view, self.me, vote, relayed=False, verify=self.genuine)
        self.vote(vote.envelope, basis)

    def admit(self, votes: Votes, view: int, signer: ReplicaId, vote: Vote, sender: ReplicaId) -> bool:
        """Take a member's vote among others, or refuse it and blame who signed two; say whether it was taken."""
        held = votes.held(view, signer)
        admission = votes.admit(view, signer, vote, relayed=signer != sender, verify=self.genuine)
        if admission is Admission.HELD:
            return True
        if admission is Admission.EQUIVOCATION and held is not None:
            self.blame(signer, held.envelope, vote.envelope)
        self.ignore(_REFUSALS[admission], vote.envelope, sender)
        return False

    def remember(self, envelope: Envelope, basis: tuple[Envelope, ...]) -> None:
        """Make durable what somebody else said and this replica acts upon, with what it rests on."""
        self._effects.append(Persist(envelope, basis))

    def send(self, to: ReplicaId, envelope: Envelope) -> None:
        """Send to one replica."""
        self._effects.append(Send(to, envelope))

    def broadcast(self, envelope: Envelope) -> None:
        """Send to all other replicas."""
        self._effects.append(Broadcast(envelope))

    def answer(self, client: ClientKey, session: bytes, envelope: Envelope) -> None:
        """Send to a client's session."""
        self._effects.append(Answer(client, session, envelope))

    def notice(self, notice: Notice) -> None:
        """Let watchers know."""
        self._effects.append(notice)

    def ignore(self, reason: Reason, envelope: Envelope, sender: Sender) -> None:
        """Note that a message was refused, and why."""
        self._effects.append(Ignored(reason, sender, envelope.kind))

    def blame(self, culprit: ReplicaId, first: Envelope, second: Envelope) -> None:
        """Note two messages that a correct replica never signs both."""
        self._effects.append(Evidence(culprit, first, second))
