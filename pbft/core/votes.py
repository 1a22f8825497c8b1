"""Votes of members, counted by what they are for, verified when a certificate needs them (design 4.4).

Owns: the rules of admission (one vote a member and view, a bad signature never hides a good one, a conflict is judged
once) and of certificates. Knows nothing of what is voted on, nor how many a certificate takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from pbft.core.envelope import Envelope
from pbft.core.group import ReplicaId

Verify = Callable[[Envelope], bool]


@dataclass(slots=True)
class Vote:
    """One member's vote: what it is for, the envelope that says so, and whether it counts as it stands.

    A PREPARE counts once its signature is verified; a COMMIT also on the strength of its signer's own link.
    """

    digest: bytes
    envelope: Envelope
    trusted: bool


class Admission(Enum):
    """What became of a vote."""

    HELD = "held"
    DUPLICATE = "duplicate"
    BAD_SIGNATURE = "bad signature"
    CONFLICTING = "conflicting"
    """The member's earlier, different vote keeps its place."""
    EQUIVOCATION = "equivocation"
    """As CONFLICTING, and both were verified: the member signed both."""


class Votes:
    """Votes of one kind for one sequence: at most one a member and view, grouped by value.

    A vote's identity is (sender, kind, view, sequence), never its signature bytes, so a second signature over the same
    words counts nothing.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[int, ReplicaId], Vote] = {}
        self._spare: dict[tuple[int, ReplicaId], Vote] = {}
        self._judged: dict[tuple[ReplicaId, bool], None] = {}
        """Members of whom a conflict was judged, apart for what they sent themselves and what others relayed."""

    def __len__(self) -> int:
        return len(self._held) + len(self._spare)

    def held(self, view: int, member: ReplicaId) -> Vote | None:
        """Return the vote of a member in a view."""
        return self._held.get((view, member))

    def admit(self, view: int, member: ReplicaId, vote: Vote, *, relayed: bool, verify: Verify) -> Admission:
        """Take a member's vote in a view, or say why not.

        One that somebody else relayed must verify before it takes its signer's place. Where a different vote is held,
        both are verified: once a member for what came on its own link and once for what others relayed, so that a flood
        of conflicts costs little, and a forged one does not use up the judgement of a real one.
        """
        held = self._held.get((view, member))
        if held is None:
            if relayed and not vote.trusted:
                if not verify(vote.envelope):
                    return Admission.BAD_SIGNATURE
                vote.trusted = True
            self._held[view, member] = vote
            return Admission.HELD
        if held.digest == vote.digest:
            return Admission.DUPLICATE
        if (member, relayed) in self._judged:
            return Admission.CONFLICTING
        self._judged[member, relayed] = None
        if not verify(vote.envelope):
            return Admission.BAD_SIGNATURE
        vote.trusted = True
        if verify(held.envelope):
            return Admission.EQUIVOCATION
        self._held[view, member] = vote
        return Admission.HELD

    def spare(self, view: int, member: ReplicaId, vote: Vote) -> None:
        """Keep one vote more than a certificate needed, apart from those that count."""
        self._spare.setdefault((view, member), vote)

    def proven(self, view: int, digest: bytes, needed: int, verify: Verify) -> tuple[Envelope, ...] | None:
        """Return `needed` votes for one value whose signatures are good, whatever they counted on before, or None."""
        found = {member: vote for (seen, member), vote in self._spare.items() if (seen, vote.digest) == (view, digest)}
        found.update(self.matching(view, digest))
        good = [found[member].envelope for member in sorted(found) if verify(found[member].envelope)]
        return tuple(good[:needed]) if len(good) >= needed else None

    def matching(self, view: int, digest: bytes) -> list[tuple[ReplicaId, Vote]]:
        """Return the votes for one value, by member."""
        found = [
            (member, vote)
            for (vote_view, member), vote in self._held.items()
            if vote_view == view and vote.digest == digest
        ]
        return sorted(found, key=lambda pair: pair[0])

    def certificate(self, view: int, digest: bytes, needed: int, verify: Verify) -> tuple[Envelope, ...] | None:
        """Return `needed` votes of distinct members for one value, or None while there are too few.

        Votes not yet verified are verified now, as many as it takes; a bad one is dropped and makes room for a good
        one of its member.
        """
        matching = self.matching(view, digest)
        if len(matching) < needed:
            return None
        counted = [vote.envelope for _, vote in matching if vote.trusted]
        for member, vote in matching:
            if len(counted) >= needed:
                break
            if vote.trusted:
                continue
            if verify(vote.envelope):
                vote.trusted = True
                counted.append(vote.envelope)
            else:
                del self._held[view, member]
        return tuple(counted[:needed]) if len(counted) >= needed else None
