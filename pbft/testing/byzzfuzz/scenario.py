"""What goes wrong in a ByzzFuzz run, as plain data, and how chance fills it in.

Owns: the shape of a run (how many rounds may be faulty, and in which way) and the draw. The paper's setting for PBFT:
four replicas of which one is Byzantine, and among eight rounds at most two with network faults and two with process
faults (Winter, Buse, de Graaf, von Gleissenthall, Kulahcioglu Ozkan: "Randomized Testing of Byzantine Fault Tolerant
Algorithms", OOPSLA 2023).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal

from pbft.core.group import ReplicaId
from pbft.wording import count

Scope = Literal["small", "any"]

N: Final = 4
CALLS: Final = 5
"""Calls of one client in a run, one after the other: eight rounds are two sequences, or less where views change."""


@dataclass(frozen=True)
class Shape:
    """What a run may draw."""

    rounds: int = 8
    network_faults: int = 2
    """Rounds with a partition at most."""
    process_faults: int = 2
    """Rounds in which the Byzantine replica lies, at most."""
    scope: Scope | None = None
    """Which mutations; None draws one or the other for each run."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"faults lie among at least one round, not {self.rounds}")
        for name in ("network_faults", "process_faults"):
            if not 0 <= getattr(self, name) <= self.rounds:
                raise ValueError(f"{name} must lie within 0 and the {count(self.rounds, 'round')}")


@dataclass(frozen=True)
class NetworkFault:
    """In this round the replicas stand on sides, and nothing of the round passes between them."""

    round: int
    sides: tuple[tuple[ReplicaId, ...], ...]

    def parts(self, one: ReplicaId, other: ReplicaId) -> bool:
        """Say whether two replicas stand on different sides."""
        return not any(one in side and other in side for side in self.sides)


@dataclass(frozen=True)
class ProcessFault:
    """In this round the Byzantine replica lies to these receivers, to all of them alike."""

    round: int
    receivers: tuple[ReplicaId, ...]
    clients: bool
    """Whether clients are among those it lies to."""
    lie: int
    """What the choice of mutations begins with."""


@dataclass(frozen=True)
class Scenario:
    """One run, whole."""

    number: int
    """What keys, clocks and delays are drawn from."""
    liar: ReplicaId
    scope: Scope
    network: tuple[NetworkFault, ...]
    process: tuple[ProcessFault, ...]

    @classmethod
    def draw(cls, number: int, shape: Shape | None = None) -> Scenario:
        """Return the scenario of a number, within a shape."""
        shape = shape or Shape()
        chance = random.Random(f"{number}/byzzfuzz")
        liar = chance.randrange(N)
        scope: Scope = chance.choice(("small", "any"))
        network, process = _counts(chance, shape)
        rounds = range(1, shape.rounds + 1)
        return cls(
            number,
            liar,
            shape.scope or scope,
            tuple(NetworkFault(at, _partition(chance)) for at in sorted(chance.sample(rounds, network))),
            tuple(_lie(chance, at, liar) for at in sorted(chance.sample(rounds, process))),
        )

    def told(self) -> list[str]:
        """Return the scenario for people, a line each fault."""
        lines = [f"run {self.number}: replica {self.liar} of {N} is Byzantine, {self.scope}-scope"]
        for cut in self.network:
            sides = " | ".join(" ".join(f"r{each}" for each in side) for side in cut.sides)
            lines.append(f"round {cut.round}: the network parts {sides}")
        for lie in self.process:
            receivers = [*(f"r{each}" for each in lie.receivers), *(["the client"] if lie.clients else [])]
            lines.append(f"round {lie.round}: r{self.liar} lies to {', '.join(receivers)} (lie {lie.lie})")
        return lines


def _counts(chance: random.Random, shape: Shape) -> tuple[int, int]:
    """Draw how many rounds have network faults, and process faults: all pairs alike, but for none at all."""
    pairs = [(d, c) for d in range(shape.network_faults + 1) for c in range(shape.process_faults + 1)]
    return chance.choice(pairs[1:] or pairs)


def _partition(chance: random.Random) -> tuple[tuple[ReplicaId, ...], ...]:
    """Draw sides, two at least: each replica joins one of those before it or begins one of its own."""
    while True:
        sides: list[list[ReplicaId]] = []
        for replica in range(N):
            place = chance.randrange(len(sides) + 1)
            if place == len(sides):
                sides.append([])
            sides[place].append(replica)
        if len(sides) > 1:
            return tuple(map(tuple, sides))


def _lie(chance: random.Random, at: int, liar: ReplicaId) -> ProcessFault:
    """Draw whom a lie is told to: one receiver at least, the client perhaps among them."""
    receivers: list[ReplicaId | None] = [*(each for each in range(N) if each != liar), None]
    chosen = chance.sample(receivers, chance.randint(1, len(receivers)))
    replicas = tuple(sorted(each for each in chosen if each is not None))
    return ProcessFault(at, replicas, None in chosen, chance.randrange(2**32))
