"""What an application sees of the world in a process of a check: clocks, random numbers and memory that follow a plan.

Owns: the replacement of clocks and of sources of randomness in this process, for good, before the application is
imported, and when its garbage is collected. What it cannot replace: clocks and generators that C code reads by itself
(a database, numpy), a process's number, what a host's files and devices say.
"""

from __future__ import annotations

import gc
import hashlib
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Any, Final

_NS: Final = 1_000_000_000
_OTHER_CLOCKS: Final = ("monotonic", "perf_counter", "process_time", "thread_time")
"""Those of the module time that time-machine leaves alone: each has a twin in nanoseconds."""


class Surroundings:
    """The clocks and generators of this process. Deterministic: a forked child begins where its parent stood."""

    def __init__(self, around: dict[str, Any]) -> None:
        self._around = around
        self._now_ns: int = around["start_ns"]
        self._elapsed_ns: int = around["monotonic_ns"]
        self._drawn = 0
        self._system = b""
        self._look_ns: int = around["look_ns"]
        self.clock_looks = 0
        """How often a clock was read."""
        self.system_draws = 0
        """How often the system was asked for random bytes."""

    def install(self) -> None:
        """Replace them, for as long as this process lives."""
        _travel(self._around["start_ns"] // _NS).time_ns = self._wall
        for name in _OTHER_CLOCKS:
            setattr(time, name, self._seconds)
            setattr(time, f"{name}_ns", self._nanoseconds)
        real = time.clock_gettime, time.clock_gettime_ns
        time.clock_gettime = lambda which: real[0](which) if which == time.CLOCK_REALTIME else self._seconds()
        time.clock_gettime_ns = lambda which: real[1](which) if which == time.CLOCK_REALTIME else self._nanoseconds()
        os.urandom = self._urandom
        # It took the function over when it was imported; secrets, uuid and SystemRandom draw through these two.
        random._urandom = self._urandom  # type: ignore[attr-defined]
        _seed_from(self._urandom)
        gc.disable()
        self.begin()

    def begin(self) -> None:
        """Start the generators over, so that a sequence draws the same whatever was done before."""
        self._system, self._drawn = self._around["random_seed"], 0
        random.seed(int.from_bytes(self._system, "big"))
        self.clock_looks = self.system_draws = 0

    def at_step(self, place: int) -> None:
        """Let the clocks show the time at which the operation of this place begins, and clear memory where that is due.

        Nowhere is it cleared at another moment, so that an attempt repeated gives the same.
        """
        gone = (place + 1) * self._around["step_ns"]
        if self._around["collects"]:
            gc.collect()
        self._now_ns = self._around["start_ns"] + gone
        self._elapsed_ns = self._around["monotonic_ns"] + gone

    def _wall(self) -> int:
        self.clock_looks += 1
        self._now_ns += self._look_ns
        return self._now_ns

    def _nanoseconds(self) -> int:
        self.clock_looks += 1
        self._elapsed_ns += self._look_ns
        return self._elapsed_ns

    def _seconds(self) -> float:
        return self._nanoseconds() / _NS

    def _urandom(self, size: int, /) -> bytes:
        if size < 0:
            raise ValueError("negative argument not allowed")
        self.system_draws += 1
        self._drawn += 1
        return hashlib.shake_256(self._system + self._drawn.to_bytes(8, "big")).digest(size)


def _travel(destination: int) -> Any:
    """Return time-machine's traveller, under way, of whom every wall clock of this process asks the time."""
    # It imports pytest where it can, for a plugin that nobody needs here and that takes longer than all the rest.
    hidden = "pytest" not in sys.modules
    if hidden:
        sys.modules["pytest"] = None  # type: ignore[assignment]
    try:
        import time_machine
    finally:
        if hidden:
            del sys.modules["pytest"]
    return time_machine.travel(destination, tick=False).start()


def _seed_from(draw: Callable[[int], bytes]) -> None:
    """Let a generator that is made without a seed take one from `draw`, where it would ask the system inside C code."""
    real = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        real(self, int.from_bytes(draw(32), "big") if a is None else a, version)

    random.Random.seed = seed  # type: ignore[method-assign]
