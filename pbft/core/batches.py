"""Requests and batches as bytes, and what makes them valid.

Owns: decoding of signed requests and of batches, and every rule of their validity, which depends on their bytes, the
group's clients and its limits alone, never on the client table: all correct replicas judge alike (design 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pbft.core.envelope import Envelope, Kind
from pbft.core.group import Group, Limits
from pbft.core.messages import Batch, Request, pack, request_digest, unpack
from pbft.encoding import EncodingError


class BatchError(ValueError):
    """A batch that no correct replica votes for; the message says why."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request with its exact envelope bytes, which is how batches carry it."""

    data: bytes
    envelope: Envelope
    request: Request
    digest: bytes


def read_request(envelope: Envelope, data: bytes | None = None) -> SignedRequest:
    """Decode a request envelope, whose bytes are `data` if known. Checks no signature.

    Raises EncodingError when the body is no request, or names another client than the one that sends it.
    """
    if envelope.kind is not Kind.REQUEST or envelope.beside:
        raise EncodingError("not a request, or something goes beside it")
    request = unpack(Request, envelope.body)
    if request.client != envelope.sender:
        raise EncodingError("a request is signed by the client it names")
    return SignedRequest(
        envelope.to_bytes() if data is None else data, envelope, request, request_digest(envelope.body)
    )


def within_limits(signed: SignedRequest, limits: Limits) -> bool:
    """Say whether a request obeys the group's size limits."""
    operations = signed.request.operations
    return (
        len(signed.data) <= limits.request_bytes
        and len(operations) <= limits.operations_per_request
        and all(len(operation) <= limits.operation_bytes for operation in operations)
    )


def write_batch(time_ms: int, requests: Sequence[SignedRequest]) -> bytes:
    """Return a batch's bytes."""
    return pack(Batch(time_ms, tuple(signed.data for signed in requests)))


def read_batch(
    data: bytes, group: Group, verified: Callable[[SignedRequest], bool]
) -> tuple[Batch, tuple[SignedRequest, ...]]:
    """Decode a batch and check every rule of its validity.

    `verified` says whether a request carries its client's signature. Raises BatchError.
    """
    limits = group.limits
    if len(data) > limits.batch_bytes:
        raise BatchError("larger than batch_bytes")
    try:
        batch = unpack(Batch, data)
        if len(batch.requests) > limits.batch_requests:
            raise BatchError("more requests than batch_requests")
        requests = tuple(read_request(Envelope.from_bytes(item), item) for item in batch.requests)
    except EncodingError as error:
        raise BatchError(str(error)) from None
    if sum(len(signed.request.operations) for signed in requests) > limits.batch_operations:
        raise BatchError("more operations than batch_operations")
    for signed in requests:
        if signed.request.client not in group.clients:
            raise BatchError("a request of an unknown client")
        if not within_limits(signed, limits):
            raise BatchError("a request over the limits")
    for signed in requests:
        if not verified(signed):
            raise BatchError("a request without its client's signature")
    return batch, requests
