"""A whole group in one process, on virtual time, replayed by its seed.

Owns: what a test says to a run and asks of it. The replicas and sessions inside are the very classes that run in
production. Real time, sockets and disks do not exist here.

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
from pbft.core.group import Limits, Quorums, ReplicaId
from pbft.core.replica import Replica
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.core.situation import Situation
from pbft.encoding import Plain
from pbft.loading import create_application
from pbft.machine import Application
from pbft.testing.byzantine.adversary import Adversary
from pbft.testing.clients import Call, SimulatedClient
from pbft.testing.engine import Engine
from pbft.testing.faulty_clients.faulty_client import Faulty, FaultyClient, Speech
from pbft.testing.founding import Founding
from pbft.testing.histories import histories_agree
from pbft.testing.linearizability import Execute, Linearizable, Undecided, execute_plainly
from pbft.testing.mishaps import Mishaps
from pbft.testing.network import Network, Spread
from pbft.testing.oracles import Facts, OracleFailure, oversee
from pbft.testing.oracles.base import Watcher
from pbft.testing.oracles.linearizable import judge_calls
from pbft.testing.oracles.liveness import LIVENESS, recovery_ms
from pbft.testing.parting import tell_parting
from pbft.testing.signers import Identity, Scheme
from pbft.testing.station import Kept, Station
from pbft.testing.trace import DEFAULT_LINES, Trace

PATIENCE_MS: Final = 60_000
"""How much virtual time `gather` and `run_until` give a group by default."""


class NotFinished(AssertionError):
    """What a test waited for did not come within its virtual time, or nothing was left that could bring it."""


class Cluster(Mishaps):
    """n replicas, some of them as wicked as you like, and clients. Nothing happens until the cluster is run.

    `byzantine` maps replica numbers to adversaries, which collude, and hold the keys of those `clients` that are
    `colluders`. Replicas' wall clocks differ by `clock_skew_ms` at most, and those in `wall_ahead_ms` go wrong by that
    much besides. `parameters` are the application's own, and `invariant` says what is wrong with it after a batch, or
    None (O12). `trace_lines` is how many lines are kept (None keeps all), `replay` the command that shows this run
    again.

    For tests that plant a bug, `quorums` holds wrong counts, `replica_type` is a replica that is not correct though it
    counts as such, and `without_oracles` names the oracles to leave out.

    What a test does to replicas while a run goes on, `pause`, `crash` and `make_byzantine` among it, is `Mishaps`'.
    """

    def __init__(
        self,
        application: type[Any],
        seed: int = 0,
        n: int = 4,
        *,
        byzantine: Mapping[ReplicaId, type[Adversary]] | None = None,
        clients: Sequence[str] = ("alice", "bob"),
        colluders: Sequence[str] = (),
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
        self._settings = settings or ReplicaSettings()
        self._session_settings = session_settings or SessionSettings()
        self._skew_ms = clock_skew_ms
        self._founding = Founding(seed, n, clients, signatures, clock_skew_ms)
        self.verifier = self._founding.keys.verifier
        """What checks this run's signatures, for receipts and evidence."""
        plain = dict(parameters or {})
        self.group = self._founding.group(application.__name__, plain, limits or Limits(), quorums)
        self.network = Network(random.Random(f"{seed}/network"), loss, duplicate, reorder, delay_ms, spread)
        self.trace = Trace(self._founding.names, trace_lines)

        def make() -> Application:
            return create_application(application, dict(plain))

        stations = self._founding.stations(
            self.group, make, replica_type, self._settings, byzantine or {}, colluders, wall_ahead_ms or {}
        )
        correct = tuple(station.id for station in stations if station.correct)
        self._facts = Facts(self.group, self.verifier, correct, make, invariant)
        self._overseer = oversee(self._facts, without_oracles)
        self._engine = Engine(self.network, self.trace, self._overseer, stations)

    # What a test starts.

    def clients(self, *names: str) -> list[SimulatedClient]:
        """Open a session for each name, which may repeat: every session is a program of its own."""
        return [self.client(name) for name in names]

    def client(self, name: str, wall_ahead_ms: int = 0) -> SimulatedClient:
        """Open one session under a registered client's key, on a host whose wall clock may be wrong."""
        engine, key = self._engine, self._founding.identity(name).public_key
        before = sum(1 for each in engine.clients.values() if each.key == key)
        label = name if before == 0 else f"{name}/{before + 1}"
        client = self._founding.client(
            self.group, name, label, self._session_settings, wall_ahead_ms, lambda: engine.now_ms, engine.attend
        )
        engine.admit(client)
        return client

    def let_loose(self, name: str, kind: type[Faulty], say: Speech | None = None) -> Faulty:
        """Start a faulty client under a registered client's key, from now until it is stopped.

        `say` makes its operations, by number; without it they change no state. Whose kind is a stranger to the group
        has a key of its own, whatever its name.
        """
        engine, label = self._engine, f"{name}~{kind.__name__}"
        before = sum(1 for each in engine.faulty_clients if each == label or each.startswith(f"{label}/"))
        label += f"/{before + 1}" if before else ""
        client = self._founding.faulty_client(self.group, name, label, kind, say, lambda: engine.now_ms)
        engine.let_loose(client)
        self.trace.note(self.now_ms, label, "let loose")
        return client

    def stop(self, *clients: FaultyClient) -> None:
        """Stop faulty clients: these, or all of them. What they sent before arrives all the same."""
        for client in clients or tuple(self._engine.faulty_clients.values()):
            client.stop()
            self.trace.note(self.now_ms, client.label, "stopped")

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
        """Run until all correct replicas that live have come equally far, by executing or by taking over a state.

        While faulty clients keep them busy there may be no such moment: then each has to come as far as any is now.
        """
        goal = max(station.executed for station in self._living)

        def level() -> bool:
            executed = [station.executed for station in self._living]
            return max(executed) == min(executed) or (self._engine.loose and min(executed) >= goal)

        self.run_until(
            level,
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

    def inject(self, envelope: Envelope, to: ReplicaId, sender: Sender | None = None) -> None:
        """Send a replica an envelope of the test's own making, over the link of `sender` (its signer by default)."""
        link = envelope.sender if sender is None else sender
        src = link if isinstance(link, int) else self.trace.who(link)
        self._engine.post(src, link, to, envelope)

    def identity(self, name: str) -> Identity:
        """Return keys of somebody whom the group need not know; `client NAME` and `replica I` are the group's own."""
        return self._founding.keys.identity(name)

    def watch(self, kind: type[Watcher]) -> Watcher:
        """Show a watcher all that oracles see, from now on, and return it."""
        return self._overseer.watch(kind)

    # What a test asks.

    @property
    def deliveries(self) -> int:
        """Envelopes received so far, by replicas and clients."""
        return self._engine.deliveries

    def replica(self, i: ReplicaId) -> Replica | Adversary:
        """Return a replica's core, or the adversary around it."""
        return self._engine.stations[i].core

    def situation(self, i: ReplicaId) -> Situation:
        """Return what a replica lacks for its next step, from whom, and what it will do about that."""
        station = self._engine.stations[i]
        return station.core.situation(station.clock(self.now_ms).monotonic_ms)

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

    def check_linearizable(self, execute: Execute = execute_plainly) -> Linearizable | Undecided:
        """Hold all calls so far against one copy of the application (O10); `execute` tells how a model executes one.

        Raises OracleFailure when no order of them explains all answers; says when the search gave up.
        """
        with self._telling():
            return judge_calls(self._facts, self._engine.clients.values(), execute)

    def parting(self) -> str:
        """Return the first operation that correct replicas remember differently, and how, in words; else nothing."""
        replicas = {each.id: each.core for each in self._correct if isinstance(each.core, Replica)}
        return tell_parting(self.group, self._facts.record, replicas) or ""

    def trace_digest(self) -> str:
        """Return the digest of the whole trace so far, in hex: equal runs have equal ones (O17)."""
        return self.trace.digest()

    def story(self) -> str:
        """Return what a failure's report says of this run: its seed, its last lines, and how to see it again."""
        lines = "\n".join(f"    {line}" for line in self.trace.last())
        told = f"seed {self.seed}, at {self.now_ms} ms; last lines of the trace:\n{lines}"
        return f"{told}\nreplay: {self._replay_hint()}"

    def _unanswered(self, call: Call) -> str:
        heard = self._engine.clients[call.client].session.heard()
        return f"{call!r} (heard: {', '.join(f'r{replica} {words}' for replica, words in heard.items())})"

    # Running.

    @property
    def _correct(self) -> list[Station]:
        return [station for station in self._engine.stations if station.correct]

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
