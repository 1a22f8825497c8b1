"""An event loop in a thread of its own, so that a test waits for sockets wherever it runs itself.

Owns: the loop's life, and waiting for it without a trace of ours in what a test is shown.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

T = TypeVar("T")

__tracebackhide__ = True

_ENDING_SECONDS: Final = 5.0


class Apart:
    """A loop that runs beside the test. Close it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="pbft group", daemon=True)
        self._thread.start()

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start something, and return where its outcome will be."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something, and return its outcome or raise what it raised. Ctrl-C ends the waiting and the work."""
        future = self.begin(work)
        try:
            return outcome(future)
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End whatever still runs there, and the thread. Closing twice is fine."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(_end_others(), self._loop).result(_ENDING_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_ENDING_SECONDS)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()


def outcome(future: Future[T]) -> T:
    """Wait for a future, and return what came of it or raise that, as if it had happened here."""
    failure = future.exception()
    if failure is not None:
        raise failure.with_traceback(None) from None
    return future.result()


async def _end_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
