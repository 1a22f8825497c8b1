"""What befalls the replicas of a simulated group while it runs, when a test says so.

Owns: replicas that stand still, crash, start again and turn, wall clocks that go wrong, and how all of it is mended.
What befalls single messages is the network's (`pbft.testing.network`).
"""

from __future__ import annotations

from pbft.core.group import ReplicaId
from pbft.testing.byzantine.adversary import Adversary
from pbft.testing.engine import Engine
from pbft.testing.founding import Founding
from pbft.testing.network import Network
from pbft.testing.oracles import Facts
from pbft.testing.station import Station
from pbft.testing.trace import Trace
from pbft.wording import count


class Forgetful(Adversary):
    """A correct replica that started again without its votes. It means no harm, and it counts within f all the same."""


class Mishaps:
    """What a test does to the replicas of its cluster, which is what knows them."""

    _engine: Engine
    _facts: Facts
    _founding: Founding
    network: Network
    trace: Trace

    @property
    def now_ms(self) -> int:
        """The virtual time, from 0 at the start."""
        return self._engine.now_ms

    def pause(self, replica: ReplicaId) -> None:
        """Let a replica stand still, as SIGSTOP does: it receives nothing and its timers wait, until it resumes."""
        self._engine.stations[replica].paused = True
        self._note(replica, "paused")

    def resume(self, replica: ReplicaId) -> None:
        """Let a replica go on where it stood still, as SIGCONT does: first it receives what has waited."""
        station = self._engine.stations[replica]
        if station.paused:
            station.paused = False
            self._note(replica, "resumed")
            self._engine.wake(station)

    def heal(self) -> None:
        """Mend the network for good, losses and all, and let every replica go on that stands still."""
        self.calm()
        for station in self._engine.stations:
            self.resume(station.id)

    def calm(self) -> None:
        """Mend the network for good, losses and all; whoever stands still goes on standing."""
        self.network.heal()
        self.network.calm()
        self.trace.note(self.now_ms, "network", "healed")

    def crash(self, replica: ReplicaId) -> None:
        """Stop a replica: it neither receives nor sends from now on, unless it is started again."""
        self._engine.stations[replica].alive = False
        self._note(replica, "crashed")

    def restart(self, replica: ReplicaId, *, beyond: bool = False) -> None:
        """Start a crashed replica again under its keys, correct, and without anything that it had in memory.

        Since it forgot its votes it counts as faulty from now on (`correct` leaves it out), as it does in a real group
        until stores are durable. Raises ValueError when it lives, and when that makes more than f of them, unless it
        is to go `beyond`.
        """
        station = self._engine.stations[replica]
        if station.alive:
            raise ValueError(f"replica {replica} runs already; restart is for one that has crashed")
        self._count(station, "restart", beyond)
        station.restart(Forgetful(self._founding.core(replica), self._founding.means(replica, colludes=False)))
        self._note(replica, "started again, without its votes")
        self._engine.wake(station)

    def make_byzantine(self, replica: ReplicaId, kind: type[Adversary], *, beyond: bool = False) -> None:
        """Let a correct replica turn, with its memory and all: from now on an adversary has its core in hand.

        It colludes with those that lie already, and counts as faulty from now on; what it did before was a correct
        replica's doing, and stays judged as such. Raises ValueError for one that has crashed or lies already, and
        when that makes more than f faulty ones, unless it is to go `beyond`. Crashed ones do not count here: they
        cost answers, but nobody's word.
        """
        station = self._engine.stations[replica]
        if not station.alive:
            raise ValueError(f"replica {replica} has crashed and lies no more; restart it first")
        if isinstance(station.core, Adversary) and not isinstance(station.core, Forgetful):
            raise ValueError(f"replica {replica} is byzantine already ({type(station.core).__name__})")
        self._count(station, "make_byzantine", beyond)
        core = station.core.core if isinstance(station.core, Adversary) else station.core
        station.core = kind(core, self._founding.means(replica))
        self._note(replica, f"turned byzantine: {kind.__name__}")
        self._engine.wake(station)

    def set_wall_clock(self, replica: ReplicaId, ahead_ms: int) -> None:
        """Set a replica's wall clock this far ahead of the right time, or behind it; its timers do not notice."""
        self._engine.stations[replica].wall_ahead_ms = ahead_ms
        self._note(replica, f"wall clock set to {ahead_ms:+} ms")

    def _count(self, station: Station, verb: str, beyond: bool) -> None:
        """Count a replica as faulty from now on, after a last look at what it has become as a correct one.

        Raises ValueError beyond f, unless that is wanted, and OracleFailure for what the look shows.
        """
        n = len(self._engine.stations)
        faulty = [each.id for each in self._engine.stations if not each.correct and each is not station]
        if len(faulty) >= self._facts.faults and not beyond:
            others = f", and {', '.join(map(str, faulty))} already count" + ("s" if len(faulty) == 1 else "")
            raise ValueError(
                f"{n} replicas survive {count(self._facts.faults, 'faulty one')}{others if faulty else ''}: replica "
                f"{station.id} would be one too many; take more replicas, or say {verb}({station.id}, …, beyond=True) "
                "where the test is about that"
            )
        self._engine.look_at(station)
        self._facts.turned(station.id)

    def _note(self, replica: ReplicaId, what: str) -> None:
        self.trace.note(self.now_ms, f"r{replica}", what)
