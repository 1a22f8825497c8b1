"""States for tests of checkpoints and transfers: snapshots of plain maps, every node of one, and the way over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pbft.contents import Contents, View
from pbft.core.assembly import Assembly
from pbft.core.execution import Execution
from pbft.core.snapshot import Snapshot
from pbft.core.state_messages import TOP, Address
from pbft.trie import Inner, Node, find

HEAD = bytes(range(32))


def contents_of(entries: Mapping[bytes, bytes]) -> Contents:
    """Return a map with some entries."""
    contents = Contents()
    change(contents, entries)
    return contents


def change(contents: Contents, writes: Mapping[bytes, bytes | None]) -> None:
    """Write into a map, or remove from it."""
    for key, value in writes.items():
        contents.write(key, value)


def freeze(sections: Iterable[Contents], sequence: int = 7, agreed_ms: int = 5, head: bytes = HEAD) -> Snapshot:
    """Return a snapshot of these sections as they are now."""
    return Snapshot(sequence, agreed_ms, head, [each.freeze() for each in sections])


def snapshot_of(*sections: Mapping[bytes, bytes], sequence: int = 7) -> Snapshot:
    """Return a snapshot of a state that nothing else is known of."""
    return freeze([contents_of(each) for each in sections], sequence)


def entries_of(view: View) -> dict[bytes, bytes]:
    """Return what a view holds, by its trie."""
    found = {}
    for node in _walk(view.root):
        if not isinstance(node[1], Inner):
            for key in node[1].keys:
                value = view.get(key)
                assert value is not None
                found[key] = value
    return found


def stands_at(snapshot: Snapshot, address: Address) -> Node | None:
    """Return what stands somewhere in a section."""
    return find(snapshot.views[address.section].root, address.prefix)


def nodes_of(snapshot: Snapshot) -> dict[Address, bytes]:
    """Return every node by its address, the top first and each below the one that names it."""
    found = {TOP: snapshot.top}
    for section, view in enumerate(snapshot.views):
        for prefix, _ in _walk(view.root):
            address = Address(section, prefix)
            payload = snapshot.node(address)
            assert payload is not None
            found[address] = payload
    return found


def differing(own: Snapshot, other: Snapshot) -> dict[Address, bytes]:
    """Return the nodes of another state that are not where they stand there in our own: the least that it takes."""
    return {
        address: payload
        for address, payload in nodes_of(other).items()
        if address == TOP or stands_at(own, address) != stands_at(other, address)
    }


def bring(assembly: Assembly, source: Snapshot) -> list[Address]:
    """Bring whatever is claimed until nothing is missing; return what was, in order."""
    claimed: list[Address] = []
    while not assembly.complete:
        addresses, size = assembly.claim()
        assert addresses
        assert size > 0
        for address in addresses:
            payload = source.node(address)
            assert payload is not None
            assert assembly.put(address, payload)
        claimed += addresses
    assert assembly.claim() == ([], 0)
    return claimed


def take_over(execution: Execution, source: Snapshot, base: Snapshot | None = None) -> list[Address]:
    """Install a state in place of an execution's own, of which `base` is known; return what had to be brought."""
    assembly = Assembly()
    assembly.begin(source.sequence, source.digest, base or execution.snapshot())
    brought = bring(assembly, source)
    execution.install(source.sequence, *assembly.replacements())
    return brought


def _walk(root: Node | None, prefix: bytes = b"") -> list[tuple[bytes, Node]]:
    if root is None:
        return []
    found = [(prefix, root)]
    if isinstance(root, Inner):
        for number, child in enumerate(root.children):
            found += _walk(child, prefix + bytes([number]))
    return found


def distinct(states: Sequence[bytes]) -> bool:
    """Say whether no two digests are equal."""
    return len(dict.fromkeys(states)) == len(states)
