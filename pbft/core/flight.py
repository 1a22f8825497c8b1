"""A client's request on its way, and the one before it: what rides in it, to whom it went, what came back.

Owns: these shapes. What is done with them is for the session to say (`pbft.core.session`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pbft.core.envelope import Envelope
from pbft.core.group import ReplicaId
from pbft.core.messages import RefusalReason
from pbft.core.replies import ReadReply
from pbft.core.tally import Tally


@dataclass(frozen=True, slots=True)
class Queued:
    """An operation that somebody waits for."""

    ticket: int
    data: bytes
    receipt: bool
    submitted_ms: int


@dataclass(slots=True)
class InFlight:
    """A request that is not completed yet."""

    envelope: Envelope
    digest: bytes
    timestamp: int
    count: int
    """Operations that ride in the request."""
    operations: dict[int, Queued]
    """Those still waited for, by their place in the request."""
    due_ms: int
    interval_ms: int
    receipt: bool
    sent_to: dict[ReplicaId, None] = field(default_factory=dict)
    replies: dict[ReplicaId, ReadReply] = field(default_factory=dict)
    refusals: dict[ReplicaId, RefusalReason] = field(default_factory=dict)
    remarks: dict[ReplicaId, str] = field(default_factory=dict)


@dataclass(slots=True)
class Answered:
    """The request that was completed last, whose further replies are counted, and change nothing."""

    flight: InFlight
    sequence: int
    tally: Tally
    asked: bool = False
    """Whether whoever has not answered, and turns out to have forgotten us, gets the request."""
