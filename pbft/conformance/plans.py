"""How the processes of a check are made to differ: one plan a process, which follows from its number and a seed.

Owns: the values behind each aspect. World 0 is plain: the environment as it is, and a clock that goes at a usual pace.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pbft.conformance.aspects import Aspect
from pbft.encoding import digest

WORLDS: Final = 3
"""With three hash seeds an order of two elements shows with a probability of 3 in 4, whatever the two are."""

FRESH_WORLD: Final = 1
"""The one that is restored in new processes; the one after it executes all in one go, in company."""

_KEEPER: Final = 2
"""The one whose garbage is never collected. It executes all in one go, so that nothing is lost to a restoring."""

_NS: Final = 1_000_000_000
_STARTS: Final = (
    datetime(2024, 5, 15, 10, 20, 30, 123_456, UTC),
    datetime(2025, 11, 2, 21, 43, 54, 901_234, UTC),
    datetime(2023, 1, 28, 3, 7, 11, 345_678, UTC),
)
_A_STEP: Final = (_NS, 112_345 * _NS, 677 * _NS)
"""What goes by between two operations, in nanoseconds."""
_A_LOOK: Final = (1_000_000, 2_503_000_000, 417_000)
"""What goes by between two looks at a clock, so that a time that an operation measures differs as well."""
_MONOTONIC: Final = (1_000 * _NS, 5_123_456 * _NS, 77 * _NS)
# Spelled out as POSIX rules, which need no database of time zones.
_ZONES: Final = ("UTC0", "CHECKA-5:45", "CHECKB+9:30")
_LOCALES: Final = ("", "C", "C.UTF-8")
_NAMES: Final = ("", "checker", "somebody-else")


@dataclass(frozen=True)
class Plan:
    """What one process is told to be like."""

    number: int
    hash_seed: int
    zone: str
    random_seed: bytes
    start_ns: int
    step_ns: int
    look_ns: int
    monotonic_ns: int
    environment: Mapping[str, str] = field(default_factory=dict)
    """What replaces variables of the environment; HOME and PWD become its folder where `moved`."""
    collects: bool = True
    """Whether the garbage collector runs, between any two operations, or never."""
    moved: bool = False
    """Whether it runs in a folder of its own."""
    fresh: bool = False
    company: bool = False
    company_reversed: bool = False
    """Whether the other machine executes the operations from the last to the first."""

    def around(self) -> dict[str, bytes | int | bool]:
        """Return what the process itself has to bring about."""
        return {
            "random_seed": self.random_seed,
            "start_ns": self.start_ns,
            "step_ns": self.step_ns,
            "look_ns": self.look_ns,
            "monotonic_ns": self.monotonic_ns,
            "collects": self.collects,
        }


def plan_world(number: int, aspects: Collection[Aspect], seed: int) -> Plan:
    """Return the plan of a world, which is that of world 0 in every aspect that is not asked for."""

    def of(aspect: Aspect) -> int:
        return number if aspect in aspects else 0

    clock, place = of(Aspect.CLOCK), of(Aspect.PLACE)
    environment = {}
    if place:
        environment = {"LC_ALL": _LOCALES[place], "LANG": _LOCALES[place], "HOSTNAME": _NAMES[place]}
        environment |= dict.fromkeys(("USER", "LOGNAME", "USERNAME"), _NAMES[place])
    return Plan(
        number=number,
        hash_seed=1 + int.from_bytes(_derive("hash", of(Aspect.HASH_SEED), seed)[:3], "big"),
        zone=_ZONES[of(Aspect.TIME_ZONE)],
        random_seed=_derive("random", of(Aspect.RANDOM), seed),
        start_ns=int(_STARTS[clock].timestamp()) * _NS + _STARTS[clock].microsecond * 1_000,
        step_ns=_A_STEP[clock],
        look_ns=_A_LOOK[clock],
        monotonic_ns=_MONOTONIC[clock],
        environment=environment,
        collects=of(Aspect.MEMORY) != _KEEPER,
        moved=place > 0,
        fresh=number == FRESH_WORLD and Aspect.FRESH in aspects,
        company=number > 0 and Aspect.COMPANY in aspects,
        company_reversed=number % 2 == 1,
    )


def _derive(what: str, number: int, seed: int) -> bytes:
    return digest(b"pbft/check/world", what.encode(), str(number).encode(), str(seed).encode())
