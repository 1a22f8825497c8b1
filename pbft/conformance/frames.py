"""Messages between a check and its processes: values with their length before them, through a stream socket.

Owns: the framing and the reading of it. What the messages say is agreed between those who send and read them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, Final

from pbft.encoding import decode_plain, encode

_LENGTH_BYTES: Final = 4
_READ_BYTES: Final = 256 * 1024


def send_frame(stream: socket.socket, message: dict[str, Any]) -> None:
    """Send a message whole. Raises OSError where the other side is gone."""
    stream.sendall(pack_frame(message))


def pack_frame(message: dict[str, Any]) -> bytes:
    """Return a message's bytes, behind their length."""
    data = encode(message)
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


class Frames:
    """The messages of a stream, as they arrive."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._buffer = bytearray()

    def read(self) -> Iterator[dict[str, Any]]:
        """Read once, and yield the messages that are complete. Raises EOFError at the end of the stream."""
        data = self._stream.recv(_READ_BYTES)
        if not data:
            raise EOFError
        self._buffer += data
        while len(self._buffer) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            if len(self._buffer) < end:
                return
            message = bytes(self._buffer[_LENGTH_BYTES:end])
            del self._buffer[:end]
            yield decode_plain(message)
