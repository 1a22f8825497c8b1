"""View changes: how a group leaves a primary and agrees on where the next one begins (OSDI'99 section 4.4).

Owns: the view this replica asks for, the VIEW-CHANGE of each replica, and the NEW-VIEWs that are not yet entered. When
to leave a view is the timers' to say; what entering does to the log is done elsewhere.

A VIEW-CHANGE counts by its outer signature: joining and the timer need no more. What it carries is judged only when a
NEW-VIEW rests on it (`pbft.core.reproposal`), and a replica keeps one vote a sender, of the highest view.

The paper's letters: C and P are `ViewChange.stable` and `prepared`, V and O are `NewView.votes` and `renewals`; min-s
is `NewView.stable`, and max-s the sequence of the last renewal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pbft.core.certificates import Certificates
from pbft.core.effects import Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.core.messages import (
    CheckpointProof,
    NamedVote,
    NewView,
    PreparedCertificate,
    PrePrepare,
    Renewal,
    Status,
    ViewChange,
    pack,
    view_change_digest,
)
from pbft.core.outbox import Outbox
from pbft.core.reproposal import Reproposal, is_well_formed, repropose

_WANTED = 32
"""Votes asked for in one status."""


@dataclass(frozen=True, slots=True)
class HeldVote:
    """A VIEW-CHANGE whose signature was verified."""

    vote: ViewChange
    envelope: Envelope
    digest: bytes


@dataclass(slots=True)
class Candidate:
    """A NEW-VIEW signed by the primary of its view, until the votes it names are there and it can be judged."""

    body: NewView
    envelope: Envelope
    fetched: dict[bytes, HeldVote] = field(default_factory=dict)
    """Votes it names of which another of their sender is held."""
    refused: bool = False
    contradicted: bool = False
    """Whether its primary was seen to sign another one for this view: once is enough."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A view to enter: its NEW-VIEW, the votes that this rests on, and what follows from them."""

    view: int
    envelope: Envelope
    votes: tuple[Envelope, ...]
    stable: CheckpointProof
    digests: tuple[bytes, ...]
    renewals: tuple[Envelope, ...]
    """The new view's pre-prepares, without their batches."""


class ViewChanges:
    """Votes for views to come, and the NEW-VIEW that answers them."""

    def __init__(self, outbox: Outbox, certificates: Certificates) -> None:
        self.target = 0
        """The view this replica asks for; it entered that one unless it is changing views."""
        self.entered: Entry | None = None
        """How the present view began: kept for whoever has not come to it yet. None in view 0."""
        self._out = outbox
        self._group = outbox.group
        self._certificates = certificates
        self._entered_votes: dict[bytes, Envelope] = {}
        """What the present view rests on, by digest."""
        self._votes: dict[ReplicaId, HeldVote] = {}
        self._candidates: dict[ReplicaId, Candidate] = {}
        self._judged: dict[ReplicaId, int] = {}
        """The view for which a second, different vote of a replica was judged last: once a view is enough."""

    @property
    def view(self) -> int:
        """The view entered last."""
        return self.entered.view if self.entered is not None else 0

    @property
    def has_quorum(self) -> bool:
        """Whether a quorum has left for the view that this replica asks for: from now on its primary is awaited.

        Who asks for a later one has left too. Counted for this view alone, its vote for this one being lost, a group of
        just a quorum could be stuck in two parts, none of which is large enough to start a timer or to be joined.
        """
        return len(self.leaving()) >= self._group.quorums.view_change

    def leaving(self) -> tuple[ReplicaId, ...]:
        """Return who has left for the view that this replica asks for, or a later one, as far as is known here."""
        return tuple(sender for sender, held in sorted(self._votes.items()) if held.vote.view >= self.target)

    def views(self) -> tuple[int, ...]:
        """Return the view of each replica's vote held here, 0 where there is none; nothing where there are none."""
        if not self._votes:
            return ()
        held = (self._votes.get(member.id) for member in self._group.members)
        return tuple(0 if each is None else each.vote.view for each in held)

    def wanted(self) -> tuple[bytes, ...]:
        """Return digests of votes that the NEW-VIEW of the view asked for names, and that are missing here."""
        candidate = self._candidate()
        if candidate is None:
            return ()
        missing = [name.digest for name in candidate.body.votes if self._named(candidate, name) is None]
        return tuple(missing[:_WANTED])

    def usage(self) -> dict[str, int]:
        """Return how much is held, for `pbft.core.usage`."""
        held = [each.envelope for each in self._votes.values()]
        held += [each.envelope for candidate in self._candidates.values() for each in candidate.fetched.values()]
        held += self.entered.votes if self.entered is not None else ()
        return {
            "view_changes": len(held),
            "view_change_bytes": sum(len(envelope.body) for envelope in held),
            "new_views": len(self._candidates) + (self.entered is not None),
        }

    # Leaving a view.

    def leave(self, view: int, stable: CheckpointProof, prepared: tuple[PreparedCertificate, ...]) -> None:
        """Ask for a view: built once, made durable, resent byte for byte (OSDI'99 section 4.4; design 4.8)."""
        self.target = view
        vote = ViewChange(view, stable, prepared)
        envelope = self._out.seal(Kind.VIEW_CHANGE, vote)
        self._votes[self._out.me] = HeldVote(vote, envelope, view_change_digest(self._out.me, envelope.body))
        self._out.vote(envelope, ())

    def joined(self) -> int | None:
        """Return the view to join because f+1 others ask for it or a higher one (OSDI'99 section 4.5.2).

        The smallest of the f+1 highest: at least one correct replica asks for that much, and nobody leaps alone.
        """
        others = (held.vote.view for who, held in self._votes.items() if who != self._out.me)
        view = self._group.quorums.weakly_supported(others)
        return view if view is not None and view > self.target else None

    # Handlers.

    def on_view_change(self, body: ViewChange, envelope: Envelope, signer: ReplicaId, sender: ReplicaId) -> None:
        """Hold a replica's vote for a view (OSDI'99 section 4.4).

        Refused unless it is for a view beyond the one entered, well formed, signed, and newer than the one held of its
        signer. One that a NEW-VIEW names is held for that, whatever else its signer said, and whoever brings it.
        """
        if body.view <= self.view:
            return self._out.ignore(Reason.WRONG_VIEW, envelope, sender)
        digest = view_change_digest(signer, envelope.body)
        candidate = self._candidate()
        named = candidate is not None and NamedVote(signer, digest) in candidate.body.votes
        if signer != sender and not named:
            return self._out.ignore(Reason.NOT_WANTED, envelope, sender)
        held = self._votes.get(signer)
        if (held is not None and held.digest == digest) or (candidate is not None and digest in candidate.fetched):
            return self._out.ignore(Reason.DUPLICATE, envelope, sender)
        if held is not None and held.vote.view > body.view and not named:
            return self._out.ignore(Reason.STALE, envelope, sender)
        if held is not None and self._judged.get(signer) == body.view and not named:
            return self._out.ignore(Reason.CONFLICTING, envelope, sender)
        if not is_well_formed(body, self._group.limits.log_size, self._group.quorums):
            return self._out.ignore(Reason.BAD_CERTIFICATE, envelope, sender)
        if not self._out.genuine(envelope):
            return self._out.ignore(Reason.BAD_SIGNATURE, envelope, sender)
        vote = HeldVote(body, envelope, digest)
        if candidate is not None and named:
            for other in self._candidates.values():
                if other is not candidate:
                    other.fetched.clear()
            candidate.fetched[digest] = vote
        if held is None or held.vote.view < body.view:
            self._votes[signer] = vote
        elif held.vote.view == body.view:
            self._judged[signer] = body.view
            self._out.blame(signer, held.envelope, envelope)
            self._out.ignore(Reason.CONFLICTING, envelope, sender)

    def on_new_view(self, body: NewView, envelope: Envelope, signer: ReplicaId, sender: ReplicaId) -> None:
        """Hold what the primary of a view says that a quorum asked for (OSDI'99 section 4.4).

        Refused unless its primary signed it, and this replica has entered no such view. It is judged once the votes
        that it names are here.
        """
        if body.view <= self.view:
            return self._out.ignore(Reason.WRONG_VIEW, envelope, sender)
        if signer != self._group.primary(body.view):
            return self._out.ignore(Reason.NOT_PRIMARY, envelope, sender)
        held = self._candidates.get(signer)
        if held is not None and held.body.view >= body.view:
            return self._on_second_new_view(held, body, envelope, sender)
        members = [name.replica for name in body.votes]
        if (
            len(members) != self._group.quorums.view_change
            or members != sorted(dict.fromkeys(members))
            or len(body.renewals) > self._group.limits.log_size
        ):
            return self._out.ignore(Reason.BAD_NEW_VIEW, envelope, sender)
        if not self._out.genuine(envelope):
            return self._out.ignore(Reason.BAD_SIGNATURE, envelope, sender)
        self._candidates[signer] = Candidate(body, envelope)

    def _on_second_new_view(self, held: Candidate, body: NewView, envelope: Envelope, sender: ReplicaId) -> None:
        if held.envelope.body == envelope.body:
            return self._out.ignore(Reason.DUPLICATE, envelope, sender)
        if held.body.view == body.view and not held.contradicted and self._out.genuine(envelope):
            held.contradicted = True
            self._out.blame(self._group.primary(body.view), held.envelope, envelope)
        self._out.ignore(Reason.CONFLICTING, envelope, sender)

    # The new view.

    def ready(self) -> Entry | None:
        """Return the view to enter: made as its primary once a quorum asks for it, or accepted from its primary.

        One below the view asked for is entered too, to execute what quorums commit there; without a vote.
        """
        if self._group.primary(self.target) == self._out.me:
            supporters = self._supporters()
            if len(supporters) >= self._group.quorums.view_change:
                return self._make(supporters)
        return self._judge()

    def enter(self, entry: Entry) -> None:
        """Forget the votes and NEW-VIEWs of views up to this one, but for what it rests on."""
        self.entered = entry
        self._entered_votes = {view_change_digest(int(each.sender), each.body): each for each in entry.votes}
        self.target = max(self.target, entry.view)
        self._votes = {
            who: held for who, held in self._votes.items() if held.vote.view > entry.view or who == self._out.me
        }
        self._candidates = {who: each for who, each in self._candidates.items() if each.body.view > entry.view}

    def _make(self, supporters: list[ReplicaId]) -> Entry:
        """Make the NEW-VIEW: the votes of a quorum, and one pre-prepare a sequence (OSDI'99 section 4.4)."""
        others = [who for who in supporters if who != self._out.me]
        chosen = sorted([self._out.me, *others[: self._group.quorums.view_change - 1]])
        held = [self._votes[who] for who in chosen]
        result = self._repropose(held)
        view, low = self.target, result.stable.sequence
        renewals = tuple(
            self._out.seal(Kind.PRE_PREPARE, PrePrepare(view, low + 1 + offset, digest))
            for offset, digest in enumerate(result.digests)
        )
        body = NewView(
            view,
            tuple(NamedVote(who, self._votes[who].digest) for who in chosen),
            low,
            tuple(Renewal(digest, each.signature) for digest, each in zip(result.digests, renewals, strict=True)),
        )
        envelope = self._out.seal(Kind.NEW_VIEW, body)
        votes = tuple(each.envelope for each in held)
        return Entry(view, envelope, votes, result.stable, result.digests, renewals)

    def _judge(self) -> Entry | None:
        """Recompute what the new primary must propose, and compare (OSDI'99 section 4.4)."""
        candidate = self._candidate()
        if candidate is None:
            return None
        found = [self._named(candidate, name) for name in candidate.body.votes]
        held = [each for each in found if each is not None]
        if len(held) < len(found):
            return None
        body, primary = candidate.body, self._group.primary(candidate.body.view)
        result = self._repropose(held)
        renewals = tuple(
            Envelope(
                Kind.PRE_PREPARE,
                primary,
                pack(PrePrepare(body.view, body.stable + 1 + offset, renewal.digest)),
                renewal.signature,
            )
            for offset, renewal in enumerate(body.renewals)
        )
        digests = tuple(renewal.digest for renewal in body.renewals)
        if (
            any(each.vote.view != body.view for each in held)
            or (body.stable, digests) != (result.stable.sequence, result.digests)
            or not all(self._out.genuine(each) for each in renewals)
        ):
            candidate.refused = True
            candidate.fetched.clear()
            self._out.ignore(Reason.BAD_NEW_VIEW, candidate.envelope, primary)
            return None
        votes = tuple(each.envelope for each in held)
        return Entry(body.view, candidate.envelope, votes, result.stable, digests, renewals)

    def _repropose(self, held: list[HeldVote]) -> Reproposal:
        return repropose(
            [each.vote for each in held],
            self._group.limits.log_size,
            self._certificates.is_stable,
            self._certificates.is_prepared,
        )

    def _supporters(self) -> list[ReplicaId]:
        return sorted(who for who, held in self._votes.items() if held.vote.view == self.target > self.view)

    def _candidate(self) -> Candidate | None:
        """Return the NEW-VIEW to pursue: of the view asked for, or the highest below; no more than one at a time."""
        held = (each for each in self._candidates.values() if each.body.view <= self.target and not each.refused)
        return max(held, key=lambda each: each.body.view, default=None)

    def _named(self, candidate: Candidate, name: NamedVote) -> HeldVote | None:
        held = self._votes.get(name.replica)
        return held if held is not None and held.digest == name.digest else candidate.fetched.get(name.digest)

    # What others lack.

    def answer(self, status: Status, peer: ReplicaId, is_turn: Callable[[int], bool]) -> int:
        """Send a peer what it lacks to come to this replica's view; return how many bytes that took.

        Its own vote goes to whoever does not hold it; the NEW-VIEW, and votes of others that one names, from one
        replica at a time: `is_turn` says whether it is this one's, counted from the primary of a view.
        """
        sent: list[Envelope] = []
        own = self._votes.get(self._out.me)
        known = status.view_changes[self._out.me] if self._out.me < len(status.view_changes) else 0
        if own is not None and own.vote.view > max(status.view, known):
            sent.append(own.envelope)
        entered = self.entered
        if entered is not None and entered.view > status.view and is_turn(entered.view):
            sent.append(entered.envelope)
        if status.wanted and is_turn(self.view):
            sent += self._known(status.wanted)
        for envelope in sent:
            self._out.send(peer, envelope)
        return sum(len(envelope.body) for envelope in sent)

    def _known(self, digests: tuple[bytes, ...]) -> list[Envelope]:
        known = self._entered_votes | {held.digest: held.envelope for held in self._votes.values()}
        return [known[digest] for digest in digests if digest in known]


__all__ = ["Candidate", "Entry", "HeldVote", "ViewChanges"]
