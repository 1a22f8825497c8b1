"""Being asked to stop, by Ctrl-C, SIGTERM or the end of a terminal, while there is something to clean up.

Owns: handlers that only take note, so that no signal interrupts a half-done step, and a wait that a signal cuts short.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from types import FrameType, TracebackType
from typing import Any, Final, Self

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """While entered, counts the requests to stop instead of obeying them. For the main thread only."""

    def __init__(self, last: bool = False) -> None:
        """`last` says that the program ends right after: nobody can interrupt what little is left."""
        self._last = last
        self.count = 0
        """How often somebody asked: once is a wish, twice is impatience."""
        self._before: dict[int, Any] = {}
        self._wake_read = self._wake_write = -1

    def __enter__(self) -> Self:
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        for number in _STOPPING:
            # Whoever had hangups ignored, as nohup does, wants them ignored.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, self._wake)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self._last and number in _STOPPING else handler)
        os.close(self._wake_read)
        os.close(self._wake_write)

    @property
    def asked(self) -> bool:
        """Whether anybody asked to stop."""
        return self.count > 0

    def wait(self, seconds: float | None = None, *readable: int | None) -> None:
        """Wait until somebody asks to stop, a child process ends, one of the files is readable, or the time is over."""
        if self.asked:
            return
        select.select([self._wake_read, *(file for file in readable if file is not None)], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self._wake(number, frame)

    def _wake(self, number: int, frame: FrameType | None) -> None:
        # A full pipe will wake the reader just as well.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")
