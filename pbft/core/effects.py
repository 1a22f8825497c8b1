"""What a replica wants done, and what it wants known.

Owns: the effects that `Replica.receive` and `tick` return. *Actions* are for a driver to perform, in order; *notices*
are for watchers (metrics, logs, oracles), and nothing depends on anyone reading them. Knows nothing of who does either.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.findings import DivergenceExplained
from pbft.core.group import ClientKey, ReplicaId
from pbft.core.messages import CheckpointProof


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
    BAD_CERTIFICATE = "bad certificate"
    """A checkpoint proof without a quorum of valid signatures, or a VIEW-CHANGE out of shape."""
    BAD_NEW_VIEW = "bad new view"
    """A NEW-VIEW that does not follow from the votes it names."""
    NOT_WANTED = "not wanted"
    """What only those who asked for it take: somebody else's VIEW-CHANGE, a node, a proof of what we have."""
    TOO_EARLY = "too early"
    """Beyond our view or watermarks: kept for later, as far as its sender's share of the room goes."""
    FULL = "full"
    """No room for it now: a proposal beyond the bytes kept unexecuted, or too early and over its sender's share."""


@dataclass(frozen=True, slots=True)
class Persist:
    """Make durable, before any later Send of the same list leaves: a vote, and what it rests on.

    For a PRE-PREPARE the batch beside it; for a PREPARE the pre-prepare with its batch; for a COMMIT the prepares of
    the prepared certificate. A CHECKPOINT rests on the state that it names, a VIEW-CHANGE on nothing but itself, a
    NEW-VIEW on the VIEW-CHANGEs that it names.
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
class OperationFailed:
    """Operations of an executed batch broke inside the application, and changed nothing: a bug in its code."""

    sequence: int
    operation: int
    """The position in the batch of the first of them."""
    operations: int
    """How many there were."""
    client: str
    """Who called the first."""
    error: str
    """The type of what it raised, where the application tells; else empty."""
    text: str
    """How that words itself, shortened. It may differ between replicas, as addresses of objects do."""


class Cause(Enum):
    """Why a replica left its view. The value is the word that logs show."""

    STALLED = "nothing was executed though something waits"
    UNFAIR = "others are served twice while a request waits"
    SLOW = "requests lie with the primary for much longer than they need"
    NO_NEW_VIEW = "the new view did not come"
    NO_PROGRESS = "the new view executed nothing"
    JOINED = "f+1 others have left it"


@dataclass(frozen=True, slots=True)
class ViewChangeStarted:
    """This replica left its view and asks for a higher one (OSDI'99 section 4.4)."""

    left: int
    view: int
    cause: Cause
    timeout_ms: int
    """How long it will wait for the new view, once a quorum asks for it."""


@dataclass(frozen=True, slots=True)
class ViewEntered:
    """This replica accepted the NEW-VIEW of a view, or as its primary made it (OSDI'99 section 4.4).

    `digests` are the batches proposed again, for the sequences after `stable`.
    """

    view: int
    stable: int
    digests: tuple[bytes, ...]
    votes: tuple[Envelope, ...]


@dataclass(frozen=True, slots=True)
class BecameStable:
    """A quorum vouches for the state after a sequence (OSDI'99 section 4.3): what lies at or before it can go."""

    proof: CheckpointProof


@dataclass(frozen=True, slots=True)
class Diverged:
    """This replica's state after a sequence is not the one that a quorum vouches for: it stops, and fetches that one.

    The application is not deterministic, or memory is broken.
    """

    sequence: int
    own: bytes
    proven: bytes


@dataclass(frozen=True, slots=True)
class StateInstalled:
    """This replica took over the state at a stable checkpoint instead of executing what led there."""

    sequence: int
    digest: bytes
    nodes: int
    """How many nodes of the state came from others, since this replica had no equal ones."""
    bytes: int
    """How many bytes these had."""


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
Notice = (
    Proposed
    | Prepared
    | CommittedLocal
    | Executed
    | OperationFailed
    | ViewChangeStarted
    | ViewEntered
    | BecameStable
    | Diverged
    | DivergenceExplained
    | StateInstalled
    | Ignored
    | Evidence
)
Effect = Action | Notice
