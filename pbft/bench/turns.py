"""A replica whose turns are timed, here or in a process of its own.

Owns: what is noted of each turn, and which of them did a checkpoint's work. It is the replica that runs in production:
nothing is added but a look at the clock before and after.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from pbft.bench.accounts import empty_ledger
from pbft.bench.apart import receive
from pbft.bench.clocks import COLLECTIONS, cpu_ms, peak_rss_bytes, percentile, rss_bytes
from pbft.contents import View
from pbft.core.effects import Effect, Executed, StateInstalled
from pbft.core.envelope import Envelope, Kind, Sender, Signer, Verifier
from pbft.core.group import Group, ReplicaId
from pbft.core.replica import Replica
from pbft.core.settings import Now, ReplicaSettings
from pbft.core.situation import Situation
from pbft.core.status import ReplicaStatus
from pbft.machine import Application


@dataclass(frozen=True, slots=True)
class Turn:
    """One call of `Replica.receive` or `Replica.tick`."""

    ms: float
    collecting_ms: float
    """How much of it Python took to look for garbage."""
    slices: int
    """How often it may have digested a slice towards a checkpoint: once a tick, and once a batch that it executed."""
    nodes: int
    """Nodes that were digested towards a checkpoint."""
    checkpoint: bool
    """Whether it took or settled a checkpoint, or had one to settle."""
    installed: bool
    """Whether it took over the state that was fetched."""


@dataclass(frozen=True)
class Turns:
    """How long turns of one kind took."""

    count: int
    p50_ms: float
    p99_ms: float
    longest_ms: float
    longest_collecting_ms: float
    """How much of the longest Python took to look for garbage."""
    most_work_ms: float
    """The longest that one took without that."""

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> Turns:
        """Sum turns up."""
        times = [turn.ms for turn in turns]
        longest = max(turns, key=lambda turn: turn.ms, default=None)
        return cls(
            count=len(turns),
            p50_ms=percentile(times, 0.5),
            p99_ms=percentile(times, 0.99),
            longest_ms=0.0 if longest is None else longest.ms,
            longest_collecting_ms=0.0 if longest is None else longest.collecting_ms,
            most_work_ms=max((turn.ms - turn.collecting_ms for turn in turns), default=0.0),
        )


@dataclass(frozen=True)
class Noted:
    """What a replica has noted so far."""

    turns: tuple[Turn, ...]
    nodes_bytes: int
    """Bytes of all NODES that came in, lies and doubles included."""
    peak_rss_bytes: int
    """The most memory that its process has held so far."""
    rss_bytes: int
    """The memory that its process holds, once no garbage is left."""


class TimedReplica(Replica):
    """A correct replica that notes how long each of its turns takes."""

    def __init__(
        self,
        me: ReplicaId,
        group: Group,
        application: Application,
        signer: Signer,
        verifier: Verifier,
        settings: ReplicaSettings | None = None,
    ) -> None:
        super().__init__(me, group, application, signer, verifier, settings)
        self.turns: list[Turn] = []
        self._nodes_bytes = 0

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Act on one message, and note the time."""
        if envelope.kind is Kind.NODES:
            self._nodes_bytes += len(envelope.body)
        before, pending = self._views(), self._checkpoints.pending_digests
        began, collected = cpu_ms(), COLLECTIONS.ms
        effects = super().receive(envelope, sender, now)
        self._note(cpu_ms() - began, COLLECTIONS.ms - collected, before, pending, effects, ticks=0)
        return effects

    def tick(self, now: Now) -> list[Effect]:
        """Do what is due, and note the time."""
        before, pending = self._views(), self._checkpoints.pending_digests
        began, collected = cpu_ms(), COLLECTIONS.ms
        effects = super().tick(now)
        self._note(cpu_ms() - began, COLLECTIONS.ms - collected, before, pending, effects, ticks=1)
        return effects

    def noted(self) -> Noted:
        """Return what was noted so far, with the memory of this process."""
        peak = peak_rss_bytes()
        gc.collect()
        return Noted(tuple(self.turns), self._nodes_bytes, peak, rss_bytes())

    def _views(self) -> list[tuple[View, int]]:
        """Return what every checkpoint that is kept consists of, and how many nodes were digested for it so far."""
        # Nobody else has to look inside: what counts is how many nodes a turn digests, for whichever checkpoint.
        kept = self._checkpoints._snapshots.values()
        return [(view, view.made) for snapshot in kept for view in snapshot.views]

    def _note(
        self,
        ms: float,
        collecting_ms: float,
        before: list[tuple[View, int]],
        pending: bool,
        effects: list[Effect],
        ticks: int,
    ) -> None:
        # By identity: checkpoints share a view in which nothing changed. `before` keeps alive what was dropped since.
        made = {id(view): count for view, count in before}
        nodes = sum(
            count - made.get(key, 0) for key, count in {id(view): count for view, count in self._views()}.items()
        )
        executed = [effect.sequence for effect in effects if isinstance(effect, Executed)]
        worked = pending or nodes > 0 or any(map(self._checkpoints.is_due, executed))
        installed = any(isinstance(effect, StateInstalled) for effect in effects)
        self.turns.append(Turn(ms, collecting_ms, ticks + len(executed), nodes, worked, installed))


def serve(
    connection: Connection, me: ReplicaId, group: Group, signer: Signer, verifier: Verifier, settings: ReplicaSettings
) -> None:
    """Run a replica that begins with no state at all, for whoever is at the other end of a connection."""
    replica = TimedReplica(me, group, empty_ledger(), signer, verifier, settings)
    connection.send((None, None, replica.deadline_ms))
    with COLLECTIONS:
        while True:
            try:
                name, arguments = connection.recv()
            except EOFError:
                return
            try:
                outcome = getattr(replica, name)(*arguments)
            except Exception as error:
                connection.send((error, None, None))
            else:
                connection.send((None, outcome, replica.deadline_ms))


class RemoteReplica(Replica):
    """Stands in the simulator for a timed replica in another process: hands on all that it is told and asked."""

    def __init__(self, me: ReplicaId, group: Group, settings: ReplicaSettings, connection: Connection) -> None:
        """`connection` leads to `serve`. Nothing of a replica is made here, since all of it is there."""
        self.me = me
        self.group = group
        self.settings = settings
        self._connection = connection
        self._deadline_ms: int | None = None
        self._hear()

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Act on one message there."""
        effects: list[Effect] = self._call("receive", envelope, sender, now)
        return effects

    def tick(self, now: Now) -> list[Effect]:
        """Do what is due there."""
        effects: list[Effect] = self._call("tick", now)
        return effects

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is next due, as was told last."""
        return self._deadline_ms

    def status(self) -> ReplicaStatus:
        """Return where the replica stands."""
        status: ReplicaStatus = self._call("status")
        return status

    def situation(self, now_ms: int) -> Situation:
        """Return what the replica lacks."""
        situation: Situation = self._call("situation", now_ms)
        return situation

    def state_digest(self) -> bytes:
        """Return the digest of its application's state."""
        state: bytes = self._call("state_digest")
        return state

    def usage(self) -> dict[str, int]:
        """Return how much it holds of what others can make grow."""
        usage: dict[str, int] = self._call("usage")
        return usage

    def noted(self) -> Noted:
        """Return what it has noted so far."""
        noted: Noted = self._call("noted")
        return noted

    def _call(self, name: str, *arguments: Any) -> Any:
        self._connection.send((name, arguments))
        return self._hear()

    def _hear(self) -> Any:
        error, outcome, self._deadline_ms = receive(self._connection)
        if error is not None:
            raise error
        return outcome
