"""Time as it is handed in, and what each replica may tune by itself.

Owns: `Now`, and the settings that are no part of the group id because no two replicas need to agree on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_REPAIR_SLOTS: Final = 1_024
"""As many sequences as one STATUS may speak of (`pbft.core.messages.Status.held`)."""


@dataclass(frozen=True, slots=True)
class Now:
    """The driver's two clocks: one that never jumps, for timers, and the wall's, for proposals alone (design 3)."""

    monotonic_ms: int
    wall_ms: int


@dataclass(frozen=True)
class ReplicaSettings:
    """Local tuning of one replica."""

    window: int = 16
    """Sequences in flight at most, as primary. While it is full, waiting requests gather into larger batches."""
    waiting_requests: int = 4096
    """Requests held at most until they execute."""
    waiting_requests_per_client: int = 64
    """Requests of one client held at most: one a session."""
    waiting_bytes: int = 64 * 1024 * 1024
    waiting_bytes_per_client: int = 8 * 1024 * 1024
    """One client's share, so that a few with large requests do not fill the room for all; a lone one may pass it."""
    relay_gap_ms: int = 100
    """A backup relays one waiting request to the primary this far apart at most, however often its client sends it."""
    reply_gap_ms: int = 50
    """A session's last reply is sent again this far apart at most: a request may be much smaller than its reply."""
    view_timeout_ms: int = 1_000
    """A request that waits for so long without any progress is the primary's fault; doubled while views fail."""
    replace_slow_primary: bool = True
    """Whether a primary is replaced that serves all, but lets requests lie for much of the timeout (design 4.14)."""
    early_bytes: int = 256 * 1024
    """Bytes kept of each peer's messages for views and sequences that this replica has not come to."""
    unexecuted_bytes: int = 64 * 1024 * 1024
    """Bytes of batches kept beyond the next one to execute; what is proposed past this is asked for again later."""
    status_interval_ms: int = 100
    """Without progress for so long while something is unfinished, a replica says what it lacks; then it doubles."""
    status_interval_max_ms: int = 1_600
    repair_gap_ms: int = 10
    """One peer's statuses are answered this far apart at most."""
    repair_slots: int = 16
    """Sequences answered at most for one status."""
    repair_bytes: int = 512 * 1024
    """Bytes of batches answered for one status; the batch that passes this bound is the last."""
    repair_bytes_per_ms: int = 16 * 1024
    """How fast batches, votes and nodes of the state are sent to one peer that asks for them, on the average."""
    checkpoint_nodes: int = 64
    """Nodes of the state digested between two batches towards a checkpoint, unless it takes more to be done in time."""
    transfer_bytes: int = 768 * 1024
    """Bytes of state asked for at once, of all sources together."""
    transfer_timeout_ms: int = 500
    """A source that has not sent what it was asked for in so long is passed over."""


@dataclass(frozen=True)
class SessionSettings:
    """Local tuning of one client's session."""

    retransmit_ms: int = 150
    """A request unanswered for so long goes to all replicas; then the interval grows."""
    retransmit_max_ms: int = 2_000
