"""What an oracle is, what it may know, and who runs them all.

Owns: the facts an oracle judges by, the failure it raises, and the dispatch of what happens to those that watch for
it. Knows no rule of the protocol.

Oracles are incremental: each looks at new effects only, so that judging costs a constant a delivery. They compute
what they need from the genesis, never from the objects they judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NoReturn, TypeVar

from pbft.core.effects import Effect
from pbft.core.envelope import Envelope, Verifier
from pbft.core.group import ClientKey, Group, ReplicaId
from pbft.core.replica import Replica
from pbft.core.session import Completed
from pbft.machine import Application
from pbft.testing.oracles.record import SHOWING, Record


class OracleFailure(AssertionError):
    """An invariant of the protocol broke: which, how, in which run, and how to see it again."""

    def __init__(self, oracle: str, sentence: str) -> None:
        super().__init__()
        self.oracle = oracle
        """The invariant's id, "O1" and so on, or the name of a driver's rule."""
        self.sentence = sentence
        self.story = ""
        """The run's seed, its last trace lines and how to replay it; told by the cluster."""

    def __str__(self) -> str:
        return f"{self.oracle}: {self.sentence}" + (f"\n{self.story}" if self.story else "")


@dataclass(frozen=True)
class Facts:
    """What oracles know for certain about a group, computed anew from its genesis."""

    group: Group
    verifier: Verifier
    correct: tuple[ReplicaId, ...]
    """The replicas that follow the protocol; a crashed one still counts. Ask anew each time: one may turn."""
    application: Callable[[], Application]
    """Makes the application in its first state, for a model of the oracles' own."""
    invariant: Callable[[Application], str | None] | None = None
    """Says what is wrong with the application's state after a batch, or None: the application's own invariant."""
    record: Record = field(init=False)
    """What this run has shown so far."""
    faults: int = field(init=False)
    quorum: int = field(init=False)
    """The least number whose every two sets of members share a correct one, whatever the replicas' own count says."""

    def __post_init__(self) -> None:
        n = len(self.group.genesis.members)
        faults = max(f for f in range(n) if 3 * f < n)
        object.__setattr__(self, "record", Record(self.group, self.application()))
        object.__setattr__(self, "faults", faults)
        object.__setattr__(self, "quorum", min(q for q in range(n + 1) if 2 * q - n > faults))

    def turned(self, replica: ReplicaId) -> None:
        """Count a replica as faulty from now on. What it did before was a correct one's doing, and stays judged so."""
        object.__setattr__(self, "correct", tuple(each for each in self.correct if each != replica))


class Oracle:
    """Watches effects of correct replicas and fails when its invariant breaks.

    A subclass names its `id`, says what it watches for in `watches`, and overrides what it needs.
    """

    id: ClassVar[str]
    watches: ClassVar[tuple[type, ...]] = ()

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Judge one effect of a correct replica, in the order of its list."""

    def concluded(self, replica: ReplicaId) -> None:
        """Judge what is due once a correct replica's list of effects is complete."""

    def completed(self, client: ClientKey, session: bytes, completed: Completed) -> None:
        """Judge what a client accepted as its answer."""

    def sampled(self, replica: Replica) -> None:
        """Judge a correct replica itself, as it is between two turns; done now and then."""

    def fail(self, sentence: str) -> NoReturn:
        """Raise OracleFailure with this oracle's id."""
        raise OracleFailure(self.id, sentence)


Watcher = TypeVar("Watcher", bound=Oracle)


class Overseer:
    """Shows everything to the oracles that watch for it: effects of correct replicas, arrivals, clients' answers."""

    def __init__(self, facts: Facts, oracles: Iterable[Oracle]) -> None:
        self.record = facts.record
        self._facts = facts
        self._every: tuple[Oracle, ...] = ()
        self._show_to(tuple(oracles))

    def watch(self, kind: type[Watcher]) -> Watcher:
        """Show everything to one more from now on, after the others, and return it: one that counts, say."""
        watcher = kind(self._facts)
        self._show_to((*self._every, watcher))
        return watcher

    def _show_to(self, every: tuple[Oracle, ...]) -> None:
        self._every = every
        self._watching: dict[type, tuple[Callable[[ReplicaId, Effect], None], ...]] = {}
        for kind in dict.fromkeys(kind for oracle in every for kind in oracle.watches):
            self._watching[kind] = tuple(oracle.observe for oracle in every if kind in oracle.watches)
        # Nearly all that happens is an arrival: whoever does not care for a kind of event is not asked.
        self._concluding = tuple(each.concluded for each in every if type(each).concluded is not Oracle.concluded)
        self._completing = tuple(each.completed for each in every if type(each).completed is not Oracle.completed)
        self._sampling = tuple(each.sampled for each in every if type(each).sampled is not Oracle.sampled)

    def delivered(self, envelope: Envelope) -> None:
        """Learn of an envelope that is about to be received, by a correct replica or another."""
        self.record.delivered(envelope)

    def judge(self, replica: ReplicaId, effects: Sequence[Effect]) -> None:
        """Judge one list of effects; what an adversary does is not judged. Raises OracleFailure."""
        if effects and replica in self._facts.correct:
            for effect in effects:
                kind = type(effect)
                if kind in SHOWING:
                    self.record.observe(effect)
                for observe in self._watching.get(kind, ()):
                    observe(replica, effect)
            for conclude in self._concluding:
                conclude(replica)
        self.record.arrived = None

    def completed(self, client: ClientKey, session: bytes, completed: Completed) -> None:
        """Judge what a client accepted. Raises OracleFailure."""
        for judge in self._completing:
            judge(client, session, completed)

    def sampled(self, replica: Replica) -> None:
        """Judge a correct replica as it stands. Raises OracleFailure."""
        for judge in self._sampling:
            judge(replica)
