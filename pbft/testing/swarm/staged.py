"""Draws in which a liar stands where its lies count: some ways through the protocol are too rare for chance alone.

Owns: what leads there, such as a primary that fails before a liar's view, a replica that has to catch up from liars, or
clients who are kept busy while one of them is passed over. What else goes wrong is drawn as in every run.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from pbft.core.envelope import Kind
from pbft.core.group import ReplicaId
from pbft.testing.swarm.faults import Dropped, Fault, Isolated, Paused
from pbft.testing.swarm.programs import CLIENTS, Program

STAGED_SHARE: Final = 0.1
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
    return chance.choice((_views, _states, _service, _service))(chance, n, heal_ms)


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


def _busy(chance: random.Random) -> tuple[Program, ...]:
    return tuple(Program(client, 0, 24, 1, chance.choice((0, 10, 30))) for client in CLIENTS[: chance.choice((3, 4))])
