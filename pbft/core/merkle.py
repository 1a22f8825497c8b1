"""A Merkle tree over a few byte strings: one signed root, and a short path for each leaf.

Owns: the tree's shape and digests. Leaves, inner nodes and roots are digested under different domains. A node without
a sibling rises unchanged, so a path's length and sides follow from the leaf's place and the number of leaves, which the
root names: no leaf can be shown at another place, nor in a tree of another size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pbft.encoding import digest


def _leaf(data: bytes) -> bytes:
    return digest(b"pbft/leaf", data)


def _inner(left: bytes, right: bytes) -> bytes:
    return digest(b"pbft/inner", left, right)


def _root(leaves: int, top: bytes) -> bytes:
    return digest(b"pbft/root", leaves.to_bytes(8, "big"), top)


def levels(leaves: Iterable[bytes]) -> list[list[bytes]]:
    """Return the tree's levels from the leaves' digests up to the root alone. Needs at least one leaf.

    Takes the leaves one after the other and keeps none.
    """
    rows = [[_leaf(data) for data in leaves]]
    while len(rows[-1]) > 1:
        row = rows[-1]
        above = [_inner(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        if len(row) % 2:
            above.append(row[-1])
        rows.append(above)
    rows.append([_root(len(rows[0]), rows[-1][0])])
    return rows


def path(rows: Sequence[Sequence[bytes]], index: int) -> tuple[bytes, ...]:
    """Return the siblings from leaf `index` up, those that exist."""
    siblings = []
    for row in rows[:-1]:
        if index ^ 1 < len(row):
            siblings.append(row[index ^ 1])
        index //= 2
    return tuple(siblings)


def root_of(data: bytes, index: int, leaves: int, siblings: Sequence[bytes]) -> bytes | None:
    """Return the root that a leaf and its path lead to, or None when the path does not fit a tree of `leaves`."""
    if not 0 <= index < leaves:
        return None
    node, rest, width = _leaf(data), list(siblings), leaves
    while width > 1:
        if index ^ 1 < width:
            if not rest:
                return None
            sibling = rest.pop(0)
            node = _inner(sibling, node) if index % 2 else _inner(node, sibling)
        index, width = index // 2, (width + 1) // 2
    return None if rest else _root(leaves, node)
