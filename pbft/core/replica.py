"""One replica of the group, as a pure state machine: messages and time in, effects out (design 3).

Owns: the order of steps between its parts: the service of clients, agreement, execution, repair. Only here does what
one part found change another. Knows no clock, socket or disk: time is handed in, effects are handed out.
"""

from __future__ import annotations

from typing import assert_never

from pbft.core.agreement import Agreement
from pbft.core.effects import Effect, Executed, ExecutedRequest, Reason
from pbft.core.envelope import WITH_SOMETHING_BESIDE, Envelope, Kind, Sender, Signer, Verifier
from pbft.core.execution import Execution
from pbft.core.group import Group, ReplicaId
from pbft.core.log import Log, Proposal, Slot
from pbft.core.messages import Commit, Prepare, PrePrepare, Status, unpack
from pbft.core.outbox import Outbox
from pbft.core.repair import Repair
from pbft.core.requests import WaitingRequests
from pbft.core.service import Service
from pbft.core.settings import Now, ReplicaSettings
from pbft.core.status import ReplicaStatus
from pbft.encoding import EncodingError
from pbft.machine import Application


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
        self._waiting = WaitingRequests(self.settings)
        self._execution = Execution(group, application)
        self._service = Service(self._out, self._waiting, self._execution, self.settings)
        self._agreement = Agreement(self._out, self._log, self._waiting.vouches_for)
        self._repair = Repair(self._out, self._log, self.settings)

    # The face that drivers see.

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Act on one message. `sender` is whom the link authenticated, who may differ from the envelope's signer."""
        self._out.begin(now)
        if not self._unfinished:
            # Whatever this message begins has a quiet interval before its absence counts as loss.
            self._repair.postpone()
        try:
            self._dispatch(envelope, sender)
        except EncodingError:
            self._out.ignore(Reason.MALFORMED, envelope, sender)
        self._execute_committed()
        return self._out.effects()

    def tick(self, now: Now) -> list[Effect]:
        """Do what time or waiting work makes due: propose as primary, say what is missing."""
        self._out.begin(now)
        while self._can_propose:
            requests = tuple(self._waiting.take(self.group.limits))
            self._agreement.propose(self._next_assignment, requests)
        if self._status_due:
            for slot in self._log.after(self._execution.executed):
                self._agreement.reconsider(slot)
        self._execute_committed()
        if self._status_due:
            self._repair.send_status(self._agreement.view, self._execution.executed)
            self._service.relay_waiting(self.group.primary(self._agreement.view), self.settings.repair_slots)
        return self._out.effects()

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is next due, on the monotonic clock.

        A primary with work and room is due at once: a driver drains its inbox and then ticks, so that what arrived
        together is proposed together.
        """
        if self._can_propose:
            return self._out.now.monotonic_ms
        return self._repair.due_ms if self._unfinished else None

    def status(self) -> ReplicaStatus:
        """Return where this replica stands."""
        executed = self._execution.executed
        behind = max(0, self._repair.supported() - executed)
        return ReplicaStatus(
            id=self.me,
            role="primary" if self._agreement.is_primary else "backup",
            view=self._agreement.view,
            executed=executed,
            stable_checkpoint=None,
            low_watermark=self._log.low,
            high_watermark=self._log.high,
            in_flight=sum(1 for _ in self._log.after(executed)),
            waiting=len(self._waiting),
            agreed_time_ms=self._execution.agreed_ms,
            behind=behind,
            reparable=behind <= self._log.tail,
        )

    def state_digest(self) -> bytes:
        """Return the digest of the application's state after `executed`."""
        return self._execution.state_digest()

    # Dispatch.

    def _dispatch(self, envelope: Envelope, sender: Sender) -> None:
        if envelope.beside and envelope.kind not in WITH_SOMETHING_BESIDE:
            return self._out.ignore(Reason.MALFORMED, envelope, sender)
        match envelope.kind:
            case Kind.REQUEST:
                self._service.on_request(envelope, sender, self.group.primary(self._agreement.view))
            case Kind.HELLO:
                self._service.on_hello(envelope, sender, self._agreement.view)
            case Kind.PRE_PREPARE | Kind.PREPARE | Kind.COMMIT | Kind.STATUS:
                if isinstance(sender, bytes):
                    self._out.ignore(Reason.WRONG_SENDER, envelope, sender)
                elif isinstance(envelope.sender, bytes) or envelope.sender >= self.group.n:
                    self._out.ignore(Reason.NOT_A_MEMBER, envelope, sender)
                else:
                    self._dispatch_protocol(envelope, envelope.sender, sender)
            case Kind.REPLY | Kind.CHALLENGE | Kind.WELCOME | Kind.REFUSAL | Kind.INSPECT | Kind.REPORT:
                self._out.ignore(Reason.NOT_FOR_REPLICAS, envelope, sender)
            case _:
                assert_never(envelope.kind)

    def _dispatch_protocol(self, envelope: Envelope, signer: ReplicaId, sender: ReplicaId) -> None:
        if envelope.kind is Kind.PRE_PREPARE:
            self._agreement.on_pre_prepare(unpack(PrePrepare, envelope.body), envelope, signer, sender)
        elif envelope.kind is Kind.PREPARE:
            self._agreement.on_prepare(unpack(Prepare, envelope.body), envelope, signer, sender)
        elif envelope.kind is Kind.COMMIT:
            self._agreement.on_commit(unpack(Commit, envelope.body), envelope, signer, sender)
        elif signer != sender:
            self._out.ignore(Reason.WRONG_SENDER, envelope, sender)
        else:
            status = unpack(Status, envelope.body)
            self._repair.on_status(status, sender, self._agreement.view, self._execution.executed)

    # Steps between the parts.

    @property
    def _next_assignment(self) -> int:
        return max(self._agreement.assigned, self._execution.executed) + 1

    @property
    def _can_propose(self) -> bool:
        """Whether this replica is the primary, something waits, and the window has room.

        While `window` sequences are in flight, waiting requests gather: batches grow under load, and a lone request
        never waits for company (design 4.3).
        """
        return (
            self._agreement.is_primary
            and self._waiting.ready
            and self._next_assignment - self._execution.executed <= self.settings.window
            and self._log.within(self._next_assignment)
        )

    @property
    def _unfinished(self) -> bool:
        """Whether something is under way: a start, a slot not executed, a request waiting, or peers ahead of us.

        Votes for what nobody proposed count for some time only: one liar's must not keep an idle group talking.
        """
        executed = self._execution.executed
        return (
            not self._repair.greeted
            or self._log.begun > executed
            or (self._log.last > executed and self._repair.patient)
            or len(self._waiting) > 0
            or self._repair.supported() > executed
        )

    @property
    def _status_due(self) -> bool:
        return self._unfinished and self._out.now.monotonic_ms >= self._repair.due_ms

    def _execute_committed(self) -> None:
        """Execute what has committed, in sequence order, without gaps (OSDI'99 section 4.2)."""
        before = self._execution.executed
        while True:
            slot = self._log.find(self._execution.executed + 1)
            if slot is None or not slot.committed or slot.proposal is None:
                break
            self._execute(slot, slot.proposal)
        if self._execution.executed > before:
            self._log.trail(self._execution.executed)
            self._repair.progressed(self._execution.executed)

    def _execute(self, slot: Slot, proposal: Proposal) -> None:
        ran = self._execution.run(proposal.time_ms, proposal.requests)
        proposal.requests = ()
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
        self._service.on_executed(self._agreement.view, slot.sequence, ran)
