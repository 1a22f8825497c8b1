"""The replicated state at one sequence, as chunks that can be checked one by one (OSDI'99 section 4.3; thesis 5.3).

Owns: how sections of pieces become chunks and chunks become pieces again, the checkpoint's digest over a Merkle tree of
the chunks, and the check of one chunk against it. Knows nothing of what the sections say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from pbft.core import merkle
from pbft.encoding import EncodingError, digest
from pbft.errors import PbftError
from pbft.pieces import SNAPSHOT_PIECE_BYTES, cut_items, read_items

CHUNK_BYTES: Final = 48 * 1024
"""What a chunk holds, but for the last of a snapshot and for states that would have too many chunks of this size."""

CHUNK_SIZES: Final = (CHUNK_BYTES, *(2**power for power in range(16, 24)))
"""The sizes that a snapshot's chunks may have: the first under which there are not too many."""

MAX_CHUNKS: Final = 2**16 - 1
"""So that a field `Small` of the wire counts them, and no Merkle path is longer than 16."""


class StateTooLarge(PbftError, ValueError):
    """A state that no snapshot can hold."""


class Snapshot:
    """The state after a sequence, fixed: its digest, and its chunks for whoever asks for them.

    The digest is made at once, from one chunk after the other, of which only digests are kept. The chunks are made
    again, and kept, when the first of them is asked for: a transfer asks for all.
    """

    def __init__(self, sequence: int, sections: Sequence[Iterable[bytes]], sizes: Sequence[int] = CHUNK_SIZES) -> None:
        """Each of at most 255 sections gives the same pieces, of SNAPSHOT_PIECE_BYTES at most, at every iteration.

        Raises EncodingError for pieces that are not such bytes, and StateTooLarge where the largest size is too small.
        """
        self.sequence = sequence
        self._sections = sections
        self._chunk_bytes, self._rows = _digest_chunks(sequence, sections, sizes)
        self.chunks = len(self._rows[0])
        """How many chunks there are, at least 1."""
        self.digest = _checkpoint_digest(sequence, self._rows[-1][0])
        """The checkpoint's digest: over the sequence and the Merkle root of the chunks."""
        self._data: list[bytes] = []

    def chunk(self, index: int) -> tuple[bytes, tuple[bytes, ...]]:
        """Return a chunk and its Merkle path. Raises IndexError when there is none of this index."""
        if not 0 <= index < self.chunks:
            raise IndexError(f"there are {self.chunks} chunks, and none of them is number {index}")
        if not self._data:
            self._data = list(cut_items(_write(self.sequence, self._sections), self._chunk_bytes))
        return self._data[index], merkle.path(self._rows, index)


def leads_to(sequence: int, digest: bytes, index: int, chunks: int, path: Sequence[bytes], data: bytes) -> bool:
    """Say whether `data` is chunk `index`, of as many as `chunks`, of the state with this checkpoint digest."""
    if not 0 <= sequence < 2**64 or not 1 <= chunks <= MAX_CHUNKS:
        return False
    root = merkle.root_of(data, index, chunks, path)
    return root is not None and _checkpoint_digest(sequence, root) == digest


def read_sections(
    sequence: int, chunks: Iterable[bytes], count: int, sizes: Sequence[int] = CHUNK_SIZES
) -> list[list[bytes]]:
    """Return the pieces of each section, of `count`, that a Snapshot of this sequence was made of.

    Takes all chunks in their order. Raises EncodingError for any others: altered, of another sequence, in another
    order or number.
    """
    held = tuple(chunks)
    size = chunk_bytes(sum(map(len, held)), sizes)
    sections: list[list[bytes]] = [[] for _ in range(count)]
    seal = _first_seal(sequence)
    at = 0
    items = read_items(held, size)
    for item in items:
        number, piece = item[:1], item[1:]
        if number == bytes([count]):
            if piece != seal or next(items, None) is not None:
                break
            return sections
        if not at <= int.from_bytes(number, "big") < count or not number or len(piece) > SNAPSHOT_PIECE_BYTES:
            break
        at = number[0]
        sections[at].append(piece)
        seal = _next_seal(seal, item)
    raise EncodingError(f"these are not the chunks of the state at sequence {sequence}, all of them and in order")


def chunk_bytes(total: int, sizes: Sequence[int] = CHUNK_SIZES) -> int:
    """Return how large the chunks of a state of `total` bytes are. Raises StateTooLarge."""
    for size in sizes:
        if total <= size * MAX_CHUNKS:
            return size
    raise _too_large(sizes)


def _digest_chunks(
    sequence: int, sections: Sequence[Iterable[bytes]], sizes: Sequence[int]
) -> tuple[int, list[list[bytes]]]:
    """Return the chunks' size and the levels of their Merkle tree."""
    for size in sizes:
        # Started again for the few states that outgrow a size, which is known only when they have.
        rows = merkle.levels(islice(cut_items(_write(sequence, sections), size), MAX_CHUNKS + 1))
        if len(rows[0]) <= MAX_CHUNKS:
            return size, rows
    raise _too_large(sizes)


def _write(sequence: int, sections: Sequence[Iterable[bytes]]) -> Iterator[bytes]:
    """Yield each piece behind its section's number, and last a seal over all, by which a reader knows the end.

    Each chunk is proven by its path; the seal shows that the chunks were put together as they were.
    """
    seal = _first_seal(sequence)
    for number, pieces in enumerate(sections):
        for piece in pieces:
            if type(piece) is not bytes or len(piece) > SNAPSHOT_PIECE_BYTES:
                raise EncodingError(f"a snapshot's pieces must be bytes, at most {SNAPSHOT_PIECE_BYTES} in each")
            item = bytes([number]) + piece
            seal = _next_seal(seal, item)
            yield item
    yield bytes([len(sections)]) + seal


def _first_seal(sequence: int) -> bytes:
    return digest(b"pbft/snapshot", sequence.to_bytes(8, "big"))


def _next_seal(seal: bytes, item: bytes) -> bytes:
    return digest(b"pbft/snapshot", seal, item)


def _checkpoint_digest(sequence: int, root: bytes) -> bytes:
    return digest(b"pbft/checkpoint", sequence.to_bytes(8, "big"), root)


def _too_large(sizes: Sequence[int]) -> StateTooLarge:
    return StateTooLarge(
        f"the replicated state has outgrown {MAX_CHUNKS * sizes[-1]} bytes, the most that a checkpoint can hold"
    )
