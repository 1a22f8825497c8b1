"""The loop that turns virtual time: what is due happens, drivers drive, the rest is planned.

Owns: the moment, the queue of events, and how a driver treats a core: drain what has arrived, receive each, tick
when the deadline has come, make durable, then send. Knows nothing of what a test wants to see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pbft.core.codec import share_decoding
from pbft.core.effects import Action, Answer, Broadcast, Effect, Send, StateInstalled
from pbft.core.envelope import Envelope, Sender
from pbft.core.group import ReplicaId
from pbft.core.replica import Replica
from pbft.core.session import Completed, Lost, SessionEffect
from pbft.testing.clients import SimulatedClient
from pbft.testing.faulty_clients.faulty_client import FaultyClient
from pbft.testing.network import Address, EventQueue, Network
from pbft.testing.oracles import OracleFailure, Overseer
from pbft.testing.station import Station
from pbft.testing.trace import Trace
from pbft.testing.words import place

MAX_TURNS_AT_ONCE: Final = 1_000
"""Turns of one party within one millisecond, after which it is taken to spin."""

SAMPLE_EVERY: Final = 64
"""Envelopes that a correct replica receives before the oracles measure it again."""


# What one replica says to n-1 others is decoded as often, and costs a fifth of a run where it is not shared.
share_decoding(most_bytes=1_024, messages=8_192)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An envelope reaches `dst`. `src` is where it came from, `sender` whom the link names for that."""

    src: Address
    sender: Sender
    dst: Address
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Wake:
    """Somebody's deadline has come, unless it has moved since."""

    who: Address


@dataclass(frozen=True, slots=True)
class Alarm:
    """The moment has come for something that a test planned."""

    action: Callable[[], None]


class Engine:
    """Replicas, clients and the network between them, at one moment of virtual time."""

    def __init__(self, network: Network, trace: Trace, overseer: Overseer, stations: tuple[Station, ...]) -> None:
        self.now_ms = 0
        self.deliveries = 0
        """Envelopes received so far, by replicas and clients."""
        self.network = network
        self.trace = trace
        self.stations = stations
        self.clients: dict[str, SimulatedClient] = {}
        self.faulty_clients: dict[str, FaultyClient] = {}
        self._overseer = overseer
        self._events: EventQueue[Arrival | Wake | Alarm] = EventQueue()
        self._turns: dict[Address, int] = {}
        """Turns taken within this millisecond."""
        self._samples: dict[ReplicaId, int] = dict.fromkeys((station.id for station in stations if station.correct), 0)
        """Envelopes that each correct replica received since it was measured."""
        for station in stations:
            self._plan_wake(station.id, station, station.deadline_ms())

    def admit(self, client: SimulatedClient) -> None:
        """Let a client's session take part."""
        self.clients[client.label] = client
        self.attend(client)

    def let_loose(self, client: FaultyClient) -> None:
        """Let a faulty client take part."""
        self.faulty_clients[client.label] = client
        self._plan_wake(client.label, client, client.deadline_ms())

    @property
    def loose(self) -> bool:
        """Whether a faulty client is at large."""
        return any(client.deadline_ms() is not None for client in self.faulty_clients.values())

    def attend(self, client: SimulatedClient) -> None:
        """Look at a client again, whose test may have called something."""
        self._plan_wake(client.label, client, client.deadline_ms())

    def plan(self, at_ms: int, action: Callable[[], None]) -> None:
        """Do something at a moment to come, before whatever arrives then is received."""
        self._events.plan(max(at_ms, self.now_ms), Alarm(action))

    def wake(self, station: Station) -> None:
        """Let a replica that stood still go on now: it receives what has waited, and then ticks if that is due."""
        station.wake_ms = self.now_ms
        self._events.plan(self.now_ms, Wake(station.id))

    def post(self, src: Address, sender: Sender, dst: Address, envelope: Envelope) -> None:
        """Put an envelope into the network."""
        delays = self.network.delays(src, dst, envelope)
        if not delays:
            self.trace.lost(self.now_ms, src, sender, dst, envelope)
        for delay_ms in delays:
            self._events.plan(self.now_ms + delay_ms, Arrival(src, sender, dst, envelope))

    def step(self, until_ms: int) -> bool:
        """Move on to the next moment at which something happens; say whether there was one in time."""
        moment = self._events.next_ms
        if moment is None or moment > until_ms:
            return False
        if moment > self.now_ms:
            self.now_ms = moment
            self._turns.clear()
        touched: dict[Address, None] = {}
        for event in self._events.due(moment):
            if isinstance(event, Arrival):
                touched[event.dst] = None
                if not self._party(event.dst).put(event.src, event.sender, event.envelope):
                    self.trace.lost(moment, event.src, event.sender, event.dst, event.envelope)
            elif isinstance(event, Alarm):
                event.action()
            elif self._party(event.who).wake_ms == moment:
                touched[event.who] = None
                self._party(event.who).wake_ms = None
        for address in touched:
            self._count_turn(address)
            if isinstance(address, int):
                self._drive_replica(self.stations[address])
            else:
                self._drive_client(self._client(address))
        return True

    def _party(self, address: Address) -> Station | SimulatedClient | FaultyClient:
        return self.stations[address] if isinstance(address, int) else self._client(address)

    def _client(self, label: str) -> SimulatedClient | FaultyClient:
        return self.clients[label] if label in self.clients else self.faulty_clients[label]

    def _count_turn(self, address: Address) -> None:
        self._turns[address] = self._turns.get(address, 0) + 1
        if self._turns[address] > MAX_TURNS_AT_ONCE:
            raise OracleFailure("driver", f"{place(address)} is due again and again within one millisecond")

    # Replicas.

    def _drive_replica(self, station: Station) -> None:
        if not station.alive:
            return station.inbox.clear()
        if station.paused:
            return None
        effects: list[Effect] = []
        now = station.clock(self.now_ms)
        received = len(station.inbox)
        while station.inbox:
            src, sender, envelope = station.inbox.popleft()
            self.deliveries += 1
            self.trace.delivered(self.now_ms, src, sender, station.id, envelope)
            station.learn_address(src, sender, envelope)
            self._overseer.delivered(envelope)
            effects += self._judged(station, station.core.receive(envelope, sender, now))
        deadline_ms = station.deadline_ms()
        if deadline_ms is not None and deadline_ms <= self.now_ms:
            effects += self._judged(station, station.core.tick(now))
            deadline_ms = station.deadline_ms()
        station.perform(effects)
        for effect in effects:
            self._release(station, effect)
        self._plan_wake(station.id, station, deadline_ms)
        # Whatever it says of a state that it took over, others said first: that is looked at as soon as it is there.
        took_over = any(isinstance(effect, StateInstalled) for effect in effects)
        self._measure(station, SAMPLE_EVERY if took_over else received)

    def look_at(self, station: Station) -> None:
        """Show the oracles a correct replica as it stands, whenever that was done last: one that turns, say."""
        self._measure(station, SAMPLE_EVERY)

    def _measure(self, station: Station, received: int) -> None:
        """Show the oracles a correct replica itself, now and then."""
        if not isinstance(station.core, Replica):
            return
        self._samples[station.id] += received
        if self._samples[station.id] >= SAMPLE_EVERY:
            self._samples[station.id] = 0
            self._overseer.sampled(station.core)

    def _judged(self, station: Station, effects: list[Effect]) -> list[Effect]:
        for effect in effects:
            if not isinstance(effect, Action):
                self.trace.noticed(self.now_ms, station.id, effect)
        self._overseer.judge(station.id, effects)
        return effects

    def _release(self, station: Station, effect: Effect) -> None:
        match effect:
            case Send(to, envelope):
                self._post_from(station.id, to, _through_bytes(envelope))
            case Broadcast(envelope):
                envelope = _through_bytes(envelope)
                for other in self.stations:
                    if other is not station:
                        self._post_from(station.id, other.id, envelope)
            case Answer(client, session, envelope):
                address = station.address(client, session)
                if address is None:
                    words = f"{self.trace.who(client)}: {self.trace.words(envelope)}"
                    self.trace.note(self.now_ms, place(station.id), f"has no address of {words}")
                else:
                    self._post_from(station.id, address, _through_bytes(envelope))
            case _:
                pass

    def _post_from(self, src: ReplicaId, dst: Address, envelope: Envelope) -> None:
        self.post(src, src, dst, envelope)

    # Clients.

    def _drive_client(self, client: SimulatedClient | FaultyClient) -> None:
        effects: list[SessionEffect] = []
        while client.inbox:
            src, sender, envelope = client.inbox.popleft()
            self.deliveries += 1
            self.trace.delivered(self.now_ms, src, sender, client.label, envelope)
            effects += self._settled(client, client.receive(envelope, sender))
        deadline_ms = client.deadline_ms()
        if deadline_ms is not None and deadline_ms <= self.now_ms:
            effects += self._settled(client, client.tick())
        for effect in effects:
            if isinstance(effect, Send):
                self.post(client.label, client.key, effect.to, _through_bytes(effect.envelope))
        self._plan_wake(client.label, client, client.deadline_ms())

    def _settled(
        self, client: SimulatedClient | FaultyClient, effects: Sequence[SessionEffect]
    ) -> Sequence[SessionEffect]:
        if isinstance(client, FaultyClient):
            return effects
        for effect in effects:
            if isinstance(effect, Completed):
                matching = " ".join(place(replica) for replica in effect.matching)
                self.trace.note(
                    self.now_ms,
                    client.label,
                    f"answered t{effect.timestamp}.{effect.index} at s{effect.sequence}: "
                    f"{effect.result.outcome.name} {effect.result.value!r} from {matching}",
                )
                self._overseer.completed(client.key, client.session.id, effect)
            elif isinstance(effect, Lost):
                self.trace.note(self.now_ms, client.label, f"lost ticket {effect.ticket}: {effect.reason.name}")
            client.settle(effect)
        return effects

    def _plan_wake(
        self, who: Address, party: Station | SimulatedClient | FaultyClient, deadline_ms: int | None
    ) -> None:
        """Plan a wake for a party's deadline unless one is planned for then; an earlier plan is forgotten."""
        due_ms = None if deadline_ms is None else max(deadline_ms, self.now_ms)
        if due_ms != party.wake_ms:
            party.wake_ms = due_ms
            if due_ms is not None:
                self._events.plan(due_ms, Wake(who))


@lru_cache(maxsize=64)
def _through_bytes(envelope: Envelope) -> Envelope:
    """Return the envelope as the other side decodes it: what cannot cross a real wire does not cross this one."""
    return Envelope.from_bytes(envelope.to_bytes())
