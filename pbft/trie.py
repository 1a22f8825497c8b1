"""The Merkle trie over a map's content: its nodes, how they are written down, and how changed keys become a new root.

Owns: the shape, which depends on the content only; digests of nodes; the strict reading of a node that somebody else
wrote. Keeps no values: whoever walks a trie hands in where they are.

A key's place is a digest of it, read nibble by nibble from the root. A subtree of at most LEAF_ENTRIES entries and
LEAF_BYTES bytes is one leaf, and so is a single entry of any size; a larger one is an inner node of 16 subtrees. So
equal contents have equal tries, whatever their histories were.
Nodes never change: a new root shares every subtree in which no key changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Final

from pbft.encoding import DIGEST_BYTES, EncodingError, decode, digest, encode

FANOUT: Final = 16
LEAF_ENTRIES: Final = 32
"""The most entries of a leaf. A node of more has subtrees: one of them may be a leaf with very few."""
LEAF_BYTES: Final = 16 * 1024
"""The most bytes of keys and values in a leaf of more than one entry, so that no node is large without need."""
MAX_DEPTH: Final = 64
"""Nibbles in a key's place. Keys of one place would collide in 256 bits, so no trie grows deeper."""

_LEAF: Final = b"pbft/trie-leaf"
_INNER: Final = b"pbft/trie-inner"

PACE: Final = 128
"""Keys that are sorted into subtrees in one step: about as much work as to digest a node or two."""

Prefix = bytes
"""Where a node stands: the nibbles that lead to it from the root, a byte each; the root's is empty."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A few entries. Only their keys, in ascending order: the values lie where the content is."""

    keys: tuple[bytes, ...]
    size: int
    """Bytes of keys and values."""
    digest: bytes

    @property
    def count(self) -> int:
        """How many entries there are."""
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Inner:
    """Sixteen subtrees, of which some may be empty."""

    children: tuple[Node | None, ...]
    count: int
    size: int
    digest: bytes


Node = Leaf | Inner

Look = Callable[[bytes], bytes | None]
"""Returns the value of a key, None where it has none."""

Steps = Generator[int, None, "Node | None"]
"""Work that pauses often, says how many nodes it digested since it paused last (1, or 0), and ends with the root."""

_Entries = list[tuple[bytes, bytes]]
"""Keys, each behind its place."""


def root_digest(root: Node | None) -> bytes:
    """Return the digest of a whole content: over its count, its size and the root's own digest."""
    if root is None:
        return digest(b"pbft/trie")
    return digest(b"pbft/trie", root.count.to_bytes(8, "big"), root.size.to_bytes(8, "big"), root.digest)


def place_of(key: bytes) -> bytes:
    """Return where a key belongs, as 32 bytes."""
    return blake2b(key, digest_size=MAX_DEPTH // 2, person=b"pbft/place").digest()


def nibble(place: bytes, depth: int) -> int:
    """Return one nibble of a key's place."""
    byte = place[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4


def rebuild(node: Node | None, changed: Iterable[bytes], look: Look) -> Steps:
    """Return the root that a trie has now that some keys changed: written, removed, or both.

    `look` tells what they hold now; neither it nor `changed` may change before the work has ended. Every node on the
    way to a changed key is made anew, and no other; a leaf that grows too large becomes at most LEAF_ENTRIES leaves
    beside the changed one. Where values are replaced and no leaf splits, m keys cost at most m * (depth + 1) nodes.
    """
    placed: _Entries = []
    for number, key in enumerate(changed, 1):
        placed.append((place_of(key), key))
        if number % PACE == 0:
            yield 0
    return (yield from _rebuild(node, placed, 0, look)) if placed else node


def _rebuild(node: Node | None, changed: _Entries, depth: int, look: Look) -> Steps:
    if isinstance(node, Leaf) or node is None:
        return (yield from _rebuild_leaf(node, changed, depth, look))
    children = list(node.children)
    for number, group in (yield from _by_nibble(changed, depth)).items():
        children[number] = yield from _rebuild(children[number], group, depth + 1, look)
    count, size = _total(children)
    if is_leaf(count, size):
        return (yield from _leaf([key for child in children for key in keys_of(child)], size, look))
    return (yield from _inner(children))


def _rebuild_leaf(node: Leaf | None, changed: _Entries, depth: int, look: Look) -> Steps:
    old = node.keys if node is not None else ()
    # The very objects that were there are kept, since whoever holds the values has the same.
    kept = [key for key in old if look(key) is not None]
    entries: _Entries = []
    for number, entry in enumerate(changed, 1):
        if entry[1] not in old and look(entry[1]) is not None:
            entries.append(entry)
        if number % PACE == 0:
            yield 0
    if len(kept) + len(entries) <= LEAF_ENTRIES:
        keys = [*kept, *(key for _, key in entries)]
        if (size := _size_if_leaf(keys, look)) is not None:
            return (yield from _leaf(keys, size, look))
    # Places of the keys that were there are found only now that the leaf has to split.
    return (yield from _make([*entries, *((place_of(key), key) for key in kept)], depth, look))


def _make(entries: _Entries, depth: int, look: Look) -> Steps:
    """Return a subtree made of its entries alone."""
    if len(entries) <= LEAF_ENTRIES:
        keys = [key for _, key in entries]
        if (size := _size_if_leaf(keys, look)) is not None:
            return (yield from _leaf(keys, size, look))
    children: list[Node | None] = [None] * FANOUT
    for number, group in (yield from _by_nibble(entries, depth)).items():
        children[number] = yield from _make(group, depth + 1, look)
    return (yield from _inner(children))


def is_leaf(count: int, size: int) -> bool:
    """Say whether a subtree of so many entries and bytes is one leaf."""
    return count <= 1 or (count <= LEAF_ENTRIES and size <= LEAF_BYTES)


def _size_if_leaf(keys: Collection[bytes], look: Look) -> int | None:
    """Return the bytes of these keys and their values, None where that is too much for one leaf."""
    size = sum(len(key) + len(look(key) or b"") for key in keys)
    return size if is_leaf(len(keys), size) else None


def _total(children: Iterable[Node | None]) -> tuple[int, int]:
    some = [child for child in children if child is not None]
    return sum(child.count for child in some), sum(child.size for child in some)


def _by_nibble(entries: _Entries, depth: int) -> Generator[int, None, dict[int, _Entries]]:
    groups: dict[int, _Entries] = {}
    for number, entry in enumerate(entries, 1):
        groups.setdefault(nibble(entry[0], depth), []).append(entry)
        if number % PACE == 0:
            yield 0
    return groups


def _leaf(keys: Collection[bytes], size: int, look: Look) -> Steps:
    if not keys:
        return None
    ordered = tuple(sorted(keys))
    made = Leaf(ordered, size, digest(_LEAF, write_leaf(ordered, look)))
    yield 1
    return made


def _inner(children: Sequence[Node | None]) -> Steps:
    made = Inner(tuple(children), *_total(children), digest(_INNER, write_inner(children)))
    yield 1
    return made


def keys_of(node: Node | None) -> Iterator[bytes]:
    """Yield all keys of a subtree."""
    if isinstance(node, Leaf):
        yield from node.keys
    elif node is not None:
        for child in node.children:
            yield from keys_of(child)


def find(node: Node | None, prefix: Prefix) -> Node | None:
    """Return what stands somewhere in a trie, None where nothing does or can, or only something above it."""
    for number in prefix:
        if not isinstance(node, Inner) or number >= FANOUT:
            return None
        node = node.children[number]
    return node


# Nodes as bytes.


def write_leaf(keys: Sequence[bytes], look: Look) -> bytes:
    """Return a leaf's content as it is digested and sent: keys and values in turn."""
    return encode([part for key in keys for part in (key, look(key))])


def write_inner(children: Sequence[Node | None]) -> bytes:
    """Return an inner node as it is digested and sent: count, size and digest of each subtree, or nothing."""
    return encode([None if child is None else [child.count, child.size, child.digest] for child in children])


@dataclass(frozen=True, slots=True)
class Named:
    """A subtree that is known by its digest, as its parent names it."""

    count: int
    size: int
    digest: bytes

    @property
    def is_leaf(self) -> bool:
        """Whether it is one leaf: its size says so."""
        return is_leaf(self.count, self.size)

    def matches(self, payload: bytes) -> bool:
        """Say whether these bytes are the node that was named."""
        return digest(_LEAF if self.is_leaf else _INNER, payload) == self.digest


def read_inner(payload: bytes, named: Named) -> tuple[Named | None, ...]:
    """Return the subtrees that an inner node names, one for each nibble. Raises EncodingError."""
    value = decode(payload)
    if type(value) is not tuple or len(value) != FANOUT:
        raise EncodingError(f"an inner node names {FANOUT} subtrees")
    children = tuple(None if each is None else _read_named(each) for each in value)
    some = [child for child in children if child is not None]
    if (named.count, named.size) != (sum(child.count for child in some), sum(child.size for child in some)):
        raise EncodingError("an inner node holds as many entries and bytes as its parent says")
    return children


def read_leaf(payload: bytes, named: Named, prefix: Prefix) -> Mapping[bytes, bytes]:
    """Return the entries of a leaf that stands somewhere. Raises EncodingError."""
    value = decode(payload)
    if type(value) is not tuple or len(value) != 2 * named.count or any(type(each) is not bytes for each in value):
        raise EncodingError("a leaf holds keys and values in turn, as many as its parent says")
    keys = value[::2]
    if sum(map(len, value)) != named.size:
        raise EncodingError("a leaf holds as many bytes as its parent says")
    if any(one >= other for one, other in pairwise(keys)):
        raise EncodingError("a leaf's keys ascend")
    for key in keys:
        spot = place_of(key)
        if any(nibble(spot, depth) != number for depth, number in enumerate(prefix)):
            raise EncodingError("a leaf holds keys of its own place only")
    return dict(zip(keys, value[1::2], strict=True))


def _read_named(value: object) -> Named:
    if type(value) is tuple and len(value) == 3:
        count, size, inner = value
        numbers = type(count) is int and type(size) is int and 0 < count < 2**63 and 0 < size < 2**63
        if numbers and type(inner) is bytes and len(inner) == DIGEST_BYTES:
            return Named(count, size, inner)
    raise EncodingError("an inner node names a subtree by its count, its size and its digest")
