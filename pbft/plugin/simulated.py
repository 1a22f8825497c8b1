"""A test's group on virtual time: `pbft.testing.Cluster` behind the face that a real group has, too.

Owns: how calls, mishaps and demands of a test become a cluster's, what a test that uses it wrongly is told, and where
replicas stand when it fails.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, Final, TypeVar

from pbft.client import InvalidOperation, Refused, Reply, Timeout, Unknown
from pbft.core.messages import RefusalReason
from pbft.core.settings import ReplicaSettings
from pbft.encoding import EncodingError, Plain
from pbft.loading import create_application
from pbft.machine import StateMachine
from pbft.plugin.differing import first_difference
from pbft.plugin.group import SHOWN_CHARACTERS, NotConverged, check_pair, check_replica, refuse, spell_call
from pbft.plugin.report import FLOW_LINES, Diary, told_of_faults
from pbft.plugin.wanted import Wanted, misbehaviour
from pbft.testing.byzantine import Adversary
from pbft.testing.clients import Call, SimulatedClient
from pbft.testing.cluster import Cluster, NotFinished
from pbft.testing.linearizability import Linearizable, Undecided
from pbft.testing.mishaps import Forgetful
from pbft.testing.oracles import OracleFailure
from pbft.wording import count, listing, shorten

__tracebackhide__ = True

T = TypeVar("T")

PATIENCE_SECONDS: Final = 60.0
"""How much virtual time a call gets unless it names its own."""

_GOSSIP_MS: Final = 4_000
"""Replicas that are behind and know it say so by then; only then does a call of no meaning wake the others."""
_PROBE: Final = "is anybody behind"
"""No operation has this name: it changes nothing anywhere."""


class _QuietCluster(Cluster):
    """A cluster whose failures leave its story to the report's own section, and are remembered whoever passes over."""

    broken: OracleFailure | None = None
    """What an oracle saw first."""

    def story(self) -> str:
        """Return where the story is told."""
        return 'the section "pbft group" has the seed, what the test did, and the message flow'

    def note(self, failure: OracleFailure) -> None:
        """Remember what an oracle saw, unless something was seen before."""
        self.broken = self.broken or failure

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            with super()._telling():
                yield
        except OracleFailure as failure:
            self.note(failure)
            raise


class SimulatedPending:
    """An operation on its way, in virtual time."""

    def __init__(self, group: SimulatedGroup, client: SimulatedClient, call: Call, seconds: float) -> None:
        self._group = group
        self._client = client
        self._call = call
        self._seconds = seconds
        self._due_ms = group.now_ms + int(seconds * 1_000)

    def __repr__(self) -> str:
        return f"<{self._call!r}, {'ended' if self.done else 'pending'}>"

    @property
    def done(self) -> bool:
        """Whether it has ended, whichever way."""
        return self._call.done

    def result(self) -> Any:
        """Let virtual time pass until it has ended, and return what the operation returned."""
        return self.reply().value

    def reply(self) -> Reply:
        """Let virtual time pass until it has ended, and return all that is known of the answer."""
        call, group = self._call, self._group
        try:
            within_ms = max(0, self._due_ms - group.now_ms)
            group.watched(lambda: group.cluster.run_until(lambda: call.done, within_ms))
        except NotFinished:
            group.run(max(0, self._due_ms - group.now_ms))
            group.diary.note(group.now_ms, f"{call!r} got no answer in time")
            session = self._client.session
            raise Timeout(self._seconds, group.cluster.group.quorums.weak, session.heard()) from None
        if call.completed is not None:
            return Reply.of(call.completed).check()
        if call.refusal in (RefusalReason.UNKNOWN_SESSION, RefusalReason.SESSION_IN_FUTURE):
            raise Unknown(f"the group does not know this session ({call.refusal.name}): {call!r} may have run, or not")
        raise Refused(f"{call!r} did not run: it is beyond a size limit of the group")


class SimulatedGroupClient:
    """A registered client, with a session of its own."""

    def __init__(self, group: SimulatedGroup, name: str, client: SimulatedClient) -> None:
        self.name = name
        self._group = group
        self._client = client

    def __repr__(self) -> str:
        return f"<client {self.name}>"

    def call(self, name: str, /, *args: Plain, timeout: float | None = None, **kwargs: Plain) -> Any:
        """Run an operation: let virtual time pass until it is answered, and return its value."""
        return self.submit(name, *args, timeout=timeout, **kwargs).result()

    def submit(self, name: str, /, *args: Plain, timeout: float | None = None, **kwargs: Plain) -> SimulatedPending:
        """Send an operation off; it travels as soon as virtual time passes."""
        group, told = self._group, f"{self._client.label} calls {spell_call(name, args, kwargs)}"
        seconds = PATIENCE_SECONDS if timeout is None else timeout
        try:
            call = self._client.call(name, *args, **kwargs)
        except EncodingError as error:
            raise InvalidOperation(str(error)) from None
        except ValueError as error:
            raise Refused(str(error)) from None
        group.diary.note(group.now_ms, told)
        call.then = lambda: group.diary.note(group.now_ms, f"{self._client.label} is told {_told(call)}")
        return SimulatedPending(group, self._client, call, seconds)


class SimulatedGroup:
    """A group on virtual time. `pbft.plugin.group.Group` says what each method does."""

    real = False

    def __init__(self, wanted: Wanted, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(f"{seed}/test")
        self.diary = Diary()
        self._wanted = wanted
        liars = {each: misbehaviour(how, wanted.clients) for each, how in wanted.byzantine.items()}
        settings = ReplicaSettings()
        if wanted.view_timeout_ms is not None:
            settings = ReplicaSettings(view_timeout_ms=wanted.view_timeout_ms)
        self.cluster = _QuietCluster(
            wanted.app,
            seed,
            wanted.replicas,
            byzantine=liars,
            clients=wanted.clients,
            parameters=wanted.parameters,
            loss=wanted.loss,
            duplicate=wanted.duplicate,
            reorder=wanted.reorder,
            delay_ms=wanted.delay_ms,
            limits=wanted.limits,
            settings=settings,
            invariant=wanted.invariant,
        )
        self.n = wanted.replicas
        self.faults = self.cluster.group.quorums.faults
        self._cut: dict[str, None] = {}
        for replica, kind in liars.items():
            self.diary.note(0, f"replica {replica} is byzantine: {kind.__name__}")

    def __repr__(self) -> str:
        return f"<group of {self.n} on virtual time, seed {self.seed}>"

    @property
    def broken(self) -> OracleFailure | None:
        """What an oracle saw first."""
        return self.cluster.broken

    @property
    def now_ms(self) -> int:
        """The virtual time, from 0 at the start."""
        return self.cluster.now_ms

    @property
    def correct(self) -> tuple[int, ...]:
        """The replicas that follow the protocol and remember their votes."""
        return self.cluster.correct

    def clients(self, *names: str) -> list[SimulatedGroupClient]:
        """Open a session for each name, or for each registered client."""
        return [self.client(name) for name in names or self._wanted.clients]

    def client(self, name: str) -> SimulatedGroupClient:
        """Open a session of a registered client."""
        try:
            return SimulatedGroupClient(self, name, self.cluster.client(name))
        except ValueError as error:
            refuse(f"{error}; name more in the mark: clients=(…)")

    def run(self, ms: int) -> None:
        """Let this much virtual time pass."""
        self.watched(lambda: self.cluster.run(ms))

    def kill(self, replica: int) -> None:
        """End a replica."""
        if not self._lives(replica):
            refuse(f"replica {replica} is dead already")
        self.cluster.crash(replica)
        self._did(f"kill {replica}")

    def restart(self, replica: int, *, beyond: bool = False) -> None:
        """Start a killed replica again, with nothing in memory."""
        check_replica(replica, self.n)
        try:
            self.watched(lambda: self.cluster.restart(replica, beyond=beyond))
        except ValueError as error:
            refuse(str(error))
        self._did(f"restart {replica}")

    def pause(self, replica: int) -> None:
        """Let a replica stand still."""
        if not self._lives(replica):
            refuse(f"replica {replica} is dead and cannot stand still")
        self.cluster.pause(replica)
        self._did(f"pause {replica}")

    def resume(self, replica: int) -> None:
        """Let a paused replica go on."""
        self.cluster.resume(check_replica(replica, self.n))
        self._did(f"resume {replica}")

    def cut(self, one: int, other: int) -> None:
        """Let nothing pass between two replicas."""
        self.cluster.network.cut(*check_pair(one, other, self.n))
        self._did(f"cut {one} {other}")
        self._cut[f"replicas {one} and {other} are cut off from each other"] = None

    def isolate(self, replica: int) -> None:
        """Let nothing pass between a replica and all others."""
        check_replica(replica, self.n)
        self.cluster.network.split((replica,), tuple(each for each in range(self.n) if each != replica))
        self._did(f"isolate {replica}")
        self._cut[f"replica {replica} is isolated"] = None

    def let(self, sentence: str) -> None:
        """Say what becomes of which messages."""
        try:
            self.cluster.network.let(sentence)
        except (ValueError, OverflowError) as error:
            refuse(str(error))
        self._did(f"let {sentence}")
        self._cut[f"{sentence!r} holds"] = None

    def heal(self) -> None:
        """End all faults of the network."""
        self.cluster.calm()
        self._did("heal")
        self._cut.clear()

    def make_byzantine(self, replica: int, how: str | type[Adversary], *, beyond: bool = False) -> None:
        """Let a correct replica turn."""
        check_replica(replica, self.n)
        kind = misbehaviour(how, self._wanted.clients)
        try:
            self.watched(lambda: self.cluster.make_byzantine(replica, kind, beyond=beyond))
        except ValueError as error:
            refuse(str(error))
        self._did(f"make_byzantine {replica} {kind.__name__}")

    def state(self, replica: int) -> Any:
        """Return a copy of one replica's application."""
        core = self.cluster.replica(check_replica(replica, self.n))
        application: Any = (core.core if isinstance(core, Adversary) else core)._execution._application
        if isinstance(application, StateMachine):
            return copy(application)
        twin = create_application(self._wanted.app, self._wanted.parameters)
        twin.restore(application.snapshot())
        return twin

    def assert_converged(self) -> None:
        """Demand that living replicas that do not lie come to the same."""
        if not self._demanded():
            raise NotConverged("no replica is left that could converge: all are dead, or lie")
        within_ms = self.cluster.recovery_ms()
        still = [each for each in self._demanded() if self.cluster._engine.stations[each].paused]
        if still:
            raise NotConverged(f"{listing(still)} cannot converge while paused; resume first")
        if not self.watched(lambda: self._runs_level(min(_GOSSIP_MS, within_ms))):
            # Who was cut off from a group that is silent now learns that it is behind by the next message.
            if issubclass(self._wanted.app, StateMachine):
                self.cluster.client(self._wanted.clients[0]).call(_PROBE)
            if not self.watched(lambda: self._runs_level(within_ms)):
                raise NotConverged(self._parted(within_ms))
        if not self.cluster.histories_agree():
            raise NotConverged(f"correct replicas executed different histories: {self._positions()}")
        self._did(f"converged: {self._positions()}")

    def check_linearizable(self) -> Linearizable | Undecided:
        """Hold all calls so far against one copy of the application."""
        return self.watched(self.cluster.check_linearizable)

    # What giving and reporting ask.

    def watched(self, action: Callable[[], T]) -> T:
        """Do something, and remember what an oracle sees; a test is shown its own line then, rather than ours."""
        try:
            return action()
        except OracleFailure as failure:
            self.cluster.note(failure)
            raise failure.with_traceback(None) from None

    def close(self) -> None:
        """Nothing runs on. Correct replicas are looked at once more: a short test ends before that is due by itself."""
        if self.n - len(self.correct) > self.faults:
            return
        try:
            for station in self.cluster._engine.stations:
                self.cluster._engine.look_at(station)
        except OracleFailure as failure:
            self.cluster.note(failure)

    def told(self) -> str:
        """Return what a failure's report says of the group."""
        kept = self.cluster.trace.last(FLOW_LINES)
        flow = [f"the message flow, its last {count(len(kept), 'line')}:", *(f"  {line}" for line in kept)]
        stand = [f"the replicas at {self.now_ms} ms:", *(f"  {self._standing(each)}" for each in range(self.n))]
        return "\n".join([*self.diary.told(), *(flow if kept else ()), *stand, *map(str, self._cut)])

    def _did(self, what: str) -> None:
        self.diary.note(self.now_ms, what)

    def _lives(self, replica: int) -> bool:
        return self.cluster._engine.stations[check_replica(replica, self.n)].alive

    def _demanded(self) -> list[int]:
        """Return who must converge: all that live and mean well, those without their votes included."""
        stations = self.cluster._engine.stations
        return [each.id for each in stations if each.alive and (each.correct or isinstance(each.core, Forgetful))]

    def _runs_level(self, within_ms: int) -> bool:
        demanded = self._demanded()

        def level() -> bool:
            if len({self.cluster.executed(each) for each in demanded}) > 1:
                return False
            return len({self.cluster.replica(each).state_digest() for each in demanded}) <= 1

        try:
            self.cluster.run_until(level, within_ms)
        except NotFinished:
            return False
        return True

    def _positions(self) -> str:
        executed: dict[int, list[int]] = {}
        for each in self._demanded():
            executed.setdefault(self.cluster.executed(each), []).append(each)
        return ", ".join(
            f"{listing(who)} executed s{at}" for at, who in sorted(executed.items(), key=lambda each: -each[0])
        )

    def _parted(self, within_ms: int) -> str:
        """Return who differs, and where."""
        told = f"no equal states within {within_ms} ms: {self._positions()}"
        demanded = self._demanded()
        first = demanded[0]
        for each in demanded[1:]:
            same_place = self.cluster.executed(each) == self.cluster.executed(first)
            if same_place and self.cluster.replica(each).state_digest() != self.cluster.replica(first).state_digest():
                where = first_difference(self.state(first), self.state(each))
                told += f"; replica {each} has another state than replica {first}: {where}"
                break
        return told + told_of_faults(self._cut)

    def _standing(self, replica: int) -> str:
        station = self.cluster._engine.stations[replica]
        core = station.core
        status = core.status()
        doing = f"{status.role} of view {status.view}"
        if status.target != status.view:
            doing = f"left view {status.view} for {status.target}"
        what = f"r{replica}  {doing}, executed s{status.executed}, stable s{status.stable_checkpoint}"
        what += f", state {core.state_digest().hex()[:8]}"
        if status.waiting:
            what += f", {count(status.waiting, 'request')} waiting"
        if isinstance(core, Forgetful):
            what += "; started again: it forgot its votes"
        elif isinstance(core, Adversary):
            what += f"; byzantine: {type(core).__name__}"
        if not station.alive:
            return f"{what}; killed"
        blocked = self.cluster.situation(replica).blocked
        if blocked is not None and not station.paused:
            have = ", ".join(f"r{each}" for each in blocked.have) or "nobody"
            what += f"; s{blocked.sequence} lacks {blocked.phase.value}: {have} of {blocked.needed}"
        return f"{what}; paused" if station.paused else what


def _told(call: Call) -> str:
    if call.completed is None:
        return f"that {call.name} was refused ({call.refusal.name if call.refusal is not None else 'no reason'})"
    result = call.completed.result
    words = shorten(repr(result.value), SHOWN_CHARACTERS)
    return f"{words if result.outcome.name == 'OK' else f'{result.outcome.name} {words}'} for {call.name}"
