"""How much a replica may hold, whatever others send it: each count with its formula (design 4.6; attacks O13, O14).

Owns: the greatest value of every count in `Replica.usage()`, as a function of n, L, K, the group's size limits and the
replica's own settings. The state itself, and a copy of it that is being fetched, are as large as the application makes
them.
"""

from __future__ import annotations

from pbft.core.deeds import MOST_BYTES, MOST_OPERATIONS
from pbft.core.group import Group
from pbft.core.log import KEPT_BATCHES
from pbft.core.settings import ReplicaSettings
from pbft.core.state_messages import MOST_RECALLED
from pbft.core.telling import ACCOUNT_BYTES
from pbft.encoding import DIGEST_BYTES


def bounds(group: Group, settings: ReplicaSettings) -> dict[str, int]:
    """Return the greatest value that each count of a correct replica can take.

    Slots live between the last two stable checkpoints and the high watermark: at most L on either side of the last, and
    so do snapshots, besides one for each peer that fetches an older one. A slot holds a few batches at most: one
    proposed, one certified, one committed, and those of views gone by. The next to execute may hold as many whatever
    lies beyond it. What a batch takes decoded, until it ran, comes on top: some seven times its bytes where requests
    are tiny.
    """
    n, limits = group.n, group.limits
    slots = 2 * limits.log_size
    slot_bytes = (3 + KEPT_BATCHES) * limits.batch_bytes
    sessions = limits.sessions_per_client * len(group.clients)
    intervals = 2 * (limits.log_size // limits.checkpoint_interval) + 2
    deeds = intervals * (MOST_OPERATIONS + limits.batch_operations)
    return {
        "slots": slots,
        "batch_bytes": slots * slot_bytes,
        "unexecuted_bytes": max(settings.unexecuted_bytes, settings.window * limits.batch_bytes) + slot_bytes,
        "votes": 3 * n * slots,
        "above_high": 0,
        "early_bytes": n * settings.early_bytes,
        "view_changes": 3 * n,
        "view_change_bytes": 3 * n * view_change_bytes(group),
        "new_views": n + 1,
        "checkpoint_votes": n * (limits.log_size // limits.checkpoint_interval),
        "snapshots": intervals + n - 1,
        "waiting": settings.waiting_requests,
        "waiting_bytes": settings.waiting_bytes,
        "replies": sessions,
        "sessions": sessions,
        "deeds": deeds,
        "deed_bytes": intervals * MOST_BYTES,
        "recalled_deeds": deeds,
        "recalled_batch_bytes": slots * limits.batch_bytes,
        "recalled_bytes": n * max(DIGEST_BYTES * max(MOST_RECALLED, slots), ACCOUNT_BYTES),
    }


def view_change_bytes(group: Group) -> int:
    """Return more than the body of any VIEW-CHANGE takes: a proof, and a certificate for each sequence of the log.

    A signature with its signer takes at most 69 bytes encoded, the words that a certificate spells at most 128 beside
    its pre-prepare's signature.
    """
    quorum = group.quorums.quorum
    return 256 + 69 * quorum + group.limits.log_size * (128 + 69 * quorum)
