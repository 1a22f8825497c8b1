"""A replica's account of itself, which INSPECT asks for, `pbft status --json` prints and its event stream repeats.

Owns: the fields of a report, how often a client may have one, and when the state's digest is worth its price. Reads the
replica's status, the sockets' counters and the metrics; changes none of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from pbft.core.group import ClientKey
from pbft.core.situation import Situation
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


_REST_PER_COST: Final = 100
"""How many times as long as a digest took nobody gets a new one for the asking: it may use 1 % of the time."""


class StateDigest:
    """The digest of the application's state, which may cost as much as the state is large, so that it is kept."""

    def __init__(self, compute: Callable[[], bytes], clock_us: Callable[[], int]) -> None:
        self._compute = compute
        self._clock_us = clock_us
        self._digest = b""
        self._sequence = -1
        self._rests_until_us = 0

    def after(self, executed: int) -> tuple[int, bytes]:
        """Return the digest after `executed`, which is where the replica stands, and that sequence."""
        if self._sequence != executed:
            begun_us = self._clock_us()
            self._digest, self._sequence = self._compute(), executed
            ended_us = self._clock_us()
            self._rests_until_us = ended_us + _REST_PER_COST * (ended_us - begun_us)
        return self._sequence, self._digest

    def lately(self, executed: int) -> tuple[int, bytes]:
        """Return a digest, and the sequence after which it was computed: `executed` if that costs little enough."""
        if self._sequence < 0 or self._clock_us() >= self._rests_until_us:
            return self.after(executed)
        return self._sequence, self._digest

    def forget(self) -> None:
        """Compute the next one anew: the state was replaced, and the same sequence may now have another."""
        self._sequence = -1


def health(status: ReplicaStatus) -> str:
    """Say in words how a replica is."""
    if status.transferring is not None:
        return f"fetching the state at {status.transferring}"
    if status.target != status.view:
        return f"view change to {status.target}"
    return f"behind by {status.behind}" if status.behind else "ok"


def make_report(
    status: ReplicaStatus,
    situation: Situation,
    state_digest: tuple[int, bytes],
    metrics: Metrics,
    mailboxes: Sequence[Mailbox],
    application: str,
    durable: bool,
    operations: int,
    now_ms: int,
) -> dict[str, Any]:
    """Return the report as plain values. Counts are since the process began; `kernel_drops` is None where unknown.

    `digest_sequence` is what was executed when the state had that digest: `executed` itself, or somewhat less where
    the digest is costly and nobody insists on a new one.
    """
    sockets = [mailbox.socket for mailbox in mailboxes]
    drops = [socket.kernel_drops() for socket in sockets]
    known = [each for each in drops if each is not None]
    return {
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
        "operations": operations,
        "state_digest": state_digest[1].hex(),
        "digest_sequence": state_digest[0],
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
        "situation": situation.to_json(),
    }
