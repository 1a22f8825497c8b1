"""How chance sets a group's limits and its parties' tuning.

Owns: which values are drawn and how often. Most are the usual ones, since small rooms and short waits everywhere would
hide what happens in groups as people run them.
"""

from __future__ import annotations

import random
from dataclasses import replace

from pbft.core.group import WRAPPING_BYTES, Limits
from pbft.core.settings import ReplicaSettings, SessionSettings

_SMALL_OPERATION_BYTES = 3_500
"""Room for the longest word that a workload writes, and not for two."""


def draw_limits(chance: random.Random) -> Limits:
    """Return a group's limits: short logs always; small batches, requests and client tables now and then."""
    interval = chance.choice((4, 4, 8, 16))
    usual = Limits(
        checkpoint_interval=interval,
        log_size=interval * chance.choice((2, 2, 3, 4)),
        batch_requests=chance.choice((1, 1_024, 1_024, 1_024, 1_024)),
        sessions_per_client=chance.choice((1, 2, 64, 64, 64, 64)),
        operations_per_request=(operations := chance.choice((2, 1_024, 1_024, 1_024))),
        batch_operations=chance.choice((operations, 4_096)),
    )
    if chance.random() < 0.8:
        return usual
    small_bytes = _SMALL_OPERATION_BYTES + WRAPPING_BYTES
    return replace(
        usual,
        operation_bytes=_SMALL_OPERATION_BYTES,
        request_bytes=small_bytes,
        batch_bytes=small_bytes + WRAPPING_BYTES,
    )


def draw_settings(chance: random.Random) -> ReplicaSettings:
    """Return the tuning of all replicas: timeouts of every length, and rooms that fill."""
    return ReplicaSettings(
        window=chance.choice((1, 2, 4, 16)),
        view_timeout_ms=chance.choice((150, 300, 1_000)),
        status_interval_ms=chance.choice((50, 100, 100)),
        status_interval_max_ms=chance.choice((400, 1_600)),
        early_bytes=chance.choice((2_048, 256 * 1024)),
        unexecuted_bytes=chance.choice((1_500, 64 * 1024 * 1024, 64 * 1024 * 1024)),
        waiting_requests=chance.choice((3, 4_096, 4_096, 4_096)),
        waiting_requests_per_client=chance.choice((1, 64, 64, 64)),
        repair_slots=chance.choice((2, 16, 16)),
        repair_bytes=chance.choice((20_000, 512 * 1024, 512 * 1024)),
        checkpoint_nodes=chance.choice((1, 2, 64, 64)),
        transfer_bytes=chance.choice((1, 768 * 1024)),
        transfer_timeout_ms=chance.choice((100, 500)),
    )


def draw_session_settings(chance: random.Random) -> SessionSettings:
    """Return the tuning of all sessions: how soon and how often they ask again."""
    return SessionSettings(
        retransmit_ms=chance.choice((100, 150, 400)), retransmit_max_ms=chance.choice((600, 2_000, 2_000))
    )
