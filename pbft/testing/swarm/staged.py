"""Draws in which a liar stands where its lies count: some ways through the protocol are too rare for chance alone.

Owns: what leads there, such as a primary that fails before a liar's view, replicas that have to catch up from liars,
clients who are kept busy while one of them is passed over, or a certificate that nobody but a liar has. What else goes
wrong is drawn as in every run. Whoever hunts for one of these ways draws nothing else (`Plan.draw(seed, staged=NAME)`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pbft.core.envelope import Kind
from pbft.core.group import ReplicaId
from pbft.testing.swarm.faults import Dropped, Fault, Isolated, LetLoose, Paused
from pbft.testing.swarm.programs import CLIENTS, Program

STAGED_SHARE: Final = 0.15
"""How often a run is staged."""

_OF_VIEWS: Final = ("BogusNewView", "BogusNewView", "ForkedView", "CertificateForger")
_OF_STATES: Final = (
    "NodeForger",
    "OtherState",
    "OtherState",
    "SilentSource",
    "SlowSource",
    "DripSource",
    "Braggart",
    "CheckpointLiar",
    "BadState",
    "BadState+NodeForger",
)
_OF_SERVICE: Final = ("Censor", "GrudgingPrimary", "GrudgingPrimary", "GrudgingPrimary", "SlowPrimary", "FadingPrimary")


@dataclass(frozen=True)
class Staged:
    """What is set up for a liar."""

    byzantine: tuple[tuple[ReplicaId, str], ...]
    faults: tuple[Fault, ...] = ()
    programs: tuple[Program, ...] = ()
    """In place of those drawn; none where any will do."""
    workload: str | None = None
    """In place of the one drawn; None where any will do."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Those of the group's limits that are not as drawn."""


def draw_staged(chance: random.Random, n: int, heal_ms: int, name: str | None = None) -> Staged | None:
    """Return a liar with what brings it into its place; mostly None, unless one of `STAGES` is asked for by name."""
    if name is None:
        if chance.random() >= STAGED_SHARE:
            return None
        name = chance.choice(("views", "states", "states", "service", "service", "hoard", "starve"))
    return STAGES[name](chance, n, heal_ms)


def _views(chance: random.Random, n: int, heal_ms: int) -> Staged:
    """The second primary lies, and the first one stands still; meanwhile somebody else may miss a checkpoint."""
    begin_ms = chance.randint(100, heal_ms // 2)
    faults: tuple[Fault, ...] = (Paused(begin_ms, heal_ms, 0),)
    if n > 4 and chance.random() < 0.7:
        faults = (Isolated(max(0, begin_ms - 400), min(heal_ms, begin_ms + 800), n - 1), *faults)
    return Staged(((1, chance.choice(_OF_VIEWS)),), faults)


def _states(chance: random.Random, n: int, heal_ms: int) -> Staged:
    """The last replica misses much, and those whom it asks first for the state lie about it.

    It has executed something before, or nothing at all. Meanwhile clients go on writing, so that the state that it
    fetches is not the last; now and then no answer comes for long.
    """
    begin_ms = chance.choice((0, heal_ms // 8, heal_ms // 4))
    end_ms = begin_ms + chance.randint(heal_ms // 4, heal_ms // 2)
    faults: tuple[Fault, ...] = (Isolated(begin_ms, end_ms, n - 1),)
    if chance.random() < 0.4:
        until_ms = min(heal_ms, end_ms + 1_500)
        lost = chance.choice((Kind.NODES, Kind.NODES, Kind.FETCH))
        ways = [(source, n - 1) if lost is Kind.NODES else (n - 1, source) for source in range(n - 1)]
        faults += tuple(Dropped(begin_ms, until_ms, lost.name, src, dst) for src, dst in ways)
    liars = tuple((liar, chance.choice(_OF_STATES)) for liar in range(chance.randint(1, (n - 1) // 3)))
    # Few sessions for each client, and clients with several programs: whose session leaves next is state, too.
    limits = {
        "checkpoint_interval": 4,
        "log_size": 8,
        "batch_requests": 4,
        "sessions_per_client": chance.choice((2, 64)),
    }
    names = chance.choice((CLIENTS, (CLIENTS[0], CLIENTS[0], CLIENTS[0], CLIENTS[1])))
    programs = tuple(Program(name, 0, 32, 1, chance.choice((0, 10, 30))) for name in names)
    return Staged(liars, faults, programs, chance.choice(("warehouse", "warehouse", "shelf", "scroll")), limits)


def _service(chance: random.Random, n: int, heal_ms: int) -> Staged:
    """The first primary serves some better than others, and all have much to ask."""
    return Staged(((0, chance.choice(_OF_SERVICE)),), (), _busy(chance))


def _hoard(chance: random.Random, n: int, heal_ms: int) -> Staged:
    """The first primary alone learns what has prepared; the second one is cut off once it has gone on without that."""
    begin_ms = chance.randint(0, heal_ms // 8)
    end_ms = begin_ms + chance.randint(150, heal_ms // 3)
    alone = tuple(
        Dropped(begin_ms, end_ms, Kind.PREPARE.name, src, dst)
        for src in range(1, n)
        for dst in range(1, n)
        if src != dst
    )
    cut_ms = min(heal_ms, end_ms + chance.randint(50, heal_ms // 2))
    return Staged(((0, "Hoarder"),), (*alone, Isolated(cut_ms, heal_ms, 1)), _busy(chance))


def _starve(chance: random.Random, n: int, heal_ms: int) -> Staged:
    """The first primary is deaf to one client, and another one goes on asking when the run has healed."""
    others = LetLoose(0, heal_ms, CLIENTS[1], chance.choice(("OneBackup", "AllButPrimary")), stays=True)
    return Staged(((0, "Censor"),), (others,), (Program(CLIENTS[0], 0, 24, 1, 0),))


def _busy(chance: random.Random) -> tuple[Program, ...]:
    return tuple(Program(client, 0, 24, 1, chance.choice((0, 10, 30))) for client in CLIENTS[: chance.choice((3, 4))])


STAGES: Final[Mapping[str, Callable[[random.Random, int, int], Staged]]] = {
    "views": _views,
    "states": _states,
    "service": _service,
    "hoard": _hoard,
    "starve": _starve,
}
"""Every stage by its name. Each takes chance, the group's size, and when the run heals."""
