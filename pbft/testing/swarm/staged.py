"""Draws in which a liar stands where its lies count: some ways through the protocol are too rare for chance alone.

Owns: what leads there, such as a primary that fails before a liar's view, a replica that has to catch up from liars,
clients who are kept busy while one of them is passed over, or a certificate that nobody but a liar has. What else goes
wrong is drawn as in every run.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from pbft.core.envelope import Kind
from pbft.core.group import ReplicaId
from pbft.testing.swarm.faults import Dropped, Fault, Isolated, LetLoose, Paused
from pbft.testing.swarm.programs import CLIENTS, Program

STAGED_SHARE: Final = 0.15
"""How often a run is staged."""

_OF_VIEWS: Final = ("BogusNewView", "BogusNewView", "ForkedView", "CertificateForger")
_OF_STATES: Final = ("ChunkForger", "ChunkForger", "SilentSource", "SlowSource", "CheckpointLiar")
_OF_SERVICE: Final = ("Censor", "GrudgingPrimary", "GrudgingPrimary", "GrudgingPrimary", "SlowPrimary", "FadingPrimary")


@dataclass(frozen=True)
class Staged:
    """What is set up for a liar."""

    byzantine: tuple[tuple[ReplicaId, str], ...]
    faults: tuple[Fault, ...] = ()
    programs: tuple[Program, ...] = ()
    """In place of those drawn; none where any will do."""


def draw_staged(chance: random.Random, n: int, heal_ms: int) -> Staged | None:
    """Return a liar with what brings it into its place; mostly None."""
    if chance.random() >= STAGED_SHARE:
        return None
    return chance.choice((_views, _states, _service, _service, _hoard, _starve))(chance, n, heal_ms)


def _views(chance: random.Random, n: int, heal_ms: int) -> Staged:
    """The second primary lies, and the first one stands still; meanwhile somebody else may miss a checkpoint."""
    begin_ms = chance.randint(100, heal_ms // 2)
    faults: tuple[Fault, ...] = (Paused(begin_ms, heal_ms, 0),)
    if n > 4 and chance.random() < 0.7:
        faults = (Isolated(max(0, begin_ms - 400), min(heal_ms, begin_ms + 800), n - 1), *faults)
    return Staged(((1, chance.choice(_OF_VIEWS)),), faults)


def _states(chance: random.Random, n: int, heal_ms: int) -> Staged:
    """The last replica misses much, and whom it asks first for the state lies about it; or no answer comes for long."""
    end_ms = chance.randint(heal_ms // 4, heal_ms // 2)
    faults: tuple[Fault, ...] = (Isolated(0, end_ms, n - 1),)
    if chance.random() < 0.4:
        until_ms = min(heal_ms, end_ms + 1_500)
        faults += tuple(Dropped(0, until_ms, Kind.CHUNK.name, source, n - 1) for source in range(n - 1))
    return Staged(((0, chance.choice(_OF_STATES)),), faults, _busy(chance))


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
