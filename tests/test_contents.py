"""Contents and their views: a dict in what they hold, a function of it in their digest, whatever happens in between."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from types import CodeType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import pbft.trie
from pbft.contents import Contents, View
from pbft.encoding import encode
from pbft.trie import LEAF_ENTRIES, Inner, Leaf, Named, keys_of, read_inner, read_leaf, root_digest
from tests.interrupting import codes, cut_short
from tests.tries import depth_of, fresh, keys_below, walk

# Places that share many nibbles, few and none, so that leaves split and come together on every level.
POOL = [*keys_below(b"\x05\x0a\x03", 40), *keys_below(b"\x05\x0a", 30), *keys_below(b"\x0c", 20), *keys_below(b"", 60)]
KEYS = st.sampled_from(list(dict.fromkeys(POOL)))
VALUES = st.integers(0, 3).map(encode) | st.sampled_from([0, 500, 600, 5_000, 17_000]).map(bytes)
WRITES = st.dictionaries(KEYS, st.none() | VALUES, max_size=60)

Items = dict[bytes, bytes]


def write_all(contents: Contents, model: Items, writes: Mapping[bytes, bytes | None]) -> None:
    for key, value in writes.items():
        contents.write(key, value)
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value


def content_of(contents: Contents) -> dict[bytes, bytes | None]:
    return {key: contents.get(key) for key in contents}


def check_view(view: View, then: Items) -> None:
    """Assert that a view has everything of a content, and nothing else."""
    assert {key: value for key in POOL if (value := view.get(key)) is not None} == then
    assert view.root == fresh(then)
    assert view.digest == root_digest(fresh(then))
    assert sorted(keys_of(view.root)) == sorted(then)
    found: Items = {}
    for prefix, node in walk(view.root):
        payload, named = view.payload(prefix), Named(node.count, node.size, node.digest)
        assert payload is not None
        assert named.matches(payload)
        if isinstance(node, Leaf):
            found.update(read_leaf(payload, named, prefix))
        else:
            children = tuple(each and Named(each.count, each.size, each.digest) for each in node.children)
            assert read_inner(payload, named) == children
    assert found == then


class AgainstDict(RuleBasedStateMachine):
    """Contents and a plain dict, given the same writes, with views taken, settled, dropped and gone back to."""

    def __init__(self) -> None:
        super().__init__()
        self.contents = Contents()
        self.model: Items = {}
        self.saved: Items | None = None
        self.views: list[tuple[View, Items]] = []

    @rule(writes=WRITES)
    def write(self, writes: dict[bytes, bytes | None]) -> None:
        write_all(self.contents, self.model, writes)

    @rule(key=KEYS, value=st.none() | VALUES)
    def write_one(self, key: bytes, value: bytes | None) -> None:
        write_all(self.contents, self.model, {key: value})

    @rule(data=st.data())
    def remove_most(self, data: st.DataObject) -> None:
        keep = data.draw(st.sets(st.sampled_from(sorted(self.model)), max_size=3)) if self.model else ()
        write_all(self.contents, self.model, {key: None for key in list(self.model) if key not in keep})

    @rule()
    def freeze(self) -> None:
        view = self.contents.freeze()
        assert self.contents.freeze() is view
        self.views.append((view, dict(self.model)))

    @precondition(lambda self: self.views)
    @rule(data=st.data(), steps=st.integers(0, 40))
    def settle(self, data: st.DataObject, steps: int) -> None:
        view, _ = data.draw(st.sampled_from(self.views))
        left = view.settle(steps)
        assert 0 <= left <= steps
        assert view.settled or left == 0

    @precondition(lambda self: self.views)
    @rule(data=st.data())
    def look_back(self, data: st.DataObject) -> None:
        check_view(*data.draw(st.sampled_from(self.views)))

    @precondition(lambda self: self.views)
    @rule(data=st.data())
    def since(self, data: st.DataObject) -> None:
        view, then = data.draw(st.sampled_from(self.views))
        before = view.since()
        assert {key: then.get(key) for key in before} == before
        for key in POOL:
            assert key in before or then.get(key) == self.model.get(key)

    @precondition(lambda self: self.views)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.views.pop(data.draw(st.integers(0, len(self.views) - 1)))

    @precondition(lambda self: self.saved is None)
    @rule()
    def begin(self) -> None:
        self.contents.begin()
        self.saved = dict(self.model)

    @precondition(lambda self: self.saved is not None)
    @rule()
    def commit(self) -> None:
        assert self.contents.changed == (self.saved != self.model)
        self.contents.commit()
        self.saved = None

    @precondition(lambda self: self.saved is not None)
    @rule()
    def rollback(self) -> None:
        assert self.saved is not None
        assert self.contents.changed == (self.saved != self.model)
        self.contents.rollback()
        self.model, self.saved = self.saved, None
        assert not self.contents.changed

    @precondition(lambda self: self.views and self.saved is None)
    @rule(data=st.data(), writes=WRITES)
    def install(self, data: st.DataObject, writes: dict[bytes, bytes | None]) -> None:
        view, then = data.draw(st.sampled_from(self.views))
        self.model = {key: value for key, value in {**then, **writes}.items() if value is not None}
        self.contents.install(view, writes, fresh(self.model))
        assert self.contents.freeze().settled

    @precondition(lambda self: self.saved is None)
    @rule(writes=WRITES, stay=st.booleans())
    def copy(self, writes: dict[bytes, bytes | None], stay: bool) -> None:
        """Go on with a copy, or with what was copied; either is left alone by writes to the other."""
        twin = self.contents.copy()
        here, there = (self.contents, twin) if stay else (twin, self.contents)
        write_all(there, dict(self.model), writes)
        self.contents = here
        if not stay:
            self.views.clear()

    @invariant()
    def agree(self) -> None:
        assert content_of(self.contents) == self.model
        assert len(self.contents) == len(self.model)

    def teardown(self) -> None:
        self.views.append((self.contents.freeze(), dict(self.model)))
        for view, then in reversed(self.views):
            check_view(view, then)


AgainstDict.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
TestAgainstDict = AgainstDict.TestCase


@settings(deadline=None)
@given(st.lists(WRITES, max_size=6), st.permutations(range(6)))
def test_one_root_for_one_content(rounds: list[dict[bytes, bytes | None]], order: list[int]):
    """Views settled never, late or in any order have the roots of their contents, which histories do not show in."""
    contents, model, views = Contents(), Items(), list[tuple[View, Items]]()
    for writes in rounds:
        write_all(contents, model, writes)
        views.append((contents.freeze(), dict(model)))
    for number in order:
        for view, then in views[number : number + 1]:
            check_view(view, then)
    straight = Contents()
    write_all(straight, {}, dict(sorted(model.items())))
    assert straight.freeze().digest == contents.freeze().digest


@settings(deadline=None)
@given(WRITES, WRITES)
def test_a_change_digests_its_way_to_the_root(first: dict[bytes, bytes | None], second: dict[bytes, bytes | None]):
    """And besides, where a leaf splits, at most the leaves that it splits into."""
    contents = Contents()
    write_all(contents, {}, first)
    before = contents.freeze()
    before.settle()
    write_all(contents, {}, second)
    view = contents.freeze()
    depth = depth_of(before.root, view.root)
    assert view is before or view.made <= view.changes * (depth + 1 + LEAF_ENTRIES)

    replaced = [key for key in list(contents) if contents.get(key)][::3]
    for key in replaced:
        contents.write(key, bytes(255 - each for each in contents.get(key) or b""))
    after = contents.freeze()
    after.settle()
    assert after is view or (after.changes, after.made <= len(replaced) * (depth + 1)) == (len(replaced), True)


def test_a_root_is_made_in_as_many_steps_as_are_taken():
    """A view that is settled bit by bit, while writing goes on, has the root of its own moment."""
    contents, model = Contents(), Items()
    for number in range(3_000):
        write_all(contents, model, {encode(f"account-{number}"): encode(number)})
    view = contents.freeze()
    turns = 0
    while not view.settle(7):
        contents.write(encode(f"account-{turns}"), encode("later"))
        contents.write(encode(f"new-{turns}"), encode("later"))
        turns += 1
    assert turns > 20
    assert view.root == fresh(model)


def test_freezing_costs_nothing_even_if_the_view_before_is_not_settled():
    """Whoever settles the later view settles the earlier one on the way; each counts its own nodes."""
    contents = Contents()
    write_all(contents, {}, dict.fromkeys(POOL, b"1"))
    one = contents.freeze()
    write_all(contents, {}, {POOL[0]: b"2"})
    two = contents.freeze()
    assert (one.made, two.made, two.settled) == (0, 0, False)
    assert two.settle(5) == 0
    assert one.made > 0 == two.made
    two.settle()
    assert one.settled
    assert one.made == len(list(walk(one.root)))
    assert two.made <= depth_of(two.root) + 1


def test_a_view_that_is_kept_is_asked_quickly_however_many_came_after():
    """What many later views remember is taken over: asking goes through a few of them, and they can be freed."""
    contents = Contents()
    write_all(contents, {}, dict.fromkeys(POOL, b"0"))
    kept = contents.freeze()
    kept.settle()
    for number in range(200):
        contents.write(POOL[number % 7], encode(number))
        contents.freeze().settle()
    check_view(kept, dict.fromkeys(POOL, b"0"))
    chain, view = 0, kept.after
    while view is not None:
        chain, view = chain + 1, view.after
    assert chain <= 2
    assert kept.since() == dict.fromkeys(POOL[:7], b"0")


def test_a_view_takes_over_nothing_that_a_root_is_being_made_from():
    """What is known here is what the next view's root is made from: it may not change before that is done."""
    keys = [encode(number) for number in range(300)]
    contents = Contents()
    write_all(contents, {}, dict.fromkeys(keys, b"1"))
    one = contents.freeze()
    one.settle()
    write_all(contents, {}, dict.fromkeys(keys, b"2"))
    two = contents.freeze()
    two.settle(1)
    write_all(contents, {}, {encode(f"new-{number}"): b"3" for number in range(50)})
    contents.freeze()
    assert one.get(keys[0]) == b"1"
    assert two.digest == root_digest(fresh(dict.fromkeys(keys, b"2")))
    assert two.made == len(list(walk(two.root)))
    assert one.get(keys[0]) == b"1"
    assert one.get(encode("new-0")) is None


def test_views_that_nobody_keeps_are_freed():
    """Neither the contents nor a later view keeps an earlier one, or the trie that only that one had."""
    contents = Contents()
    write_all(contents, {}, dict.fromkeys(POOL, b"0"))
    contents.freeze().settle()
    for number in range(20):
        contents.write(POOL[0], encode(number))
        contents.freeze().settle()
    gc.collect()
    alive = [each for each in gc.get_objects() if type(each) is View and each._contents is contents]
    assert len(alive) == 1


# Cut short anywhere.

WRITERS = codes(Contents, View)
DIGESTERS = WRITERS | codes(*(each for each in vars(pbft.trie).values() if callable(each)))
FEW = dict.fromkeys(POOL[: LEAF_ENTRIES + 1], b"1")


def changes(contents: Contents) -> None:
    contents.write(POOL[0], b"other")
    contents.write(POOL[1], None)
    contents.write(POOL[1], b"again")
    contents.write(POOL[2], None)
    contents.write(POOL[100], b"new")
    contents.write(POOL[100], None)
    contents.write(POOL[101], b"new")


def places(action: Callable[[int], bool], step: int = 1) -> int:
    """Let an action be cut short at every place; it says whether it was. Returns at how many."""
    at = 0
    while action(at):
        at += step
    return at


@pytest.mark.parametrize("frozen", [False, True])
def test_writes_cut_short_anywhere_are_undone(frozen: bool):
    """Before every single instruction of write, freeze and their kind: content, digest and views are as before."""
    now, later = {**FEW, POOL[3]: b"2"}, {**FEW, POOL[3]: b"2", POOL[7]: b"further"}
    digests = [root_digest(fresh(each)) for each in (FEW, now, later)]

    def attempt(at: int) -> bool:
        contents = Contents()
        write_all(contents, {}, FEW)
        views = [contents.freeze()]
        contents.write(POOL[3], b"2")
        if frozen:
            views.append(contents.freeze())
        contents.begin()

        def action() -> None:
            changes(contents)
            contents.freeze()
            changes(contents)

        cut = cut_short(action, at, MemoryError, WRITERS)
        contents.rollback()
        assert content_of(contents) == now
        assert [view.digest for view in views] == digests[: len(views)]
        assert contents.freeze().digest == digests[1]
        contents.write(POOL[7], b"further")
        assert {key: views[0].get(key) for key in FEW} == FEW
        assert views[0].get(POOL[101]) is None
        assert contents.freeze().digest == digests[2]
        assert [view.digest for view in views] == digests[: len(views)]
        return cut

    assert places(attempt) > 300


def test_an_undo_cut_short_is_finished_when_it_is_asked_for_again():
    """Nothing of the journal is given up before all of it is undone."""
    digest = root_digest(fresh(FEW))

    def attempt(at: int) -> bool:
        contents = Contents()
        write_all(contents, {}, FEW)
        view = contents.freeze()
        contents.begin()
        changes(contents)
        cut = cut_short(contents.rollback, at, KeyboardInterrupt, WRITERS)
        contents.rollback()
        assert content_of(contents) == FEW
        assert view.digest == contents.freeze().digest == digest
        return cut

    assert places(attempt) > 100


@pytest.mark.parametrize(("where", "step"), [(WRITERS, 37), (DIGESTERS, 101)])
def test_a_digest_cut_short_is_made_from_the_start(where: frozenset[CodeType], step: int):
    """An error on the way to a root, such as too deep a recursion, leaves none that is half made."""
    after = dict.fromkeys(POOL[5 : LEAF_ENTRIES + 3], b"2")
    digests = [root_digest(fresh(FEW)), root_digest(fresh(after))]

    def attempt(at: int) -> bool:
        contents = Contents()
        write_all(contents, {}, FEW)
        first = contents.freeze()
        write_all(contents, {}, {**dict.fromkeys(FEW), **after})
        view = contents.freeze()
        cut = cut_short(view.settle, at, RecursionError, where)
        assert [first.digest, view.digest] == digests
        nodes = len(list(walk(first.root)))
        assert first.made == nodes
        return cut

    assert places(attempt, step) > 1_000


def test_installing_goes_back_to_a_view_and_on_from_there():
    """What was written since is undone, what came instead is there, and the root is the one that was proven."""
    contents = Contents()
    write_all(contents, {}, dict.fromkeys(POOL[:50], b"1"))
    base = contents.freeze()
    write_all(contents, {}, {POOL[0]: b"wrong", POOL[1]: None, POOL[90]: b"wrong"})
    wrong = contents.freeze()
    target = {**dict.fromkeys(POOL[:50], b"1"), POOL[5]: b"right"}
    del target[POOL[6]]
    contents.install(base, {POOL[5]: b"right", POOL[6]: None}, fresh(target))
    assert content_of(contents) == target
    assert isinstance(contents.freeze().root, Inner)
    assert contents.freeze().made == 0
    assert wrong.get(POOL[0]) == b"wrong"
    check_view(contents.freeze(), target)
