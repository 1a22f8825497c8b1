"""The replica as its clients see it: greetings, requests, replies (OSDI'99 section 4.1; design 4.2, 4.11).

Owns: which requests wait, and the last reply of each session. Reads the client table; knows nothing of votes.
"""

from __future__ import annotations

from pbft.core.batches import SignedRequest, read_request, within_limits
from pbft.core.client_table import Fate, opened_ms
from pbft.core.effects import Reason
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.execution import Execution, Ran
from pbft.core.group import ClientKey, ReplicaId
from pbft.core.messages import Hello, Refusal, RefusalReason, Welcome, unpack
from pbft.core.outbox import Outbox
from pbft.core.replies import LastReplies, write_replies
from pbft.core.requests import WaitingRequests
from pbft.core.settings import ReplicaSettings

_REFUSED_FATES = {
    Fate.UNKNOWN_SESSION: RefusalReason.UNKNOWN_SESSION,
    Fate.SESSION_IN_FUTURE: RefusalReason.SESSION_IN_FUTURE,
}


class Service:
    """What clients ask and are told."""

    def __init__(
        self, outbox: Outbox, waiting: WaitingRequests, execution: Execution, settings: ReplicaSettings
    ) -> None:
        self._out = outbox
        self._waiting = waiting
        self._execution = execution
        self._replies = LastReplies(settings.reply_gap_ms)

    @property
    def replies(self) -> int:
        """How many sessions' last replies are kept."""
        return len(self._replies)

    def on_hello(self, envelope: Envelope, sender: Sender, view: int) -> None:
        """Tell a client whose address is proven where this replica stands (design 4.11)."""
        hello = unpack(Hello, envelope.body)
        if not isinstance(sender, bytes) or envelope.sender != sender:
            return self._out.ignore(Reason.WRONG_SENDER, envelope, sender)
        if sender not in self._out.group.clients:
            return self._out.ignore(Reason.UNKNOWN_CLIENT, envelope, sender)
        floor = self._execution.clients.floor(sender)
        welcome = Welcome(hello.session, view, self._out.now.wall_ms, floor)
        self._out.answer(sender, hello.session, self._out.plain(Kind.WELCOME, welcome))

    def on_request(self, envelope: Envelope, sender: Sender, primary: ReplicaId | None) -> None:
        """Hold a client's request until it executes, and pass it on to the primary (OSDI'99 section 4.1).

        There is no primary to pass it to while views change. Refused unless a registered client signed it, within the
        limits, newer than what its session executed. One that its session executed last gets the reply it got then.
        """
        signed = read_request(envelope)
        request = signed.request
        if isinstance(sender, bytes) and sender != request.client:
            return self._out.ignore(Reason.WRONG_SENDER, envelope, sender)
        if request.client not in self._out.group.clients:
            return self._out.ignore(Reason.UNKNOWN_CLIENT, envelope, sender)
        if not within_limits(signed, self._out.group.limits):
            return self._refuse(signed, Reason.TOO_LARGE, RefusalReason.TOO_LARGE, sender)
        # A session's time is judged for good when it executes; here our clock stands in for the time to come.
        soon_ms = max(self._execution.agreed_ms, self._out.now.wall_ms)
        fate = self._execution.clients.judge(request.client, request.session, request.timestamp, soon_ms)
        if fate is Fate.STALE:
            return self._on_stale(signed, sender)
        if fate is Fate.SESSION_IN_FUTURE:
            # Not told to the client: our clock alone says so, and others may order the request meanwhile.
            return self._out.ignore(Reason.SESSION_IN_FUTURE, envelope, sender)
        if fate is Fate.UNKNOWN_SESSION:
            return self._refuse(signed, Reason.UNKNOWN_SESSION, RefusalReason.UNKNOWN_SESSION, sender)
        held = self._waiting.held(request.client, request.session)
        if held is not None and held.request.timestamp >= request.timestamp:
            self._relay(signed, sender, primary)
            return self._out.ignore(Reason.DUPLICATE, envelope, sender)
        if not self._waiting.has_room(signed):
            return self._refuse(signed, Reason.BUSY, RefusalReason.BUSY, sender)
        if not self._out.genuine(envelope):
            return self._out.ignore(Reason.BAD_SIGNATURE, envelope, sender)
        self._hold(signed)
        self._relay(signed, sender, primary)

    def _hold(self, signed: SignedRequest) -> None:
        """Let a request wait, from now on or from when its session says it was opened.

        A primary whose clock is behind ours may rightly take a session for one of the future. It is not late before the
        session's own time has come: then every clock within the drift takes it.
        """
        now = self._out.now
        ahead_ms = max(0, opened_ms(signed.request.session) - max(now.wall_ms, self._execution.agreed_ms))
        for evicted in self._waiting.add(signed, now.monotonic_ms, now.monotonic_ms + ahead_ms):
            self._tell(evicted, RefusalReason.BUSY)

    def relay_waiting(self, primary: ReplicaId, most: int) -> None:
        """Pass on to the primary what has waited here, since a relay may be lost after its client has gone."""
        if primary != self._out.me:
            for signed in self._waiting.relay_longest_silent(most, self._out.now.monotonic_ms):
                self._out.send(primary, signed.envelope)

    def on_executed(self, view: int, sequence: int, ran: list[Ran]) -> None:
        """Answer the clients of an executed batch, and let go of what waited for them."""
        for each in ran:
            request = each.signed.request
            self._waiting.settle(request.client, request.session, request.timestamp)
            if each.fate in _REFUSED_FATES:
                self._tell(each.signed, _REFUSED_FATES[each.fate])
        fresh = [each for each in ran if each.fate is Fate.FRESH]
        replies = write_replies(self._out.group, self._out.signer, self._out.me, view, sequence, fresh)
        for each, reply in zip(fresh, replies, strict=True):
            request = each.signed.request
            self._replies.keep(request.client, request.session, reply)
            self._out.answer(request.client, request.session, reply)
        # Last, since a session may have run and been evicted within one batch.
        for each in ran:
            if each.evicted is not None:
                self._replies.forget(each.signed.request.client, each.evicted)
                self._let_go(each.signed.request.client)

    def on_installed(self) -> None:
        """Let go of what ran, or can no longer run, in the state that was taken over, and of replies gone by."""
        for client in self._out.group.clients:
            self._let_go(client)
        self._replies.retain(self._execution.clients)

    def _let_go(self, client: ClientKey) -> None:
        """Drop what waits for a client and can no longer run: its session was evicted, or ran it elsewhere.

        Kept, it would count as unfinished for ever, and as censored by a primary that rightly refuses it.
        """
        for signed in self._waiting.of(client):
            request = signed.request
            fate = self._execution.clients.judge(client, request.session, request.timestamp, self._execution.agreed_ms)
            if fate in (Fate.UNKNOWN_SESSION, Fate.STALE):
                self._waiting.settle(client, request.session, request.timestamp)

    def _relay(self, signed: SignedRequest, sender: Sender, primary: ReplicaId | None) -> None:
        """Pass what a client sent here on to the primary, which it may not reach; again when the client does."""
        if sender != signed.request.client or primary is None or primary == self._out.me:
            return
        if self._waiting.relay_due(signed, self._out.now.monotonic_ms):
            self._out.send(primary, signed.envelope)

    def _on_stale(self, signed: SignedRequest, sender: Sender) -> None:
        request = signed.request
        if sender != request.client:
            # What others bring is not answered: they could aim a client's own replies at it.
            return self._out.ignore(Reason.STALE, signed.envelope, sender)
        last = self._execution.clients.last(request.client, request.session)
        if last is None or last.request_digest != signed.digest:
            return self._out.ignore(Reason.STALE, signed.envelope, sender)
        self._out.ignore(Reason.DUPLICATE, signed.envelope, sender)
        reply = self._replies.again(request.client, request.session, self._out.now.monotonic_ms)
        if reply is not None:
            self._out.answer(request.client, request.session, reply)

    def _refuse(self, signed: SignedRequest, reason: Reason, told: RefusalReason, sender: Sender) -> None:
        self._out.ignore(reason, signed.envelope, sender)
        if sender == signed.request.client:
            self._tell(signed, told)

    def _tell(self, signed: SignedRequest, reason: RefusalReason) -> None:
        request = signed.request
        refusal = Refusal(request.session, request.timestamp, signed.digest, int(reason))
        self._out.answer(request.client, request.session, self._out.plain(Kind.REFUSAL, refusal))
