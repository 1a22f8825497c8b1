"""What a replica wants done, and what it wants known.

Owns: the effects that `Replica.receive` and `tick` return. *Actions* are for a driver to perform, in order; *notices*
are for watchers (metrics, logs, oracles), and nothing depends on anyone reading them. Knows nothing of who does either.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.group import ClientKey, ReplicaId


class Reason(Enum):
    """Why a message was not acted upon. The value is the word that status and metrics show."""

    MALFORMED = "malformed"
    NOT_FOR_REPLICAS = "not for replicas"
    WRONG_SENDER = "wrong sender"
    """A client relays what only replicas say, or speaks for another client."""
    NOT_A_MEMBER = "not a member"
    BAD_SIGNATURE = "bad signature"
    WRONG_VIEW = "wrong view"
    NOT_PRIMARY = "not the primary"
    NOT_BACKUP = "not a backup"
    """A prepare by the primary: its vote is its pre-prepare."""
    OUTSIDE_WATERMARKS = "outside the watermarks"
    WRONG_DIGEST = "wrong digest"
    BAD_BATCH = "bad batch"
    """Not decodable, over a limit, or with a request of an unknown client or without its signature."""
    CLOCK_DRIFT = "clock drift"
    """A proposed time too far from ours: held back until f+1 members have voted for the batch."""
    DUPLICATE = "duplicate"
    CONFLICTING = "conflicting"
    """A second, different vote where one is held: the first keeps its place."""
    SURPLUS = "surplus"
    """One vote more than a certificate needs: neither verified nor kept."""
    UNKNOWN_CLIENT = "unknown client"
    STALE = "stale"
    """A request whose timestamp its session has passed."""
    UNKNOWN_SESSION = "unknown session"
    SESSION_IN_FUTURE = "session in the future"
    TOO_LARGE = "too large"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Persist:
    """Make durable, before any later Send of the same list leaves: a vote, and what it rests on.

    For a PRE-PREPARE the batch beside it; for a PREPARE the pre-prepare with its batch; for a COMMIT the prepares of
    the prepared certificate.
    """

    vote: Envelope
    basis: tuple[Envelope, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Send to one replica."""

    to: ReplicaId
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to all other replicas. What it says to itself a replica has recorded already."""

    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Answer:
    """Send to the address that a client's session has proven."""

    client: ClientKey
    session: bytes
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Proposed:
    """As primary, this replica assigned a sequence."""

    view: int
    sequence: int
    digest: bytes
    requests: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared certificate is complete (OSDI'99 section 4.2): the pre-prepare, and prepares of distinct backups."""

    view: int
    sequence: int
    digest: bytes
    certificate: tuple[Envelope, ...]


@dataclass(frozen=True, slots=True)
class CommittedLocal:
    """A quorum of commits is held for a prepared batch (OSDI'99 section 4.2)."""

    view: int
    sequence: int
    digest: bytes
    certificate: tuple[Envelope, ...]


@dataclass(frozen=True, slots=True)
class ExecutedRequest:
    """One request's fate within an executed batch. `outcomes` is empty when it changed nothing (stale or unknown)."""

    client: ClientKey
    session: bytes
    timestamp: int
    digest: bytes
    outcomes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Executed:
    """A batch ran, in order. `time_ms` is the agreed time its operations saw."""

    view: int
    sequence: int
    digest: bytes
    time_ms: int
    requests: tuple[ExecutedRequest, ...]


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message was refused, with the rule it broke and whom the link named as its sender."""

    reason: Reason
    sender: Sender
    kind: Kind


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two messages that one correct replica never signs both (design 4.13)."""

    culprit: ReplicaId
    first: Envelope
    second: Envelope


Action = Persist | Send | Broadcast | Answer
Notice = Proposed | Prepared | CommittedLocal | Executed | Ignored | Evidence
Effect = Action | Notice
