"""Messages by which replicas exchange state: nodes of its trie, and what an operation did to it (design 5).

Owns: their fields and limits. All are authenticated by the link alone: what a node says is checked by digest, and what
one replica recalls counts when f+1 recall it alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from pbft.core.codec import Digest, Opaque, Small, Uint, Within
from pbft.trie import MAX_DEPTH


@dataclass(frozen=True, slots=True)
class Address:
    """Where a node of the state stands: in which section, and the nibbles that lead to it from the section's root."""

    section: Small
    prefix: Annotated[bytes, Within(0, MAX_DEPTH)]


TOP: Final = Address(2**16 - 1, b"")
"""Above the sections' roots: what the checkpoint's digest is made of (`pbft.core.snapshot.Top`)."""

NODES_BYTES: Final = 48 * 1024
"""What one NODES holds at most, but for a single node that is larger."""

MAX_FETCHED_NODES: Final = 256
"""Nodes that one FETCH may ask for, and one NODES may bring."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """A replica asks for nodes of the state at a stable checkpoint, by their places (design 5)."""

    sequence: Uint
    digest: Digest
    addresses: Annotated[tuple[Address, ...], Within(1, MAX_FETCHED_NODES)]


@dataclass(frozen=True, slots=True)
class NodeAt:
    """One node, as it is digested: `pbft.trie.write_inner` or `write_leaf`, or the packed top."""

    address: Address
    payload: Opaque


@dataclass(frozen=True, slots=True)
class Nodes:
    """Nodes of the state at a checkpoint. Each is checked against the digest that its parent names it by."""

    sequence: Uint
    nodes: Annotated[tuple[NodeAt, ...], Within(1, MAX_FETCHED_NODES)]


MOST_RECALLED: Final = 4_096
"""Items that one RECALLED may bring: sequences of a log, operations of a batch, or keys that an operation wrote."""

BATCHES, OPERATIONS, WRITES = range(3)
"""What a RECALL asks for: what each of some sequences did, each operation of one, or the writes of one operation."""


@dataclass(frozen=True, slots=True)
class Recall:
    """A replica whose state differs asks what others remember of how theirs came about (design 5)."""

    level: Annotated[int, Within(BATCHES, WRITES)]
    first: Uint
    last: Uint
    """Sequences, both included; equal but for BATCHES."""
    operation: Uint
    """The position of an operation in its batch, for WRITES; else 0."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """The answer to a RECALL: a digest for each sequence or operation, or each write as it is encoded."""

    asked: Recall
    items: Annotated[tuple[Annotated[bytes, Within(0, 4_096)], ...], Within(0, MOST_RECALLED)]
