"""The replicated state at one sequence: its sections, frozen, and the checkpoint's digest over them (OSDI'99 4.3).

Owns: what stands above the sections' Merkle tries, the digest of it all, and the nodes by which somebody else can build
the same state. Knows nothing of what the sections say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pbft.contents import ALL, View
from pbft.core.codec import Digest, Small, Uint, Within, pack, unpack
from pbft.core.state_messages import TOP, Address
from pbft.encoding import DIGEST_BYTES, EncodingError, digest
from pbft.errors import PbftError
from pbft.trie import Named, Node

SNAPSHOT_VERSION: Final = 2
"""How a state is written down, so that none is read in another way."""

MAX_SECTIONS: Final = 1_024
"""The client table, an application's scalars and its Tables."""


class ForeignState(PbftError, RuntimeError):
    """A quorum vouches for a state that this replica's application cannot have: it runs another one than the group."""


@dataclass(frozen=True, slots=True)
class SectionRoot:
    """The root of one section's trie: how many entries and bytes it has, and its digest; all zero where it is empty."""

    count: Uint
    size: Uint
    digest: Digest


@dataclass(frozen=True, slots=True)
class Top:
    """What the checkpoint's digest is made of (design 4.7)."""

    version: Small
    agreed_ms: Uint
    head: Digest
    sections: Annotated[tuple[SectionRoot, ...], Within(1, MAX_SECTIONS)]

    def root(self, section: int) -> Named | None:
        """Return what a section's root must be, None where the section is empty."""
        root = self.sections[section]
        return Named(root.count, root.size, root.digest) if root.count else None

    @property
    def size(self) -> int:
        """Bytes of keys and values of all sections."""
        return sum(root.size for root in self.sections)


def read_top(payload: bytes, sequence: int, digest: bytes) -> Top | None:
    """Return the top of the state whose checkpoint has this digest, or None when these bytes are not it.

    Raises ForeignState when they are, and this release cannot read them.
    """
    if checkpoint_digest(sequence, payload) != digest:
        return None
    try:
        top = unpack(Top, payload)
    except EncodingError as error:
        raise ForeignState(f"the group's state begins with what this release cannot read: {error}") from None
    if top.version != SNAPSHOT_VERSION:
        raise ForeignState(f"a state of version {top.version}, where this release reads {SNAPSHOT_VERSION}")
    return top


def checkpoint_digest(sequence: int, top: bytes) -> bytes:
    """Return what a CHECKPOINT vouches for: the sequence and the whole state after it."""
    return digest(b"pbft/checkpoint", sequence.to_bytes(8, "big"), top)


@dataclass(frozen=True, slots=True)
class Replacement:
    """How one section becomes another: from a view of it, what to write and to remove (None), and the new root."""

    base: View
    writes: Mapping[bytes, bytes | None]
    root: Node | None


class Snapshot:
    """The state after a sequence, fixed, whatever is written later. Its digest is made in slices."""

    def __init__(self, sequence: int, agreed_ms: int, head: bytes, views: Sequence[View]) -> None:
        self.sequence = sequence
        self.views = tuple(views)
        """The sections, frozen: the client table, the application's scalars, its Tables."""
        self._agreed_ms = agreed_ms
        self._head = head
        self._top = b""
        self._digest = b""

    def settle(self, steps: int = ALL) -> int:
        """Digest as many nodes at most towards the checkpoint's digest; return how many of them are left."""
        for view in self.views:
            steps = view.settle(steps)
        return steps

    @property
    def settled(self) -> bool:
        """Whether the digest is known without further work."""
        return all(view.settled for view in self.views)

    @property
    def size(self) -> int:
        """Bytes of keys and values of all sections; whatever is left to digest is done now."""
        return sum(root.size for view in self.views if (root := view.root) is not None)

    @property
    def top(self) -> bytes:
        """What the digest is made of, packed; whatever is left to digest is done now."""
        if not self._top:
            sections = tuple(_root(view) for view in self.views)
            self._top = pack(Top(SNAPSHOT_VERSION, self._agreed_ms, self._head, sections))
        return self._top

    @property
    def digest(self) -> bytes:
        """What a CHECKPOINT for this state vouches for."""
        if not self._digest:
            self._digest = checkpoint_digest(self.sequence, self.top)
        return self._digest

    def node(self, address: Address) -> bytes | None:
        """Return a node as it is digested and sent, None where there is none."""
        if address == TOP:
            return self.top
        if address.section >= len(self.views):
            return None
        return self.views[address.section].payload(address.prefix)


def _root(view: View) -> SectionRoot:
    root = view.root
    return SectionRoot(0, 0, bytes(DIGEST_BYTES)) if root is None else SectionRoot(root.count, root.size, root.digest)
