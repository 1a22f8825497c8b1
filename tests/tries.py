"""Tries made from nothing, and keys whose places share prefixes: what the tests of state have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count, islice

from pbft.encoding import encode
from pbft.trie import Inner, Node, Prefix, nibble, place_of, rebuild


def fresh(content: Mapping[bytes, bytes]) -> Node | None:
    """Return the trie of a content that has no history."""
    steps = rebuild(None, sorted(content), content.get)
    try:
        while True:
            next(steps)
    except StopIteration as done:
        root: Node | None = done.value
        return root


def walk(node: Node | None, prefix: Prefix = b"") -> Iterator[tuple[Prefix, Node]]:
    """Yield every node with where it stands, the uppermost first."""
    if node is None:
        return
    yield prefix, node
    if isinstance(node, Inner):
        for number, child in enumerate(node.children):
            yield from walk(child, prefix + bytes([number]))


def depth_of(*roots: Node | None) -> int:
    """Return how many nodes lie above the deepest one."""
    return max((len(prefix) for root in roots for prefix, _ in walk(root)), default=0)


def keys_below(prefix: Prefix, many: int) -> list[bytes]:
    """Return the first keys that belong below a prefix: found by trying."""

    def belong() -> Iterator[bytes]:
        for number in count():
            key = encode(f"key-{number}")
            if all(nibble(place_of(key), depth) == each for depth, each in enumerate(prefix)):
                yield key

    return list(islice(belong(), many))
