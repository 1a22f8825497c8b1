"""What it takes a replica that fell behind, or has nothing at all, to come to the group's state.

Owns: these measurements. A replica is cut off until the others have forgotten what it lacks, and is then let in again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from pbft.bench.accounts import OWNER, filled_ledger, state_bytes
from pbft.bench.clocks import COLLECTIONS
from pbft.bench.memory import ALLOWED_BYTES, MANY
from pbft.bench.simulated import BEHIND, LIAR, PATIENCE_MS, Writer, group_of, newcomers
from pbft.bench.turns import Noted, RemoteReplica, TimedReplica, Turns
from pbft.core.effects import StateInstalled
from pbft.testing import Cluster
from pbft.testing.byzantine.state_liars import NodeForger

MISSED: Final = 1_000
"""Transfers that a replica misses, one a sequence: about twice as many as a log of 512 sequences holds."""
ALLOWED_SHARE: Final = 0.1
"""The share of the state's bytes that such a replica may move, among very many accounts. Among few, all changed."""


@dataclass(frozen=True)
class CatchUp:
    """How one replica came to the group's state."""

    accounts: int
    missed: int
    """Sequences that it missed."""
    from_nothing: bool
    """Whether it began with no state at all."""
    liars: int
    """Sources that lie in every node."""
    lies: int
    """Nodes that they made up."""
    written: int
    """Transfers that clients made meanwhile."""
    state_bytes: int
    """Keys and values of the accounts, before any transfer."""
    moved_bytes: int
    """Bytes of all NODES that reached it, lies included."""
    nodes: int
    """Nodes that it kept."""
    transfers: int
    """How often it took over a state."""
    virtual_ms: int
    """Time by the simulated network, on which replicas take none to think."""
    seconds: float
    """Time by the wall, of all replicas and the simulator together."""
    turns: Turns
    """How long it did nothing else, from then on until it was level with the others."""
    install_ms: float
    """The turn in which it took the state over, the longest of these."""
    memory: Memory | None = None
    """Where it ran in a process of its own."""

    @property
    def share(self) -> float:
        """Bytes moved for each byte of the state."""
        return self.moved_bytes / self.state_bytes

    @property
    def held(self) -> bool | None:
        """Whether it moved no more than it may or, from nothing, took no more memory; None among too few accounts."""
        if self.accounts < MANY:
            return None
        if self.memory is not None:
            return self.memory.extra_bytes <= ALLOWED_BYTES * self.accounts
        return self.share <= ALLOWED_SHARE


@dataclass(frozen=True)
class Memory:
    """What the process of a replica held that caught up."""

    peak_bytes: int
    final_bytes: int
    """When it was done, without garbage."""

    @property
    def extra_bytes(self) -> int:
        """What it took beyond its final state: at most as much again as so many accounts may take."""
        return self.peak_bytes - self.final_bytes


def measure_returning(accounts: int, missed: int = MISSED) -> CatchUp:
    """Let a replica miss transfers, and then catch up with a group in which nothing happens."""
    ledger = filled_ledger(accounts)
    group = group_of(ledger)
    group.network.isolate(BEHIND)
    _write(group, accounts, missed)
    before = group.executed(0)
    with COLLECTIONS:
        measured = _let_in(group)
    _check_level(group, Writer(group.client(OWNER), accounts, "last"))
    replica = group.replica(BEHIND)
    assert isinstance(replica, TimedReplica)
    return _told(group, accounts, before, state_bytes(ledger), replica.noted(), measured, 0)


def measure_newcomer(accounts: int, lying: bool) -> CatchUp:
    """Let a replica with no state at all join while clients write, with honest sources or with one that lies."""
    ledger = filled_ledger(accounts)
    with newcomers() as replica_type:
        group = group_of(ledger, replica_type, {LIAR: NodeForger} if lying else {})
        group.network.isolate(BEHIND)
        # Logs reach back to the stable checkpoint before the last: what came earlier cannot be had as batches any more.
        missed = 2 * group.group.limits.checkpoint_interval
        _write(group, accounts, missed)
        others = [group.replica(i) for i in range(group.group.n) if i != BEHIND]
        group.run_until(lambda: all(each.status().stable_checkpoint >= missed for each in others), PATIENCE_MS)
        before = group.executed(0)
        writers = [Writer(group.client(name), accounts, f"{name} meanwhile") for name in (OWNER, OWNER)]
        for writer in writers:
            writer.go()
        measured = _let_in(group)
        written = sum(writer.answered for writer in writers)
        for writer in writers:
            writer.stopped = True
        _check_level(group, Writer(group.client(OWNER), accounts, "last"))
        replica = group.replica(BEHIND)
        assert isinstance(replica, RemoteReplica)
        return _told(group, accounts, before, state_bytes(ledger), replica.noted(), measured, written)


@dataclass(frozen=True)
class _Measured:
    turns: int
    """Turns that it had taken before, alone."""
    virtual_ms: int
    seconds: float


def _write(group: Cluster, accounts: int, count: int) -> None:
    """Execute transfers one after the other, each in a sequence of its own."""
    writer = Writer(group.client(OWNER), accounts, "missed")
    writer.go()
    group.run_until(lambda: writer.answered >= count, PATIENCE_MS)
    writer.stopped = True


def _let_in(group: Cluster) -> _Measured:
    """Let the replica that is behind hear the others again, until it has taken over their state."""
    replica = group.replica(BEHIND)
    assert isinstance(replica, TimedReplica | RemoteReplica)
    turns = len(replica.noted().turns)
    began_ms, began = group.now_ms, time.perf_counter()
    group.network.rejoin(BEHIND)
    group.run_until(lambda: bool(group.steps(BEHIND, StateInstalled)), PATIENCE_MS)
    return _Measured(turns, group.now_ms - began_ms, time.perf_counter() - began)


def _check_level(group: Cluster, writer: Writer) -> None:
    """See that the replica has come to what the others have, and takes part: with it, one of them may be lost."""
    writer.go()
    group.run_until(lambda: writer.answered >= 1, PATIENCE_MS)
    writer.stopped = True
    group.run_until_level(PATIENCE_MS)
    states = {group.replica(i).state_digest() for i in group.correct}
    assert len(states) == 1, "a replica that caught up has another state than the rest"


def _told(
    group: Cluster, accounts: int, missed: int, size: int, noted: Noted, measured: _Measured, written: int
) -> CatchUp:
    forger = group.replica(LIAR)
    installed = group.steps(BEHIND, StateInstalled)
    turns = noted.turns[measured.turns :]
    remote = isinstance(group.replica(BEHIND), RemoteReplica)
    return CatchUp(
        accounts=accounts,
        missed=missed,
        from_nothing=remote,
        liars=int(isinstance(forger, NodeForger)),
        lies=forger.lied if isinstance(forger, NodeForger) else 0,
        written=written,
        state_bytes=size,
        moved_bytes=noted.nodes_bytes,
        nodes=sum(step.nodes for step in installed),
        transfers=len(installed),
        virtual_ms=measured.virtual_ms,
        seconds=measured.seconds,
        turns=Turns.of(turns),
        install_ms=max(turn.ms for turn in turns if turn.installed),
        memory=Memory(noted.peak_rss_bytes, noted.rss_bytes) if remote else None,
    )
