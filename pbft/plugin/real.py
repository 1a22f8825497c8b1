"""A test's group of real processes over UDP on 127.0.0.1, behind the face that a simulated one has, too.

Owns: the life of such a group: its folder, its keeper, its clients, and that nothing of it outlives the test. What its
replicas tell when a test fails is `pbft.plugin.telling`'s.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from pbft.client import Client, Reply
from pbft.encoding import Plain
from pbft.errors import PbftError
from pbft.group_file import GroupFile, read_group, write_group
from pbft.lab.control import Control
from pbft.lab.kept import KeptGroup
from pbft.lab.making import make_group
from pbft.lab.state import LabState
from pbft.loading import create_application
from pbft.plugin.apart import Apart, outcome
from pbft.plugin.group import Misused, NotConverged, check_pair, check_replica, refuse, spell_call
from pbft.plugin.histories import Calls
from pbft.plugin.places import place_of, searching
from pbft.plugin.report import Diary
from pbft.plugin.telling import Position, converging, faults_of, tell
from pbft.plugin.wanted import Wanted, misbehaviour
from pbft.testing.byzantine import Adversary
from pbft.testing.byzantine.naming import MISBEHAVIOURS
from pbft.testing.linearizability import Linearizable, Undecided
from pbft.wording import count, listing

T = TypeVar("T")

__tracebackhide__ = True

CALL_SECONDS: Final = 30.0
"""How long a call may take unless it names its own time: several views in a row, on a machine that does much else."""
CONVERGING_SECONDS: Final = 30.0
"""How long replicas may take to come to the same."""


class RealPending:
    """An operation on its way."""

    def __init__(self, told: str, future: Future[Reply]) -> None:
        self._told = told
        self._future = future

    def __repr__(self) -> str:
        return f"<{self._told}, {'ended' if self.done else 'pending'}>"

    @property
    def done(self) -> bool:
        """Whether it has ended, whichever way."""
        return self._future.done()

    def result(self) -> Any:
        """Wait for its end, and return what the operation returned."""
        return self.reply().value

    def reply(self) -> Reply:
        """Wait for its end, and return all that is known of the answer."""
        return outcome(self._future)


class RealGroupClient:
    """A registered client, with a socket and a session of its own."""

    def __init__(self, group: RealGroup, label: str, client: Client) -> None:
        self.name = client.name
        self._label = label
        self._group = group
        self._client = client

    def __repr__(self) -> str:
        return f"<client {self.name}>"

    def call(self, name: str, /, *args: Plain, timeout: float | None = None, **kwargs: Plain) -> Any:
        """Run an operation and return its value."""
        return self.submit(name, *args, timeout=timeout, **kwargs).result()

    def submit(self, name: str, /, *args: Plain, timeout: float | None = None, **kwargs: Plain) -> RealPending:
        """Send an operation off, and return at once."""
        told = spell_call(name, args, kwargs)
        future = self._group.begin(self._client, self._label, told, name, args, timeout, kwargs)
        return RealPending(f"{self._label}.{told}", future)


class RealGroup:
    """Replicas as processes. `pbft.plugin.group.Group` says what each method does."""

    real = True

    def __init__(self, wanted: Wanted, seed: int, directory: Path, lacks: Callable[[str], NoReturn] = refuse) -> None:
        """`lacks` is told, in a sentence, of what a test asks that only virtual time has."""
        self._lacks = lacks
        self.seed = seed
        self.random = random.Random(f"{seed}/test")
        self.directory = directory
        self.diary = Diary()
        self.n = wanted.replicas
        self._wanted = wanted
        self._calls = Calls()
        self._clients: list[Client] = []
        self._kept: KeptGroup | None = None
        self._last_words = ""
        self._begun = time.monotonic()
        self._apart = Apart()
        try:
            self._files = self._make()
            self.faults = self._files.group.quorums.faults
            self._control = Control(self._files)
            self._start()
        except Misused:
            self.close()
            raise
        except PbftError as error:
            self.close()
            refuse(f"the group did not start: {error}")
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<group of {self.n} processes in {self.directory}>"

    @property
    def now_ms(self) -> int:
        """Milliseconds since the group began."""
        return int((time.monotonic() - self._begun) * 1_000)

    @property
    def correct(self) -> tuple[int, ...]:
        """The replicas that follow the protocol and remember their votes."""
        return tuple(each.id for each in self._state().replicas if each.truthful)

    @property
    def cluster(self) -> NoReturn:
        """Refuse: a real group has none."""
        self._lacks("a real group has no cluster: its replicas are processes; leave out real=True for virtual time")

    def clients(self, *names: str) -> list[RealGroupClient]:
        """Open a session for each name, or for each registered client."""
        return [self.client(name) for name in names or self._wanted.clients]

    def client(self, name: str) -> RealGroupClient:
        """Open a session of a registered client."""
        if name not in self._wanted.clients:
            known = ", ".join(self._wanted.clients)
            refuse(f"no client is called {name!r}; this group knows {known}; name more in the mark: clients=(…)")
        client = self._open(name)
        before = sum(1 for each in self._clients if each.name == name)
        self._clients.append(client)
        return RealGroupClient(self, name if not before else f"{name}/{before + 1}", client)

    def run(self, ms: int) -> None:
        """Let this much time pass."""
        time.sleep(ms / 1_000)

    def kill(self, replica: int) -> None:
        """End a replica's process (SIGKILL)."""
        self._fault("kill", check_replica(replica, self.n))

    def restart(self, replica: int, *, beyond: bool = False) -> None:
        """Start a killed replica again."""
        state = self._state()
        if state.replicas[check_replica(replica, self.n)].pid is not None:
            refuse(f"replica {replica} runs already; restart is for one that has been killed")
        self._count(state, replica, beyond)
        self._fault("restart", replica)

    def pause(self, replica: int) -> None:
        """Let a replica's process stand still (SIGSTOP)."""
        self._fault("pause", check_replica(replica, self.n))

    def resume(self, replica: int) -> None:
        """Let a paused replica go on (SIGCONT)."""
        if self._state().replicas[check_replica(replica, self.n)].state == "paused":
            self._fault("resume", replica)

    def cut(self, one: int, other: int) -> None:
        """Let nothing pass between two replicas."""
        self._fault("cut", *check_pair(one, other, self.n))

    def isolate(self, replica: int) -> None:
        """Let nothing pass between a replica and all others."""
        self._fault("cut", check_replica(replica, self.n))

    def let(self, sentence: str) -> None:
        """Say what becomes of which messages."""
        self._fault("let", *sentence.split())

    def heal(self) -> None:
        """End all faults of the network."""
        self._fault("heal")

    def make_byzantine(self, replica: int, how: str | type[Adversary], *, beyond: bool = False) -> None:
        """Put a liar in a replica's place: a process of its own, which begins without that replica's memory."""
        state = self._state()
        seat = state.replicas[check_replica(replica, self.n)]
        words, folder = self._words(how)
        if seat.pid is None:
            refuse(f"replica {replica} is dead and lies no more; restart it first")
        if seat.misbehaviour is not None:
            refuse(f"replica {replica} is byzantine already ({seat.misbehaviour})")
        if folder is not None:
            refuse(
                f"{words} lies in a package that the running group does not know; let it lie from the start, with "
                f"byzantine={{{replica}: …}} in the mark, or define it in the test's own file"
            )
        self._count(state, replica, beyond)
        self._fault("byzantine", replica, words)

    def state(self, replica: int) -> NoReturn:
        """Refuse: nobody looks into a process."""
        self._lacks("nobody can look into a real replica's memory; call a query, or leave out real=True")

    def assert_converged(self) -> None:
        """Demand that living replicas that do not lie come to the same."""
        state = self._state()
        demanded = [each.id for each in state.replicas if each.pid is not None and each.misbehaviour is None]
        if not demanded:
            raise NotConverged("no replica is left that could converge: all are dead, or lie")
        still = [each for each in demanded if state.replicas[each].state == "paused"]
        if still:
            raise NotConverged(f"{listing(still)} cannot converge while paused; resume first")
        client = self._open(self._wanted.clients[0])
        try:
            found: list[Position] = self._apart.wait(converging(client, demanded, CONVERGING_SECONDS))
        finally:
            self._apart.wait(client.close())
        told = ", ".join(map(str, found))
        if len({each.place for each in found}) != 1:
            seconds = count(int(CONVERGING_SECONDS), "second")
            raise NotConverged(f"no equal states within {seconds}: {told}{faults_of(self._state())}")
        self.diary.note(self.now_ms, f"converged: {told}")

    def check_linearizable(self) -> Linearizable | Undecided:
        """Hold all calls so far against one copy of the application."""
        return self._calls.judge(lambda: create_application(self._wanted.app, self._wanted.parameters))

    # What giving, reporting and clients ask.

    def begin(
        self,
        client: Client,
        label: str,
        told: str,
        name: str,
        args: tuple[Plain, ...],
        timeout: float | None,
        kwargs: Mapping[str, Plain],
    ) -> Future[Reply]:
        """Send an operation off, and note how it ends."""
        seconds = CALL_SECONDS if timeout is None else timeout
        ended = self._calls.begin(client.name, label, name, args, kwargs)
        self.diary.note(self.now_ms, f"{label} calls {told}")
        future = self._apart.begin(client.ask(name, *args, timeout=seconds, **kwargs))

        def note(done: Future[Reply]) -> None:
            self.diary.note(self.now_ms, f"{label} is told {ended(done)} for {name}")

        future.add_done_callback(note)
        return future

    def told(self) -> str:
        """Return what a failure's report says of the group; after its end, what was last known."""
        if self._kept is not None:
            client = self._open(self._wanted.clients[0])
            try:
                self._last_words = self._apart.wait(tell(client, self._files, self._control))
            finally:
                self._apart.wait(client.close())
        return "\n".join([*self.diary.told(), self._last_words])

    def close(self) -> None:
        """End every process and every client. Closing twice is fine."""
        kept, self._kept = self._kept, None
        try:
            if kept is not None:
                kept.close()
        finally:
            for client in self._clients:
                self._apart.wait(client.close())
            self._clients.clear()
            self._apart.close()

    # A start.

    def _make(self) -> GroupFile:
        wanted = self._wanted
        self._spec, self._folder = place_of(wanted.app, "application")
        words = {name: _word(value) for name, value in wanted.parameters.items()}
        files = make_group(
            self.directory / "group", self._spec, wanted.replicas, wanted.clients, words, limits=wanted.limits
        )
        told = dict(files.group.genesis.parameters)
        for name, value in wanted.parameters.items():
            if told.get(name) != value:
                refuse(f"the parameter {name} has a value that group.toml cannot tell to a real group: {value!r}")
        if wanted.view_timeout_ms is not None:
            files.path.unlink()
            write_group(replace(files, settings=replace(files.settings, view_timeout_ms=wanted.view_timeout_ms)))
        return read_group(files.directory)

    def _start(self) -> None:
        folders = [] if self._folder is None else [self._folder]
        liars = {}
        for replica, how in self._wanted.byzantine.items():
            liars[replica], folder = self._words(how)
            folders += [] if folder is None or folder in folders else [folder]
        # Nobody is given time to stop: nothing that they hold outlives the test anyway.
        self._kept = KeptGroup(self._files, hurry=lambda: True, liars=liars)
        with searching(*folders):
            self._kept.spawn()
        self._apart.wait(self._kept.wait_ready(self._wanted.clients[0]))
        self._begun = time.monotonic()
        for replica, words in liars.items():
            self.diary.note(0, f"replica {replica} is byzantine: {words}")
        if self._wanted.loss:
            self._fault("loss", f"{max(1, round(100 * self._wanted.loss))}%")

    def _words(self, how: str | type[Adversary]) -> tuple[str, Path | None]:
        """Return how a keeper names a misbehaviour, and a folder to search for it."""
        kind = misbehaviour(how, self._wanted.clients)
        if isinstance(how, str):
            return how, None
        if MISBEHAVIOURS.get(kind.__name__) is kind:
            return kind.__name__, None
        return place_of(kind, "misbehaviour")

    def _open(self, name: str) -> Client:
        client = Client.open(self._files.directory, name)
        self._apart.wait(client.start())
        return client

    def _state(self) -> LabState:
        return self._asked(self._control.state)

    def _fault(self, verb: str, *words: int | str) -> None:
        spelt = [verb, *map(str, words)]
        self._asked(lambda: self._control.fault(spelt))
        self.diary.note(self.now_ms, " ".join(spelt))

    def _asked(self, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return self._apart.wait(question())
        except PbftError as error:
            refuse(str(error))

    def _count(self, state: LabState, replica: int, beyond: bool) -> None:
        """Raise Misused where one more untruthful replica is more than f, unless that is wanted."""
        faulty = [each.id for each in state.replicas if not each.truthful and each.id != replica]
        if len(faulty) >= self.faults and not beyond:
            refuse(
                f"{self.n} replicas survive {count(self.faults, 'faulty one')}, and {listing(faulty)} counted already: "
                f"replica {replica} would be one too many; take more replicas, or say beyond=True where the test is "
                "about that"
            )


def _word(value: Plain) -> str:
    """Return a parameter as a command line says it."""

    def spell(inner: Any) -> str:
        if isinstance(inner, bytes):
            return inner.hex()
        raise TypeError(f"{inner!r} has no word")

    if isinstance(value, str):
        return value
    return value.hex() if isinstance(value, bytes) else json.dumps(value, default=spell)
