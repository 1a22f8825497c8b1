"""Receipts: proof, for anybody with the group's public file, of what an operation answered (design 4.11).

Owns: the receipt's bytes and its verification. f+1 replicas signed a root under which the request's results lie, so at
least one correct replica executed it there. Needs no server and no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pbft.core import merkle
from pbft.core.batches import SignedRequest, read_request
from pbft.core.codec import Digest, Opaque, Signature, Small, Uint, Within, pack, unpack
from pbft.core.envelope import Envelope, Kind, Verifier, genuine
from pbft.core.group import Group
from pbft.core.messages import OperationResult, Reply
from pbft.core.replies import ReadReply, leaf
from pbft.encoding import EncodingError
from pbft.errors import PbftError
from pbft.machine import Outcome, Result


class ReceiptError(PbftError, ValueError):
    """A receipt that proves nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """One replica's signature over a root, and the path from the results to it."""

    replica: Small
    leaf: Small
    leaves: Small
    path: Annotated[tuple[Digest, ...], Within(0, 16)]
    signature: Signature


@dataclass(frozen=True, slots=True)
class Receipt:
    """A request, its place in the order, its results, and f+1 replicas' word for it."""

    group: Digest
    request_envelope: Opaque
    sequence: Uint
    results: Annotated[tuple[OperationResult, ...], Within(1, 2**16)]
    attestations: Annotated[tuple[Attestation, ...], Within(1, 2**16)]

    @classmethod
    def of(cls, group: Group, request: bytes, replies: list[ReadReply]) -> Receipt:
        """Return the receipt that f+1 equal replies make, for a request's envelope bytes."""
        attestations = tuple(
            Attestation(
                int(each.envelope.sender),
                each.detail.leaf,
                each.detail.leaves,
                each.detail.path,
                each.envelope.signature,
            )
            for each in replies
        )
        return cls(group.id, request, replies[0].sequence, replies[0].detail.results, attestations)

    def to_bytes(self) -> bytes:
        """Return the file form."""
        return pack(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Receipt:
        """Decode a receipt. Raises ReceiptError."""
        try:
            return unpack(cls, data)
        except EncodingError as error:
            raise ReceiptError(f"this is not a receipt: {error}") from None

    def request(self) -> SignedRequest:
        """Return the request it speaks of. Raises ReceiptError."""
        try:
            return read_request(Envelope.from_bytes(self.request_envelope), self.request_envelope)
        except EncodingError as error:
            raise ReceiptError(f"the receipt's request is malformed: {error}") from None

    def outcomes(self) -> tuple[Result, ...]:
        """Return the results, one an operation."""
        return tuple(Result(Outcome(each.outcome), each.payload) for each in self.results)

    def verify(self, group: Group, verifier: Verifier) -> tuple[int, ...]:
        """Return the replicas whose word was checked. Raises ReceiptError unless they are f+1 distinct members."""
        if self.group != group.id:
            raise ReceiptError("the receipt belongs to another group")
        request = self.request()
        if not genuine(group, verifier, request.envelope):
            raise ReceiptError("the receipt's request was not signed by a client of this group")
        if len(self.results) != len(request.request.operations):
            raise ReceiptError("the receipt's results do not match its operations")
        data = leaf(self.sequence, request.digest, self.results)
        believed: dict[int, None] = {}
        for each in self.attestations:
            root = merkle.root_of(data, each.leaf, each.leaves, each.path)
            if root is None or each.replica >= group.n:
                continue
            body = pack(Reply(self.sequence, root))
            if genuine(group, verifier, Envelope(Kind.REPLY, each.replica, body, each.signature)):
                believed[each.replica] = None
        if len(believed) < group.quorums.weak:
            raise ReceiptError(
                f"only {len(believed)} of the {group.quorums.weak} replicas it takes have signed these results"
            )
        return tuple(sorted(believed))
