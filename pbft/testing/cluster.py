"""A whole group in one process, on virtual time, replayed by its seed.

Owns: how a run is set up, and what a test says to it and asks of it. The replicas and sessions inside are the very
classes that run in production. Real time, sockets and disks do not exist here.

Read a scenario aloud:

    group = Cluster(Counter, seed=7, loss=0.1, byzantine={3: WrongReply})
    alice, bob = group.clients("alice", "bob")
    assert max(group.gather(alice.call("add", 5), bob.call("add", 2))) == 7
    assert group.histories_agree()
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from pbft.core.effects import Evidence, Executed, Persist, Reason
from pbft.core.envelope import Envelope, Sender
from pbft.core.group import Genesis, Group, Limits, Member, Quorums, RegisteredClient, ReplicaId
from pbft.core.replica import Replica
from pbft.core.session import Session
from pbft.core.settings import Now, ReplicaSettings, SessionSettings
from pbft.encoding import Plain, digest
from pbft.loading import create_application
from pbft.machine import Application
from pbft.testing.byzantine.adversary import Adversary, Means
from pbft.testing.clients import Call, SimulatedClient
from pbft.testing.engine import Engine
from pbft.testing.histories import histories_agree
from pbft.testing.network import WALL_START_MS, Network, Spread
from pbft.testing.oracles import Facts, OracleFailure, oversee
from pbft.testing.oracles.liveness import LIVENESS, recovery_ms
from pbft.testing.signers import Identity, Keyring, Scheme
from pbft.testing.station import Kept, Station
from pbft.testing.trace import DEFAULT_LINES, Trace

PATIENCE_MS: Final = 60_000
"""How much virtual time `gather` and `run_until` give a group by default."""


class NotFinished(AssertionError):
    """What a test waited for did not come within its virtual time, or nothing was left that could bring it."""


class Cluster:
    """n replicas, some of them as wicked as you like, and clients. Nothing happens until the cluster is run.

    `byzantine` maps replica numbers to adversaries, which collude. Replicas' wall clocks differ by `clock_skew_ms` at
    most, and those in `wall_ahead_ms` go wrong by that much besides. `parameters` are the application's own, and
    `invariant` says what is wrong with it after a batch, or None (O12). `trace_lines` is how many lines are kept (None
    keeps all), `replay` the command that shows this run again.

    For tests that plant a bug, `quorums` holds wrong counts, `replica_type` is a replica that is not correct though it
    counts as such, and `without_oracles` names the oracles to leave out.
    """

    def __init__(
        self,
        application: type[Any],
        seed: int = 0,
        n: int = 4,
        *,
        byzantine: Mapping[ReplicaId, type[Adversary]] | None = None,
        clients: Sequence[str] = ("alice", "bob"),
        parameters: Mapping[str, Plain] | None = None,
        loss: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        delay_ms: tuple[int, int] = (1, 10),
        spread: Spread = "even",
        clock_skew_ms: int = 50,
        wall_ahead_ms: Mapping[ReplicaId, int] | None = None,
        signatures: Scheme = "simulated",
        quorums: Quorums | None = None,
        limits: Limits | None = None,
        settings: ReplicaSettings | None = None,
        session_settings: SessionSettings | None = None,
        invariant: Callable[[Application], str | None] | None = None,
        without_oracles: Collection[str] = (),
        trace_lines: int | None = DEFAULT_LINES,
        replica_type: type[Replica] = Replica,
        replay: str | None = None,
    ) -> None:
        self.seed = seed
        self._replay = replay
        self._replica_type = replica_type
        self._settings = settings or ReplicaSettings()
        self._session_settings = session_settings or SessionSettings()
        self._clocks = random.Random(f"{seed}/clocks")
        self._skew_ms = clock_skew_ms
        self._wall_ahead_ms = dict(wall_ahead_ms or {})
        self._keys = Keyring(seed, signatures)
        self.verifier = self._keys.verifier
        """What checks this run's signatures, for receipts and evidence."""
        self._replica_keys = {i: self._keys.identity(f"replica {i}") for i in range(n)}
        self._client_keys = {name: self._keys.identity(f"client {name}") for name in clients}
        self.group = self._group(application.__name__, dict(parameters or {}), limits or Limits(), quorums)
        self.network = Network(random.Random(f"{seed}/network"), loss, duplicate, reorder, delay_ms, spread)
        self.trace = Trace({key.public_key: name for name, key in self._client_keys.items()}, trace_lines)

        def make() -> Application:
            return create_application(application, dict(parameters or {}))

        stations = tuple(self._station(i, make(), byzantine or {}) for i in range(n))
        self._correct = tuple(station for station in stations if station.correct)
        correct = tuple(station.id for station in self._correct)
        facts = Facts(self.group, self._keys.verifier, correct, make, invariant)
        self._engine = Engine(self.network, self.trace, oversee(facts, without_oracles), stations)

    # What a test starts.

    def clients(self, *names: str) -> list[SimulatedClient]:
        """Open a session for each name, which may repeat: every session is a program of its own."""
        return [self.client(name) for name in names]

    def client(self, name: str, wall_ahead_ms: int = 0) -> SimulatedClient:
        """Open one session under a registered client's key, on a host whose wall clock may be wrong."""
        key = self._client_keys.get(name)
        if key is None:
            raise ValueError(f"no client is called {name!r}; this group knows {', '.join(self._client_keys)}")
        before = sum(1 for each in self._engine.clients.values() if each.key == key.public_key)
        label = name if before == 0 else f"{name}/{before + 1}"
        offset_ms = self._clocks.randrange(1_000_000)
        session = Session(
            self.group,
            key.public_key,
            key.signer,
            self._keys.verifier,
            digest(b"pbft/sim-entropy", b"%d" % self.seed, label.encode()),
            Now(self.now_ms + offset_ms, WALL_START_MS + self.now_ms + wall_ahead_ms),
            self._session_settings,
        )
        engine = self._engine
        client = SimulatedClient(
            label, key.public_key, session, offset_ms, wall_ahead_ms, lambda: engine.now_ms, engine.attend
        )
        engine.admit(client)
        return client

    def gather(self, *calls: Call, within_ms: int = PATIENCE_MS) -> list[Any]:
        """Run until every call has ended and return their values, in the order of the calls.

        Raises Rejected or CallFailed for the first that has none, NotFinished when the group does not answer in time.
        """
        return [call.value() for call in self.settle(*calls, within_ms=within_ms)]

    def settle(self, *calls: Call, within_ms: int = PATIENCE_MS) -> tuple[Call, ...]:
        """Run until every call has ended, whichever way, and return the calls."""

        def waiting() -> str:
            return "answer to " + ", ".join(map(self._unanswered, (call for call in calls if not call.done)))

        self.run_until(lambda: all(call.done for call in calls), within_ms, waiting)
        return calls

    def run(self, ms: int) -> None:
        """Let this much virtual time pass."""
        end_ms = self.now_ms + ms
        with self._telling():
            while self._engine.step(end_ms):
                pass
        self._engine.now_ms = end_ms

    def run_until(
        self,
        condition: Callable[[], bool],
        within_ms: int = PATIENCE_MS,
        waiting_for: Callable[[], str] = lambda: "end of waiting",
    ) -> None:
        """Run until a condition holds. Raises NotFinished when it does not within this much virtual time."""
        end_ms = self.now_ms + within_ms
        with self._telling():
            while not condition():
                if not self._engine.step(end_ms):
                    raise NotFinished(f"no {waiting_for()} within {within_ms} ms\n{self.story()}")

    def run_until_level(self, within_ms: int = PATIENCE_MS) -> None:
        """Run until all correct replicas that live have come equally far, by executing or by taking over a state."""
        self.run_until(
            lambda: len(dict.fromkeys(station.executed for station in self._living)) == 1,
            within_ms,
            lambda: f"equal histories: executed {[station.executed for station in self._living]}",
        )

    def finish(self, *calls: Call, level: bool = True) -> tuple[Call, ...]:
        """Run a healed group until every call has ended and all correct living replicas are level; return the calls.

        Raises OracleFailure (O15) when either takes longer than `recovery_ms`. Whoever was cut off from a group that is
        silent now learns that it is behind from the next message: without a call, do not demand that it is `level`.
        """
        within_ms = self.recovery_ms()
        try:
            self.settle(*calls, within_ms=within_ms)
            if level:
                self.run_until_level(within_ms)
        except NotFinished as stopped:
            raise OracleFailure(LIVENESS, f"a healed group made no progress: {stopped}") from None
        return calls

    def recovery_ms(self) -> int:
        """Return within how long a healed group answers what is pending (O15), from where it stands now."""
        return recovery_ms(
            self.group,
            self._settings,
            self._session_settings,
            [station.core.status() for station in self._living],
            sum(1 for station in self._living if abs(station.wall_ahead_ms) > self._skew_ms),
            self.network.longest_ms,
        )

    def at(self, at_ms: int, action: Callable[[], None]) -> None:
        """Plan something for a moment of virtual time: a fault that begins or ends, a client that goes on."""
        self._engine.plan(at_ms, action)

    def pause(self, replica: ReplicaId) -> None:
        """Let a replica stand still, as SIGSTOP does: it receives nothing and its timers wait, until it resumes."""
        self._engine.stations[replica].paused = True
        self.trace.note(self.now_ms, f"r{replica}", "paused")

    def resume(self, replica: ReplicaId) -> None:
        """Let a replica go on where it stood still, as SIGCONT does: first it receives what has waited."""
        station = self._engine.stations[replica]
        if station.paused:
            station.paused = False
            self.trace.note(self.now_ms, f"r{replica}", "resumed")
            self._engine.wake(station)

    def heal(self) -> None:
        """Mend the network for good, losses and all, and let every replica go on that stands still."""
        self.network.heal()
        self.network.calm()
        self.trace.note(self.now_ms, "network", "healed")
        for station in self._engine.stations:
            self.resume(station.id)

    def crash(self, replica: ReplicaId) -> None:
        """Stop a replica for good: it neither receives nor sends from now on."""
        self._engine.stations[replica].alive = False
        self.trace.note(self.now_ms, f"r{replica}", "crashed")

    def set_wall_clock(self, replica: ReplicaId, ahead_ms: int) -> None:
        """Set a replica's wall clock this far ahead of the right time, or behind it; its timers do not notice."""
        self._engine.stations[replica].wall_ahead_ms = ahead_ms
        self.trace.note(self.now_ms, f"r{replica}", f"wall clock set to {ahead_ms:+} ms")

    def inject(self, envelope: Envelope, to: ReplicaId, sender: Sender | None = None) -> None:
        """Send a replica an envelope of the test's own making, over the link of `sender` (its signer by default)."""
        link = envelope.sender if sender is None else sender
        src = link if isinstance(link, int) else self.trace.who(link)
        self._engine.post(src, link, to, envelope)

    def identity(self, name: str) -> Identity:
        """Return keys of somebody whom the group need not know; `client NAME` and `replica I` are the group's own."""
        return self._keys.identity(name)

    # What a test asks.

    @property
    def now_ms(self) -> int:
        """The virtual time, from 0 at the start."""
        return self._engine.now_ms

    @property
    def deliveries(self) -> int:
        """Envelopes received so far, by replicas and clients."""
        return self._engine.deliveries

    def replica(self, i: ReplicaId) -> Replica | Adversary:
        """Return a replica's core, or the adversary around it."""
        return self._engine.stations[i].core

    def history(self, i: ReplicaId) -> list[Executed]:
        """Return the batches a replica executed, in order. Where it took over a state instead, there is a gap."""
        return self._engine.stations[i].history

    def steps(self, i: ReplicaId, kind: type[Kept]) -> list[Kept]:
        """Return a replica's notices of one kind: ViewChangeStarted, ViewEntered, BecameStable, StateInstalled..."""
        return self._engine.stations[i].taken(kind)

    def executed(self, i: ReplicaId) -> int:
        """Return the sequence whose state a replica has come to."""
        return self._engine.stations[i].executed

    def ignored(self, i: ReplicaId) -> Counter[Reason]:
        """Return how many messages a replica refused, by reason."""
        return self._engine.stations[i].ignored

    def durable(self, i: ReplicaId) -> list[Persist]:
        """Return what a replica made durable, in order: the latest thousand or so."""
        return list(self._engine.stations[i].durable)

    def evidence(self, i: ReplicaId) -> list[Evidence]:
        """Return the misbehaviour that a replica can prove."""
        return list(self._engine.stations[i].evidence)

    @property
    def correct(self) -> tuple[ReplicaId, ...]:
        """The replicas that follow the protocol, crashed ones too."""
        return tuple(station.id for station in self._correct)

    @property
    def living(self) -> tuple[ReplicaId, ...]:
        """The correct replicas that have not crashed."""
        return tuple(station.id for station in self._living)

    def views(self) -> set[int]:
        """Return the views that correct living replicas are in."""
        return {station.core.status().view for station in self._living}

    def histories_agree(self) -> bool:
        """Say whether correct replicas executed the same, as far as each has come, and are equal where equally far.

        Every history runs without gaps, except where a state was taken over; crashed ones count too.
        """
        return histories_agree(self._correct)

    def trace_digest(self) -> str:
        """Return the digest of the whole trace so far, in hex: equal runs have equal ones (O17)."""
        return self.trace.digest()

    def story(self) -> str:
        """Return what a failure's report says of this run: its seed, its last lines, and how to see it again."""
        lines = "\n".join(f"    {line}" for line in self.trace.last())
        told = f"seed {self.seed}, at {self.now_ms} ms; last lines of the trace:\n{lines}"
        return f"{told}\nreplay: {self._replay_hint()}"

    # Setting up.

    def _group(self, application: str, parameters: dict[str, Plain], limits: Limits, quorums: Quorums | None) -> Group:
        genesis = Genesis(
            nonce=self._keys.nonce(),
            members=tuple(Member(i, key.public_key, key.link_key) for i, key in self._replica_keys.items()),
            clients=tuple(RegisteredClient(name, k.public_key, k.link_key) for name, k in self._client_keys.items()),
            application=application,
            parameters=tuple(sorted(parameters.items())),
            limits=limits,
        )
        group = Group.of(genesis)
        return group if quorums is None else Group(genesis, quorums)

    def _station(
        self,
        i: ReplicaId,
        application: Any,
        byzantine: Mapping[ReplicaId, type[Adversary]],
    ) -> Station:
        core = self._replica_type(
            i, self.group, application, self._replica_keys[i].signer, self._keys.verifier, self._settings
        )
        offset_ms = self._clocks.randrange(1_000_000)
        skew_ms = self._clocks.randint(-self._skew_ms, self._skew_ms) + self._wall_ahead_ms.get(i, 0)
        if i not in byzantine:
            return Station(core, offset_ms, skew_ms)
        signers = {colluder: self._replica_keys[colluder].signer for colluder in sorted(byzantine)}
        means = Means(i, self.group, signers, random.Random(f"{self.seed}/adversary {i}"))
        return Station(byzantine[i](core, means), offset_ms, skew_ms)

    def _unanswered(self, call: Call) -> str:
        heard = self._engine.clients[call.client].session.heard()
        return f"{call!r} (heard: {', '.join(f'r{replica} {words}' for replica, words in heard.items())})"

    # Running.

    @property
    def _living(self) -> list[Station]:
        return [station for station in self._correct if station.alive]

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Add this run's story to whatever goes wrong within."""
        try:
            yield
        except OracleFailure as failure:
            failure.story = self.story()
            raise
        except NotFinished:
            raise
        except Exception as error:
            error.add_note(self.story())
            raise

    def _replay_hint(self) -> str:
        test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
        if self._replay is not None:
            return self._replay
        return f"python -m pytest '{test}'" if test else f"build this Cluster again with seed={self.seed}"
