"""What executed operations did to the state, kept for a while: so that replicas whose states differ can find out where.

Owns: the results and writes of the operations since the stable checkpoint before the last, as references to what is
there anyway: nothing is copied or digested until somebody asks. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pbft.encoding import digest, encode
from pbft.machine import Result

MOST_OPERATIONS: Final = 32_768
"""Operations remembered between two checkpoints. What is executed after so many is not."""
MOST_BYTES: Final = 16 * 1024 * 1024
"""Bytes of results, keys and values remembered between two checkpoints, likewise."""

_WRITE_BYTES: Final = 128
"""What a write takes beside its key and value, and an operation beside its result, about."""

Write = tuple[int, bytes, bytes | None]
"""A section of the application's state (`StateMachine.sections`), a key, and what it held then: None if removed."""

Deed = tuple[Result, tuple[Write, ...]]
"""One operation's result and writes. A plain tuple, since one is made for each operation that ever runs."""

Past = list[Deed | None]
"""What each operation of a batch did, by its position; None for one that was passed over."""


def size_of(deed: Deed | None) -> int:
    """Return the bytes that a deed keeps alive, about."""
    if deed is None:
        return _WRITE_BYTES
    result, writes = deed
    size = _WRITE_BYTES + len(result.payload)
    for _, key, value in writes:
        size += _WRITE_BYTES + len(key) + (0 if value is None else len(value))
    return size


def digest_of(deed: Deed | None) -> bytes:
    """Return 32 bytes over an operation's result and writes, in the order of their keys."""
    if deed is None:
        return digest(b"pbft/deed")
    result, writes = deed
    return digest(b"pbft/deed", encode([int(result.outcome), result.payload, sorted(writes, key=place_of)]))


def digest_of_all(past: Past) -> bytes:
    """Return 32 bytes over what all operations of a batch did."""
    return digest(b"pbft/deeds", *map(digest_of, past))


def place_of(write: Write) -> tuple[int, bytes]:
    """Return the section and the key of a write, by which writes are put in order."""
    return write[:2]


class Deeds:
    """Operations by sequence, each batch's in order."""

    def __init__(self, most: int = MOST_OPERATIONS, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._by_sequence: dict[int, Past] = {}
        self._digests: dict[int, bytes] = {}
        """Of batches that somebody asked about: whoever asks again costs nothing."""
        self._bytes: dict[int, int] = {}
        self._room = most
        self._room_bytes = most_bytes

    def __len__(self) -> int:
        return sum(map(len, self._by_sequence.values()))

    @property
    def held_bytes(self) -> int:
        """What they keep alive, about: most of it is part of the state besides."""
        return sum(self._bytes.values())

    def begin(self, sequence: int) -> None:
        """A batch is about to execute. One that finds no room is not remembered, nor is any after it."""
        # A state that was put right runs some batches again.
        self._drop(sequence)
        if self._room > 0:
            self._by_sequence[sequence] = []
            self._bytes[sequence] = 0

    def note(self, sequence: int, result: Result, writes: Iterable[Write]) -> None:
        """Remember what an operation of this batch came to."""
        deeds = self._by_sequence.get(sequence)
        if deeds is not None:
            deed = (result, tuple(writes))
            size = size_of(deed)
            self._room -= 1
            self._room_bytes -= size
            if self._room_bytes < 0:
                self._room = 0
                return self._drop(sequence)
            deeds.append(deed)
            self._bytes[sequence] += size

    def pass_over(self, sequence: int, operations: int) -> None:
        """Remember that these next operations of this batch were not executed: they have been before."""
        deeds = self._by_sequence.get(sequence)
        if deeds is not None:
            deeds += [None] * operations
            self._room -= operations

    def checkpoint(self) -> None:
        """Start to count anew: another interval begins."""
        self._room, self._room_bytes = self._most, self._most_bytes

    def forget(self, upto: int) -> None:
        """Drop what was done at or before a sequence."""
        for sequence in [each for each in self._by_sequence if each <= upto]:
            self._drop(sequence)

    def of(self, sequence: int) -> Past | None:
        """Return what a batch did, None if it is not remembered."""
        return self._by_sequence.get(sequence)

    def between(self, first: int, last: int) -> dict[int, Past]:
        """Return what batches did, as far as it is remembered; it stays as it is whatever is forgotten later."""
        return {each: past for each in range(first, last + 1) if (past := self._by_sequence.get(each)) is not None}

    def digest(self, sequence: int) -> tuple[bytes, int]:
        """Return the digest over what a batch did, empty if it is not remembered, and how many bytes it cost."""
        past, known = self._by_sequence.get(sequence), self._digests.get(sequence)
        if past is None or known is not None:
            return known or b"", 0
        self._digests[sequence] = made = digest_of_all(past)
        return made, self._bytes[sequence]

    def _drop(self, sequence: int) -> None:
        self._by_sequence.pop(sequence, None)
        self._digests.pop(sequence, None)
        self._bytes.pop(sequence, None)
