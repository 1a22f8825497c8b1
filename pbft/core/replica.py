"""One replica of the group, as a pure state machine: messages and time in, effects out (design 3).

Owns: the order of steps between its parts: the service of clients, agreement, execution, checkpoints, view changes,
repair and transfer. Only here does what one part found change another. Knows no clock, socket or disk: time is handed
in, effects are handed out.
"""

from __future__ import annotations

from pbft.core.account import Account
from pbft.core.agreement import Agreement
from pbft.core.batches import read_batch
from pbft.core.certificates import Certificates
from pbft.core.checkpoints import Checkpoints
from pbft.core.early import Early
from pbft.core.effects import (
    Cause,
    Diverged,
    Effect,
    Executed,
    ExecutedRequest,
    StateInstalled,
    ViewChangeStarted,
    ViewEntered,
)
from pbft.core.envelope import Envelope, Sender, Signer, Verifier
from pbft.core.execution import Execution
from pbft.core.group import Group, ReplicaId
from pbft.core.intake import Intake
from pbft.core.log import Log, Proposal, Slot
from pbft.core.outbox import Outbox
from pbft.core.recall import Recollection
from pbft.core.repair import Repair, Standing
from pbft.core.requests import WaitingRequests
from pbft.core.service import Service
from pbft.core.settings import Now, ReplicaSettings
from pbft.core.situation import Situation
from pbft.core.snapshot import ForeignState
from pbft.core.status import ReplicaStatus
from pbft.core.timers import Timers
from pbft.core.transfer import Transfer
from pbft.core.view_change import Entry, ViewChanges
from pbft.machine import Application

_PATIENT_ATTEMPTS = 2
"""Statuses sent without progress, after which a replica behind a stable checkpoint fetches its state."""


class Replica:
    """A correct replica."""

    def __init__(
        self,
        me: ReplicaId,
        group: Group,
        application: Application,
        signer: Signer,
        verifier: Verifier,
        settings: ReplicaSettings | None = None,
    ) -> None:
        self.me = me
        self.group = group
        self.settings = settings or ReplicaSettings()
        self._out = Outbox(me, group, signer, verifier)
        self._log = Log(group.limits.log_size)
        self._early = Early(self.settings.early_bytes)
        self._waiting = WaitingRequests(self.settings)
        self._timers = Timers(self._waiting, self.settings, group.limits, group.quorums)
        self._execution = Execution(group, application)
        self._service = Service(self._out, self._waiting, self._execution, self.settings)
        certificates = Certificates(group, self._out.genuine)
        self._agreement = Agreement(
            self._out, self._log, self._early, certificates, self._waiting.vouches_for, self.settings
        )
        self._view_changes = ViewChanges(self._out, certificates)
        self._checkpoints = Checkpoints(self._out, certificates, self.settings)
        self._transfer = Transfer(self._out, self.settings)
        self._recollection = Recollection(self._out, self._execution, self._log, self.settings)
        self._repair = Repair(self._out, self._log, self._early, certificates, self.settings)
        self._intake = Intake(
            self._out,
            self._service,
            self._agreement,
            self._view_changes,
            self._checkpoints,
            self._transfer,
            self._recollection,
            self._repair,
            lambda: self._standing,
        )
        self._account = Account(
            self._log,
            self._early,
            self._waiting,
            self._timers,
            self._execution,
            self._service,
            self._agreement,
            self._view_changes,
            self._checkpoints,
            self._transfer,
            self._recollection,
            self._repair,
            me,
            group,
        )
        self._diverged = False
        self._overslept = False
        """Whether a late tick was excused already, since something was last executed."""
        self._seen = 0
        """How far f+1 peers were last seen to have come."""
        self._arrived = 0
        """How many nodes of the state had come when that was last looked at."""

    # The face that drivers see.

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Act on one message. `sender` is whom the link authenticated, who may differ from the envelope's signer."""
        self._out.begin(now)
        if not self._unfinished:
            # Whatever this message begins has a quiet interval before its absence counts as loss.
            self._repair.postpone()
        self._intake.take(envelope, sender)
        self._settle()
        return self._out.effects()

    def tick(self, now: Now) -> list[Effect]:
        """Do what time or waiting work makes due: lose patience, propose as primary, say what is missing."""
        self._out.begin(now)
        if self._awaits_primary:
            self._lose_patience()
        self._transfer.tick()
        self._recollection.tick()
        self._checkpoints.settle()
        while self._can_propose:
            requests = tuple(self._waiting.take(self.group.limits))
            self._agreement.propose(self._next_assignment, requests)
        if self._status_due:
            for slot in self._log.after(self._execution.executed):
                self._agreement.reconsider(slot)
        self._settle()
        if self._status_due:
            self._ask()
        return self._out.effects()

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is next due, on the monotonic clock.

        A primary with work and room is due at once: a driver drains its inbox and then ticks, so that what arrived
        together is proposed together.
        """
        if self._can_propose or self._checkpoints.pending_digests:
            return self._out.now.monotonic_ms
        deadlines = (
            self._repair.due_ms if self._unfinished else None,
            self._timers.deadline_ms if self._awaits_primary else None,
            self._transfer.deadline_ms,
            self._recollection.deadline_ms,
        )
        return min((each for each in deadlines if each is not None), default=None)

    def status(self) -> ReplicaStatus:
        """Return where this replica stands."""
        return self._account.status()

    def situation(self, now_ms: int) -> Situation:
        """Return what this replica lacks for its next step, from whom, and what it will do about that."""
        return self._account.situation(now_ms, awaits_primary=self._awaits_primary)

    def state_digest(self) -> bytes:
        """Return the digest of the application's state after `executed`."""
        return self._execution.state_digest()

    def usage(self) -> dict[str, int]:
        """Return how much is held of everything that others can make grow; `pbft.core.usage.bounds` has the limits."""
        return self._account.usage()

    # What is due.

    @property
    def _next_assignment(self) -> int:
        return max(self._agreement.assigned, self._execution.executed, self._log.low) + 1

    @property
    def _can_propose(self) -> bool:
        """Whether this replica is the primary, something waits, and the window has room.

        While `window` sequences are in flight, waiting requests gather: batches grow under load, and a lone request
        never waits for company (design 4.3).
        """
        return (
            self._agreement.is_primary
            and self._agreement.voting
            and self._waiting.ready
            and self._next_assignment - max(self._execution.executed, self._log.low) <= self.settings.window
            and self._log.within(self._next_assignment)
        )

    @property
    def _awaits_primary(self) -> bool:
        """Whether it is for somebody else to move on: a primary is not impatient with itself."""
        return not (self._agreement.is_primary and self._agreement.voting)

    @property
    def _unfinished(self) -> bool:
        """Whether something is under way.

        A start, a slot not executed, a request waiting, a view or a checkpoint to come, or peers ahead of us. Votes for
        what nobody proposed, or for a view we have not come to, count for some time only: one liar's must not keep an
        idle group talking.
        """
        executed = self._execution.executed
        return (
            not self._repair.greeted
            or not self._agreement.voting
            or self._log.begun > executed
            or ((self._log.last > executed or bool(self._early)) and self._repair.patient)
            or len(self._waiting) > 0
            or self._repair.supported() > executed
            or self._checkpoints.unproven
            or self._checkpoints.proof.sequence > executed
        )

    @property
    def _status_due(self) -> bool:
        return self._unfinished and self._out.now.monotonic_ms >= self._repair.due_ms

    @property
    def _standing(self) -> Standing:
        return Standing(
            self._agreement.view,
            self._view_changes.target,
            self._checkpoints.proof.sequence,
            self._execution.executed,
            self._view_changes.views() if not self._agreement.voting else (),
            self._view_changes.wanted(),
        )

    def _ask(self) -> None:
        """Say what is missing, and pass on to the primary what waits here."""
        self._repair.send_status(self._standing)
        if self._agreement.voting:
            self._service.relay_waiting(self.group.primary(self._agreement.view), self.settings.repair_slots)

    # Steps between the parts.

    def _settle(self) -> None:
        """Draw every conclusion that what came in allows."""
        while self._advance():
            for sender, envelope in self._early.take():
                self._intake.take(envelope, sender)
        executed, now_ms = self._execution.executed, self._out.now.monotonic_ms
        supported = self._repair.supported()
        if (supported > max(self._seen, executed)) or self._transfer.arrived > self._arrived:
            # The others go on without us: whatever waits here may have run there, so the primary is not to blame.
            self._timers.progressed(now_ms)
        # Never back: a liar whose claims rise and fall would restart the timers for ever.
        self._seen, self._arrived = max(self._seen, supported), self._transfer.arrived
        if self._log.begun > executed:
            self._timers.begun(now_ms, max(self._log.begun, supported))
        else:
            self._timers.idle()

    def _advance(self) -> bool:
        """Take each step that is possible; say whether the view or the watermarks moved, so that others may be."""
        before = (self._agreement.view, self._log.low)
        self._follow_view_changes()
        self._execute_committed()
        self._follow_checkpoints()
        return before != (self._agreement.view, self._log.low)

    def _follow_view_changes(self) -> None:
        """Join f+1 others, start the timer with a quorum, enter a view that is ready (OSDI'99 section 4.4, 4.5)."""
        view = self._view_changes.joined()
        if view is not None:
            self._leave(view, Cause.JOINED)
        if not self._agreement.voting and self._view_changes.has_quorum:
            self._timers.quorum(self._out.now.monotonic_ms)
        entry = self._view_changes.ready()
        if entry is not None:
            self._enter(entry)

    def _lose_patience(self) -> None:
        """Leave the view if its primary has had its time (OSDI'99 section 4.4).

        A tick that comes late by a good part of the timeout says that this replica slept, and perhaps the whole host:
        once, the others are given the time that was slept away (design 4.10).
        """
        now_ms, due_ms = self._out.now.monotonic_ms, self._timers.deadline_ms
        cause = self._timers.cause(now_ms)
        if cause is None:
            return
        if not self._overslept and due_ms is not None and now_ms - due_ms > self._timers.timeout_ms // 4:
            self._overslept = True
            self._timers.progressed(now_ms)
        else:
            self._leave(self._view_changes.target + 1, cause)

    def _leave(self, view: int, cause: Cause) -> None:
        """Vote no more in the present view and ask for a higher one (OSDI'99 section 4.4)."""
        self._agreement.leave()
        self._timers.left(cause, self._out.now.monotonic_ms)
        timeout_ms = self._timers.timeout_ms
        self._out.notice(ViewChangeStarted(self._agreement.view, view, cause, timeout_ms))
        stable = self._checkpoints.proof
        self._view_changes.leave(view, stable, self._log.certificates(stable.sequence))
        self._repair.restart()

    def _enter(self, entry: Entry) -> None:
        """Begin a view where its NEW-VIEW says (OSDI'99 section 4.4)."""
        if self.group.primary(entry.view) == self.me:
            self._out.vote(entry.envelope, entry.votes)
        else:
            self._out.remember(entry.envelope, entry.votes)
        self._out.notice(ViewEntered(entry.view, entry.stable.sequence, entry.digests, entry.votes))
        self._view_changes.enter(entry)
        self._checkpoints.adopt(entry.stable)
        self._waiting.unpropose()
        voting = entry.view == self._view_changes.target
        for proposal in self._agreement.begin(entry.view, entry.stable.sequence, entry.renewals, voting=voting):
            for signed in proposal.requests:
                request = signed.request
                self._waiting.mark_proposed(request.client, request.session, request.timestamp)
        if voting:
            self._timers.entered(self._out.now.monotonic_ms)
            # Nobody told the new primary of what waits here; only once it was told may it be called unfair.
            self._service.relay_waiting(self.group.primary(entry.view), self.settings.repair_slots)
        self._repair.restart()

    def _execute_committed(self) -> None:
        """Execute what has committed, in sequence order, without gaps (OSDI'99 section 4.2)."""
        before = self._execution.executed
        while not self._diverged:
            slot = self._log.find(self._execution.executed + 1)
            if slot is None or slot.committed is None:
                break
            self._execute(slot, slot.committed)
        executed = self._execution.executed
        self._agreement.executed = executed
        if executed > before:
            self._overslept = False
            self._repair.progressed(executed)

    def _execute(self, slot: Slot, proposal: Proposal) -> None:
        # They are gone if it ran before: a state that was not what a quorum vouches for was put right since.
        requests = proposal.requests or read_batch(proposal.envelope.beside, self.group, lambda _: True)[1]
        ran = self._execution.run(proposal.time_ms, requests, proposal.digest)
        slot.release()
        fates = tuple(
            ExecutedRequest(
                each.signed.request.client,
                each.signed.request.session,
                each.signed.request.timestamp,
                each.signed.digest,
                tuple(int(result.outcome) for result in each.results),
            )
            for each in ran
        )
        agreed_ms = self._execution.agreed_ms
        self._out.notice(Executed(proposal.view, slot.sequence, proposal.digest, agreed_ms, fates))
        if self._execution.failed is not None:
            self._out.notice(self._execution.failed)
        self._service.on_executed(self._agreement.view, slot.sequence, ran)
        fresh = [each.client for each in fates if each.outcomes]
        self._timers.executed(slot.sequence, fresh, self._out.now.monotonic_ms, slot.agreeing_ms)
        if self._checkpoints.is_due(slot.sequence):
            self._execution.deeds.checkpoint()
            self._checkpoints.take(self._execution.snapshot())
        else:
            self._checkpoints.settle(slot.sequence)

    def _follow_checkpoints(self) -> None:
        """Cut the log where a quorum vouches for our state; fetch theirs where we cannot come there ourselves."""
        proof, executed = self._checkpoints.proof, self._execution.executed
        own = self._checkpoints.own_digest(proof.sequence)
        if own is not None and own != proof.digest and not self._diverged:
            self._diverged = True
            self._out.notice(Diverged(proof.sequence, own, proof.digest))
        self._recollection.follow(proof, own, self._checkpoints.split)
        goal = self._transfer.goal
        if goal is not None and goal.sequence <= executed and not self._diverged:
            self._transfer.stop()
        elif self._transfer.complete:
            self._install()
        elif self._diverged or proof.sequence > executed:
            before = max(self._log.low, self._checkpoints.before)
            out_of_reach = self._diverged or before > executed or self._repair.attempts >= _PATIENT_ATTEMPTS
            moved_on = goal is not None and goal.sequence < proof.sequence and self._transfer.outlived(before)
            if moved_on or (goal is None and out_of_reach):
                outvoted = self._checkpoints.snapshot(proof.sequence) if self._diverged else None
                self._transfer.begin(proof, outvoted or self._execution.snapshot())
        if self._execution.executed >= proof.sequence and not self._diverged:
            self._log.advance(proof.sequence)
            self._execution.deeds.forget(self._checkpoints.before)

    def _install(self) -> None:
        """Take over the state that was fetched, in place of executing what led there (OSDI'99 section 4.4)."""
        goal = self._transfer.goal
        assert goal is not None
        came = self._transfer.assembly
        top, replacements = came.replacements()
        self._recollection.installing(goal.sequence, replacements)
        self._execution.install(goal.sequence, top, replacements)
        self._transfer.stop()
        snapshot = self._execution.snapshot()
        if snapshot.digest != goal.digest:
            raise ForeignState(
                f"the application did not restore the state it was given at sequence {goal.sequence}: its snapshot "
                "afterwards differs; snapshot() and restore() of an application must mirror each other"
            )
        self._diverged = False
        self._checkpoints.put_right(snapshot)
        self._log.advance(goal.sequence)
        self._service.on_installed()
        self._agreement.executed = goal.sequence
        self._out.notice(StateInstalled(goal.sequence, goal.digest, came.nodes, came.bytes))
        self._timers.progressed(self._out.now.monotonic_ms)
        self._repair.caught_up(goal.sequence)
        self._execute_committed()
