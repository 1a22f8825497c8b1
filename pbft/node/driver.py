"""The loop that drives one replica: take in, act, make durable, send (design 3).

Owns: the order of these steps, and which of a turn's messages are served first. Knows sockets only as mailboxes and
the replica only by its face, so that a misbehaving one can be driven the same way.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pbft.core.effects import Answer, Broadcast, Effect, Executed, Ignored, Persist, Reason, Send, StateInstalled
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.group import ClientKey, ReplicaId
from pbft.core.messages import Inspect, Report, pack, unpack
from pbft.core.settings import Now
from pbft.core.situation import Situation
from pbft.core.status import ReplicaStatus
from pbft.encoding import EncodingError
from pbft.net.drops import Drop
from pbft.net.mailbox import Letter, Mailbox, gather
from pbft.net.metrics import Metrics
from pbft.net.transport import Closed, SocketAddress, family_of
from pbft.net.waiting import Bell, fine_clock_us, system_now
from pbft.node.greeter import Greeter
from pbft.node.report import Shares, StateDigest, make_report
from pbft.node.store import Store

_GATHER_MS: Final = 5
_GATHER_WHEN_LATE_MS: Final = 500
_LATE_MS: Final = 250
_LETTERS_OF_REPLICAS: Final = 2_048
_LETTERS_OF_CLIENTS: Final = 128


class Driven(Protocol):
    """The face of `pbft.core.replica.Replica`."""

    me: ReplicaId

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Act on one message."""

    def tick(self, now: Now) -> list[Effect]:
        """Do what is due."""

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is next due."""

    def status(self) -> ReplicaStatus:
        """Return where the replica stands."""

    def situation(self, now_ms: int) -> Situation:
        """Return what the replica lacks for its next step."""

    def state_digest(self) -> bytes:
        """Return the digest of the application's state."""


@dataclass(frozen=True, slots=True)
class _Direct:
    """An answer of the node itself, to where the question came from."""

    to: ClientKey
    envelope: Envelope
    address: SocketAddress


class Driver:
    """Runs one replica on two mailboxes until it is stopped.

    `addresses` holds where each replica is, None while its name cannot be resolved; whoever resolves names writes it.
    `watchers` are called with every effect, before it is performed; `taps` with every envelope that is handed to the
    replica and whom the link authenticated as its sender, before the replica acts on it. Neither may block or raise.
    """

    def __init__(
        self,
        replica: Driven,
        replicas: Mailbox,
        clients: Mailbox,
        greeter: Greeter,
        store: Store,
        metrics: Metrics,
        bell: Bell,
        addresses: Sequence[SocketAddress | None],
        application: str,
        clock: Callable[[], Now] = system_now,
    ) -> None:
        self.replica = replica
        self.metrics = metrics
        self.watchers: list[Callable[[Effect, Now], None]] = []
        self.taps: list[Callable[[Envelope, Sender, Now], None]] = []
        self.operations = 0
        """Operations executed since the process began."""
        self.addresses = list(addresses)
        self._replicas = replicas
        self._clients = clients
        self._greeter = greeter
        self._store = store
        self._bell = bell
        self._application = application
        self._clock = clock
        self._shares = Shares()
        self._stopping = False
        self._digest = StateDigest(replica.state_digest, fine_clock_us)

    @property
    def durable(self) -> bool:
        """Whether votes survive the process."""
        return self._store.durable

    @property
    def mailboxes(self) -> tuple[Mailbox, Mailbox]:
        """Where it hears replicas, and where clients."""
        return self._replicas, self._clients

    @property
    def family(self) -> socket.AddressFamily:
        """Of which family the addresses of replicas are."""
        return family_of(self._replicas.socket.address)

    @property
    def granted_receive_bytes(self) -> int:
        """The smaller of the receive buffers that the kernel granted to the two sockets."""
        return min(box.socket.granted_receive_bytes for box in (self._replicas, self._clients))

    async def run(self) -> None:
        """Drive the replica until `stop`. Raises what only a bug or a failing disk can cause, and Closed."""
        while not self._stopping:
            if self._replicas.socket.closed or self._clients.socket.closed:
                raise Closed("a socket of this replica was closed from outside")
            await self._bell.wait(self._pause_ms())
            if not self._stopping:
                await self._turn()

    def stop(self) -> None:
        """Let `run` return after the turn it is in. Only from the loop's own thread."""
        self._stopping = True
        self._bell.ring()

    async def close(self) -> None:
        """Close the sockets and the store."""
        await self._replicas.socket.close()
        await self._clients.socket.close()
        self._store.close()

    async def _turn(self) -> None:
        self.metrics.turns += 1
        now_ms, deadline_ms = self._clock().monotonic_ms, self.replica.deadline_ms
        # After a pause it hears what happened meanwhile before its timers judge others by it (design 4.10).
        late = deadline_ms is not None and now_ms - deadline_ms > _LATE_MS
        await gather((self._replicas, self._clients), self._clock, _GATHER_WHEN_LATE_MS if late else _GATHER_MS)
        effects: list[Effect | _Direct] = []
        for _ in range(_LETTERS_OF_REPLICAS):
            if (letter := self._replicas.take()) is None:
                break
            effects += self._on_replica(letter)
        for _ in range(_LETTERS_OF_CLIENTS):
            if (letter := self._clients.take()) is None:
                break
            effects += self._on_client(letter)
        now = self._clock()
        deadline_ms = self.replica.deadline_ms
        if deadline_ms is not None and now.monotonic_ms >= deadline_ms:
            effects += self.replica.tick(now)
        # Nothing leaves before every vote of this turn is safe: one commit of the store serves them all.
        votes = [effect for effect in effects if isinstance(effect, Persist)]
        if votes:
            self._store.persist(votes)
        for effect in effects:
            await self._perform(effect, now)
        await self._replicas.flush(now.monotonic_ms)
        await self._clients.flush(now.monotonic_ms)

    def _on_replica(self, letter: Letter) -> Sequence[Effect]:
        envelope = self._decode(letter)
        return [] if envelope is None else self._hand_over(envelope, letter.sender, self._clock())

    def _on_client(self, letter: Letter) -> Sequence[Effect | _Direct]:
        envelope = self._decode(letter)
        client = letter.sender
        if envelope is None or not isinstance(client, bytes):
            return []
        now = self._clock()
        try:
            verdict = self._greeter.judge(envelope, client, letter.address, len(letter.message), now.monotonic_ms)
            if verdict.drop is not None:
                self.metrics.ignore(verdict.drop)
            if verdict.challenge is not None:
                return [_Direct(client, verdict.challenge, letter.address)]
            if not verdict.passes:
                return []
            if envelope.kind is Kind.INSPECT:
                return self._on_inspect(envelope, client, letter.address, now)
        except EncodingError:
            self.metrics.ignore(Reason.MALFORMED)
            return []
        return self._hand_over(envelope, client, now)

    def _hand_over(self, envelope: Envelope, sender: Sender, now: Now) -> Sequence[Effect]:
        for tap in self.taps:
            tap(envelope, sender, now)
        return self.replica.receive(envelope, sender, now)

    def _on_inspect(self, envelope: Envelope, client: ClientKey, address: SocketAddress, now: Now) -> Sequence[_Direct]:
        """Answer how this replica is: to a client whose address is proven, and not too often."""
        inspect = unpack(Inspect, envelope.body)
        if envelope.sender != client:
            self.metrics.ignore(Reason.WRONG_SENDER)
            return []
        if not self._shares.take(client, now.monotonic_ms):
            self.metrics.ignore(Drop.TOO_OFTEN)
            return []
        report = Report(inspect.session, inspect.nonce, json.dumps(self.report(now)))
        return [_Direct(client, Envelope(Kind.REPORT, self.replica.me, pack(report)), address)]

    def report(self, now: Now, *, thrifty: bool = False) -> dict[str, Any]:
        """Return the replica's account of itself; a thrifty one may show the state's digest as it was lately."""
        status = self.replica.status()
        return make_report(
            status,
            self.replica.situation(now.monotonic_ms),
            self._digest.lately(status.executed) if thrifty else self._digest.after(status.executed),
            self.metrics,
            (self._replicas, self._clients),
            self._application,
            self._store.durable,
            self.operations,
            now.monotonic_ms,
        )

    def _decode(self, letter: Letter) -> Envelope | None:
        try:
            return Envelope.from_bytes(letter.message)
        except EncodingError:
            self.metrics.ignore(Reason.MALFORMED)
            return None

    async def _perform(self, effect: Effect | _Direct, now: Now) -> None:
        if isinstance(effect, _Direct):
            await self._clients.send(effect.to, effect.envelope.to_bytes(), effect.address, now.monotonic_ms)
            return
        for watcher in self.watchers:
            watcher(effect, now)
        match effect:
            case Send(to, envelope):
                await self._to_replica(to, envelope.to_bytes(), now)
            case Broadcast(envelope):
                message = envelope.to_bytes()
                for peer in range(len(self.addresses)):
                    if peer != self.replica.me:
                        await self._to_replica(peer, message, now)
            case Answer(client, session, envelope):
                address = self._greeter.address_of(client, session, now.monotonic_ms)
                if address is None:
                    self.metrics.unaddressed += 1
                else:
                    await self._clients.send(client, envelope.to_bytes(), address, now.monotonic_ms)
            case Ignored(reason):
                self.metrics.ignore(reason)
            case Executed(requests=requests):
                self.operations += sum(len(each.outcomes) for each in requests)
            case StateInstalled():
                self._digest.forget()
            case _:
                # Persists are safe by now; the other notices are for watchers alone.
                pass

    async def _to_replica(self, to: ReplicaId, message: bytes, now: Now) -> None:
        address = self.addresses[to]
        if address is None:
            self.metrics.unaddressed += 1
        else:
            await self._replicas.send(to, message, address, now.monotonic_ms)

    def _pause_ms(self) -> int | None:
        """Return how long nothing is due, None when nothing is planned at all."""
        if len(self._replicas) or len(self._clients):
            return 0
        deadlines = (self.replica.deadline_ms, self._replicas.deadline_ms, self._clients.deadline_ms)
        planned = [each for each in deadlines if each is not None]
        return max(0, min(planned) - self._clock().monotonic_ms) if planned else None
