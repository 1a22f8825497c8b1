"""Byte strings of any number and size as one stream, cut into pieces of one size: how a state is written down.

Owns: the length before each item, the cut, and the strict reading of both. Knows nothing of what the items say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pbft.encoding import EncodingError

SNAPSHOT_PIECE_BYTES: Final = 32 * 1024
"""The longest piece that an application's snapshot may have."""

_LENGTH_BYTES: Final = 4


class Pieces:
    """Items as pieces that are made anew, and alike, each time somebody iterates over them."""

    def __init__(self, items: Callable[[], Iterable[bytes]], size: int = SNAPSHOT_PIECE_BYTES) -> None:
        """`items` is called for each iteration, and must give the same items each time."""
        self._items = items
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        return cut_items(self._items(), self._size)


def cut_items(items: Iterable[bytes], size: int = SNAPSHOT_PIECE_BYTES) -> Iterator[bytes]:
    """Yield the items, each behind its length, as pieces of `size` bytes; the last may be shorter, and none is empty.

    Raises EncodingError for an item of 4 GiB or more.
    """
    buffer = bytearray()
    for item in items:
        if len(item) >= 1 << 8 * _LENGTH_BYTES:
            raise EncodingError("a value of 4 GiB or more cannot be part of a snapshot; keep it in several")
        buffer += len(item).to_bytes(_LENGTH_BYTES, "big")
        buffer += item
        if len(buffer) >= size:
            full = len(buffer) - len(buffer) % size
            for at in range(0, full, size):
                yield bytes(buffer[at : at + size])
            del buffer[:full]
    if buffer:
        yield bytes(buffer)


def read_items(pieces: Iterable[bytes], size: int = SNAPSHOT_PIECE_BYTES) -> Iterator[bytes]:
    """Yield the items of which `cut_items` made these pieces. Raises EncodingError where it cannot have made them."""
    buffer = bytearray()
    ended = False
    for piece in pieces:
        if type(piece) is not bytes or ended or not 0 < len(piece) <= size:
            raise EncodingError(f"a snapshot's pieces are bytes, {size} each, and only the last may be shorter")
        ended = len(piece) < size
        buffer += piece
        at = 0
        while len(buffer) - at >= _LENGTH_BYTES:
            start = at + _LENGTH_BYTES
            end = start + int.from_bytes(buffer[at:start], "big")
            if end > len(buffer):
                break
            yield bytes(buffer[start:end])
            at = end
        del buffer[:at]
    if buffer:
        raise EncodingError("a snapshot ends in the middle of an item")
