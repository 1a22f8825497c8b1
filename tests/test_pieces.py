"""Pieces: items of any size as a stream cut into pieces of one size, and back, strictly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pbft.encoding import EncodingError
from pbft.pieces import SNAPSHOT_PIECE_BYTES, Pieces, cut_items, read_items

items_of_any_kind = st.lists(st.binary(max_size=40), max_size=12)
sizes = st.integers(1, 50)


@given(items_of_any_kind, sizes)
def test_items_come_back_from_pieces_of_one_size(items: list[bytes], size: int) -> None:
    """Every piece but the last is full, none is empty, and nothing but the lengths is added."""
    pieces = list(cut_items(items, size))

    assert list(read_items(pieces, size)) == items
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(1 <= len(piece) <= size for piece in pieces)
    assert b"".join(pieces) == b"".join(len(item).to_bytes(4, "big") + item for item in items)


@given(items_of_any_kind, sizes, sizes)
def test_a_stream_cut_in_other_places_is_refused(items: list[bytes], size: int, other: int) -> None:
    """One state has one list of pieces: what another size makes is none of them, even where it reads the same."""
    pieces, others = list(cut_items(items, size)), list(cut_items(items, other))
    assume(pieces != others)
    with pytest.raises(EncodingError, match="only the last may be shorter"):
        list(read_items(others if other > size else [*pieces[:-1], b"", pieces[-1]], size))


@given(items_of_any_kind.filter(bool), sizes, st.data())
def test_a_stream_that_is_cut_off_is_never_taken_for_whole(items: list[bytes], size: int, data: st.DataObject) -> None:
    """What is left is refused, unless it ends with an item: then it is fewer items."""
    stream = b"".join(cut_items(items, size))
    left = stream[: data.draw(st.integers(0, len(stream) - 1))]
    pieces = [left[at : at + size] for at in range(0, len(left), size)]
    streams = [b"".join(cut_items(items[:count])) for count in range(len(items))]
    if left in streams:
        assert list(read_items(pieces, size)) == items[: streams.index(left)]
    else:
        with pytest.raises(EncodingError, match="ends in the middle of an item"):
            list(read_items(pieces, size))


@pytest.mark.parametrize("piece", [b"", b"\0\0\0\1xyz", bytearray(b"\0\0\0\0"), "text", None])
def test_pieces_that_are_none_are_refused(piece: Any) -> None:
    """Empty, too long, or no bytes."""
    with pytest.raises(EncodingError, match="a snapshot's pieces are bytes, 6 each"):
        list(read_items([piece], 6))


def test_an_item_larger_than_a_piece_is_spread_over_several() -> None:
    """As is one that ends exactly where a piece does."""
    large = bytes(range(256)) * 256
    for items in ([large], [b"x", large, large, b"y"], [large[:-4], large[:-4]]):
        pieces = list(cut_items(items))
        assert len(pieces) > 1
        assert max(map(len, pieces)) == SNAPSHOT_PIECE_BYTES
        assert list(read_items(pieces)) == items


def test_an_item_whose_length_cannot_be_written_is_refused() -> None:
    """The sentence says what to do instead."""

    class Huge(bytes):
        def __len__(self) -> int:
            return 2**32

    with pytest.raises(EncodingError, match="4 GiB or more cannot be part of a snapshot; keep it in several"):
        list(cut_items([Huge()]))


def test_pieces_are_made_anew_each_time() -> None:
    """Two who iterate at once do not disturb each other."""
    pieces = Pieces(lambda: (bytes([number]) * 10 for number in range(20)), size=16)
    assert list(zip(pieces, pieces, strict=True)) == [(each, each) for each in pieces]
    assert list(read_items(pieces, 16)) == [bytes([number]) * 10 for number in range(20)]
