"""What an adversary learns of clients from what it is sent. Owns nothing."""

from __future__ import annotations

from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Batch, unpack
from pbft.encoding import EncodingError


def requests_in(envelope: Envelope) -> list[Envelope]:
    """Return the requests that a message carries: itself, or those of the batch beside a PRE-PREPARE, else none."""
    if envelope.kind is Kind.REQUEST:
        return [envelope]
    if envelope.kind is not Kind.PRE_PREPARE:
        return []
    try:
        return [Envelope.from_bytes(each) for each in unpack(Batch, envelope.beside).requests]
    except EncodingError:
        return []
