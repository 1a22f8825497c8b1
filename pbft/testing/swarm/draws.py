"""How chance fills in what goes wrong in a run.

Owns: which replicas are faulty and how, and which faults pass; how likely each is, and when. What a fault does is
`faults.py`'s.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from pbft.core.envelope import Kind
from pbft.core.group import ReplicaId
from pbft.testing.faulty_clients import FAULTY_CLIENTS
from pbft.testing.network import Address
from pbft.testing.swarm.faults import (
    Crashed,
    Cut,
    Delayed,
    Doubled,
    Dropped,
    Fault,
    Flapping,
    Isolated,
    LetLoose,
    Paused,
    Slow,
    Split,
    WrongClock,
)
from pbft.testing.swarm.liars import draw_liar
from pbft.testing.swarm.programs import CLIENTS, Program

_PRIMARIES_SHARE: Final = 0.6
"""How often the faulty ones are the first primaries, one after the other."""

_LONG_SHARE: Final = 0.2
"""How often a passing fault lasts until the run heals: whoever it befalls has much to catch up with then."""

_COLLUSION_SHARE: Final = 0.4
"""How often liars hold clients' keys too."""

_LOOSE_SHARE: Final = 0.3
"""How often a client misbehaves."""

_DAY_MS: Final = 86_400_000
_CLOCKS_MS: Final = (_DAY_MS, -_DAY_MS, 25_000, -25_000, 8_000, -8_000)

_KINDS: Final = (
    Kind.REQUEST,
    Kind.PRE_PREPARE,
    Kind.PREPARE,
    Kind.COMMIT,
    Kind.CHECKPOINT,
    Kind.VIEW_CHANGE,
    Kind.NEW_VIEW,
    Kind.STATUS,
    Kind.CHECKPOINT_PROOF,
    Kind.COMMITTED,
    Kind.FETCH,
    Kind.NODES,
)


def draw_faulty(
    chance: random.Random, n: int, heal_ms: int
) -> tuple[tuple[tuple[ReplicaId, str], ...], tuple[Fault, ...]]:
    """Return the liars, and the faults that stay: crashes and wrong clocks; at most f replicas in all."""
    faults = (n - 1) // 3
    count = chance.choice((0, 1, faults, faults, faults))
    # From the second on, too: the first one's own view is over once another begins, and who lies then comes next.
    first = chance.choice((0, 0, 1))
    in_turn = chance.random() < _PRIMARIES_SHARE
    replicas = list(range(first, first + count)) if in_turn else chance.sample(range(n), count)
    times_ms = sorted(chance.randint(heal_ms // 20, 9 * heal_ms // 10) for _ in replicas)
    liars: list[tuple[ReplicaId, str]] = []
    lasting: list[Fault] = []
    for replica, at_ms in zip(replicas, times_ms, strict=True):
        fate = chance.random()
        if fate < 0.25:
            lasting.append(Crashed(at_ms, replica))
        elif fate < 0.9:
            liars.append((replica, draw_liar(chance)))
        else:
            lasting.append(WrongClock(at_ms, replica, chance.choice(_CLOCKS_MS)))
    return tuple(sorted(liars)), tuple(lasting)


def draw_programs(chance: random.Random, heal_ms: int) -> tuple[Program, ...]:
    """Return what sessions do. A client that comes up twice runs two programs under one key."""
    return tuple(
        Program(
            client=chance.choice(CLIENTS),
            start_ms=chance.choice((0, 0, chance.randint(0, heal_ms // 2))),
            calls=chance.randint(3, 9),
            operations=chance.randint(1, 3),
            think_ms=chance.choice((0, 10, 50, 150)),
        )
        for _ in range(chance.randint(2, 4))
    )


def draw_colluders(chance: random.Random, programs: Sequence[Program]) -> tuple[str, ...]:
    """Return the clients whose keys liars hold: mostly none, never all that have programs."""
    if chance.random() >= _COLLUSION_SHARE:
        return ()
    honest = chance.choice(programs).client
    return tuple(sorted(chance.sample([name for name in CLIENTS if name != honest], chance.choice((1, 1, 2)))))


def draw_loose(chance: random.Random, heal_ms: int) -> tuple[Fault, ...]:
    """Return the clients that misbehave, under names that correct programs may share."""
    if chance.random() >= _LOOSE_SHARE:
        return ()
    begin_ms = chance.randint(0, heal_ms // 2)
    end_ms = min(heal_ms, begin_ms + chance.randint(200, 2_500))
    kind = chance.choice(list(FAULTY_CLIENTS))
    return (LetLoose(begin_ms, end_ms, chance.choice(CLIENTS), kind, stays=chance.random() < 0.3),)


def draw_transient(chance: random.Random, n: int, labels: Sequence[str], heal_ms: int) -> list[Fault]:
    """Return the faults that pass: any number of them, on any links, all over by the time the run heals."""
    return [_draw_one(chance, n, labels, heal_ms) for _ in range(chance.choice((0, 1, 3, 4, 6, 8)))]


def _draw_one(chance: random.Random, n: int, labels: Sequence[str], heal_ms: int) -> Fault:
    begin_ms = chance.randint(0, 3 * heal_ms // 4)
    lasts_ms = heal_ms if chance.random() < _LONG_SHARE else chance.randint(50, 2_500)
    times = (begin_ms, min(heal_ms, begin_ms + lasts_ms))
    src, dst = _link(chance, n, labels)
    match chance.choice(
        (
            "cut",
            "cut",
            "isolated",
            "split",
            "flapping",
            "slow",
            "dropped",
            "dropped",
            "copied",
            "held",
            "paused",
            "paused",
        )
    ):
        case "cut":
            return Cut(*times, src, dst, both=chance.random() < 0.5)
        case "isolated":
            return Isolated(*times, _replica(chance, n))
        case "split":
            order = chance.sample(range(n), n)
            middle = chance.randint(1, n - 1)
            return Split(*times, (tuple(sorted(order[:middle])), tuple(sorted(order[middle:]))))
        case "flapping":
            return Flapping(*times, src, dst, chance.randint(20, 600))
        case "slow":
            low_ms = chance.randint(1, 100)
            return Slow(*times, src, dst, (low_ms, low_ms + chance.randint(0, 300)))
        case "dropped":
            src, dst = chance.sample(range(n), 2)
            return Dropped(*times, chance.choice(_KINDS).name, src, dst)
        case "copied":
            src, dst = chance.sample(range(n), 2)
            return Doubled(*times, chance.choice(_KINDS).name, src, dst, chance.randint(2, 4))
        case "held":
            src, dst = chance.sample(range(n), 2)
            return Delayed(*times, chance.choice(_KINDS).name, src, dst, chance.randint(20, 800))
        case _:
            return Paused(*times, _replica(chance, n))


def _replica(chance: random.Random, n: int) -> ReplicaId:
    """Draw a replica, the first primary more often than others."""
    return 0 if chance.random() < 0.3 else chance.randrange(n)


def _link(chance: random.Random, n: int, labels: Sequence[str]) -> tuple[Address, Address]:
    """Draw two ends of a link: mostly between replicas, now and then between a client and a replica."""
    if chance.random() < 0.15:
        ends: list[Address] = [chance.choice(labels), _replica(chance, n)]
        return tuple(chance.sample(ends, 2))  # type: ignore[return-value]
    first = _replica(chance, n)
    return first, (first + chance.randint(1, n - 1)) % n
