"""What a replica tells of itself: where it stands, why, and how much it holds.

Owns: how these accounts are gathered from the parts of a replica. Changes none of them.
"""

from __future__ import annotations

from pbft.core.agreement import Agreement
from pbft.core.checkpoints import Checkpoints
from pbft.core.early import Early
from pbft.core.execution import Execution
from pbft.core.group import Group, ReplicaId
from pbft.core.log import Log
from pbft.core.repair import Repair
from pbft.core.requests import WaitingRequests
from pbft.core.service import Service
from pbft.core.situation import Situation, ViewChangeStanding, blocked_at
from pbft.core.status import ReplicaStatus
from pbft.core.timers import Timers
from pbft.core.transfer import Transfer
from pbft.core.view_change import ViewChanges


class Account:
    """Reads all parts of one replica."""

    def __init__(
        self,
        log: Log,
        early: Early,
        waiting: WaitingRequests,
        timers: Timers,
        execution: Execution,
        service: Service,
        agreement: Agreement,
        view_changes: ViewChanges,
        checkpoints: Checkpoints,
        transfer: Transfer,
        repair: Repair,
        me: ReplicaId,
        group: Group,
    ) -> None:
        self._me = me
        self._log = log
        self._early = early
        self._waiting = waiting
        self._timers = timers
        self._execution = execution
        self._service = service
        self._agreement = agreement
        self._view_changes = view_changes
        self._checkpoints = checkpoints
        self._transfer = transfer
        self._repair = repair
        self._group = group

    def status(self) -> ReplicaStatus:
        """Return where the replica stands."""
        executed = self._execution.executed
        goal = self._transfer.goal
        return ReplicaStatus(
            id=self._me,
            role="primary" if self._agreement.is_primary else "backup",
            view=self._agreement.view,
            target=self._view_changes.target,
            executed=executed,
            stable_checkpoint=self._checkpoints.proof.sequence,
            low_watermark=self._log.low,
            high_watermark=self._log.high,
            in_flight=sum(1 for _ in self._log.after(executed)),
            waiting=len(self._waiting),
            agreed_time_ms=self._execution.agreed_ms,
            behind=max(0, self._repair.supported() - executed),
            transferring=goal.sequence if goal is not None else None,
            timeout_ms=self._timers.timeout_ms,
        )

    def situation(self, now_ms: int, *, awaits_primary: bool) -> Situation:
        """Return what the replica lacks for its next step, from whom, and what it will do about that."""
        view, sequence = self._agreement.view, self._execution.executed + 1
        slot, expected = self._log.find(sequence), len(self._waiting) > 0 or self._log.begun >= sequence
        earliest_ms = self._waiting.earliest_ms
        leaving = None
        if not self._agreement.voting:
            changes, needed = self._view_changes, self._group.quorums.view_change
            leaving = ViewChangeStanding(changes.target, changes.leaving(), needed)
        return Situation(
            blocked_at(self._group, view, sequence, slot, expected=expected, now_ms=now_ms),
            leaving,
            self._checkpoints.pending(),
            self._timers.standing(now_ms) if awaits_primary else None,
            self._repair.peers(now_ms),
            self._transfer.standing(),
            None if earliest_ms is None else max(0, now_ms - earliest_ms),
        )

    def usage(self) -> dict[str, int]:
        """Return how much is held of everything that others can make grow; `pbft.core.usage.bounds` has the limits."""
        return {
            **self._log.usage(self._execution.executed),
            **self._view_changes.usage(),
            "early_bytes": self._early.held_bytes,
            "checkpoint_votes": self._checkpoints.votes,
            "snapshots": self._checkpoints.snapshots,
            "waiting": len(self._waiting),
            "waiting_bytes": self._waiting.held_bytes,
            "replies": self._service.replies,
            "sessions": self._execution.clients.sessions,
        }
