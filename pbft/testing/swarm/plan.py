"""What a run is: everything that one seed draws, as plain data.

Owns: the plan of a run, and how chance fills one in. A plan is complete: once drawn it can be kept, printed, cut down
and played without the draw. Knows nothing of what ought to come of it.

Faulty replicas are those that crash for good, lie, or have a wrong wall clock: at most f together. Everything else
(cuts, loss, delays, replicas that stand still) may befall anybody, as many as it likes, and ends before the run heals.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from pbft.core.group import Limits, Quorums, ReplicaId
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.testing.network import Spread
from pbft.testing.signers import Scheme
from pbft.testing.swarm.draws import draw_faulty, draw_transient
from pbft.testing.swarm.faults import Fault

ED25519_SHARE: Final = 0.03
"""The share of runs under real signatures, which cost most of a run's time."""

CLIENTS: Final = ("alice", "bob", "carol", "dave")


@dataclass(frozen=True)
class Program:
    """What one session does: so many calls, each once the one before has ended, and no more once the run has healed."""

    client: str
    """A name that repeats in a plan is one key used by several programs."""
    start_ms: int
    calls: int
    operations: int
    """Operations called together each time: they ride in one request."""
    think_ms: int
    """How long it waits between an answer and the next call."""


@dataclass(frozen=True)
class Plan:
    """One run, whole."""

    seed: int
    """What the network draws each envelope's fate from, and keys and clocks too."""
    n: int
    checkpoint_interval: int
    log_size: int
    window: int
    view_timeout_ms: int
    status_interval_max_ms: int
    early_bytes: int
    retransmit_ms: int
    loss: float
    duplicate: float
    reorder: float
    delay_ms: tuple[int, int]
    spread: Spread
    signatures: Scheme
    workload: str
    word_bytes: int
    programs: tuple[Program, ...]
    byzantine: tuple[tuple[ReplicaId, str], ...]
    """Liars by number, with the names of what they do."""
    faults: tuple[Fault, ...]
    """By the time at which they begin."""
    heal_ms: int
    """From here on nothing new goes wrong, and the group has to make progress."""

    def __post_init__(self) -> None:
        late = [fault for fault in self.faults if fault.last_ms > self.heal_ms]
        if late:
            raise ValueError(f"a run heals at {self.heal_ms} ms, and this would go on: {late[0]}")

    @classmethod
    def draw(cls, seed: int, n: int | None = None) -> Plan:
        """Return the plan of a seed, for a group of n if that is given."""
        chance = random.Random(f"{seed}/plan")
        drawn_n = chance.choice((4, 4, 4, 5, 6, 7, 7, 7))
        n = drawn_n if n is None else n
        heal_ms = chance.randint(1_500, 6_000)
        byzantine, lasting = draw_faulty(chance, n, heal_ms)
        low_ms = chance.choice((1, 1, 1, 2, 10))
        interval = chance.choice((4, 4, 8, 16))
        programs = tuple(
            Program(
                client=chance.choice(CLIENTS),
                start_ms=chance.choice((0, 0, chance.randint(0, heal_ms // 2))),
                calls=chance.randint(4, 20),
                operations=chance.randint(1, 3),
                think_ms=chance.choice((0, 10, 50, 150)),
            )
            for _ in range(chance.randint(2, 5))
        )
        labels = session_labels(programs)
        return cls(
            seed=seed,
            n=n,
            checkpoint_interval=interval,
            log_size=interval * chance.choice((2, 2, 3, 4)),
            window=chance.choice((1, 2, 4, 16)),
            view_timeout_ms=chance.choice((150, 300, 1_000)),
            status_interval_max_ms=chance.choice((400, 1_600)),
            early_bytes=chance.choice((2_048, 256 * 1024)),
            retransmit_ms=chance.choice((100, 150, 400)),
            loss=chance.choice((0.0, 0.0, 0.02, 0.05, 0.1, 0.3)),
            duplicate=chance.choice((0.0, 0.0, 0.1, 0.5)),
            reorder=chance.choice((0.0, 0.05, 0.2)),
            delay_ms=(low_ms, low_ms + chance.choice((0, 3, 10, 40))),
            spread=chance.choice(("even", "even", "exponential")),
            signatures="ed25519" if chance.random() < ED25519_SHARE else "simulated",
            workload=chance.choice(("journal", "shelf")),
            word_bytes=3_000 if chance.random() < 0.1 else 16,
            programs=programs,
            byzantine=byzantine,
            faults=tuple(
                sorted((*lasting, *draw_transient(chance, n, labels, heal_ms)), key=lambda fault: fault.begin_ms)
            ),
            heal_ms=heal_ms,
        )

    @property
    def limits(self) -> Limits:
        """The group's limits."""
        return Limits(checkpoint_interval=self.checkpoint_interval, log_size=self.log_size)

    @property
    def settings(self) -> ReplicaSettings:
        """Each replica's settings."""
        return ReplicaSettings(
            window=self.window,
            view_timeout_ms=self.view_timeout_ms,
            status_interval_max_ms=self.status_interval_max_ms,
            early_bytes=self.early_bytes,
        )

    @property
    def session_settings(self) -> SessionSettings:
        """Each session's settings."""
        return SessionSettings(retransmit_ms=self.retransmit_ms)

    def quorums(self, plant: str | None) -> Quorums | None:
        """Return the group's counts with one of them planted one too low; None for true ones."""
        quorums = Quorums.of(self.n)
        return None if plant is None else replace(quorums, **{plant: getattr(quorums, plant) - 1})

    def told(self) -> list[str]:
        """Return the plan for people, a line each for what is not a number."""
        lines = [f"{name}={value!r}" for name, value in self._plain().items()]
        several = [*self.programs, *(f"replica {replica} is {name}" for replica, name in self.byzantine), *self.faults]
        return [", ".join(lines), *map(str, several), f"healed from {self.heal_ms} ms on"]

    def _plain(self) -> dict[str, Any]:
        lists = ("programs", "byzantine", "faults", "heal_ms")
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name not in lists}


def session_labels(programs: tuple[Program, ...]) -> list[str]:
    """Return the labels that a cluster gives these programs' sessions, in order: "alice", "alice/2"."""
    labels: list[str] = []
    for place, program in enumerate(programs):
        before = sum(1 for each in programs[:place] if each.client == program.client)
        labels.append(program.client if before == 0 else f"{program.client}/{before + 1}")
    return labels
