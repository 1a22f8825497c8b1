"""Snapshots: chunks that lead to a checkpoint's digest, and nothing else that does (OSDI'99 section 5.3; design 5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core import merkle
from pbft.core.snapshot import (
    CHUNK_BYTES,
    CHUNK_SIZES,
    MAX_CHUNKS,
    Snapshot,
    StateTooLarge,
    chunk_bytes,
    leads_to,
    read_sections,
)
from pbft.encoding import EncodingError, digest
from pbft.pieces import SNAPSHOT_PIECE_BYTES, cut_items

SIZES = (32, 256)

sections_of_any_kind = st.lists(st.lists(st.binary(max_size=60), max_size=6), min_size=1, max_size=4)
sequences = st.integers(0, 2**63 - 1)


def small(sections: Sequence[Sequence[bytes]], sequence: int = 7) -> Snapshot:
    """Return a snapshot in chunks small enough to have many."""
    return Snapshot(sequence, sections, SIZES)


def chunks_of(snapshot: Snapshot) -> list[bytes]:
    return [snapshot.chunk(index)[0] for index in range(snapshot.chunks)]


class Counted:
    """Pieces that count how often somebody iterated over them."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        self.count += 1
        return iter(self.pieces)


@given(sequences, sections_of_any_kind)
def test_every_chunk_leads_to_the_digest_and_together_they_are_the_state(sequence, sections):
    """All chunks but the last have one size, each is proven alone, and all give the sections back."""
    snapshot = small(sections, sequence)
    chunks = chunks_of(snapshot)

    for index in range(snapshot.chunks):
        data, path = snapshot.chunk(index)
        assert leads_to(sequence, snapshot.digest, index, snapshot.chunks, path, data)
        assert len(path) <= 16
    assert all(len(chunk) == SIZES[0] for chunk in chunks[:-1])
    assert 1 <= len(chunks[-1]) <= SIZES[0]
    assert read_sections(sequence, chunks, len(sections), SIZES) == sections


@given(sections_of_any_kind, st.data())
def test_a_chunk_altered_or_moved_leads_nowhere(sections, data):
    """Any byte of data, path or digest, any other index, number of chunks, sequence or length of path: refused."""
    snapshot = small(sections)
    index = data.draw(st.integers(0, snapshot.chunks - 1))
    chunk, path = snapshot.chunk(index)

    def accepted(**changes: Any) -> bool:
        claim = {
            "sequence": 7,
            "digest": snapshot.digest,
            "index": index,
            "chunks": snapshot.chunks,
            "path": path,
            "data": chunk,
        }
        return leads_to(**(claim | changes))

    def altered(what: bytes) -> bytes:
        place, bit = data.draw(st.integers(0, len(what) - 1)), 1 << data.draw(st.integers(0, 7))
        return what[:place] + bytes([what[place] ^ bit]) + what[place + 1 :]

    assert accepted()
    assert not accepted(data=altered(chunk))
    assert not accepted(digest=altered(snapshot.digest))
    assert not any(accepted(index=other) for other in range(-2, snapshot.chunks + 2) if other != index)
    assert not any(accepted(chunks=other) for other in range(-2, snapshot.chunks + 20) if other != snapshot.chunks)
    assert not any(accepted(sequence=other) for other in (-1, 0, 6, 8, 2**64 - 1, 2**64))
    assert not accepted(path=(*path, bytes(32)))
    for place in range(len(path)):
        assert not accepted(path=path[:place] + path[place + 1 :])
        assert not accepted(path=(*path[:place], altered(path[place]), *path[place + 1 :]))


@given(
    st.integers(-2, 2**65),
    st.binary(max_size=40),
    st.integers(-3, 2**17),
    st.integers(-3, 2**17),
    st.lists(st.binary(max_size=40), max_size=20),
    st.binary(max_size=40),
)
def test_whatever_is_claimed_is_judged_without_an_exception(sequence, named, index, chunks, path, data):
    """No made-up chunk leads to a made-up digest."""
    assert not leads_to(sequence, named, index, chunks, path, data)


def test_more_chunks_than_the_wire_counts_are_refused():
    """Even where the paths are right."""
    for count, right in ((MAX_CHUNKS, True), (MAX_CHUNKS + 1, False)):
        rows = merkle.levels(b"x" for _ in range(count))
        named = digest(b"pbft/checkpoint", (7).to_bytes(8, "big"), rows[-1][0])
        assert leads_to(7, named, count - 1, count, merkle.path(rows, count - 1), b"x") is right
        assert max(len(merkle.path(rows, index)) for index in (0, count - 1)) == 16


@given(sections_of_any_kind, st.data())
def test_chunks_that_are_not_all_of_one_snapshot_in_order_are_refused(sections, data):
    """Altered, cut off, missing, twice, exchanged, cut elsewhere, of another sequence or of other sections."""
    snapshot = small(sections)
    chunks, count = chunks_of(snapshot), len(sections)
    place = data.draw(st.integers(0, len(chunks) - 1))
    chunk = chunks[place]
    at = data.draw(st.integers(0, len(chunk) - 1))
    bent = chunk[:at] + bytes([chunk[at] ^ 1 << data.draw(st.integers(0, 7))]) + chunk[at + 1 :]
    other = data.draw(st.integers(0, len(chunks) - 1))
    exchanged = list(chunks)
    exchanged[place], exchanged[other] = exchanged[other], exchanged[place]
    stream = b"".join(chunks)
    for refused in (
        [],
        [*chunks[:place], bent, *chunks[place + 1 :]],
        [*chunks[:place], chunk[:at], *chunks[place + 1 :]],
        [*chunks[:-1], chunks[-1] + b"\0"],
        [*chunks[:-1], chunks[-1] + bytes(4)],
        chunks[:place] + chunks[place + 1 :],
        [*chunks[: place + 1], *chunks[place:]],
        [*chunks, b""],
        [*chunks, b"\0"],
        exchanged,
        [stream[:1], stream[1:]],
        [stream[at : at + SIZES[1]] for at in range(0, len(stream), SIZES[1])],
    ):
        if refused != chunks:
            with pytest.raises(EncodingError):
                read_sections(7, refused, count, SIZES)
    for sequence, sections_asked in ((8, count), (7, count + 1), (7, count - 1)):
        with pytest.raises(EncodingError, match=f"not the chunks of the state at sequence {sequence}"):
            read_sections(sequence, chunks, sections_asked, SIZES)
    assert read_sections(7, chunks, count, SIZES) == sections


def test_the_digest_depends_on_sequence_and_content_only():
    """Each difference shows, the place of a piece included; the fixed value would reveal a change of the format."""
    parts: list[list[list[bytes]]] = [
        [[b"a"], [b"b"]],
        [[b"a", b"b"], []],
        [[], [b"a", b"b"]],
        [[b"ab"], []],
        [[b"a"], [b"b"], []],
        [[b"a"], [b"b", b""]],
        [[], []],
    ]
    digests = [Snapshot(7, each).digest for each in parts] + [Snapshot(8, parts[0]).digest]
    assert len(dict.fromkeys(digests)) == len(digests)
    assert Snapshot(7, ((b"a",), Counted([b"b"]))).digest == digests[0]
    assert digests[0].hex() == "2d38067f9e71ca8057de45f78eeba1f023949fa2badab5e3bd8f63e3c9cf75a1"


def test_the_chunks_are_made_when_the_first_is_asked_for():
    """The digest takes one pass that keeps no chunk; the first request takes another, and the others none."""
    pieces = Counted([bytes([number]) * 1_000 for number in range(100)])
    snapshot = Snapshot(7, [pieces])
    assert pieces.count == 1
    first = snapshot.chunk(2)
    assert pieces.count == 2
    assert [len(chunk) for chunk in chunks_of(snapshot)] == [CHUNK_BYTES, CHUNK_BYTES, len(first[0])]
    assert snapshot.chunk(2) == first
    assert pieces.count == 2


@pytest.mark.parametrize("index", [-1, -2, 2, 2**16])
def test_a_chunk_that_is_not_there_is_an_index_error(index):
    """Counting from the end does not work either: an index comes from another replica."""
    snapshot = small([[]])
    assert snapshot.chunks == 2
    with pytest.raises(IndexError, match="there are 2 chunks"):
        snapshot.chunk(index)


@pytest.mark.parametrize("piece", [bytearray(b"x"), "x", None, bytes(SNAPSHOT_PIECE_BYTES + 1)])
def test_an_application_whose_pieces_are_none_is_told_so(piece):
    """Rather than that every other replica finds its state different."""
    with pytest.raises(EncodingError, match="pieces must be bytes, at most 32768 in each"):
        Snapshot(7, [[piece]])


def test_a_state_that_outgrows_a_chunk_size_goes_on_in_larger_ones():
    """Which size it is follows from the total; one beyond the largest is refused with the limit."""
    for total, sizes in ((MAX_CHUNKS, (1, 2, 8)), (MAX_CHUNKS + 1, (1, 2, 8)), (MAX_CHUNKS * 2 + 1, (1, 2, 8))):
        # What stands around the pieces: a length and a section's number each, and a seal of 32 bytes.
        content = total - 4 - 1 - 32
        pieces = [bytes(each) for each in (30_000,) * (content // 30_005)]
        pieces.append(bytes(content - 30_005 * len(pieces) - 5))
        snapshot = Snapshot(7, [pieces], sizes)
        chunks = chunks_of(snapshot)
        size = chunk_bytes(total, sizes)
        assert sum(map(len, chunks)) == total
        assert len(chunks) == -(-total // size) <= MAX_CHUNKS
        assert {len(chunk) for chunk in chunks[:-1]} == {size}
        data, path = snapshot.chunk(snapshot.chunks - 1)
        assert leads_to(7, snapshot.digest, snapshot.chunks - 1, snapshot.chunks, path, data)
        assert read_sections(7, chunks, 1, sizes) == [pieces]
        with pytest.raises(EncodingError):
            read_sections(7, chunks, 1, (size * 2,))
    with pytest.raises(StateTooLarge, match="has outgrown 65535 bytes"):
        Snapshot(7, [[bytes(30_000)] * 3], (1,))


def test_the_sizes_of_chunks():
    """48 KiB up to 3 GiB of state, then powers of two up to 8 MiB; never more chunks than the wire counts."""
    assert CHUNK_SIZES[0] == 48 * 1024
    assert CHUNK_SIZES[-1] == 8 * 2**20
    assert all(size & (size - 1) == 0 for size in CHUNK_SIZES[1:])
    assert chunk_bytes(1) == CHUNK_BYTES
    for size, larger in zip(CHUNK_SIZES, [*CHUNK_SIZES[1:], None], strict=True):
        assert chunk_bytes(size * MAX_CHUNKS) == size
        if larger is not None:
            assert chunk_bytes(size * MAX_CHUNKS + 1) == larger
    with pytest.raises(StateTooLarge, match="has outgrown 549747425280 bytes"):
        chunk_bytes(8 * 2**20 * MAX_CHUNKS + 1)


def sealed(*items: bytes) -> list[bytes]:
    """Return chunks with a right seal, of whatever items."""
    seal = digest(b"pbft/snapshot", (7).to_bytes(8, "big"))
    for item in items:
        seal = digest(b"pbft/snapshot", seal, item)
    return list(cut_items([*items, b"\2" + seal], CHUNK_BYTES))


@pytest.mark.parametrize(
    "items",
    [(b"\1a", b"\0b"), (b"",), (b"\3a",), (b"\0" + bytes(SNAPSHOT_PIECE_BYTES + 1),)],
    ids=["sections out of order", "no section's number", "a section too many", "too long a piece"],
)
def test_what_no_snapshot_writes_is_refused_even_under_a_right_seal(items):
    """A quorum of liars proves what it likes; what is read is still of one form only."""
    assert read_sections(7, sealed(b"\0b", b"\1a"), 2) == [[b"b"], [b"a"]]
    with pytest.raises(EncodingError, match="not the chunks of the state"):
        read_sections(7, sealed(*items), 2)
