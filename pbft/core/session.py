"""A client's session: greetings, one request in flight, f+1 equal answers (OSDI'99 section 4.1; design 4.2, 4.11).

Owns: the session's id and timestamps, which operations ride in which request, retransmission, and when an answer is
believed. Sans-IO like the replica: the client on real sockets and the one in the simulator run this same class.
"""

from __future__ import annotations

from dataclasses import dataclass

from pbft.core.client_table import opened_ms
from pbft.core.codec import MAX_UINT
from pbft.core.effects import Send
from pbft.core.envelope import Envelope, Kind, Signer, Verifier, genuine, seal
from pbft.core.flight import Answered, InFlight, Queued
from pbft.core.group import ITEM_BYTES, WRAPPING_BYTES, ClientKey, Group, ReplicaId
from pbft.core.messages import (
    Challenge,
    Hello,
    Refusal,
    RefusalReason,
    Request,
    Welcome,
    pack,
    request_digest,
    unpack,
)
from pbft.core.receipt import Receipt
from pbft.core.replies import ReadReply, read_reply
from pbft.core.settings import Now, SessionSettings
from pbft.core.tally import Tally, same
from pbft.encoding import EncodingError, digest
from pbft.machine import Result

_PADDING = bytes(64)
_FINAL = (RefusalReason.UNKNOWN_SESSION, RefusalReason.SESSION_IN_FUTURE, RefusalReason.TOO_LARGE)
"""Refusals that end a request once f+1 replicas agree on one; BUSY is a hint of one replica."""


@dataclass(frozen=True, slots=True)
class Completed:
    """f+1 distinct replicas gave one answer."""

    ticket: int
    result: Result
    view: int
    sequence: int
    timestamp: int
    matching: tuple[ReplicaId, ...]
    differing: tuple[ReplicaId, ...]
    silent: tuple[ReplicaId, ...]
    needed: int
    elapsed_ms: int
    receipt: Receipt | None
    index: int
    """Which of the request's operations, and of the receipt's results, this is."""


@dataclass(frozen=True, slots=True)
class Lost:
    """f+1 replicas refuse the request for good. With UNKNOWN_SESSION it may have run, or not."""

    ticket: int
    reason: RefusalReason


SessionEffect = Send | Completed | Lost


class Session:
    """One program's conversation with the group under a client's key."""

    def __init__(
        self,
        group: Group,
        client: ClientKey,
        signer: Signer,
        verifier: Verifier,
        entropy: bytes,
        now: Now,
        settings: SessionSettings | None = None,
    ) -> None:
        """`entropy` keeps two sessions opened in one millisecond apart: at least 8 random bytes."""
        self._group = group
        self._client = client
        self._signer = signer
        self._verifier = verifier
        self._entropy = entropy
        self._settings = settings or SessionSettings()
        self._now = now
        self._tickets = 0
        self._timestamp = 0
        self._queue: list[Queued] = []
        self._in_flight: InFlight | None = None
        self._answered: Answered | None = None
        self._welcomes: dict[ReplicaId, Welcome] = {}
        self._views: dict[ReplicaId, int] = {}
        self._opened = False
        self._ids = 0
        self._misjudged = 0
        """Ids in a row that the group's floor or clocks would not have."""
        self.id = self._new_id(now.wall_ms)
        self._greet_ms = now.monotonic_ms
        self._greet_interval_ms = self._settings.retransmit_ms

    # The face that drivers see.

    @property
    def view_hint(self) -> int:
        """The view that f+1 replicas have reached, as far as they told: its primary gets the next request."""
        return self._group.quorums.weakly_supported(self._views.values()) or 0

    @property
    def opened(self) -> bool:
        """Whether enough replicas know this session's address for requests to leave."""
        return self._opened

    def has_left(self, ticket: int) -> bool:
        """Say whether an operation rides in a request that was sent; one that still waits here has not run anywhere."""
        return all(operation.ticket != ticket for operation in self._queue)

    def submit(self, operation: bytes, now: Now, receipt: bool = False) -> int:
        """Queue an operation and return its ticket; it leaves with the next `tick`.

        Operations queued together, or while a request is in flight, ride together in the next one. With `receipt`, only
        replies whose signatures verify count, and the answer comes with a receipt. Raises ValueError for an operation
        beyond the group's limit.
        """
        limit = self._group.limits.operation_bytes
        if len(operation) > limit:
            raise ValueError(f"an operation has at most {limit} bytes in this group; this one has {len(operation)}")
        self._now = now
        self._tickets += 1
        self._queue.append(Queued(self._tickets, operation, receipt, now.monotonic_ms))
        return self._tickets

    def abandon(self, ticket: int) -> None:
        """Stop waiting for a ticket. Its operation may still run; a later request of this session is told apart."""
        self._queue = [each for each in self._queue if each.ticket != ticket]
        if self._in_flight is not None:
            self._in_flight.operations = {
                index: each for index, each in self._in_flight.operations.items() if each.ticket != ticket
            }
            if not self._in_flight.operations:
                self._in_flight = None

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is next due, on the monotonic clock."""
        dues = []
        if self._greeting:
            dues.append(self._greet_ms)
        if self._in_flight is not None:
            dues.append(self._in_flight.due_ms)
        elif self._queue and self._opened:
            dues.append(self._now.monotonic_ms)
        return min(dues, default=None)

    def tick(self, now: Now) -> list[SessionEffect]:
        """Send what is due: greetings, the next request, or the one in flight once more."""
        self._now = now
        effects: list[SessionEffect] = []
        if self._greeting and now.monotonic_ms >= self._greet_ms:
            effects += [self._hello(replica, b"") for replica in range(self._group.n) if replica not in self._welcomes]
            self._greet_ms = now.monotonic_ms + self._greet_interval_ms
            self._greet_interval_ms = min(2 * self._greet_interval_ms, self._settings.retransmit_max_ms)
        if self._in_flight is None and self._queue and self._opened:
            self._in_flight = self._next_request()
            effects += self._transmit(self._in_flight, [self._group.primary(self.view_hint)])
        elif self._in_flight is not None and now.monotonic_ms >= self._in_flight.due_ms:
            effects += self._transmit(self._in_flight, list(range(self._group.n)))
        return effects

    def receive(self, envelope: Envelope, sender: ReplicaId, now: Now) -> list[SessionEffect]:
        """Act on a replica's message. What is malformed, late or not for this session changes nothing."""
        self._now = now
        if envelope.sender != sender:
            return []
        try:
            match envelope.kind:
                case Kind.CHALLENGE:
                    return self._on_challenge(unpack(Challenge, envelope.body), sender)
                case Kind.WELCOME:
                    return self._on_welcome(unpack(Welcome, envelope.body), sender)
                case Kind.REPLY:
                    return self._on_reply(read_reply(envelope), sender)
                case Kind.REFUSAL:
                    return self._on_refusal(unpack(Refusal, envelope.body), sender)
                case _:
                    return []
        except EncodingError:
            self._remark(sender, "answered with something malformed")
            return []

    def heard(self) -> dict[ReplicaId, str]:
        """Say in words what each replica last said about what is pending; for a timeout's message."""
        words = {}
        flight = self._in_flight
        for replica in range(self._group.n):
            if flight is not None and replica in flight.replies:
                words[replica] = "answered"
            elif flight is not None and replica in flight.refusals:
                words[replica] = flight.refusals[replica].name.lower().replace("_", " ")
            elif flight is not None and replica in flight.remarks:
                words[replica] = flight.remarks[replica]
            elif flight is None and replica in self._welcomes:
                words[replica] = "alive"
            else:
                words[replica] = "silent"
        return words

    # Who answered, after the answer is believed.

    def tally(self, timestamp: int, sequence: int) -> Tally | None:
        """Return the count of replies to the request completed last, if this is its timestamp and its sequence.

        It is brought up to date by what arrives, until another request is completed.
        """
        answered = self._answered
        if answered is None or (answered.flight.timestamp, answered.sequence) != (timestamp, sequence):
            return None
        return answered.tally

    def greet_silent(self, now: Now) -> list[SessionEffect]:
        """Greet who has not answered the request completed last: one that was restarted does not know us any more."""
        self._now = now
        if self._answered is None:
            return []
        self._answered.asked = True
        return [self._hello(replica, b"") for replica in self._answered.tally.silent]

    # Opening.

    def _new_id(self, opening_ms: int) -> bytes:
        self._ids += 1
        opening_ms = min(opening_ms, MAX_UINT)
        return opening_ms.to_bytes(8, "big") + digest(b"pbft/session", self._entropy, bytes([self._ids % 256]))[:8]

    @property
    def _greeting(self) -> bool:
        """Whether replicas are left to greet: all before opening, then the missing ones while somebody waits."""
        return len(self._welcomes) < self._group.n and (not self._opened or self._in_flight is not None)

    def _hello(self, replica: ReplicaId, cookie: bytes) -> Send:
        return Send(replica, Envelope(Kind.HELLO, self._client, pack(Hello(self.id, cookie, _PADDING))))

    def _on_challenge(self, challenge: Challenge, sender: ReplicaId) -> list[SessionEffect]:
        """Prove our address by echoing the cookie. One comes again when a replica was restarted and forgot us."""
        if challenge.session != self.id:
            return []
        self._welcomes.pop(sender, None)
        return [self._hello(sender, challenge.cookie)]

    def _on_welcome(self, welcome: Welcome, sender: ReplicaId) -> list[SessionEffect]:
        if welcome.session != self.id:
            return []
        greeted_before = sender in self._welcomes
        self._welcomes[sender] = welcome
        self._views[sender] = welcome.view
        if not self._opened and len(self._welcomes) >= self._group.n - self._group.quorums.faults:
            self._open()
        flight, answered = self._in_flight, self._answered
        if greeted_before:
            return []
        if flight is not None:
            missed = sender in flight.sent_to and sender not in flight.replies
            return [Send(sender, flight.envelope)] if missed else []
        if answered is not None and answered.asked and sender in answered.tally.silent:
            return [Send(sender, answered.flight.envelope)]
        return []

    def _open(self) -> None:
        """Judge our id by what n-f replicas told: it must lie above the floor and not in the future (design 4.2).

        Of the floors and times told, the (f+1)-th highest is at most what a correct replica told, so f liars can push
        us neither above nor ahead of what the group accepts.
        """
        weak = self._group.quorums.weak
        floor = sorted((each.floor for each in self._welcomes.values()), reverse=True)[weak - 1]
        time_ms = sorted((each.time_ms for each in self._welcomes.values()), reverse=True)[weak - 1]
        if self.id > floor and opened_ms(self.id) <= time_ms + self._group.limits.clock_drift_ms // 2:
            self._opened = True
            self._misjudged = 0
        else:
            # A wrong clock is set right at once; a floor ahead of the group's clocks must be waited for.
            wait_ms = min(self._misjudged * self._settings.retransmit_ms, self._settings.retransmit_max_ms)
            self._misjudged += 1
            self._reopen(max(opened_ms(floor) + 1, time_ms), wait_ms)

    def _reopen(self, opening_ms: int, wait_ms: int = 0) -> None:
        self.id = self._new_id(opening_ms)
        self._timestamp = 0
        self._answered = None
        self._opened = False
        self._welcomes = {}
        self._greet_ms = self._now.monotonic_ms + wait_ms
        self._greet_interval_ms = self._settings.retransmit_ms

    # Requests.

    def _next_request(self) -> InFlight:
        limits = self._group.limits
        room = limits.request_bytes - WRAPPING_BYTES
        riding: list[Queued] = []
        for each in self._queue[: limits.operations_per_request]:
            room -= len(each.data) + ITEM_BYTES
            if riding and room < 0:
                break
            riding.append(each)
        self._queue = self._queue[len(riding) :]
        self._timestamp += 1
        body = pack(Request(self._client, self.id, self._timestamp, tuple(each.data for each in riding)))
        return InFlight(
            envelope=seal(self._group, self._signer, Kind.REQUEST, self._client, body),
            digest=request_digest(body),
            timestamp=self._timestamp,
            count=len(riding),
            operations=dict(enumerate(riding)),
            due_ms=0,
            interval_ms=self._settings.retransmit_ms,
            receipt=any(each.receipt for each in riding),
        )

    def _transmit(self, flight: InFlight, replicas: list[ReplicaId]) -> list[SessionEffect]:
        """Send the request, byte for byte the same each time, and wait longer before the next time."""
        flight.due_ms = self._now.monotonic_ms + flight.interval_ms
        flight.interval_ms = min(2 * flight.interval_ms, self._settings.retransmit_max_ms)
        replicas = [replica for replica in replicas if replica not in flight.replies]
        flight.sent_to.update(dict.fromkeys(replicas))
        return [Send(replica, flight.envelope) for replica in replicas]

    def _on_reply(self, reply: ReadReply, sender: ReplicaId) -> list[SessionEffect]:
        """Believe an answer once f+1 distinct replicas gave it: equal request digest, sequence and results."""
        flight, answered = self._in_flight, self._answered
        self._views[sender] = max(self._views.get(sender, 0), reply.detail.view)
        if answered is not None and reply.detail.request_digest == answered.flight.digest:
            if sender in answered.tally.silent and self._counts(answered.flight, reply):
                answered.tally.count(sender, reply)
            return []
        if flight is None or reply.detail.request_digest != flight.digest or sender in flight.replies:
            return []
        if not self._counts(flight, reply):
            self._remark(sender, "answered with a bad signature")
            return []
        flight.replies[sender] = reply
        matching = [each for each in flight.replies.values() if same(each, reply)]
        if len(matching) < self._group.quorums.weak or len(reply.results) != flight.count:
            return []
        return self._complete(flight, reply, matching)

    def _counts(self, flight: InFlight, reply: ReadReply) -> bool:
        """Say whether a reply counts: for a receipt only one whose signature verifies."""
        return not flight.receipt or genuine(self._group, self._verifier, reply.envelope)

    def _complete(self, flight: InFlight, reply: ReadReply, matching: list[ReadReply]) -> list[SessionEffect]:
        tally = Tally(self._group.n, reply)
        for replica, each in flight.replies.items():
            tally.count(replica, each)
        receipt = Receipt.of(self._group, flight.envelope.to_bytes(), matching) if flight.receipt else None
        self._in_flight = None
        self._answered = Answered(flight, reply.sequence, tally)
        return [
            Completed(
                ticket=each.ticket,
                result=reply.results[index],
                view=self.view_hint,
                sequence=reply.sequence,
                timestamp=flight.timestamp,
                matching=tally.matching,
                differing=tally.differing,
                silent=tally.silent,
                needed=self._group.quorums.weak,
                elapsed_ms=self._now.monotonic_ms - each.submitted_ms,
                receipt=receipt if each.receipt else None,
                index=index,
            )
            for index, each in flight.operations.items()
        ]

    def _on_refusal(self, refusal: Refusal, sender: ReplicaId) -> list[SessionEffect]:
        """Give up once f+1 replicas refuse for one final reason; being busy is a hint of one replica."""
        flight = self._in_flight
        if flight is None or refusal.request_digest != flight.digest:
            return []
        reason = RefusalReason(refusal.reason)
        flight.refusals[sender] = reason
        if reason not in _FINAL or list(flight.refusals.values()).count(reason) < self._group.quorums.weak:
            return []
        self._in_flight = None
        if reason is not RefusalReason.TOO_LARGE:
            self._reopen(self._now.wall_ms)
        return [Lost(each.ticket, reason) for each in flight.operations.values()]

    def _remark(self, sender: ReplicaId, words: str) -> None:
        if self._in_flight is not None:
            self._in_flight.remarks[sender] = words
