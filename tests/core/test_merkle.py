"""The Merkle tree under a reply: each leaf has a path to the root, and nothing else has (design 4.4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pbft.core import merkle

MAX_LEAVES = 70

sizes = st.integers(1, MAX_LEAVES)


def leaves_of(count: int) -> list[bytes]:
    return [b"leaf %d" % index for index in range(count)]


def root(rows: list[list[bytes]]) -> bytes:
    return rows[-1][0]


def test_every_leaf_of_every_size_reaches_the_root():
    """For 1 to 70 leaves each path leads to the root, and no path is longer than the tree is high."""
    for count in range(1, MAX_LEAVES + 1):
        leaves = leaves_of(count)
        rows = merkle.levels(leaves)
        assert len(rows[-1]) == 1
        for index, data in enumerate(leaves):
            path = merkle.path(rows, index)
            assert merkle.root_of(data, index, count, path) == root(rows), (index, count)
            assert len(path) <= (count - 1).bit_length(), (index, count)


def test_nothing_can_be_shown_at_another_place_or_in_another_tree():
    """For every leaf of every size up to 20, each other place and each other number of leaves is refused."""
    for count in range(1, 21):
        leaves = leaves_of(count)
        rows = merkle.levels(leaves)
        for index, data in enumerate(leaves):
            path = merkle.path(rows, index)
            for other_count in range(1, 24):
                for other_index in range(-1, 24):
                    same = (other_index, other_count) == (index, count)
                    assert (merkle.root_of(data, other_index, other_count, path) == root(rows)) is same


@given(st.data())
def test_any_altered_byte_is_refused(data):
    """One bit flipped in the leaf or in any sibling, one sibling more, less or moved, and the root differs."""
    count = data.draw(sizes)
    index = data.draw(st.integers(0, count - 1))
    leaves = leaves_of(count)
    rows = merkle.levels(leaves)
    path = list(merkle.path(rows, index))

    def reaches(leaf: bytes, siblings: list[bytes]) -> bool:
        return merkle.root_of(leaf, index, count, siblings) == root(rows)

    assert reaches(leaves[index], path)
    place, bit = data.draw(st.integers(0, len(leaves[index]) - 1)), 1 << data.draw(st.integers(0, 7))
    altered = leaves[index][:place] + bytes([leaves[index][place] ^ bit]) + leaves[index][place + 1 :]
    assert not reaches(altered, path)
    assert not reaches(leaves[index], [*path, bytes(32)])
    if path:
        which, place = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 31))
        sibling = bytearray(path[which])
        sibling[place] ^= bit
        assert not reaches(leaves[index], [*path[:which], bytes(sibling), *path[which + 1 :]])
        assert not reaches(leaves[index], path[:which] + path[which + 1 :])
    if len(path) > 1:
        assert not reaches(leaves[index], path[::-1])


@given(sizes, st.data())
def test_an_inner_node_is_no_leaf(count, data):
    """Leaves and inner nodes are digested under different domains: a node's parts cannot pass for a leaf."""
    rows = merkle.levels(leaves_of(count))
    row = data.draw(st.integers(0, len(rows) - 1))
    for index, node in enumerate(rows[row]):
        assert merkle.root_of(node, index, len(rows[row]), merkle.path(rows[row:], index)) != root(rows)


@given(
    st.binary(max_size=64),
    st.integers(-3, 2**16),
    st.integers(-3, 2**16),
    st.lists(st.binary(max_size=40), max_size=20),
)
def test_whatever_is_claimed_is_judged_without_an_exception(leaf, index, count, path):
    """Paths of any shape lead to some root or to none; they never raise."""
    merkle.root_of(leaf, index, count, path)


def test_different_leaves_have_different_roots():
    """The root is a digest of all leaves in their order and number."""
    trees = [leaves_of(count) for count in range(1, 20)] + [leaves_of(4)[::-1], [b"", b""], [b""], [b"", b"", b""]]
    assert len({root(merkle.levels(tree)) for tree in trees}) == len(trees)
