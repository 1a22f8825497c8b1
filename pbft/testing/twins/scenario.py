"""A scenario of twins, as plain data: who is double, and who can talk with whom from phase to phase.

Owns: how a scenario is spelled. Its representation reads back; knows nothing of where it comes from.

A *node* is a core or a client. "2" is replica 2 or, where it is double, the first of its two cores, and "2'" the other
one; clients go by their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pbft.core.group import ReplicaId

CLIENTS: Final = ("alice", "bob")


@dataclass(frozen=True)
class Phase:
    """A time in which only those talk that stand in one block."""

    lasts_ms: int
    blocks: tuple[tuple[str, ...], ...]
    """Every node once. Whatever leaves a node reaches its own block alone."""
    calls: tuple[str, ...] = ()
    """The clients that call when the phase begins, unless they are still waiting for an answer."""

    def __str__(self) -> str:
        blocks = " | ".join(" ".join(block) for block in self.blocks)
        return f"{self.lasts_ms} ms {blocks}" + (f", {' and '.join(self.calls)} call" if self.calls else "")


@dataclass(frozen=True)
class Scenario:
    """What happens to a group of n until it is healed."""

    n: int
    twins: tuple[ReplicaId, ...]
    """The replicas that are double."""
    phases: tuple[Phase, ...]
    stays: bool = False
    """Whether the twins stay once the group is healed, in touch with everybody; else the rest has to do without them.
    """

    def __post_init__(self) -> None:
        nodes = (*node_names(self.n, self.twins), *CLIENTS)
        for phase in self.phases:
            standing = [node for block in phase.blocks for node in block]
            if sorted(standing) != sorted(nodes):
                raise ValueError(f"in each phase every one of {', '.join(nodes)} stands in one block, not {phase}")
            strangers = [name for name in phase.calls if name not in CLIENTS]
            if phase.lasts_ms < 1 or strangers:
                raise ValueError(f"a phase lasts at least 1 ms, and {' and '.join(CLIENTS)} may call, not {phase}")

    def told(self) -> list[str]:
        """Return the scenario in lines for people."""
        double = " and ".join(f"replica {twin}" for twin in self.twins)
        end = "with all" if self.stays else "without who was double"
        return [f"n={self.n}, {double or 'nobody'} is double", *map(str, self.phases), f"healed, {end}"]


def node_names(n: int, twins: tuple[ReplicaId, ...]) -> tuple[str, ...]:
    """Return the names of all cores: every replica's, and then the second ones."""
    return (*(str(replica) for replica in range(n)), *(second(twin) for twin in twins))


def second(replica: ReplicaId) -> str:
    """Return the name of a replica's second core."""
    return f"{replica}'"
