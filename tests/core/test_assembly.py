"""Another state put together from nodes: whatever comes in whatever order, it is the proven one or none (design 5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbft.contents import Contents
from pbft.core.assembly import Assembly
from pbft.core.messages import pack
from pbft.core.snapshot import ForeignState, SectionRoot, Snapshot, Top, checkpoint_digest
from pbft.core.state_messages import MAX_FETCHED_NODES, NODES_BYTES, TOP, Address
from pbft.encoding import digest, encode
from pbft.trie import LEAF_ENTRIES, Inner, keys_of, place_of
from tests.core.states import (
    HEAD,
    bring,
    change,
    contents_of,
    differing,
    entries_of,
    freeze,
    nodes_of,
    snapshot_of,
    stands_at,
)

Entries = dict[bytes, bytes]

EDITS = st.lists(
    st.tuples(st.integers(0, 600), st.integers(1, 300), st.sampled_from([None, 1, 2, 40]))
    | st.tuples(st.integers(0, 600), st.integers(1, 4), st.sampled_from([700, 6_000, 20_000, 60_000])),
    max_size=4,
)
"""Runs of keys that are given values of some size, or removed: leaves and inner nodes come and go with them."""
STATES = st.lists(EDITS, min_size=3, max_size=3)
"""Edits of each of three sections."""


def edited(entries: Mapping[bytes, bytes], edits: list[tuple[int, int, int | None]]) -> Entries:
    """Return entries as they are after some edits."""
    found = dict(entries)
    for first, count, size in edits:
        for number in range(first, first + count):
            key = b"key-%d" % number
            if size is None:
                found.pop(key, None)
            else:
                found[key] = number.to_bytes(2, "big") * size
    return found


def writes(before: Mapping[bytes, bytes], after: Mapping[bytes, bytes]) -> dict[bytes, bytes | None]:
    """Return what to write to come from one content to another."""
    return {**{key: None for key in before if key not in after}, **after}


class Own:
    """Our own state: what was frozen of it, and what was written since."""

    def __init__(self, states: list[list[tuple[int, int, int | None]]]) -> None:
        self.entries = [edited({}, edits) for edits in states]
        self.sections = [contents_of(each) for each in self.entries]

    def freeze(self) -> Snapshot:
        return freeze(self.sections, 3)

    def write(self, states: list[list[tuple[int, int, int | None]]]) -> None:
        for number, edits in enumerate(states):
            after = edited(self.entries[number], edits)
            change(self.sections[number], writes(self.entries[number], after))
            self.entries[number] = after


def bent(payload: bytes, others: Iterator[bytes]) -> list[bytes]:
    """Return payloads that are not this one: a bit flipped at either end, cut, longer, empty, and some other node's."""
    flipped = [payload[:-1] + bytes([payload[-1] ^ 1]), bytes([payload[0] ^ 0x80]) + payload[1:]]
    return [*flipped, payload[:-1], payload + b"\0", b"", *(each for each in others if each != payload)]


def condition(assembly: Assembly, wanted: Mapping[Address, bytes]) -> tuple[object, ...]:
    """Return all that a refused node must leave as it was."""
    missing = [address for address in wanted if assembly.is_missing(address)]
    counts = (assembly.nodes, assembly.bytes, assembly.held, assembly.present_bytes, assembly.total_bytes)
    return (missing, counts, assembly.complete)


class Courier:
    """Somebody who fetches what is claimed, in any order, and loses, spoils and repeats some of it."""

    def __init__(self, assembly: Assembly, seed: int) -> None:
        self.assembly = assembly
        self.chance = Random(seed)
        self.claimed: list[Address] = []
        """Everything that was claimed for the present goal, for the first time."""

    def fetch(self, base: Snapshot, goal: Snapshot, most: int | None = None) -> None:
        """Go on until nothing is missing, or so many nodes came."""
        assembly, wanted = self.assembly, nodes_of(goal)
        under_way: list[list[Address]] = []
        came = 0
        while not assembly.complete and (most is None or came < most):
            addresses, size = assembly.claim()
            if addresses:
                assert len(addresses) <= MAX_FETCHED_NODES
                assert len(addresses) == 1 or size <= NODES_BYTES
                assert sum(len(wanted[each]) for each in addresses) <= size or len(addresses) == 1
                assert not [each for batch in under_way for each in batch if each in addresses]
                self.claimed += [each for each in addresses if each not in self.claimed]
                under_way.append(addresses)
                if self.chance.random() < 0.5:
                    continue
            batch = under_way.pop(self.chance.randrange(len(under_way)))
            if self.chance.random() < 0.2:
                batch = self.lose(batch)
            if self.chance.random() < 0.2:
                self.spoil(wanted, batch)
            self.chance.shuffle(batch)
            for address in batch:
                assert assembly.is_missing(address)
                assert assembly.put(address, wanted[address])
                assert not assembly.is_missing(address)
                # What comes twice is not missing any more, and not asked for again.
                assembly.unclaim([address])
                came += 1
            self.check(goal)

    def lose(self, batch: list[Address]) -> list[Address]:
        """Have some of what was claimed not come: it can be claimed again."""
        kept = [each for each in batch if self.chance.random() < 0.5]
        self.assembly.unclaim(each for each in batch if each not in kept)
        return kept

    def spoil(self, wanted: Mapping[Address, bytes], batch: list[Address]) -> None:
        """Bring something wrong in each place: it is refused and changes nothing."""
        before = condition(self.assembly, wanted)
        for address in batch:
            others = iter(self.chance.sample(list(wanted.values()), min(3, len(wanted))))
            for payload in bent(wanted[address], others):
                assert not self.assembly.put(address, payload)
        assert condition(self.assembly, wanted) == before

    def check(self, goal: Snapshot) -> None:
        """Show that each byte of the state is either here or below exactly one node that is missing."""
        if self.assembly.is_missing(TOP):
            assert (self.assembly.present_bytes, self.assembly.total_bytes) == (0, 0)
            return
        assert self.assembly.total_bytes == sum(_size(view.root) for view in goal.views)
        missing = [each for each in nodes_of(goal) if self.assembly.is_missing(each)]
        lacking = sum(_size(stands_at(goal, each)) for each in missing)
        assert self.assembly.present_bytes == self.assembly.total_bytes - lacking
        assert self.assembly.complete == (not missing)


def _size(node: object) -> int:
    return 0 if node is None else int(node.size)  # type: ignore[attr-defined]


def install(assembly: Assembly, sections: list[Contents]) -> None:
    """Put the outcome in the place of what is there."""
    _, replacements = assembly.replacements()
    for section, each in zip(sections, replacements, strict=True):
        section.install(each.base, each.writes, each.root)


@settings(max_examples=60)
@given(STATES, STATES, STATES, st.booleans(), st.integers(0, 2**32))
def test_any_state_becomes_the_proven_one(before, since, ahead, related, seed):
    """From any content to any other, whatever was written since the base: its entries, its tries, and nothing else.

    What has to come is exactly what differs from our own, each node once; earlier states of ours stay what they were.
    """
    own = Own(before)
    base, kept = own.freeze(), list(own.entries)
    proven = [edited(own.entries[number] if related else {}, edits) for number, edits in enumerate(ahead)]
    goal = snapshot_of(*proven)
    own.write(since)
    assembly = Assembly()
    assembly.begin(7, goal.digest, base)
    courier = Courier(assembly, seed)
    courier.fetch(base, goal)

    wanted = differing(base, goal)
    assert sorted(map(_place, courier.claimed)) == sorted(map(_place, wanted))
    assert (assembly.nodes, assembly.bytes) == (len(wanted), sum(map(len, wanted.values())))
    assert (
        assembly.present_bytes
        == assembly.total_bytes
        == sum(len(key) + len(value) for each in proven for key, value in each.items())
    )
    install(assembly, own.sections)
    assert [{key: section.get(key) for key in section} for section in own.sections] == proven
    after = own.freeze()
    assert [view.root for view in after.views] == [view.root for view in goal.views]
    assert freeze(own.sections).digest == goal.digest
    assert [entries_of(view) for view in after.views] == proven
    assert [entries_of(view) for view in base.views] == kept


def _place(address: Address) -> tuple[int, bytes]:
    return address.section, address.prefix


@settings(max_examples=60)
@given(STATES, st.lists(st.tuples(STATES, STATES, st.booleans(), st.integers(0, 40)), max_size=3), STATES)
def test_a_goal_that_moves_is_reached_all_the_same(before, moves, last):
    """Begun again for other states, each after some nodes came, while our own goes on: the last is what it becomes.

    What came for another goal is used where it is what this one names, and nowhere else.
    """
    own, assembly = Own(before), Assembly()
    entries = list(own.entries)
    for number, (ahead, since, again, most) in enumerate(moves):
        entries = [edited(each if again else {}, edits) for each, edits in zip(entries, ahead, strict=True)]
        base, goal = own.freeze(), snapshot_of(*entries, sequence=number)
        assembly.begin(number, goal.digest, base)
        Courier(assembly, most).fetch(base, goal, most)
        own.write(since)
    base = own.freeze()
    proven = [edited(each, edits) for each, edits in zip(entries, last, strict=True)]
    goal = snapshot_of(*proven)
    assembly.begin(7, goal.digest, base)
    assert not assembly.complete
    courier = Courier(assembly, 0)
    courier.fetch(base, goal)
    wanted = differing(base, goal)
    assert [each for each in courier.claimed if each not in wanted] == []
    install(assembly, own.sections)
    assert [{key: section.get(key) for key in section} for section in own.sections] == proven
    assert freeze(own.sections).digest == goal.digest
    assert [view.root for view in own.freeze().views] == [view.root for view in goal.views]


@settings(max_examples=60)
@given(STATES, STATES, STATES, st.integers(0, 60), st.integers(0, 2**32))
def test_what_came_is_not_fetched_again(before, ahead, further, most, seed):
    """After one move: of what differs from our own, exactly what is not here as it must be, and nothing of the rest."""
    own, assembly = Own(before), Assembly()
    base = own.freeze()
    first = [edited(each, edits) for each, edits in zip(own.entries, ahead, strict=True)]
    goal = snapshot_of(*first, sequence=1)
    assembly.begin(1, goal.digest, base)
    Courier(assembly, seed).fetch(base, goal, most)
    wanted = differing(base, goal)
    here = {each: wanted[each] for each in wanted if each != TOP and not assembly.is_missing(each)}
    # What stands below a node that is missing has not been met: it did not come.
    here = {each: here[each] for each in here if _met(assembly, each)}

    goal = snapshot_of(*(edited(each, edits) for each, edits in zip(first, further, strict=True)))
    assembly.begin(7, goal.digest, base)
    courier = Courier(assembly, seed)
    courier.fetch(base, goal)
    expected = [each for each, payload in differing(base, goal).items() if here.get(each) != payload]
    assert sorted(map(_place, courier.claimed)) == sorted(map(_place, expected))


def _met(assembly: Assembly, address: Address) -> bool:
    above = [Address(address.section, address.prefix[:length]) for length in range(len(address.prefix))]
    return not assembly.is_missing(TOP) and not any(assembly.is_missing(each) for each in above)


def grown(count: int, value: bytes = b"value") -> Entries:
    return {b"key-%d" % number: value for number in range(count)}


@pytest.mark.parametrize("counts", [(LEAF_ENTRIES + 8, 20), (20, LEAF_ENTRIES + 8), (2_000, 20), (20, 2_000)])
def test_a_place_that_splits_or_merges_between_goals(counts):
    """The root is a leaf for one goal and an inner node for the other: what came for the one never passes for both."""
    for own in ({}, grown(20), grown(LEAF_ENTRIES + 8), grown(30, b"other")):
        sections = [contents_of(own)]
        first, second = (grown(count) for count in counts)
        assembly = Assembly()
        goals = [snapshot_of(entries, sequence=number) for number, entries in enumerate((first, second, first, second))]
        for goal in goals:
            assembly.begin(goal.sequence, goal.digest, freeze(sections))
            assert assembly.put(TOP, goal.top)
            for address in assembly.claim()[0]:
                assembly.unclaim([address])
                if address.prefix == b"":
                    payload = goal.node(address)
                    assert payload is not None
                    assert assembly.put(address, payload)
        bring(assembly, goals[-1])
        install(assembly, sections)
        assert {key: sections[0].get(key) for key in sections[0]} == second
        assert freeze(sections, 3).digest == goals[-1].digest


def test_staged_nodes_of_equal_shape_do_not_pass_for_each_other():
    """Two goals that differ in a value alone: its leaf is fetched again, and no other."""
    first, second = {**grown(500)}, {**grown(500), b"key-7": b"VALUE"}
    assembly = Assembly()
    base, goal, other = snapshot_of({}), snapshot_of(first, sequence=1), snapshot_of(second, sequence=2)
    assembly.begin(1, goal.digest, base)
    bring(assembly, goal)
    assembly.begin(2, other.digest, base)
    again = bring(assembly, other)
    assert [each for each in again if each != TOP] == [
        each for each, payload in nodes_of(other).items() if each != TOP and goal.node(each) != payload
    ]
    sections = list(base.views)
    (replacement,) = assembly.replacements()[1]
    assert replacement.base is sections[0]
    assert replacement.writes[b"key-7"] == b"VALUE"


def test_what_is_claimed_last_is_what_was_found_last():
    """Depth first: of a large state the list of what is still to be asked for stays a few nodes a level, at any time.

    Under way is one answer's worth of inner nodes at most here; level by level the list would hold a whole level.
    """
    goal = snapshot_of(grown(3), grown(20_000))
    wanted = nodes_of(goal)
    depth = max(len(each.prefix) for each in wanted)
    level = max(sum(len(each.prefix) == length for each in wanted) for length in range(depth + 1))
    at_once = 48
    bound = 2 + 16 * depth * at_once
    assert bound < level
    assembly = Assembly()
    assembly.begin(7, goal.digest, snapshot_of({}, {}))
    missing, greatest = 1, 0
    while not assembly.complete:
        addresses, _ = assembly.claim()
        inner = [each for each in addresses if each != TOP and isinstance(stands_at(goal, each), Inner)]
        assert len(inner) <= at_once
        for address in addresses:
            assert assembly.put(address, wanted[address])
            missing += _named_by(goal, address) - 1
        greatest = max(greatest, missing)
    assert missing == 0
    assert greatest <= bound


def _named_by(goal: Snapshot, address: Address) -> int:
    if address == TOP:
        return sum(view.root is not None for view in goal.views)
    node = stands_at(goal, address)
    return sum(child is not None for child in node.children) if isinstance(node, Inner) else 0


def test_one_subtree_that_differs_is_all_that_is_claimed():
    """One value of ten thousand: the top, and the nodes on the way to it."""
    entries = grown(10_000)
    base, goal = snapshot_of({}, entries), snapshot_of({}, {**entries, b"key-5": b"other"})
    assembly = Assembly()
    assembly.begin(7, goal.digest, base)
    claimed = bring(assembly, goal)
    *way, leaf = claimed
    assert claimed == [TOP, *(Address(1, leaf.prefix[:length]) for length in range(len(claimed) - 1))]
    place = place_of(b"key-5").hex()
    assert [int(digit, 16) for digit in place[: len(leaf.prefix)]] == list(leaf.prefix)
    assert b"key-5" in list(keys_of(stands_at(goal, leaf)))
    assert len(way) >= 3


def test_an_equal_state_takes_its_top_alone():
    """As does an empty one."""
    for entries in (grown(500), {}):
        base = snapshot_of(entries, entries, sequence=3)
        assembly = Assembly()
        goal = snapshot_of(entries, entries)
        assembly.begin(7, goal.digest, base)
        assert bring(assembly, goal) == [TOP]
        top, replacements = assembly.replacements()
        assert (top.agreed_ms, top.head) == (5, HEAD)
        assert [(each.base, dict(each.writes), each.root) for each in replacements] == [
            (view, {}, view.root) for view in base.views
        ]


def test_what_is_under_way_is_not_claimed_twice_and_what_is_lost_is():
    """Until somebody says that it does not come; what has come, or was never missing, is not claimed again."""
    goal = snapshot_of(grown(500))
    assembly = Assembly()
    assembly.begin(7, goal.digest, snapshot_of({}))
    assert assembly.claim()[0] == [TOP]
    assert assembly.claim() == ([], 0)
    assembly.unclaim([TOP, Address(0, b"\1"), Address(9, b"")])
    assert assembly.claim()[0] == [TOP]
    assert assembly.put(TOP, goal.top)
    assembly.unclaim([TOP])
    assert assembly.claim()[0] == [Address(0, b"")]
    assert assembly.claim() == ([], 0)


def test_one_claim_is_what_one_answer_holds():
    """At most so many nodes and so many bytes, as far as their parents tell; a larger node is claimed alone."""
    large = {b"large-%d" % number: bytes(40_000 + number) for number in range(8)} | {b"huge": bytes(2**20)}
    goal = snapshot_of(large, grown(9_000, b"v" * 30))
    assembly = Assembly()
    assembly.begin(7, goal.digest, snapshot_of({}, {}))
    most = 0
    while not assembly.complete:
        addresses, size = assembly.claim()
        payloads = [goal.node(each) or b"" for each in addresses]
        most = max(most, len(addresses))
        assert len(addresses) <= MAX_FETCHED_NODES
        assert size <= NODES_BYTES or len(addresses) == 1
        assert sum(map(len, payloads)) <= size + 1
        for address, payload in zip(addresses, payloads, strict=True):
            assert assembly.put(address, payload)
    assert most > 40


# States that a quorum vouches for, and that this release or application does not have.


def proven(*roots: SectionRoot, version: int = 2) -> tuple[bytes, bytes]:
    """Return a top with these sections' roots, and the digest that a quorum vouches for."""
    top = pack(Top(version, 5, HEAD, roots))
    return top, checkpoint_digest(7, top)


def begun(top: bytes, named: bytes, sections: int = 1) -> Assembly:
    assembly = Assembly()
    assembly.begin(7, named, snapshot_of(*({} for _ in range(sections))))
    assert assembly.put(TOP, top)
    return assembly


@pytest.mark.parametrize(
    ("count", "size", "payload", "sentence"),
    [
        (1, 2, b"\xff", "not canonical CBOR"),
        (1, 2, encode([b"a", b"b", b"c"]), "as many as its parent says"),
        (2, 4, encode([b"a", b"1", b"a", b"2"]), "a leaf's keys ascend"),
        (1, 3, encode([b"a", b"1"]), "as many bytes as its parent says"),
        (40, 80, encode([None] * 15), "an inner node names 16 subtrees"),
        (40, 80, encode([[39, 80, bytes(32)]] + [None] * 15), "as many entries and bytes as its parent says"),
    ],
)
def test_a_node_that_a_quorum_proves_and_nobody_can_read_stops_the_replica(count, size, payload, sentence):
    """No source is to blame, so that asking another would go on for ever: a sentence says what it is."""
    kind = b"pbft/trie-leaf" if count <= LEAF_ENTRIES else b"pbft/trie-inner"
    assembly = begun(*proven(SectionRoot(count, size, digest(kind, payload))))
    with pytest.raises(ForeignState, match=f"holds a node that this release cannot read: .*{sentence}"):
        assembly.put(Address(0, b""), payload)


def test_a_state_with_other_sections_is_of_another_application():
    """More parts or fewer: what to look at is said."""
    empty = SectionRoot(0, 0, bytes(32))
    top, named = proven(empty, empty)
    for sections in (1, 3):
        with pytest.raises(ForeignState, match=f"has 2 parts and this application's {sections}: .* another appl"):
            begun(top, named, sections)
    assert begun(top, named, 2).complete
