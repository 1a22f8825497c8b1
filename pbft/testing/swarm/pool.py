"""Many seeds on several processors, told in order.

Owns: the processes that seeds run in. A run depends on its seed alone, so it matters to nobody which of them it was.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Final, Self, TypeVar

from pbft.errors import PbftError
from pbft.testing.swarm.reports import Report, report

_AHEAD: Final = 4
"""Seeds given out to each process before the first of them is told."""


Result = TypeVar("Result")


class ProcessEnded(PbftError):
    """A process that ran seeds is gone; the message says what to do."""


class Pool:
    """Runs seeds in a few processes, or in this one: `with Pool(2) as pool: for done in pool.reports(range(100))`."""

    def __init__(self, jobs: int | None = None) -> None:
        """By default there is one process a processor; with one alone, it is this one."""
        self._jobs = jobs or os.cpu_count() or 1
        self._executor: ProcessPoolExecutor | None = None
        self._others: list[BaseProcess] = []

    def __enter__(self) -> Self:
        self._others = multiprocessing.active_children()
        if self._jobs > 1:
            # Started afresh, not forked: a fork would inherit whatever threads and signals its parent happens to have.
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self._jobs, context, _begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is None:
            return
        if kind is not None:
            # Who leaves early does not wait for seeds that may take long: they are replayed whenever somebody likes.
            for child in multiprocessing.active_children():
                if child not in self._others:
                    child.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def reports(
        self, seeds: Iterable[int], plant: str | None = None, n: int | None = None, staged: str | None = None
    ) -> Iterator[Report]:
        """Yield the report of each seed, in order, each as soon as it and those before it have ended."""
        return self.each(functools.partial(report, plant=plant, n=n, staged=staged), seeds)

    def each(self, task: Callable[[int], Result], numbers: Iterable[int]) -> Iterator[Result]:
        """Yield what a task comes to for each number, in order, each as soon as it and those before it have ended.

        The task is a function of a module, or such a one made `partial`. Raises ProcessEnded when a process was killed,
        as a system does that runs out of memory.
        """
        if self._executor is None:
            yield from map(task, numbers)
            return
        running: deque[Future[Result]] = deque()
        for number in numbers:
            with _deaf():
                running.append(self._executor.submit(task, number))
            if len(running) >= _AHEAD * self._jobs:
                yield _result(running.popleft())
        while running:
            yield _result(running.popleft())


@contextmanager
def _deaf() -> Iterator[None]:
    """Hold back a Ctrl-C: processes that are started meanwhile never hear one, not even before they have begun."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _result(future: Future[Result]) -> Result:
    try:
        return future.result()
    except BrokenProcessPool:
        raise ProcessEnded(
            "a process that ran seeds was killed, perhaps for want of memory; try again with --jobs 1"
        ) from None


def _begin() -> None:
    """Leave a Ctrl-C to the process that waits for this one, and end with that process, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
