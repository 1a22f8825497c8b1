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
    stable_checkpoint: int | None
    """None until checkpoints exist."""
    low_watermark: int
    high_watermark: int
    in_flight: int
    """Sequences heard of and not yet executed."""
    waiting: int
    """Requests not yet executed."""
    agreed_time_ms: int
    behind: int
    """How many sequences f+1 peers claim to have executed beyond this replica."""
    reparable: bool
    """Whether peers' logs still reach back far enough to mend that."""
