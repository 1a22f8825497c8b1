"""What a replica tells of itself: where it stands, why, and how much it holds.

Owns: how these accounts are gathered from the parts of a replica. Changes none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from pbft.core.agreement import Agreement
from pbft.core.checkpoints import Checkpoints
from pbft.core.early import Early
from pbft.core.execution import Execution
from pbft.core.group import Group, ReplicaId
from pbft.core.log import Log
from pbft.core.recall import Recollection
from pbft.core.repair import Repair
from pbft.core.requests import WaitingRequests
from pbft.core.service import Service
from pbft.core.situation import Situation, ViewChangeStanding, blocked_at
from pbft.core.status import ReplicaStatus
from pbft.core.timers import Timers
from pbft.core.transfer import Transfer
from pbft.core.view_change import ViewChanges


@dataclass(frozen=True, slots=True)
class Account:
    """Reads all parts of one replica."""

    log: Log
    early: Early
    waiting: WaitingRequests
    timers: Timers
    execution: Execution
    service: Service
    agreement: Agreement
    view_changes: ViewChanges
    checkpoints: Checkpoints
    transfer: Transfer
    recollection: Recollection
    repair: Repair
    me: ReplicaId
    group: Group

    def status(self) -> ReplicaStatus:
        """Return where the replica stands."""
        executed = self.execution.executed
        goal = self.transfer.goal
        return ReplicaStatus(
            id=self.me,
            role="primary" if self.agreement.is_primary else "backup",
            view=self.agreement.view,
            target=self.view_changes.target,
            executed=executed,
            stable_checkpoint=self.checkpoints.proof.sequence,
            low_watermark=self.log.low,
            high_watermark=self.log.high,
            in_flight=sum(1 for _ in self.log.after(executed)),
            waiting=len(self.waiting),
            agreed_time_ms=self.execution.agreed_ms,
            behind=max(0, self.repair.supported() - executed),
            transferring=goal.sequence if goal is not None else None,
            timeout_ms=self.timers.timeout_ms,
        )

    def situation(self, now_ms: int, *, awaits_primary: bool) -> Situation:
        """Return what the replica lacks for its next step, from whom, and what it will do about that."""
        view, sequence = self.agreement.view, self.execution.executed + 1
        slot, expected = self.log.find(sequence), len(self.waiting) > 0 or self.log.begun >= sequence
        earliest_ms = self.waiting.earliest_ms
        leaving = None
        if not self.agreement.voting:
            changes, needed = self.view_changes, self.group.quorums.view_change
            leaving = ViewChangeStanding(changes.target, changes.leaving(), needed)
        return Situation(
            blocked_at(self.group, view, sequence, slot, expected=expected, now_ms=now_ms),
            leaving,
            self.checkpoints.pending(),
            self.timers.standing(now_ms) if awaits_primary else None,
            self.repair.peers(now_ms),
            self.transfer.standing(),
            None if earliest_ms is None else max(0, now_ms - earliest_ms),
        )

    def usage(self) -> dict[str, int]:
        """Return how much is held of everything that others can make grow; `pbft.core.usage.bounds` has the limits."""
        return {
            **self.log.usage(self.execution.executed),
            **self.view_changes.usage(),
            "early_bytes": self.early.held_bytes,
            "checkpoint_votes": self.checkpoints.votes,
            "snapshots": self.checkpoints.snapshots,
            "waiting": len(self.waiting),
            "waiting_bytes": self.waiting.held_bytes,
            "replies": self.service.replies,
            "sessions": self.execution.clients.sessions,
            "deeds": len(self.execution.deeds),
            "deed_bytes": self.execution.deeds.held_bytes,
            **self.recollection.usage(),
        }
