"""State transfer: who missed too much takes over the state of a stable checkpoint (OSDI'99 section 4.4; thesis 5.3).

Owns: which checkpoint is being fetched, whom to ask for its nodes, and who failed to bring them. What is known of it
and what is missing is the assembly's matter; those who are asked answer in `Checkpoints.serve`.
Only what this replica's own state does not hold is fetched; every node is checked against the digest that its parent
names it by, from the checkpoint's digest down, which a quorum signed. A source that lies or stalls is passed over.
Installs nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from pbft.core.assembly import Assembly
from pbft.core.effects import Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.core.messages import CheckpointProof
from pbft.core.outbox import Outbox
from pbft.core.settings import ReplicaSettings
from pbft.core.situation import TransferStanding
from pbft.core.snapshot import Snapshot
from pbft.core.state_messages import NODES_BYTES, Address, Fetch, Nodes

_BASE_NODES: Final = 1_024
"""Nodes of our own state that are digested in one turn, before anything is asked for."""


@dataclass(eq=False, slots=True)
class _Asked:
    """One FETCH that was not answered yet."""

    sequence: int
    source: ReplicaId
    due_ms: int
    bytes: int
    addresses: list[Address]


@dataclass(slots=True)
class _Source:
    """What is known of one of the others."""

    patience_ms: int
    """How long it has: doubled by an answer that came late, so that no network is too slow; less after one in time."""
    failures: int = 0
    """How it failed of late, weighed: bounded, and halved with each answer, so that nobody is passed over for good."""
    asked: int = 0
    """Which FETCH was the last to it, of all."""


_LATE: Final = 1
_LIED: Final = 4
"""What giving a wrong node weighs against being late: no correct source does."""
_MOST_FAILURES: Final = 8
_MOST_PATIENCE: Final = 16
"""How many times as long as `transfer_timeout_ms` a source has at most."""
_OVERDUE: Final = 64
_GOAL_TIMEOUTS: Final = 20
"""So many times `transfer_timeout_ms` a goal has, once the others may have dropped that state."""


class Transfer:
    """Fetches what differs of one checkpoint's state from several replicas at once."""

    def __init__(self, outbox: Outbox, settings: ReplicaSettings) -> None:
        self.goal: CheckpointProof | None = None
        """What is being fetched, if anything is."""
        self.assembly = Assembly()
        """What is known of it. Kept when the goal moves on: most of it still holds then."""
        self._out = outbox
        self._settings = settings
        self._asked: list[_Asked] = []
        self._overdue: deque[_Asked] = deque(maxlen=_OVERDUE)
        """Those that had no answer in time, of whatever was fetched: one may come yet."""
        self._base: Snapshot | None = None
        """This replica's own state, as long as its nodes are not known."""
        n, me = outbox.group.n, outbox.me
        self._sources = {(me + 1 + each) % n: _Source(settings.transfer_timeout_ms) for each in range(n - 1)}
        self._fetches = 0
        self._begun_ms = 0
        self._arrived_ms = 0
        self.arrived = 0
        """How many nodes have come, of whatever was fetched."""

    @property
    def deadline_ms(self) -> int | None:
        """When a source is next given up."""
        if self._base is not None:
            return self._out.now.monotonic_ms
        return min((asked.due_ms for asked in self._asked), default=None)

    @property
    def complete(self) -> bool:
        """Whether every node is here."""
        return self.goal is not None and self._base is None and self.assembly.complete

    def outlived(self, stable_before: int) -> bool:
        """Say whether a later state is the better goal.

        So it is if nothing has come for longer than several sources were given, or if the others may have dropped this
        one, of before the last two stable states, and it has had its time: one liar might go on giving it, at its pace.
        """
        now_ms, goal = self._out.now.monotonic_ms, self.goal
        patience_ms = max(source.patience_ms for source in self._sources.values() if source.failures <= self._fewest)
        had_ms = _GOAL_TIMEOUTS * self._settings.transfer_timeout_ms
        dropped = goal is not None and goal.sequence < stable_before and now_ms - self._begun_ms >= had_ms
        return dropped or now_ms - self._arrived_ms >= 3 * patience_ms

    def standing(self) -> TransferStanding | None:
        """Return how much of what is being fetched is here."""
        if self.goal is None:
            return None
        return TransferStanding(self.goal.sequence, self.assembly.present_bytes, self.assembly.total_bytes)

    def begin(self, goal: CheckpointProof, base: Snapshot) -> None:
        """Start to fetch the state at a checkpoint, instead of whatever was being fetched.

        `base` is a state of this replica's own: of what is equal there nothing is fetched. Later turns may have to find
        its nodes first.
        """
        self._asked.clear()
        self.goal, self._base = goal, base
        self._begun_ms = self._out.now.monotonic_ms
        self._walk()

    def stop(self) -> None:
        """Fetch nothing any more, and let go of what came."""
        self.goal = self._base = None
        self._asked.clear()
        self.assembly = Assembly()

    def on_nodes(self, nodes: Nodes, envelope: Envelope, sender: ReplicaId) -> None:
        """Keep nodes of the state that is being fetched.

        Refused unless each of them is missing and is what its parent names, the uppermost what a quorum signed; those
        that come before one that is not are kept.
        """
        self._note_late(nodes, sender)
        if self.goal is None or self._base is not None or nodes.sequence != self.goal.sequence:
            return self._out.ignore(Reason.NOT_WANTED, envelope, sender)
        before = self.arrived
        for node in nodes.nodes:
            if not self.assembly.is_missing(node.address):
                continue
            if not self.assembly.put(node.address, node.payload):
                self._out.ignore(Reason.WRONG_DIGEST, envelope, sender)
                self._pass_over(sender, _LIED)
                return self._ask()
            self.arrived += 1
        answered = self._answered(sender, [node.address for node in nodes.nodes])
        if self.arrived == before and not answered:
            return self._out.ignore(Reason.NOT_WANTED, envelope, sender)
        self._ask()

    def tick(self) -> None:
        """Give up sources that are overdue, and ask others."""
        self._walk()
        now_ms = self._out.now.monotonic_ms
        late = dict.fromkeys(asked.source for asked in self._asked if asked.due_ms <= now_ms)
        for source in late:
            self._pass_over(source, _LATE)
        if late:
            self._ask()

    def _walk(self) -> None:
        """Begin once the nodes of our own state are known."""
        if self.goal is None or self._base is None:
            return
        self._arrived_ms = self._out.now.monotonic_ms
        self._base.settle(_BASE_NODES)
        if self._base.settled:
            self.assembly.begin(self.goal.sequence, self.goal.digest, self._base)
            self._base = None
            self._ask()

    def _answered(self, replica: ReplicaId, brought: list[Address]) -> bool:
        """Say whether a FETCH has had its answer. A source that brought a part of it only is passed over.

        A correct one brings all of it. One that brings a node at a time, just before it is late, would delay the rest.
        It may have been asked less before, though, and its answer be late: so this weighs no more than that.
        """
        asked = next((each for each in self._asked if each.source == replica and each.addresses[0] == brought[0]), None)
        if asked is None:
            return False
        if any(map(self.assembly.is_missing, asked.addresses)):
            self._pass_over(replica, _LATE)
            return True
        # A whole answer only: else a node now and then would hold us to a state that nobody else keeps any more.
        self._arrived_ms = self._out.now.monotonic_ms
        self._asked.remove(asked)
        source = self._sources[replica]
        source.failures //= 2
        source.patience_ms = max(self._settings.transfer_timeout_ms, 3 * source.patience_ms // 4)
        return True

    def _note_late(self, nodes: Nodes, replica: ReplicaId) -> None:
        """Give a source more time if this answers what it was given up for: it is far away, and not silent."""
        for asked in self._overdue:
            if (asked.source, asked.sequence, asked.addresses[0]) == (replica, nodes.sequence, nodes.nodes[0].address):
                self._overdue.remove(asked)
                most_ms = _MOST_PATIENCE * self._settings.transfer_timeout_ms
                source = self._sources[replica]
                source.patience_ms = min(2 * source.patience_ms, most_ms)
                return

    def _pass_over(self, replica: ReplicaId, weight: int) -> None:
        """Prefer others to a source that was late, and still more to one that gave wrong nodes."""
        source = self._sources[replica]
        source.failures = min(source.failures + weight, _MOST_FAILURES)
        for asked in [each for each in self._asked if each.source == replica]:
            self._asked.remove(asked)
            self._overdue.append(asked)
            self.assembly.unclaim(asked.addresses)

    @property
    def _fewest(self) -> int:
        return min(source.failures for source in self._sources.values())

    def _ask(self) -> None:
        """Ask for what is missing: each of the sources that failed least has its share of what may be under way."""
        if self.goal is None:
            return
        fewest = self._fewest
        sources = [replica for replica, source in self._sources.items() if source.failures == fewest]
        under_way = {each: sum(asked.bytes for asked in self._asked if asked.source == each) for each in sources}
        share = max(NODES_BYTES, self._settings.transfer_bytes // len(sources))
        # In turn: where all failed as often as is counted, one that goes on failing must not be asked again and again.
        for source in sorted(sources, key=lambda each: (under_way[each], self._sources[each].asked)):
            while under_way[source] == 0 or under_way[source] + NODES_BYTES <= share:
                addresses, size = self.assembly.claim()
                if not addresses:
                    return
                due_ms = self._out.now.monotonic_ms + self._sources[source].patience_ms
                self._asked.append(_Asked(self.goal.sequence, source, due_ms, size, addresses))
                fetch = Fetch(self.goal.sequence, self.goal.digest, tuple(addresses))
                self._out.send(source, self._out.plain(Kind.FETCH, fetch))
                self._fetches += 1
                self._sources[source].asked = self._fetches
                under_way[source] += size
