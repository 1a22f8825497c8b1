"""What state costs: checkpoints, memory and catching up, at several sizes.

Owns: the list of measurements, the process each runs in, and their figures as plain data.
"""

from __future__ import annotations

import functools
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, Literal, get_args

from pbft.bench.accounts import FILLED
from pbft.bench.apart import apart
from pbft.bench.catching_up import CatchUp, measure_newcomer, measure_returning
from pbft.bench.checkpoints import CheckpointCost, measure_checkpoints
from pbft.bench.clocks import MILLISECONDS
from pbft.bench.delays import CheckpointDelay, measure_delays
from pbft.bench.memory import MemoryCost, measure_memory

Part = Literal["checkpoints", "memory", "returning", "newcomer", "delays"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
SIZES: Final = (10_000, 100_000, 1_000_000)
"""Accounts."""
LEAST_ACCOUNTS: Final = 10
MOST_ACCOUNTS: Final = 10_000_000

Figures = CheckpointCost | MemoryCost | CatchUp | CheckpointDelay


@dataclass(frozen=True)
class PartReport:
    """What one measurement came to, at every size."""

    part: Part
    figures: tuple[Figures, ...]
    seconds: float
    """How long it took, by the wall."""

    @property
    def held(self) -> bool:
        """Whether every bound held that applies."""
        return all(each.held is not False for each in self.figures)


def measure_state(sizes: Sequence[int] = SIZES, parts: Sequence[Part] = PARTS) -> Iterator[PartReport]:
    """Yield what each part came to, as soon as it is known. Each figure has a fresh process."""
    for part in parts:
        began = time.perf_counter()
        tasks = [functools.partial(measure, size) for size in _sizes(part, sizes) for measure in _MEASURES[part]]
        figures = tuple(figure for task in tasks for figure in _several(apart(task)))
        yield PartReport(part, figures, time.perf_counter() - began)


def _sizes(part: Part, sizes: Sequence[int]) -> Sequence[int]:
    """Return where a part is measured: with no state at all one begins at the largest size only."""
    return (max(sizes),) if part == "newcomer" else sizes


def _several(figures: Figures | Sequence[Figures]) -> Sequence[Figures]:
    return figures if isinstance(figures, Sequence) else (figures,)


Measure = Callable[[int], Figures | Sequence[Figures]]

_MEASURES: Final[dict[Part, tuple[Measure, ...]]] = {
    "checkpoints": (measure_checkpoints,),
    "memory": (measure_memory,),
    "returning": (measure_returning,),
    "newcomer": (functools.partial(measure_newcomer, lying=False), functools.partial(measure_newcomer, lying=True)),
    "delays": (measure_delays,),
}


def machine() -> dict[str, str | int]:
    """Return what these figures were measured on."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count() or 1,
    }


def notes() -> dict[str, str]:
    """Return how the state comes to be, and how time is measured."""
    return {"accounts": FILLED, "time": MILLISECONDS}


def to_plain(value: Any) -> Any:
    """Return figures as JSON has them: what they hold, and what follows from that."""
    if is_dataclass(value):
        names = [field.name for field in fields(value)]
        names += [name for name, found in vars(type(value)).items() if isinstance(found, property)]
        return {name: to_plain(getattr(value, name)) for name in names}
    if isinstance(value, float):
        return round(value, 4)
    return [to_plain(each) for each in value] if isinstance(value, tuple) else value
