"""Many seeds on several processors, told in order.

Owns: the processes that seeds run in. A run depends on its seed alone, so it matters to nobody which of them it was.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import Final, Self

from pbft.testing.swarm.playing import Report, report

_AHEAD: Final = 4
"""Seeds given out to each process before the first of them is told."""


class Pool:
    """Runs seeds in a few processes, or in this one: `with Pool(2) as pool: for done in pool.reports(range(100))`."""

    def __init__(self, jobs: int | None = None) -> None:
        """By default there is one process a processor; with one alone, it is this one."""
        self._jobs = jobs or os.cpu_count() or 1
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self._jobs > 1:
            # Started afresh, not forked: a fork would inherit whatever threads and signals its parent happens to have.
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self._jobs, context, _leave_interrupts)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def reports(self, seeds: range, plant: str | None = None, n: int | None = None) -> Iterator[Report]:
        """Yield the report of each seed, in order, each as soon as it and those before it have ended."""
        if self._executor is None:
            for seed in seeds:
                yield report(seed, plant, n=n)
            return
        running: deque[Future[Report]] = deque()
        for seed in seeds:
            running.append(self._executor.submit(report, seed, plant, None, n))
            if len(running) >= _AHEAD * self._jobs:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _leave_interrupts() -> None:
    """Leave a Ctrl-C to the process that waits for this one: it tells it to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
