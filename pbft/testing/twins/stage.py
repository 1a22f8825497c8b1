"""Where the nodes of a scenario stand, and twins that go by it.

Owns: the present blocks, for the network and for every core of a double replica. Colluding twins agree through the
stage on which of them said what, since an envelope tells its signer alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.group import ReplicaId
from pbft.core.settings import Now
from pbft.testing.byzantine.twins import Twins
from pbft.testing.network import Address
from pbft.testing.twins.scenario import CLIENTS, second

_BOTH = (0, 1)


class Stage:
    """Who stands with whom. At first, and again once healed, everybody stands with everybody."""

    def __init__(self, n: int, twins: tuple[ReplicaId, ...]) -> None:
        self.twins = twins
        self.names: dict[bytes, str] = {}
        """Clients' names by their keys."""
        self.said: dict[tuple[ReplicaId, Kind, bytes], tuple[int, ...]] = {}
        """Which of the two said what to another twin."""
        self._nodes = {i: (str(i), second(i)) if i in twins else (str(i),) for i in range(n)}
        self._blocks: Mapping[str, int] = {}

    def part(self, blocks: tuple[tuple[str, ...], ...]) -> tuple[tuple[Address, ...], ...]:
        """Let the nodes stand in blocks, and return what that means for the network, which knows no twins."""
        self._blocks = {node: place for place, block in enumerate(blocks) for node in block}
        single = {str(replica): replica for replica in self._nodes if replica not in self.twins}
        known: dict[str, Address] = {**single, **{name: name for name in CLIENTS}}
        return tuple(tuple(known[node] for node in block if node in known) for block in blocks)

    def heal(self) -> None:
        """Let everybody stand with everybody."""
        self._blocks = {}

    def nodes(self, party: Sender) -> tuple[str, ...]:
        """Return the nodes of a replica or client."""
        return (self.names[party],) if isinstance(party, bytes) else self._nodes[party]

    def together(self, one: str, other: str) -> bool:
        """Say whether two nodes stand in one block."""
        return self._blocks.get(one) == self._blocks.get(other)

    def adversary(self) -> type[Twins]:
        """Return twins that go by this stage."""
        stage = self

        class Staged(Twins):
            """Each core is in touch with those that stand in its block."""

            def sides(self, party: Sender) -> tuple[int, ...]:
                """Return which of the two stand with a node of that party."""
                own = stage.nodes(self.me)
                return tuple(
                    side for side in _BOTH if any(stage.together(own[side], node) for node in stage.nodes(party))
                )

            def hearers(self, envelope: Envelope, sender: Sender) -> tuple[int, ...]:
                """Return which of the two stand with the very core that said it."""
                if sender not in stage.twins:
                    return self.sides(sender)
                own, other = stage.nodes(self.me), stage.nodes(sender)
                said = stage.said.get((sender, envelope.kind, envelope.body), _BOTH)
                return tuple(
                    side for side in _BOTH if any(stage.together(own[side], other[speaker]) for speaker in said)
                )

            def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
                """Note who of the two says what to other twins."""
                kept = super().twist(effects, now)
                side = self.cores.index(self.core)
                for each in kept:
                    if isinstance(each, Send) and each.to in stage.twins:
                        key = (self.me, each.envelope.kind, each.envelope.body)
                        before = stage.said.get(key, ())
                        stage.said[key] = before if side in before else (*before, side)
                return kept

        return Staged
