"""A replica's account of itself, which INSPECT asks for and `pbft status --json` prints.

Owns: the fields of a report, and how often a client may have one. Reads the replica's status, the sockets' counters and
the metrics; changes none of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from pbft.core.group import ClientKey
from pbft.core.status import ReplicaStatus
from pbft.net.mailbox import Mailbox
from pbft.net.metrics import Metrics, rss_bytes


class Shares:
    """How often each client may ask: `burst` times at once, then `per_second` times a second."""

    def __init__(self, burst: int = 20, per_second: int = 50) -> None:
        self._burst_ms = burst * 1000
        self._per_second = per_second
        self._left: dict[ClientKey, tuple[int, int]] = {}

    def take(self, client: ClientKey, now_ms: int) -> bool:
        """Say whether a client may ask now, and count it."""
        # A question costs 1000, and each millisecond gives `per_second` back: whole numbers throughout.
        left, since_ms = self._left.get(client, (self._burst_ms, now_ms))
        left = min(self._burst_ms, left + (now_ms - since_ms) * self._per_second)
        allowed = left >= 1000
        self._left[client] = (left - 1000 if allowed else left, now_ms)
        return allowed


def health(status: ReplicaStatus) -> str:
    """Say in words how a replica is."""
    if status.transferring is not None:
        return f"fetching the state at {status.transferring}"
    if status.target != status.view:
        return f"view change to {status.target}"
    return f"behind by {status.behind}" if status.behind else "ok"


def write_report(
    status: ReplicaStatus,
    state_digest: bytes,
    metrics: Metrics,
    mailboxes: Sequence[Mailbox],
    application: str,
    durable: bool,
    now_ms: int,
) -> str:
    """Return the report as JSON text. Counts are since the process began; `kernel_drops` is null where unknown."""
    sockets = [mailbox.socket for mailbox in mailboxes]
    drops = [socket.kernel_drops() for socket in sockets]
    known = [each for each in drops if each is not None]
    return json.dumps(
        {
            "id": status.id,
            "pid": os.getpid(),
            "app": application,
            "role": status.role,
            "view": status.view,
            "target": status.target,
            "executed": status.executed,
            "stable_checkpoint": status.stable_checkpoint,
            "low_watermark": status.low_watermark,
            "high_watermark": status.high_watermark,
            "transferring": status.transferring,
            "timeout_ms": status.timeout_ms,
            "in_flight": status.in_flight,
            "waiting": status.waiting,
            "agreed_time_ms": status.agreed_time_ms,
            "state_digest": state_digest.hex(),
            "health": health(status),
            "durable": durable,
            "uptime_ms": now_ms - metrics.started_ms,
            "rss_bytes": rss_bytes(),
            "ignored": dict(sorted(metrics.ignored.items())),
            "kernel_drops": sum(known) if len(known) == len(drops) else None,
            "receive_buffer_bytes": min(socket.granted_receive_bytes for socket in sockets),
            "datagrams_in": sum(socket.arrived for socket in sockets),
            "datagrams_out": sum(socket.sent for socket in sockets),
            "bytes_in": sum(socket.arrived_bytes for socket in sockets),
            "bytes_out": sum(socket.sent_bytes for socket in sockets),
            "send_errors": sum(socket.send_errors for socket in sockets),
            "outgoing_drops": sum(mailbox.outgoing_drops for mailbox in mailboxes),
            "messages_in": metrics.messages_in,
            "messages_out": metrics.messages_out,
            "unaddressed": metrics.unaddressed,
            "queued": sum(len(mailbox) + mailbox.socket.queued for mailbox in mailboxes),
            "turns": metrics.turns,
        }
    )
