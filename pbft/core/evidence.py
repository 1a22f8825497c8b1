"""Evidence: two signed messages of one replica of which a correct one signs one at most (design 4.13).

Owns: what place a signed message speaks for, the bytes of a file of evidence, and its verification by anybody with the
group's public file. Needs no server and no network; knows nothing of who found the two messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, NamedTuple

from pbft.core.codec import Digest, Opaque, Signature, Small, Within, pack, unpack
from pbft.core.effects import Evidence
from pbft.core.envelope import Envelope, Kind, Verifier, genuine
from pbft.core.group import Group, ReplicaId
from pbft.core.messages import Checkpoint, Commit, NewView, Prepare, PrePrepare, Reply, ViewChange
from pbft.encoding import EncodingError
from pbft.errors import PbftError

CAUTION: Final = (
    "One wrong reply is a complaint, while two messages that contradict each other are proof; "
    "but a replica whose disk was lost or rolled back may look guilty without malice."
)
"""What whoever reads evidence has to know before acting on it (design 4.13)."""

_VOTES: Final[Mapping[Kind, type[Any]]] = {
    Kind.PRE_PREPARE: PrePrepare,
    Kind.PREPARE: Prepare,
    Kind.COMMIT: Commit,
    Kind.CHECKPOINT: Checkpoint,
    Kind.VIEW_CHANGE: ViewChange,
    Kind.NEW_VIEW: NewView,
    Kind.REPLY: Reply,
}


class EvidenceError(PbftError, ValueError):
    """Evidence that proves nothing; the message says why."""


class Place(NamedTuple):
    """Where a correct replica says one thing only: with its sender, the identity of a vote (design 4, wire rules)."""

    kind: Kind
    view: int | None
    """None for what is bound to no view: a CHECKPOINT and a REPLY."""
    sequence: int | None
    """None for what speaks of a view as a whole: a VIEW-CHANGE and a NEW-VIEW."""

    def __str__(self) -> str:
        named = (("view", self.view), ("sequence", self.sequence))
        return ", ".join(f"{name} {number}" for name, number in named if number is not None)


def place(kind: Kind, body: bytes) -> Place | None:
    """Return the place that a message speaks for.

    Two bodies of one place contradict each other unless they are equal: the encoding is canonical, and what is not the
    place is what the replica says there. None for a kind that binds its sender to nothing, and for a body that is not
    of its kind.
    """
    try:
        return _read_place(kind, body)
    except EncodingError:
        return None


def _read_place(kind: Kind, body: bytes) -> Place | None:
    shape = _VOTES.get(kind)
    if shape is None:
        return None
    said = unpack(shape, body)
    return Place(kind, getattr(said, "view", None), getattr(said, "sequence", None))


@dataclass(frozen=True, slots=True)
class Finding:
    """What evidence came to once it was verified."""

    culprit: ReplicaId
    place: Place

    @property
    def act(self) -> str:
        """What the culprit did, in words."""
        return f"replica {self.culprit} signed two different {_spell(self.place.kind)} messages for {self.place}"

    @property
    def words(self) -> str:
        """What is proven, and what to keep in mind: two sentences."""
        return f"{self.act}, and a correct replica signs one at most. {CAUTION}"


@dataclass(frozen=True, slots=True)
class Signed:
    """One message as it was signed. What travelled beside it is left out: no signature covers that."""

    kind: Annotated[int, Within(0, 255)]
    body: Opaque
    signature: Signature


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """Who signed two messages that contradict each other, and both of them."""

    group: Digest
    culprit: Small
    first: Signed
    second: Signed

    @classmethod
    def of(cls, group: Group, effect: Evidence) -> Misbehaviour:
        """Return what a replica of the group found, ready to be kept."""
        first, second = (Signed(each.kind.value, each.body, each.signature) for each in (effect.first, effect.second))
        return cls(group.id, effect.culprit, first, second)

    def to_bytes(self) -> bytes:
        """Return the file form."""
        return pack(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Misbehaviour:
        """Decode evidence. Raises EvidenceError."""
        try:
            return unpack(cls, data)
        except EncodingError as error:
            raise EvidenceError(f"this is not evidence: {error}") from None

    def verify(self, group: Group, verifier: Verifier) -> Finding:
        """Return who is the culprit, and of what. Raises EvidenceError unless both messages prove it.

        Proof are two genuine messages of one member and kind that say different things in one place. A PREPARE by the
        primary of its view counts nowhere, its vote being its pre-prepare (OSDI'99 section 4.2), so it contradicts
        nothing.
        """
        if self.group != group.id:
            raise EvidenceError("this evidence belongs to another group")
        if self.culprit >= group.n:
            raise EvidenceError(f"there is no replica {self.culprit} in the group, whose last is {group.n - 1}")
        found = self._place()
        if found.kind is Kind.PREPARE and found.view is not None and group.primary(found.view) == self.culprit:
            raise EvidenceError(
                f"replica {self.culprit} is the primary of view {found.view}, whose PREPARE messages count nowhere "
                "and contradict nothing"
            )
        for which, each in (("first", self.first), ("second", self.second)):
            if not genuine(group, verifier, Envelope(found.kind, self.culprit, each.body, each.signature)):
                raise EvidenceError(f"replica {self.culprit} did not sign the {which} of the two messages")
        return Finding(self.culprit, found)

    def _place(self) -> Place:
        """Return the one place that both messages speak for, with different words. Raises EvidenceError."""
        try:
            kinds = [Kind(each.kind) for each in (self.first, self.second)]
        except ValueError:
            raise EvidenceError("one of the two messages is of an unknown kind") from None
        kind, other = kinds
        if kind is not other:
            raise EvidenceError(
                f"the two messages are a {_spell(kind)} and a {_spell(other)}, and only two of one kind can contradict "
                "each other"
            )
        if self.first.body == self.second.body:
            raise EvidenceError("both messages say the same, and two signatures under the same words prove nothing")
        try:
            one, two = (_read_place(kind, each.body) for each in (self.first, self.second))
        except EncodingError as error:
            raise EvidenceError(f"one of the two messages is not a {_spell(kind)}: {error}") from None
        if one is None or two is None:
            raise EvidenceError(f"a {_spell(kind)} binds whoever sends it to nothing, so two of them prove nothing")
        if one != two:
            raise EvidenceError(
                f"the two messages do not contradict each other: one speaks for {one}, the other for {two}"
            )
        return one


def _spell(kind: Kind) -> str:
    """Return a kind's name as the papers write it, as in PRE-PREPARE."""
    return kind.name.replace("_", "-")
