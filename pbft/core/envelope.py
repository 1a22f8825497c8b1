"""The signed wrapper of every protocol message, and the exact bytes that its signature covers (design 4.1).

Owns: message kinds, the envelope's bytes, signing and checking under domain separation. Knows nothing of what a body
says. A signature covers "pbft/v1", the group id, the kind, the sender's role and key, and the body's exact bytes, so
that nothing said in one group, as one kind or by one party can be replayed as another.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from pbft.core.group import ClientKey, Group, ReplicaId
from pbft.encoding import EncodingError, decode, encode

MAGIC: Final = b"pbft/v1"


class Kind(IntEnum):
    """What an envelope carries. The number is part of what is signed and never changes its meaning."""

    REQUEST = 1
    PRE_PREPARE = 2
    PREPARE = 3
    COMMIT = 4
    REPLY = 5
    CHECKPOINT = 6
    VIEW_CHANGE = 7
    NEW_VIEW = 8
    STATUS = 9
    CHECKPOINT_PROOF = 10
    FETCH = 11
    NODES = 12
    COMMITTED = 13
    RECALL = 14
    RECALLED = 15
    HELLO = 16
    CHALLENGE = 17
    WELCOME = 18
    REFUSAL = 19
    INSPECT = 20
    REPORT = 21


FROM_CLIENTS: Final = frozenset({Kind.REQUEST, Kind.HELLO, Kind.INSPECT})
SIGNED: Final = frozenset(
    {
        Kind.REQUEST,
        Kind.PRE_PREPARE,
        Kind.PREPARE,
        Kind.COMMIT,
        Kind.REPLY,
        Kind.CHECKPOINT,
        Kind.VIEW_CHANGE,
        Kind.NEW_VIEW,
    }
)
"""The others are hints or questions between two parties, authenticated by their link alone."""
WITH_SOMETHING_BESIDE: Final = frozenset({Kind.PRE_PREPARE, Kind.REPLY, Kind.COMMITTED})
"""Nothing goes beside the others: it would be kept with a vote, handed on with it, and covered by no signature."""

Sender = ReplicaId | ClientKey
"""A replica by its number, a client by its public key."""


class Signer(Protocol):
    """Signs with one private key."""

    def sign(self, message: bytes) -> bytes:
        """Return a signature of 64 bytes."""


class Verifier(Protocol):
    """Checks signatures; the whole group must use one implementation (design 4.1)."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Say whether the signature is valid. Never raises."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message on its way: who says it, the body's exact bytes, and the signature over them.

    `beside` travels unsigned but is bound by a digest inside the body: the batch of a PRE-PREPARE or of a certificate
    that it committed, the results of a REPLY.
    """

    kind: Kind
    sender: Sender
    body: bytes
    signature: bytes = b""
    beside: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the wire form."""
        return encode([self.kind.value, self.sender, self.body, self.signature, self.beside])

    @classmethod
    def from_bytes(cls, data: bytes) -> Envelope:
        """Return the envelope that `data` spells. Raises EncodingError for anything else; checks no signature."""
        match decode(data, max_depth=2):
            case (int(kind), int() | bytes() as sender, bytes(body), bytes(signature), bytes(beside)):
                pass
            case _:
                raise EncodingError("an envelope is an array of kind, sender, body, signature and what goes beside")
        try:
            kind = Kind(kind) if type(kind) is int else Kind(-1)
        except ValueError:
            raise EncodingError("an envelope of an unknown kind") from None
        if len(signature) != (64 if kind in SIGNED else 0):
            raise EncodingError(f"a {kind.name} carries a signature of the wrong length")
        if not (len(sender) == 32 if isinstance(sender, bytes) else type(sender) is int and 0 <= sender < 2**16):
            raise EncodingError("an envelope's sender is a replica's number or a client's key of 32 bytes")
        if beside and kind not in WITH_SOMETHING_BESIDE:
            raise EncodingError(f"nothing goes beside a {kind.name}")
        if (kind in FROM_CLIENTS) != isinstance(sender, bytes):
            raise EncodingError(f"a {kind.name} comes from the wrong role")
        return cls(kind, sender, body, signature, beside)


def sender_key(group: Group, sender: Sender) -> bytes | None:
    """Return the public key that speaks for a sender, or None when the group knows no such party."""
    if isinstance(sender, bytes):
        return sender if sender in group.clients else None
    return group.members[sender].public_key if sender < group.n else None


def signed_bytes(group: Group, kind: Kind, sender: Sender, body: bytes) -> bytes:
    """Return what a signature covers: every part before the body is of fixed width."""
    key = sender_key(group, sender)
    if key is None:
        raise ValueError("only a party of the group can sign for it")
    role = b"c" if isinstance(sender, bytes) else b"r"
    return b"".join((MAGIC, group.id, bytes((kind,)), role, key, body))


def seal(group: Group, signer: Signer, kind: Kind, sender: Sender, body: bytes, beside: bytes = b"") -> Envelope:
    """Return a signed envelope."""
    return Envelope(kind, sender, body, signer.sign(signed_bytes(group, kind, sender, body)), beside)


def genuine(group: Group, verifier: Verifier, envelope: Envelope) -> bool:
    """Say whether the envelope's sender is a party of the group and signed its body as this kind."""
    key = sender_key(group, envelope.sender)
    return key is not None and verifier.verify(
        key, signed_bytes(group, envelope.kind, envelope.sender, envelope.body), envelope.signature
    )
