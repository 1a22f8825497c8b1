"""The store that comes with pbft: versions that never come back, pages that fit, and a bound on memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pbft.machine import Context, Outcome, Result, describe, encode_operation
from pbft_apps.kv import ITEM_BYTES, KEY_BYTES, KV, PAGE_ITEMS, VALUE_BYTES

ROOM: Final = 256 * 1024
"""What the answers to one request may have together, unless a group says otherwise."""


class Shelf:
    """A store, and a way to call it."""

    def __init__(self, **parameters: Any) -> None:
        self.store = KV.create(parameters)

    def call(self, name: str, *args: Any, room: int = ROOM) -> Result:
        context = Context(time_ms=1, client="alice", sequence=1, seed=bytes(32), answer_bytes=room)
        return self.store.execute(encode_operation(name, args), context)

    def does(self, name: str, *args: Any, room: int = ROOM) -> Any:
        result = self.call(name, *args, room=room)
        assert result.outcome is Outcome.OK, result.value
        return result.value

    def refuses(self, name: str, *args: Any, room: int = ROOM) -> str:
        before = self.store.digest()
        result = self.call(name, *args, room=room)
        assert result.outcome is Outcome.REJECTED, result
        assert self.store.digest() == before
        assert type(result.value) is str
        return result.value


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_put_get_delete(shelf: Shelf) -> None:
    """A key that is not there has the version 0, and deleting it is harmless."""
    assert shelf.does("get", "lamp") == {"value": None, "version": 0}
    assert shelf.does("delete", "lamp") == 0
    assert shelf.does("put", "lamp", "on") == 1
    assert shelf.does("get", "lamp") == {"value": "on", "version": 1}
    assert shelf.does("put", "lamp", "") == 2
    assert shelf.does("get", "lamp") == {"value": "", "version": 2}
    assert shelf.does("count") == 1
    assert shelf.does("delete", "lamp") == 2
    assert shelf.does("get", "lamp") == {"value": None, "version": 0}
    assert shelf.does("count") == 0


def test_who_compares_with_an_old_version_changes_nothing(shelf: Shelf) -> None:
    """0 stores only where nothing is; and the sentence says which version there is."""
    assert shelf.does("compare_and_set", "lock", 0, "alice") == 1
    assert shelf.refuses("compare_and_set", "lock", 0, "bob") == "the key has version 1 and not 0"
    assert shelf.does("compare_and_set", "lock", 1, "bob") == 2
    assert shelf.refuses("compare_and_delete", "lock", 1) == "the key has version 2 and not 1"
    assert shelf.does("compare_and_delete", "lock", 2) == 2
    assert shelf.refuses("compare_and_set", "lock", 2, "x") == "the key is not there, so its version is 0 and not 2"
    assert shelf.refuses("compare_and_delete", "lock", 2) == "the key is not there, so its version is 0 and not 2"
    assert shelf.refuses("compare_and_delete", "lock", 0).startswith("version 0 means that a key is not there")


def test_a_version_never_comes_back(shelf: Shelf) -> None:
    """No ABA: who saw a value, and misses that it was deleted and written again alike, is told so."""
    seen = shelf.does("put", "lamp", "on")
    shelf.does("delete", "lamp")
    again = shelf.does("put", "lamp", "on")
    assert again > seen
    assert shelf.refuses("compare_and_set", "lamp", seen, "off") == f"the key has version {again} and not {seen}"
    assert shelf.does("put", "lamp", "on") > again, "nor is a write of the same value none"


def test_a_scan_goes_by_pages(shelf: Shelf) -> None:
    """In the order of the keys; "after" of one page is what the next one asks for, and the count tells of changes."""
    for key in ("b/1", "b", "b/10", "b/2", "c", "a"):
        shelf.does("put", key, key.upper())
    page = shelf.does("scan", "b/", "", 2)
    assert page == {
        "items": ({"key": "b/1", "value": "B/1", "version": 1}, {"key": "b/10", "value": "B/10", "version": 3}),
        "after": "b/10",
        "changes": 6,
    }
    shelf.does("delete", "b/10")
    page = shelf.does("scan", "b/", page["after"], 2)
    assert page == {"items": ({"key": "b/2", "value": "B/2", "version": 4},), "after": None, "changes": 7}
    assert [item["key"] for item in shelf.does("scan")["items"]] == ["a", "b", "b/1", "b/2", "c"]
    assert shelf.does("scan", "", "", 5)["after"] is None, "a page that is just full is the last one"
    assert shelf.does("scan", "z") == shelf.does("scan", "b", "z") == {"items": (), "after": None, "changes": 7}
    for limit in (0, -1, PAGE_ITEMS + 1, 2**64 - 1):
        assert shelf.refuses("scan", "", "", limit) == f"a page has 1 to 1000 items, not {limit}"


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(2, KEY_BYTES), st.sampled_from([0, 1, 30, 300, VALUE_BYTES])), max_size=25),
    st.data(),
)
def test_a_page_fits_whatever_is_left_of_the_answer(sizes: list[tuple[int, int]], data: st.DataObject) -> None:
    """It never fails for its length, leaves little room unused, and pages make up the whole."""
    shelf = Shelf()
    for number, (key_bytes, value_bytes) in enumerate(sizes):
        shelf.does("put", f"{number:02}".ljust(key_bytes, "k"), "v" * value_bytes)
    largest = VALUE_BYTES + KEY_BYTES + 600
    room = data.draw(st.integers(largest, 3 * largest))
    found, after = [], ""
    while True:
        result = shelf.call("scan", "", after, PAGE_ITEMS, room=room)
        assert result.outcome is Outcome.OK, result.value
        assert len(result.payload) <= room
        found += result.value["items"]
        if result.value["after"] is None:
            break
        assert len(result.payload) > room - largest - 64 * len(result.value["items"]), "the next one had no room"
        after = result.value["after"]
    assert [(item["key"], item["value"]) for item in found] == sorted(shelf.store.values.items())


def test_an_answer_without_room_for_a_single_item_says_so(shelf: Shelf) -> None:
    """Many operations of one request share the room; a page without items and without an end would never end."""
    shelf.does("put", "long", "v" * 1_000)
    assert shelf.refuses("scan", room=1_000) == (
        '"long" has no room in what is left of this answer; ask in a request of its own'
    )
    assert shelf.does("scan", "x", room=200)["items"] == ()


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("", "x", "a key has 1 to 256 bytes, not 0"),
        ("k" * 257, "x", "a key has 1 to 256 bytes, not 257"),
        ("é" * 129, "x", "a key has 1 to 256 bytes, not 258"),
        ("k", "v" * (VALUE_BYTES + 1), "a value has at most 65536 bytes, not 65537"),
        ("k", "é" * (VALUE_BYTES // 2 + 1), "a value has at most 65536 bytes, not 65538"),
    ],
)
def test_sizes_are_bounded(shelf: Shelf, key: str, value: str, sentence: str) -> None:
    """In bytes, not in characters; whatever can be stored can be read."""
    assert shelf.refuses("put", key, value) == sentence
    assert shelf.refuses("compare_and_set", key, 0, value) == sentence
    assert shelf.does("get", key) == {"value": None, "version": 0}
    shelf.does("put", "é" * 128, "é" * (VALUE_BYTES // 2))
    assert shelf.does("get", "é" * 128)["version"] == 1
    assert len(shelf.does("scan")["items"]) == 1


def test_the_memory_of_replicas_is_bounded() -> None:
    """A full store refuses what makes it larger, and nothing else."""
    shelf = Shelf(capacity_bytes=2 * (ITEM_BYTES + 20))
    shelf.does("put", "a", "x" * 10)
    shelf.does("put", "b", "x" * 10)
    assert shelf.refuses("put", "c", "").startswith("the store is full: it would hold 1529 of 1040 bytes")
    assert shelf.refuses("compare_and_set", "c", 0, "").startswith("the store is full")
    assert shelf.refuses("put", "b", "x" * 30).startswith("the store is full")
    shelf.does("put", "b", "y" * 10)
    shelf.does("put", "b", "")
    shelf.does("put", "a", "x" * 20)
    shelf.does("delete", "a")
    shelf.does("compare_and_delete", "b", 4)
    assert shelf.store.held_bytes == 0
    with pytest.raises(ValueError, match="the capacity is at least 1 byte, not 0"):
        Shelf(capacity_bytes=0)


@pytest.mark.parametrize(
    "words",
    [
        ("put", "k"),
        ("put", b"k", "v"),
        ("put", "k", 5),
        ("get", None),
        ("delete", 1),
        ("compare_and_set", "k", True, "v"),
        ("compare_and_set", "k", "1", "v"),
        ("scan", "", "", "9"),
        ("scan", b""),
        ("drop",),
        ("_remove", "k"),
        ("values",),
    ],
)
def test_arguments_of_other_kinds_are_told_so(shelf: Shelf, words: tuple[Any, ...]) -> None:
    """And change nothing: a version is an int, and True is none."""
    shelf.does("put", "k", "v")
    before = shelf.store.digest()
    assert shelf.call(*words).outcome is Outcome.INVALID
    assert shelf.store.digest() == before


def test_any_text_may_be_a_key(shelf: Shelf) -> None:
    """Whoever shows it sees to the terminal; the order is that of code points, the same everywhere."""
    names = ["\x1b[2J", "\x00", " ", "Z", "a", "e\u0301", "\u00e9", "\u202e", "\U0001f600", "\U0010ffff"]
    for name in reversed(names):
        shelf.does("put", name, "x")
    assert [item["key"] for item in shelf.does("scan")["items"]] == sorted(names)
    assert [item["key"] for item in shelf.does("scan", "\U0010ffff")["items"]] == ["\U0010ffff"]


def test_every_operation_has_help() -> None:
    """A sentence first, and what an argument means where its name does not tell."""
    specs = {spec.name: spec for spec in describe(KV)}
    assert all(spec.summary.endswith(".") for spec in specs.values())
    assert list(specs) == ["put", "delete", "compare_and_set", "compare_and_delete", "get", "scan", "count"]
    for name, words in {
        "put": ("KEY", "VALUE"),
        "compare_and_set": ("VERSION",),
        "scan": ("PREFIX", "LIMIT", "AFTER"),
    }.items():
        assert all(word in specs[name].docstring for word in words)


names = st.sampled_from(["a", "b", "b/1", "b/2", "b/10", "c"])
words = st.sampled_from(["", "x", "y" * 40])


class AgainstModel(RuleBasedStateMachine):
    """The store against a dict of values and versions; what may not be done changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf(capacity_bytes=6 * ITEM_BYTES)
        self.model: dict[str, tuple[str, int]] = {}
        self.changes = 0
        self.seen: dict[tuple[str, int], str] = {}

    def attempt(self, allowed: bool, name: str, *args: Any) -> Any:
        return (self.shelf.does if allowed else self.shelf.refuses)(name, *args)

    def write(self, key: str, value: str, allowed: bool, call: Callable[[bool], Any]) -> None:
        after = {**{key: held for key, (held, _) in self.model.items()}, key: value}
        room = sum(3 * len(key) + len(held) + ITEM_BYTES for key, held in after.items()) <= 6 * ITEM_BYTES
        version = call(allowed and room)
        if allowed and room:
            self.changes += 1
            assert version == self.changes
            assert (key, version) not in self.seen
            self.model[key] = (value, version)
            self.seen[key, version] = value

    @rule(key=names, value=words)
    def put(self, key: str, value: str) -> None:
        self.write(key, value, True, lambda allowed: self.attempt(allowed, "put", key, value))

    @rule(key=names, value=words, off=st.integers(-1, 1), blank=st.booleans())
    def compare_and_set(self, key: str, value: str, off: int, blank: bool) -> None:
        now = self.model.get(key, ("", 0))[1]
        version = 0 if blank else now + off
        self.write(
            key, value, version == now, lambda allowed: self.attempt(allowed, "compare_and_set", key, version, value)
        )

    @rule(key=names)
    def delete(self, key: str) -> None:
        version = self.model.pop(key, ("", 0))[1]
        assert self.shelf.does("delete", key) == version
        self.changes += version > 0

    @rule(key=names, off=st.integers(-1, 1))
    def compare_and_delete(self, key: str, off: int) -> None:
        now = self.model.get(key, ("", 0))[1]
        allowed = key in self.model and off == 0
        self.attempt(allowed, "compare_and_delete", key, now + off)
        if allowed:
            del self.model[key]
            self.changes += 1

    @rule(prefix=st.sampled_from(["", "b", "b/", "d"]), after=names | st.just(""), limit=st.integers(1, 3))
    def scan(self, prefix: str, after: str, limit: int) -> None:
        keys = [key for key in sorted(self.model) if key.startswith(prefix) and key > after]
        page = self.shelf.does("scan", prefix, after, limit)
        assert [item["key"] for item in page["items"]] == keys[:limit]
        assert page["after"] == (keys[limit - 1] if len(keys) > limit else None)
        assert page["changes"] == self.changes

    @invariant()
    def all_is_as_in_the_model(self) -> None:
        items = self.shelf.does("scan")["items"]
        assert {item["key"]: (item["value"], item["version"]) for item in items} == self.model
        assert {key: tuple(self.shelf.does("get", key).values()) for key in self.model} == self.model
        assert self.shelf.does("count") == len(self.model)
        assert self.shelf.store.held_bytes == sum(
            3 * len(key) + len(value) + ITEM_BYTES for key, (value, _) in self.model.items()
        )


TestAgainstModel = AgainstModel.TestCase
