"""The Merkle trie: one shape for one content, nodes that can be checked one by one, and what a change costs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.contents import Contents
from pbft.encoding import EncodingError, encode
from pbft.trie import (
    FANOUT,
    LEAF_BYTES,
    LEAF_ENTRIES,
    MAX_DEPTH,
    Inner,
    Leaf,
    Named,
    Node,
    Prefix,
    find,
    is_leaf,
    keys_of,
    nibble,
    place_of,
    read_inner,
    read_leaf,
    root_digest,
    write_inner,
    write_leaf,
)
from tests.tries import depth_of, fresh, keys_below, walk


def contents_of(items: dict[bytes, bytes]) -> Contents:
    contents = Contents()
    for key, value in items.items():
        contents.write(key, value)
    return contents


def assert_well_formed(root: Node | None) -> None:
    """Assert that every node stands where its keys belong, and is a leaf exactly when it is small enough."""
    for prefix, node in walk(root):
        assert is_leaf(node.count, node.size) is isinstance(node, Leaf)
        if isinstance(node, Inner):
            some = [child for child in node.children if child is not None]
            assert (node.count, node.size) == (sum(each.count for each in some), sum(each.size for each in some))
        for key in keys_of(node):
            assert prefix == bytes(nibble(place_of(key), depth) for depth in range(len(prefix)))


def test_a_change_costs_its_way_to_the_root():
    """Replacing values digests the nodes on the way to them, and shares all others with the trie before."""
    accounts = {encode(f"account-{number}"): encode(number) for number in range(20_000)}
    contents = contents_of(accounts)
    before = contents.freeze()
    before.settle()
    assert before.made == len(list(walk(before.root)))
    changed = list(accounts)[::200]
    for key in changed:
        contents.write(key, encode(-1))
    after = contents.freeze()
    after.settle()
    assert after.changes == len(changed)
    assert 0 < after.made <= len(changed) * (depth_of(before.root) + 1)
    # Nodes are kept alive by their roots, so that no two of them share an id.
    kept = {id(node) for _, node in walk(before.root)} & {id(node) for _, node in walk(after.root)}
    assert len(kept) == len(list(walk(after.root))) - after.made


def test_a_trie_holds_the_keys_that_the_content_holds():
    """The very objects, also where values were replaced by way of equal keys: no key is in memory twice."""
    keys = [bytes(bytearray(key)) for key in keys_below(b"", 200)]
    contents = contents_of(dict.fromkeys(keys, b"v"))
    contents.freeze().settle()
    for key in keys[::3]:
        contents.write(bytes(bytearray(key)), b"w")
    mine = {key: key for key in contents}
    assert all(mine[key] is key for key in keys_of(contents.freeze().root))


def test_a_leaf_has_so_many_entries_and_then_splits():
    """One entry more and there are subtrees; one less again, and there is one leaf."""
    keys = keys_below(b"", LEAF_ENTRIES + 1)
    contents = contents_of(dict.fromkeys(keys[:-1], b"v"))
    assert isinstance(contents.freeze().root, Leaf)
    contents.write(keys[-1], b"v")
    assert isinstance(contents.freeze().root, Inner)
    assert_well_formed(contents.freeze().root)
    contents.write(keys[3], None)
    assert isinstance(contents.freeze().root, Leaf)


def test_a_leaf_has_so_many_bytes_and_then_splits():
    """Exactly LEAF_BYTES are one leaf, keys counted; one more byte is not; a lone entry is a leaf of any size."""
    one, other = keys_below(b"", 2)
    room = LEAF_BYTES - len(one) - len(other)
    contents = contents_of({one: bytes(room), other: b""})
    assert isinstance(contents.freeze().root, Leaf)
    contents.write(other, b"1")
    root = contents.freeze().root
    assert isinstance(root, Inner)
    assert root.size == LEAF_BYTES + 1
    contents.write(one, bytes(room - 1))
    assert isinstance(contents.freeze().root, Leaf)
    contents.write(one, bytes(10 * LEAF_BYTES))
    assert isinstance(contents.freeze().root, Inner)
    contents.write(other, None)
    lone = contents.freeze().root
    assert isinstance(lone, Leaf)
    assert lone.size > 10 * LEAF_BYTES


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_keys_whose_places_begin_alike_stand_deeper(depth: int):
    """A chain of inner nodes with one subtree each leads to them, and is gone when they are few enough."""
    prefix = b"\x07\x0e\x01"[:depth]
    keys = keys_below(prefix, LEAF_ENTRIES + 1)
    contents = contents_of(dict.fromkeys(keys, b"v"))
    root = contents.freeze().root
    assert_well_formed(root)
    for above in range(depth):
        node = find(root, prefix[:above])
        assert isinstance(node, Inner)
        assert [number for number, child in enumerate(node.children) if child] == [prefix[above]]
    split = find(root, prefix)
    assert isinstance(split, Inner)
    assert split.count == LEAF_ENTRIES + 1
    contents.write(keys[0], None)
    assert contents.freeze().root == fresh(dict.fromkeys(keys[1:], b"v"))
    assert isinstance(contents.freeze().root, Leaf)


def test_what_stands_somewhere():
    """Nothing stands below a leaf, where a subtree is empty, or where no nibble leads, whoever asks."""
    root = fresh(dict.fromkeys(keys_below(b"\x07", LEAF_ENTRIES + 1), b"v"))
    assert find(root, b"") is root
    assert find(root, b"\x07") is not None
    for prefix in (b"\x06", b"\x10", b"\xff", b"\x07\xff", bytes(MAX_DEPTH), b"\x07" * MAX_DEPTH):
        assert find(root, prefix) is None
    assert find(None, b"") is None
    view = contents_of({encode("a"): b"v"}).freeze()
    assert view.payload(b"") is not None
    assert view.payload(b"\x00") is None
    assert Contents().freeze().payload(b"") is None


def test_a_place_has_as_many_nibbles_as_a_trie_may_be_deep():
    """Each is read from the place, the upper one of a byte first."""
    place = place_of(b"key")
    assert "".join(f"{nibble(place, depth):x}" for depth in range(MAX_DEPTH)) == place.hex()
    assert FANOUT == 16


NAMED = Named(2, 6, bytes(32))


@pytest.mark.parametrize(
    ("value", "prefix", "says"),
    [
        (1, (), "keys and values in turn"),
        ([b"a", b"1"], (), "as many as its parent says"),
        ([b"a", b"1", b"b", "2"], (), "keys and values in turn"),
        ([b"a", b"1", b"b", b"22"], (), "as many bytes"),
        ([b"bb", b"1", b"aa", b"2"], (), "keys ascend"),
        ([b"aa", b"1", b"aa", b"2"], (), "keys ascend"),
        ([b"aa", b"1", b"bb", b"2"], (0, 0, 0, 0), "its own place"),
        ([b"aa", b"", b"bb", b"2", b"c", b""], (), "as many as its parent says"),
        ([b"aa", b"1"], (), "as many as its parent says"),
        ([], (), "as many as its parent says"),
        ([b"aa", None, b"bbb", b"2"], (), "keys and values in turn"),
        ([b"aa", b"1", "bb", b"2"], (), "keys and values in turn"),
        ([[b"aa", b"1"], [b"bb", b"2"]], (), "keys and values in turn"),
        ([b"aa", b"1", True, b"2"], (), "keys and values in turn"),
    ],
)
def test_leaves_that_nobody_wrote(value: Any, prefix: Prefix, says: str):
    """Whatever a liar sends in a leaf's place is refused, its digest aside."""
    with pytest.raises(EncodingError, match=says):
        read_leaf(encode(value), NAMED, prefix)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"", "names 16 subtrees"),
        ([None] * 15, "names 16 subtrees"),
        ([1] + [None] * 15, "by its count, its size and its digest"),
        ([[1, 3, b"short"]] + [None] * 15, "by its count, its size and its digest"),
        ([[0, 6, bytes(32)]] + [None] * 15, "by its count, its size and its digest"),
        ([[True, 6, bytes(32)]] + [None] * 15, "by its count, its size and its digest"),
        ([[1, 6, bytes(32)]] + [None] * 15, "as many entries and bytes"),
        ([[2, 7, bytes(32)]] + [None] * 15, "as many entries and bytes"),
        ([None] * 16, "as many entries and bytes"),
        ([None] * 17, "names 16 subtrees"),
        ([[1, 3, bytes(32)], [1, 3, bytes(32)], [1, 3, bytes(32)]] + [None] * 13, "as many entries and bytes"),
        ([[2, 6, bytes(33)]] + [None] * 15, "by its count, its size and its digest"),
        ([[2, 6, "x" * 32]] + [None] * 15, "by its count, its size and its digest"),
        ([[2, 6]] + [None] * 15, "by its count, its size and its digest"),
        ([[2, 6, bytes(32), 0]] + [None] * 15, "by its count, its size and its digest"),
        ([[2, 0, bytes(32)]] + [None] * 15, "by its count, its size and its digest"),
        ([[-2, 6, bytes(32)], [4, 6, bytes(32)]] + [None] * 14, "by its count, its size and its digest"),
        ([[2**63, 6, bytes(32)]] + [None] * 15, "by its count, its size and its digest"),
        ([[2, 2**64 - 1, bytes(32)]] + [None] * 15, "by its count, its size and its digest"),
        ([False] * 16, "by its count, its size and its digest"),
    ],
)
def test_inner_nodes_that_nobody_wrote(value: Any, says: str):
    """Whatever a liar sends in an inner node's place is refused, its digest aside."""
    with pytest.raises(EncodingError, match=says):
        read_inner(encode(value), NAMED)


@pytest.mark.parametrize(
    "payload", [b"", b"\x00", b"\x80\x00", b"\x9f\xff", b"\xa0", b"\xff", bytes(40), b"\x98\x02\x41a\x41b"]
)
def test_what_is_no_canonical_encoding_is_no_node(payload: bytes):
    """An end in the middle, trailing bytes, a second spelling: none of it reads as a node."""
    with pytest.raises(EncodingError):
        read_inner(payload, NAMED)
    with pytest.raises(EncodingError):
        read_leaf(payload, NAMED, b"")


@given(st.data())
def test_an_altered_node_does_not_match_its_name(data: st.DataObject):
    """Any other bit, and a leaf in the place of an inner node or the other way round."""
    root = fresh(dict.fromkeys(keys_below(b"", 40), b"v"))
    prefix, node = data.draw(st.sampled_from(list(walk(root))))
    named = Named(node.count, node.size, node.digest)
    values = dict.fromkeys(keys_below(b"", 40), b"v")
    payload = write_leaf(node.keys, values.get) if isinstance(node, Leaf) else write_inner(node.children)
    assert named.matches(payload)
    at, bit = data.draw(st.integers(0, len(payload) - 1)), 1 << data.draw(st.integers(0, 7))
    assert not named.matches(payload[:at] + bytes([payload[at] ^ bit]) + payload[at + 1 :])
    assert not named.matches(payload[:at])
    assert not named.matches(payload + b"\x00")
    other = Named(LEAF_ENTRIES + 1, 1, node.digest) if isinstance(node, Leaf) else Named(1, 1, node.digest)
    assert not other.matches(payload)
    if prefix and isinstance(node, Leaf):
        wrong = bytes([*prefix[:-1], prefix[-1] ^ 1])
        with pytest.raises(EncodingError, match="its own place"):
            read_leaf(payload, named, wrong)


def named_entries(*names: str) -> dict[bytes, bytes]:
    return {encode(name): encode(len(name)) for name in names}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "1f8b2982ae35913cde18740bac3736e2"),
        (named_entries("alice"), "d45f5090f018e48699116538baf09014"),
        (named_entries("alice", "bob", "carol"), "0ee6b0a8fc8d1afaa30ad1b2dfd120ce"),
        ({encode(number): encode(-number) for number in range(LEAF_ENTRIES)}, "ec3bb4d79f1e371c2de6d4a75c716aaa"),
        ({encode(number): encode(-number) for number in range(LEAF_ENTRIES + 1)}, "c62e6c2b51d92f2da281450c13652498"),
        ({encode(number): encode(-number) for number in range(5_000)}, "9632a9ba048e82f0199285c886a39c74"),
        ({encode("small"): b"", encode("large"): bytes(LEAF_BYTES)}, "4d110a7b77a2e56d87eb09908faf4d4a"),
    ],
)
def test_digests_of_a_few_contents(content: dict[bytes, bytes], expected: str):
    """Written down, since replicas of two releases must agree: a change here is a new format, and needs to say so."""
    assert root_digest(fresh(content)).hex()[:32] == expected
