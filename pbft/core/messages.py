"""The protocol's messages, as frozen dataclasses with their wire types.

Owns: the shape of every body, and the digests that name a request, a batch and a result. Knows nothing of who may send
what when: that is `replica.py`. Names are the papers' (OSDI'99 section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from pbft.core.codec import Digest, Opaque, PublicKey, SessionId, Signature, Small, Text, Uint, Within, pack, unpack
from pbft.encoding import digest


@dataclass(frozen=True, slots=True)
class Request:
    """Operations of one client under one signature (OSDI'99 section 4.1; design 4.2).

    Named by (client, session, timestamp): one request of a session is in flight, and its timestamps grow.
    """

    client: PublicKey
    session: SessionId
    timestamp: Uint
    operations: Annotated[tuple[Opaque, ...], Within(1, 2**16)]


def request_digest(body: bytes) -> bytes:
    """Return the digest of a request's exact body, without its signature: one request can be signed in many ways."""
    return digest(b"pbft/request", body)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one sequence number orders: a proposed time and request envelopes, each as opaque bytes.

    The null request (OSDI'99 section 4.4) is the batch of time 0 without requests: it changes nothing, and agreed
    time, being the greatest proposed so far, stays what it was.
    """

    time_ms: Uint
    requests: Annotated[tuple[Opaque, ...], Within(0, 2**16)]


NULL_BATCH = pack(Batch(0, ()))


def batch_digest(batch: bytes) -> bytes:
    """Return the digest that a PRE-PREPARE signs: it covers the time and each request with its signature."""
    return digest(b"pbft/batch", batch)


NULL_DIGEST = batch_digest(NULL_BATCH)


@dataclass(frozen=True, slots=True)
class PrePrepare:
    """The primary assigns a sequence to a batch, which travels beside (OSDI'99 section 4.2)."""

    view: Uint
    sequence: Uint
    digest: Digest


@dataclass(frozen=True, slots=True)
class Prepare:
    """A backup agrees to the assignment. The primary never sends one: its vote is its pre-prepare."""

    view: Uint
    sequence: Uint
    digest: Digest


@dataclass(frozen=True, slots=True)
class Commit:
    """A replica holds a prepared certificate for this assignment."""

    view: Uint
    sequence: Uint
    digest: Digest


@dataclass(frozen=True, slots=True)
class Share:
    """One member's signature under words that stand elsewhere: certificates spell what was signed once."""

    signer: Small
    signature: Signature


Shares = Annotated[tuple[Share, ...], Within(0, 1000)]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A replica's state after a sequence has this digest (OSDI'99 section 4.3)."""

    sequence: Uint
    digest: Digest


@dataclass(frozen=True, slots=True)
class CheckpointProof:
    """A quorum's signatures under one CHECKPOINT: it is stable (OSDI'99 section 4.3). Sequence 0 needs none."""

    sequence: Uint
    digest: Digest
    shares: Shares


BEGINNING = CheckpointProof(0, bytes(32), ())
"""The state before the first sequence, which the genesis fixes: stable from the start."""


@dataclass(frozen=True, slots=True)
class PreparedCertificate:
    """A batch prepared: its primary's signature on the PRE-PREPARE, q-1 backups' on the PREPARE (OSDI'99 section 4.2).

    Both messages spell (view, sequence, digest) alike, and the encoding is canonical, so the words stand here once.
    """

    view: Uint
    sequence: Uint
    digest: Digest
    pre_prepare: Signature
    prepares: Shares


@dataclass(frozen=True, slots=True)
class CommitCertificate:
    """A quorum's signatures under one COMMIT: whoever lacks this sequence may execute it, in whichever view it is."""

    view: Uint
    sequence: Uint
    digest: Digest
    commits: Shares


@dataclass(frozen=True, slots=True)
class ViewChange:
    """A replica leaves its view and asks for this one (OSDI'99 section 4.4).

    It shows its last stable checkpoint with the proof, and for each later sequence the prepared certificate of the
    highest view that it holds, by sequence.
    """

    view: Uint
    stable: CheckpointProof
    prepared: Annotated[tuple[PreparedCertificate, ...], Within(0, 2**16)]


def view_change_digest(replica: int, body: bytes) -> bytes:
    """Return the digest by which a NEW-VIEW names a VIEW-CHANGE: of who says it and its exact body, not the signature.

    Two replicas may well say the same, and both votes must be there.
    """
    return digest(b"pbft/view-change", replica.to_bytes(2, "big"), body)


@dataclass(frozen=True, slots=True)
class NamedVote:
    """A VIEW-CHANGE that a NEW-VIEW rests on: who said it, and the digest of what was said."""

    replica: Small
    digest: Digest


@dataclass(frozen=True, slots=True)
class Renewal:
    """One PRE-PREPARE of a new view without its batch: view and sequence follow from its place in the NEW-VIEW."""

    digest: Digest
    signature: Signature


@dataclass(frozen=True, slots=True)
class NewView:
    """The primary of a view shows that a quorum asks for it, and proposes again what may have committed.

    OSDI'99 section 4.4: V by digests, O as one signed PRE-PREPARE for each sequence after `stable`, nulls included.
    """

    view: Uint
    votes: Annotated[tuple[NamedVote, ...], Within(1, 1000)]
    stable: Uint
    renewals: Annotated[tuple[Renewal, ...], Within(0, 2**16)]


@dataclass(frozen=True, slots=True)
class Reply:
    """The signed part of an answer: the Merkle root of all results of one sequence (design 4.4)."""

    sequence: Uint
    root: Digest


@dataclass(frozen=True, slots=True)
class OperationResult:
    """How one operation ended: an `Outcome` of `pbft.machine`, and its encoded value or message."""

    outcome: Annotated[int, Within(0, 3)]
    payload: Opaque


@dataclass(frozen=True, slots=True)
class ReplyDetail:
    """What travels beside a REPLY: to whom it speaks, the results, and their path to the signed root.

    `view` is a hint where to send the next request; a receipt does not cover it.
    """

    view: Uint
    session: SessionId
    timestamp: Uint
    request_digest: Digest
    results: Annotated[tuple[OperationResult, ...], Within(1, 2**16)]
    leaf: Small
    leaves: Small
    path: Annotated[tuple[Digest, ...], Within(0, 16)]


@dataclass(frozen=True, slots=True)
class Status:
    """Where a replica stands and what it lacks (design 4.9): it holds everything up to `executed`.

    `held` has one byte for each sequence that follows: bit 1 says that it holds the batch, bit 2 that it is prepared
    in `view`. `attempt` grows while nothing comes, and rotates which replica sends the large parts.
    """

    view: Uint
    """The view it entered last."""
    target: Uint
    """The view it asks for; `view` itself unless it has left that."""
    stable: Uint
    """The greatest sequence that it can prove stable."""
    executed: Uint
    attempt: Uint
    asks: bool
    """Whether it wants to be told in turn where others stand. An account given in answer does not."""
    held: Annotated[bytes, Within(0, 1024)]
    view_changes: Annotated[tuple[Uint, ...], Within(0, 1000)]
    """For each replica the view of its VIEW-CHANGE that is held here, 0 for none; empty where none is."""
    wanted: Annotated[tuple[Digest, ...], Within(0, 32)]
    """VIEW-CHANGE votes that a NEW-VIEW names and that it lacks."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A client's session greets a replica. `cookie` is empty, or proves its address by echoing a Challenge.

    `padding` makes the greeting at least as large as any answer an unproven address can get.
    """

    session: SessionId
    cookie: Annotated[bytes, Within(0, 64)]
    padding: Annotated[bytes, Within(0, 256)]


@dataclass(frozen=True, slots=True)
class Challenge:
    """A replica answers an unproven address: only who receives there can echo the cookie."""

    session: SessionId
    cookie: Annotated[bytes, Within(16, 64)]


@dataclass(frozen=True, slots=True)
class Welcome:
    """A replica knows the session's address now. Sessions at or below `floor` can no longer be opened (design 4.2)."""

    session: SessionId
    view: Uint
    time_ms: Uint
    floor: SessionId


class RefusalReason(IntEnum):
    """Why a replica will not order a request. A client believes it when f+1 replicas say the same."""

    UNKNOWN_SESSION = 1
    """The session was evicted, or lies below the floor: the request may have run, or not."""
    SESSION_IN_FUTURE = 2
    """The session's id claims a time beyond agreed time plus drift: a copy of the request may still run, later."""
    BUSY = 3
    """Too much is waiting here: try later. A hint of one replica."""
    TOO_LARGE = 4
    """Beyond a size limit of the group."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A replica says why a request gets no result."""

    session: SessionId
    timestamp: Uint
    request_digest: Digest
    reason: Annotated[int, Within(1, 4)]


@dataclass(frozen=True, slots=True)
class Inspect:
    """Somebody with a client key asks how a replica is."""

    session: SessionId
    nonce: Uint


@dataclass(frozen=True, slots=True)
class Report:
    """A replica's account of itself: the fields of `pbft status --json`, as JSON text."""

    session: SessionId
    nonce: Uint
    json: Text


__all__ = [
    "BEGINNING",
    "NULL_BATCH",
    "NULL_DIGEST",
    "Batch",
    "Challenge",
    "Checkpoint",
    "CheckpointProof",
    "Commit",
    "CommitCertificate",
    "Hello",
    "Inspect",
    "NamedVote",
    "NewView",
    "OperationResult",
    "PrePrepare",
    "Prepare",
    "PreparedCertificate",
    "Refusal",
    "RefusalReason",
    "Renewal",
    "Reply",
    "ReplyDetail",
    "Report",
    "Request",
    "Share",
    "Shares",
    "Status",
    "ViewChange",
    "Welcome",
    "batch_digest",
    "pack",
    "request_digest",
    "unpack",
    "view_change_digest",
]
