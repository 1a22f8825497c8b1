"""Sources of state that are none (R7): they give wrong nodes, or none, or late, or few, or claim to have come far.

Owns: the lies about one node, by name, and how a state is made that nobody has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Final

from pbft.contents import Contents, View
from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Status, pack, unpack
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.core.snapshot import Snapshot
from pbft.core.state_messages import TOP, NodeAt, Nodes
from pbft.encoding import digest, encode
from pbft.testing.byzantine.adversary import Adversary, Means
from pbft.testing.byzantine.flooder import Flooder
from pbft.testing.byzantine.holding import Holding
from pbft.trie import keys_of

_LIE: Final = digest(b"pbft/lie", b"")

NODE_LIES: Final[Mapping[str, Callable[[NodeAt, NodeAt], NodeAt]]] = {
    "another node's payload": lambda node, other: replace(node, payload=other.payload[::-1] + b"\0"),
    "one bit": lambda node, other: replace(node, payload=node.payload[:-1] + bytes([node.payload[-1] ^ 1])),
    "cut short": lambda node, other: replace(node, payload=node.payload[:-1]),
    "something more": lambda node, other: replace(node, payload=node.payload + b"\0"),
    "another place": lambda node, other: replace(node, payload=other.payload),
    "another kind of node": lambda node, other: replace(node, payload=encode([None] * 15 + [[1, 2, _LIE]])),
    "very many entries": lambda node, other: replace(node, payload=encode([None] * 15 + [[2**62, 2**62, _LIE]])),
    "no entries": lambda node, other: replace(node, payload=encode([])),
    "nothing": lambda node, other: replace(node, payload=b""),
}
"""Each makes a bad node of a good one, and of the first one that this liar ever served."""


class NodeForger(Adversary):
    """Serves nodes that are wrong in one of its `lies`, one after the other (R7)."""

    lies: ClassVar[tuple[str, ...]] = tuple(NODE_LIES)

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self.lied = 0
        """How many nodes it has spoilt."""
        self._earliest: NodeAt | None = None

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Spoil every node."""
        return [self._misserved(each) if isinstance(each, Send) else each for each in super().twist(effects, now)]

    def _misserved(self, sent: Send) -> Send:
        if sent.envelope.kind is not Kind.NODES:
            return sent
        nodes = unpack(Nodes, sent.envelope.body)
        wrong = replace(nodes, nodes=tuple(self._spoilt_node(each) for each in nodes.nodes))
        return Send(sent.to, Envelope(Kind.NODES, self.me, pack(wrong)))

    def _spoilt_node(self, node: NodeAt) -> NodeAt:
        self._earliest = self._earliest or node
        spoilt = NODE_LIES[self.lies[self.lied % len(self.lies)]](node, self._earliest)
        self.lied += 1
        # Another node's payload may be this one's own: the first that it served is.
        return spoilt if spoilt != node else replace(node, payload=node.payload + b"\0")


class OtherState(Adversary):
    """Serves nodes of a state that nobody has, all of which fit each other; every second one its top, too (R7)."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._altered: tuple[bytes, Snapshot] | None = None
        """The state that it serves in place of the one with this digest: of the last one that was asked for."""
        self._has_own_top = means.chance.random() < 0.5

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Put other nodes in the place of the true ones."""
        return [self._exchanged(each) if isinstance(each, Send) else each for each in super().twist(effects, now)]

    def _exchanged(self, sent: Send) -> Send:
        if sent.envelope.kind is not Kind.NODES:
            return sent
        nodes = unpack(Nodes, sent.envelope.body)
        true = self.core._checkpoints._snapshots.get(nodes.sequence)
        if true is None:
            # Another misbehaviour in this replica made it up.
            return sent
        if self._altered is None or self._altered[0] != true.digest:
            self._altered = true.digest, altered(true)
        wrong = replace(nodes, nodes=tuple(self._node(self._altered[1], each) for each in nodes.nodes))
        return Send(sent.to, Envelope(Kind.NODES, self.me, pack(wrong)))

    def _node(self, other: Snapshot, node: NodeAt) -> NodeAt:
        payload = other.node(node.address) if node.address != TOP or self._has_own_top else None
        return node if payload is None else replace(node, payload=payload)


def altered(true: Snapshot) -> Snapshot:
    """Return a state whose client table is the true one, with other bytes of the same length for all other values."""
    clients, *application = true.views
    return Snapshot(true.sequence, true._agreed_ms, true._head, (clients, *map(_altered_view, application)))


def _altered_view(view: View) -> View:
    other = Contents()
    for key in keys_of(view.root):
        value = view.get(key) or b""
        other.write(key, value[:-1] + bytes([value[-1] ^ 1]) if value else value)
    return other.freeze()


class SilentSource(Adversary):
    """Never gives a node to whoever asks for it, but behaves well otherwise (R7)."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Answer no FETCH."""
        return [each for each in super().twist(effects, now) if not _are_nodes(each)]


class SlowSource(Holding):
    """Gives nodes just before it would be passed over for another source (R7)."""

    share: ClassVar[float] = 0.9
    """How much of the time that a source is given it takes."""

    def delay_ms(self, sent: Send) -> int:
        """Hold back nodes."""
        late_ms = int(self.share * self.core.settings.transfer_timeout_ms) if _are_nodes(sent) else 0
        return max(super().delay_ms(sent), late_ms)


class DripSource(SlowSource):
    """Gives one node of all that it was asked for, and then one at a time, each just before it is given up (R7)."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Let the first node go when all would have gone, and hold back the others for longer and longer."""
        step_ms = int(self.share * self.core.settings.transfer_timeout_ms)
        singly: list[Effect] = []
        for effect in super().twist(effects, now):
            if not isinstance(effect, Send) or effect.envelope.kind is not Kind.NODES:
                singly.append(effect)
                continue
            first, *others = self._drops(effect)
            singly.append(first)
            self._late += [(now.monotonic_ms + place * step_ms, each) for place, each in enumerate(others, start=1)]
        return singly

    def _drops(self, sent: Send) -> list[Send]:
        nodes = unpack(Nodes, sent.envelope.body)
        return [
            Send(sent.to, Envelope(Kind.NODES, self.me, pack(replace(nodes, nodes=(each,))))) for each in nodes.nodes
        ]


class Braggart(Flooder):
    """Claims to have come further than anybody, then nowhere, then one step further than it has (R7)."""

    def flood(self) -> list[Envelope]:
        """Say without being asked how far it has come, each time something else."""
        status = self.core.status()
        far = (2**40 + self.floods, 0, status.executed + 1, status.stable_checkpoint + self._interval)[self.floods % 4]
        said = Status(status.view, status.target, far, far, self.floods, self.floods % 2 == 0, b"", (), ())
        return [*super().flood(), Envelope(Kind.STATUS, self.me, pack(said))]

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Leave out the truth."""
        return [each for each in super().twist(effects, now) if not self._is_own_status(each)]

    def _is_own_status(self, effect: Effect) -> bool:
        return isinstance(effect, Send) and effect.envelope.kind is Kind.STATUS

    @property
    def _interval(self) -> int:
        return self.means.group.limits.checkpoint_interval


def _are_nodes(effect: Effect) -> bool:
    return isinstance(effect, Send) and effect.envelope.kind is Kind.NODES
