"""Another state put together from nodes: its own parts where they are equal, those of others where they are not.

Owns: the walk from a checkpoint's digest down, which nodes are missing, the check of each against the digest that its
parent names, and the outcome as replacements of sections. Asks nobody and installs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pbft.core.snapshot import ForeignState, Replacement, Snapshot, Top, read_top
from pbft.core.state_messages import MAX_FETCHED_NODES, NODES_BYTES, TOP, Address
from pbft.encoding import EncodingError
from pbft.trie import FANOUT, Inner, Leaf, Named, Node, find, keys_of, read_inner, read_leaf

_TOP_BYTES = 4 * 1024
"""What the top is taken for before it has come."""
_INNER_BYTES = 1_024
"""More than most inner nodes take."""
_ENTRY_BYTES = 10
"""More than the lengths before a key and its value take in a leaf."""

Children = tuple[Named | None, ...]


@dataclass(frozen=True, slots=True)
class _Held:
    """A node that came: what its parent named it by, and the children that it names or the entries that it holds."""

    named: Named
    children: Children = ()
    leaf: Leaf | None = None
    values: tuple[bytes, ...] = ()


@dataclass(slots=True)
class _Outcome:
    """What becomes of a section: what is written, and what was there where something else is now."""

    writes: dict[bytes, bytes | None] = field(default_factory=dict)
    gone: list[bytes] = field(default_factory=list)


class Assembly:
    """The state at one checkpoint, as far as it is known."""

    def __init__(self) -> None:
        self._sequence = 0
        self._digest = b""
        self._base: Snapshot | None = None
        self._top: Top | None = None
        self._missing: dict[Address, Named | None] = {}
        """What each node that is to come must be."""
        self._unclaimed: dict[Address, None] = {}
        """Those that nobody was asked for. The latest is claimed first: depth first keeps the list short."""
        self._held: dict[Address, _Held] = {}
        self._older: dict[Address, _Held] = {}
        """Nodes that came while another checkpoint was fetched, and were not met again yet."""
        self.nodes = 0
        """How many nodes came, for whatever checkpoint."""
        self.bytes = 0
        """How many bytes they had."""
        self.present_bytes = 0
        """Bytes of keys and values that are here: in our own state, or in what came."""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self._top is not None and not self._missing

    @property
    def total_bytes(self) -> int:
        """Bytes of keys and values of the whole state, 0 until its top has come."""
        return 0 if self._top is None else self._top.size

    @property
    def held(self) -> int:
        """How many nodes are kept."""
        return len(self._held) + len(self._older)

    def begin(self, sequence: int, digest: bytes, base: Snapshot) -> None:
        """Walk down from a checkpoint's digest; what came for the checkpoint before is used where it is equal."""
        self._sequence, self._digest, self._base = sequence, digest, base
        self._older, self._held = {**self._older, **self._held}, {}
        self._top = None
        self.present_bytes = 0
        self._missing, self._unclaimed = {TOP: None}, {TOP: None}

    def is_missing(self, address: Address) -> bool:
        """Say whether the node that stands there is still to come."""
        return address in self._missing

    def claim(self) -> tuple[list[Address], int]:
        """Return missing nodes that nobody was asked for, as many as one answer holds, and about how large they are."""
        claimed: list[Address] = []
        total = 0
        while self._unclaimed and len(claimed) < MAX_FETCHED_NODES:
            address = next(reversed(self._unclaimed))
            size = self._size(address)
            if claimed and total + size > NODES_BYTES:
                break
            del self._unclaimed[address]
            claimed.append(address)
            total += size
        return claimed, total

    def unclaim(self, addresses: Iterable[Address]) -> None:
        """Whoever was asked for these nodes did not bring them."""
        self._unclaimed.update((address, None) for address in addresses if address in self._missing)

    def _size(self, address: Address) -> int:
        named = self._missing[address]
        if named is None:
            return _TOP_BYTES
        return named.size + _ENTRY_BYTES * named.count if named.is_leaf else _INNER_BYTES

    def put(self, address: Address, payload: bytes) -> bool:
        """Take in a missing node; say whether it is what its parent names, and else leave it missing.

        Raises ForeignState for a proven state that this release, or this application, does not have.
        """
        if address == TOP:
            return self._put_top(payload)
        named = self._missing[address]
        assert named is not None
        if not named.matches(payload):
            return False
        try:
            held = _read(named, payload, address)
        except EncodingError as error:
            # A quorum vouches for it, so no source is to blame.
            raise ForeignState(f"the group's state holds a node that this release cannot read: {error}") from None
        self._came(address, payload)
        self._keep(address, held)
        return True

    def _came(self, address: Address, payload: bytes) -> None:
        del self._missing[address]
        self._unclaimed.pop(address, None)
        self.nodes += 1
        self.bytes += len(payload)

    def _put_top(self, payload: bytes) -> bool:
        top = read_top(payload, self._sequence, self._digest)
        if top is None:
            return False
        assert self._base is not None
        if len(top.sections) != len(self._base.views):
            raise ForeignState(
                f"the group's state has {len(top.sections)} parts and this application's {len(self._base.views)}: "
                "this replica runs another application than the others"
            )
        self._came(TOP, payload)
        self._top = top
        for section in range(len(top.sections)):
            self._visit(Address(section, b""), top.root(section))
        return True

    def _visit(self, address: Address, named: Named | None) -> None:
        """Go on below a node that is here, and note it as missing if it is not."""
        if named is None:
            return
        if _same(self._own(address), named):
            self.present_bytes += named.size
            return
        older = self._older.pop(address, None)
        if older is not None and older.named == named:
            self._keep(address, older)
        else:
            self._missing[address] = named
            self._unclaimed[address] = None

    def _keep(self, address: Address, held: _Held) -> None:
        self._held[address] = held
        if held.leaf is not None:
            self.present_bytes += held.named.size
        for number, child in enumerate(held.children):
            self._visit(Address(address.section, address.prefix + bytes([number])), child)

    def _own(self, address: Address) -> Node | None:
        """Return what stands at a place in our own state."""
        assert self._base is not None
        return find(self._base.views[address.section].root, address.prefix)

    # The outcome.

    def replacements(self) -> tuple[Top, list[Replacement]]:
        """Return the top and how each section becomes the proven one. Nothing is missing when this is called."""
        assert self._top is not None
        assert self._base is not None
        replacements = []
        for section, view in enumerate(self._base.views):
            outcome = _Outcome()
            root = self._build(Address(section, b""), self._top.root(section), view.root, outcome)
            for key in outcome.gone:
                outcome.writes.setdefault(key, None)
            replacements.append(Replacement(view, outcome.writes, root))
        return self._top, replacements

    def _build(self, address: Address, named: Named | None, own: Node | None, outcome: _Outcome) -> Node | None:
        """Return the node that stands at a place, and note what it takes to come from our own state to it."""
        if named is None:
            outcome.gone += keys_of(own)
            return None
        if _same(own, named):
            return own
        held = self._held[address]
        if held.leaf is not None:
            outcome.gone += keys_of(own)
            outcome.writes.update(zip(held.leaf.keys, held.values, strict=True))
            return held.leaf
        if isinstance(own, Leaf):
            outcome.gone += own.keys
        below = own.children if isinstance(own, Inner) else (None,) * FANOUT
        children = tuple(
            self._build(Address(address.section, address.prefix + bytes([number])), child, below[number], outcome)
            for number, child in enumerate(held.children)
        )
        return Inner(children, named.count, named.size, named.digest)


def _same(own: Node | None, named: Named) -> bool:
    return own is not None and (own.count, own.size, own.digest) == (named.count, named.size, named.digest)


def _read(named: Named, payload: bytes, address: Address) -> _Held:
    if not named.is_leaf:
        return _Held(named, children=read_inner(payload, named))
    entries = read_leaf(payload, named, address.prefix)
    leaf = Leaf(tuple(entries), named.size, named.digest)
    return _Held(named, leaf=leaf, values=tuple(entries.values()))
