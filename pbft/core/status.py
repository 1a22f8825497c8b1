"""A replica's frozen account of itself, for status, metrics, dashboards and tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReplicaStatus:
    """Where a replica stands."""

    id: int
    role: str
    """"primary" or "backup" of its view."""
    view: int
    executed: int
    target: int
    """The view it asks for; `view` itself unless it has left that."""
    stable_checkpoint: int
    """The greatest sequence that a quorum is known to vouch for; 0 is the beginning."""
    low_watermark: int
    high_watermark: int
    in_flight: int
    """Sequences heard of and not yet executed."""
    waiting: int
    """Requests not yet executed."""
    agreed_time_ms: int
    behind: int
    """How many sequences f+1 peers claim to have executed beyond this replica."""
    transferring: int | None
    """The checkpoint whose state is being fetched, if one is."""
    timeout_ms: int
    """How long the next wait for the primary may take."""
