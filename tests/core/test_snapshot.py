"""Snapshots: a digest over all of the state, nodes that lead to it, nothing else that does (OSDI'99 4.3; design 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbft.core.messages import pack, unpack
from pbft.core.snapshot import SNAPSHOT_VERSION, ForeignState, SectionRoot, Snapshot, Top, checkpoint_digest, read_top
from pbft.core.state_messages import TOP, Address
from pbft.encoding import encode
from pbft.trie import Named, Prefix, read_inner, read_leaf
from tests.core.states import HEAD, change, contents_of, distinct, entries_of, freeze, nodes_of, snapshot_of

ENTRIES = st.dictionaries(st.binary(min_size=1, max_size=4), st.sampled_from([0, 1, 9, 700, 9_000]), max_size=60)
"""Keys, and how long their values are."""
SECTIONS = st.lists(ENTRIES, min_size=1, max_size=3)


def filled(sizes: Mapping[bytes, int]) -> dict[bytes, bytes]:
    """Return entries with values of these sizes, each of its own."""
    return {key: (key * size)[:size] for key, size in sizes.items()}


def read(snapshot: Snapshot) -> list[dict[bytes, bytes]]:
    """Return what all nodes say, each of them checked against the one above it, from the digest down."""
    payload = snapshot.node(TOP)
    assert payload is not None
    top = read_top(payload, snapshot.sequence, snapshot.digest)
    assert top is not None
    found: list[dict[bytes, bytes]] = []
    for section in range(len(top.sections)):
        found.append({})
        waiting: list[tuple[Prefix, Named | None]] = [(b"", top.root(section))]
        while waiting:
            prefix, named = waiting.pop()
            node = snapshot.node(Address(section, prefix))
            assert (node is None) == (named is None)
            if node is None or named is None:
                continue
            assert named.matches(node)
            if named.is_leaf:
                found[-1] |= read_leaf(node, named, prefix)
            else:
                waiting += [(prefix + bytes([number]), each) for number, each in enumerate(read_inner(node, named))]
    return found


@settings(max_examples=50)
@given(st.integers(0, 2**63 - 1), SECTIONS)
def test_the_digest_leads_to_every_entry(sequence, sizes):
    """Node by node, each checked on its own: together they are the sections, and the top says how large they are."""
    sections = [filled(each) for each in sizes]
    snapshot = snapshot_of(*sections, sequence=sequence)
    assert read(snapshot) == sections
    top = read_top(snapshot.top, sequence, snapshot.digest)
    assert top is not None
    assert top.size == sum(len(key) + len(value) for each in sections for key, value in each.items())
    assert (top.agreed_ms, top.head) == (5, HEAD)


@given(SECTIONS, st.data())
def test_a_top_altered_or_of_another_sequence_is_none(sizes, data):
    """Whatever bytes are claimed for a digest: none but those that it was made of, and never an exception."""
    snapshot = snapshot_of(*map(filled, sizes))
    top = snapshot.top
    at, bit = data.draw(st.integers(0, len(top) - 1)), 1 << data.draw(st.integers(0, 7))
    bent = top[:at] + bytes([top[at] ^ bit]) + top[at + 1 :]
    for other in (bent, top[:at], top + b"\0", b"", data.draw(st.binary(max_size=60)), snapshot.digest):
        assert read_top(other, 7, snapshot.digest) is None
    for sequence in (0, 6, 8, 2**63 - 1):
        assert read_top(top, sequence, snapshot.digest) is None
    digest = bytearray(snapshot.digest)
    digest[at % 32] ^= bit
    assert read_top(top, 7, bytes(digest)) is None
    assert read_top(top, 7, snapshot.digest) == unpack(Top, top)


def test_the_digest_depends_on_sequence_and_content_only():
    """Each difference shows, also which section an entry is in; the fixed value would reveal a change of the format."""
    parts: list[list[dict[bytes, bytes]]] = [
        [{b"a": b"1"}, {b"b": b"2"}],
        [{b"b": b"2"}, {b"a": b"1"}],
        [{b"a": b"1", b"b": b"2"}, {}],
        [{}, {b"a": b"1", b"b": b"2"}],
        [{b"a": b"1b2"}, {}],
        [{b"a": b"1"}, {b"b": b"2"}, {}],
        [{b"a": b"1"}, {b"b": b"3"}],
        [{b"a": b"1"}, {b"c": b"2"}],
        [{}, {}],
        [{}],
    ]
    one = [contents_of(each) for each in parts[0]]
    others = [freeze(one, 8), freeze(one, agreed_ms=6), freeze(one, head=bytes(32))]
    digests = [snapshot_of(*each).digest for each in parts] + [each.digest for each in others]
    assert distinct(digests)

    crooked = [contents_of({b"z": b"9"}), contents_of({b"b": b"9"})]
    freeze(crooked)
    change(crooked[0], {b"z": None, b"a": b"1"})
    change(crooked[1], {b"b": b"2"})
    assert freeze(crooked).digest == digests[0]
    assert digests[0].hex() == "758684c92a3eab5cd1e5edb974d8f27942bbc1c43a96cf1e3a2409aa32435b14"


SHIFTS = st.lists(st.dictionaries(st.integers(0, 90), st.none() | st.integers(0, 3), max_size=40), max_size=4)


@settings(max_examples=50)
@given(SHIFTS, SHIFTS, st.integers(1, 5))
def test_a_snapshot_is_that_of_its_moment_whatever_is_written_later(before, after, steps):
    """Its digest may be made at once or a few nodes at a time, while others are taken: it is the same."""
    section, twin = contents_of({}), contents_of({})

    def write(changes: dict[int, int | None]) -> None:
        for each in (section, twin):
            change(each, {encode(key): None if value is None else bytes(value * 900) for key, value in changes.items()})

    for changes in before:
        write(changes)
        freeze([section])
    lazy, eager = freeze([section, section]), freeze([twin, twin])
    entries = {key: twin.get(key) for key in twin}
    expected = eager.digest
    later = [lazy]
    for changes in after:
        write(changes)
        lazy.settle(steps)
        later.append(freeze([section], sequence=len(later)))
    while not lazy.settled:
        assert lazy.settle(steps) < steps or lazy.settled
    assert lazy.settle(steps) == steps
    assert lazy.digest == expected
    assert [entries_of(view) for view in lazy.views] == [entries, entries]
    assert nodes_of(lazy) == nodes_of(eager)
    assert later[-1].digest == freeze([twin], sequence=len(later) - 1).digest or not after


def test_a_snapshot_costs_what_changed():
    """Of ten thousand entries three were written: it says so, and makes a few nodes, the top's digest aside."""
    section = contents_of({b"key-%d" % number: b"v" for number in range(10_000)})
    first = freeze([section])
    assert not first.settled
    assert len(first.digest) == 32
    change(section, {b"key-1": b"x", b"key-2": None, b"new": b"y"})
    second = freeze([section])
    assert not second.settled
    assert second.settle(1_000) > 1_000 - 3 * 6
    assert second.settle(9) == 9
    assert 3 <= sum(view.made for view in second.views) <= 3 * 5
    assert freeze([section]).settled


@pytest.mark.parametrize(
    "address",
    [
        Address(2, b""),
        Address(2**16 - 2, b""),
        Address(2**16 - 1, b"\0"),
        Address(0, b"\0"),
        Address(0, bytes(64)),
        Address(1, b"\x10"),
        Address(1, b"\xff"),
        Address(1, bytes(64)),
    ],
)
def test_where_nothing_stands_there_is_no_node(address):
    """No such section, below a leaf, beside the sixteen: places come from other replicas."""
    snapshot = snapshot_of({b"a": b"1"}, {encode(number): b"v" for number in range(500)})
    assert snapshot.node(address) is None
    assert snapshot.node(Address(0, b"")) is not None
    assert snapshot.node(Address(1, b"\0")) is not None


FINE = Top(SNAPSHOT_VERSION, 5, HEAD, (SectionRoot(1, 2, bytes(32)),))


@pytest.mark.parametrize(
    ("top", "sentence"),
    [
        (pack(replace(FINE, version=SNAPSHOT_VERSION + 1)), "a state of version 3, where this release reads 2"),
        (pack(replace(FINE, version=1)), "a state of version 1, where this release reads 2"),
        (b"", "cannot read"),
        (pack(FINE) + b"\0", "cannot read"),
        (encode([3, 5, HEAD, [], b"what version 3 adds"]), "cannot read"),
        (encode([SNAPSHOT_VERSION, 5, HEAD, []]), "cannot read"),
        (encode([SNAPSHOT_VERSION, -1, HEAD, [[1, 2, bytes(32)]]]), "cannot read"),
        (encode([SNAPSHOT_VERSION, 5, HEAD, [[1, 2, bytes(31)]]]), "cannot read"),
    ],
    ids=[
        "later",
        "earlier",
        "nothing",
        "a byte more",
        "a field more",
        "no section",
        "a negative time",
        "a short digest",
    ],
)
def test_a_top_that_a_quorum_proves_and_nobody_can_read_stops_the_replica(top, sentence):
    """No source is to blame, so that asking another would go on for ever: a sentence says what it is."""
    assert read_top(pack(FINE), 7, checkpoint_digest(7, pack(FINE))) == FINE
    named: Any = checkpoint_digest(7, top)
    with pytest.raises(ForeignState, match=sentence):
        read_top(top, 7, named)
