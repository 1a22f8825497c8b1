"""Memory that a run writes what it saw into, and that outlives it however it ends: by a crash, by an alarm, by itself.

Owns: the shared memory and how full it is. A message that was begun and not finished does not count.
"""

from __future__ import annotations

import mmap
import socket
from typing import Any, Final

from pbft.conformance.frames import pack_frame

_BYTES: Final = 1024 * 1024
_START: Final = 8


class Notebook:
    """Room for messages, shared by a process and those it forks. What does not fit is sent at once."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._memory = mmap.mmap(-1, _BYTES)

    def write(self, message: dict[str, Any]) -> None:
        """Add a message. Costs no call of the system while there is room."""
        data = pack_frame(message)
        used = self._used
        if used + len(data) > _BYTES:
            self._stream.sendall(self._memory[_START:used])
            self._used = used = _START
        if used + len(data) > _BYTES:
            self._stream.sendall(data)
            return
        self._memory[used : used + len(data)] = data
        self._used = used + len(data)

    @property
    def filled(self) -> int:
        """How many bytes are in it, as far as whoever does not write can tell: another number where more came."""
        return self._used

    def send(self) -> None:
        """Send what is in it, and empty it."""
        used = self._used
        self._used = _START
        if used > _START:
            self._stream.sendall(self._memory[_START:used])

    @property
    def _used(self) -> int:
        return int.from_bytes(self._memory[:_START], "big") or _START

    @_used.setter
    def _used(self, used: int) -> None:
        self._memory[:_START] = used.to_bytes(_START, "big")
