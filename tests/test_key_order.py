"""Scanning a Table: the order of its keys, pages of it, and that the order survives whatever happens to the Table."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sortedcontainers import SortedList  # type: ignore[import-untyped]

from pbft import table as tables
from pbft.contents import Contents
from pbft.encoding import encode_plain
from pbft.key_order import KINDS, KeyOrder, _decode_key
from pbft.machine import Outcome, Rejected, StateMachine, operation, query
from pbft.table import Table
from tests.interrupting import codes, cut_short
from tests.kiosk import run

LAST = "\U0010ffff"
texts = st.sampled_from(["", "a", "b", "aa", "ab", "B", "é", LAST, "a" + LAST, "a" * 24, "b" * 300]) | st.text(
    "ab", max_size=4
)
binaries = st.sampled_from([b"", b"\xff", b"a\xff", b"\xff\xff", b"a" * 24]) | st.binary(max_size=2)
numbers = st.sampled_from([2**64 - 1, -(2**64), 23, 24, 255, 256]) | st.integers(-30, 30)
keys = texts | binaries | numbers
pages = st.fixed_dictionaries(
    {
        "prefix": st.none() | texts | binaries,
        "after": st.none() | keys,
        "limit": st.none() | st.integers(0, 4) | st.just(2**64 - 1),
        "reverse": st.booleans(),
    }
)


def place(key: Any) -> tuple[int, Any]:
    return KINDS.index(type(key)), key


def expected(model: dict[Any, Any], prefix: Any, after: Any, limit: int | None, reverse: bool) -> list[tuple[Any, Any]]:
    """Say what a scan yields, by sorting all there is."""
    found = sorted(model, key=place, reverse=reverse)
    if prefix is not None:
        found = [key for key in found if type(key) is type(prefix) and key.startswith(prefix)]
    if after is not None:
        found = [key for key in found if (place(key) < place(after) if reverse else place(key) > place(after))]
    return [(key, model[key]) for key in found[:limit]]


def fits(page: dict[str, Any]) -> bool:
    return page["prefix"] is None or page["after"] is None or type(page["prefix"]) is type(page["after"])


def test_texts_come_as_in_a_list_of_words_and_numbers_by_size() -> None:
    """Not as an iteration has them, short before long; of several kinds int come first, then bytes, then str."""
    table: Table[Any, int] = Table({"b": 1, "aa": 2, "a": 3, 10: 4, -1: 5, 9: 6, b"x": 7, "B": 8})
    assert [key for key, _ in table.scan()] == [-1, 9, 10, b"x", "B", "a", "aa", "b"]
    assert list(table.scan("a")) == [("a", 3), ("aa", 2)]
    assert list(table.scan("a", after="a")) == [("aa", 2)]
    assert list(table.scan("a", reverse=True, limit=1)) == [("aa", 2)]
    assert [key for key, _ in table.scan(after=9)] == [10, b"x", "B", "a", "aa", "b"]
    assert [key for key, _ in table.scan(after=b"x", reverse=True)] == [10, 9, -1]
    assert [key for key, _ in table.scan("")] == ["B", "a", "aa", "b"]
    assert [key for key, _ in table.scan(b"")] == [b"x"]
    assert list(table.scan("c")) == list(table.scan(limit=0)) == list(Table[str, int]().scan()) == []


@given(st.dictionaries(keys, st.integers(0, 9)), pages.filter(fits))
def test_a_scan_is_a_slice_of_all_that_is_sorted(content: dict[Any, int], page: dict[str, Any]) -> None:
    """Any prefix, any place to begin, any limit, in either direction."""
    assert list(Table(content).scan(**page)) == expected(content, **page)


@given(st.dictionaries(keys, st.integers(0, 9)), st.integers(1, 3), st.booleans())
def test_pages_make_up_the_whole(content: dict[Any, int], limit: int, reverse: bool) -> None:
    """Each one after the last key of the one before."""
    table, found, last = Table(content), [], None
    while page := list(table.scan(after=last, limit=limit, reverse=reverse)):
        found += page
        last = page[-1][0]
    assert found == expected(content, None, None, None, reverse)


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ({"prefix": 5}, "a prefix is a str or bytes, as the keys that begin with it, not int"),
        ({"after": True}, "a Table's keys are str, bytes or int, not bool"),
        ({"after": 1.0}, "a Table's keys are str, bytes or int, not float"),
        ({"prefix": "a", "after": b"a"}, "keys that begin with str come after none of bytes"),
    ],
)
def test_what_is_no_key_is_refused_at_once(page: dict[str, Any], says: str) -> None:
    """When the scan is asked for, not when it is read."""
    with pytest.raises(TypeError, match=says):
        Table({"a": 1}).scan(**page)
    with pytest.raises(ValueError, match="the limit of a scan is at least 0, not -1"):
        Table({"a": 1}).scan(limit=-1)


def test_adding_or_removing_keys_while_scanning_is_refused() -> None:
    """As in an iteration; replacing values is fine, and what comes is the value of that moment."""
    table = Table({"a": 1, "b": 2, "c": 3})
    for key, value in table.scan():
        table["c"] = 7
        table[key] = value * 10
    assert dict(table) == {"a": 10, "b": 20, "c": 70}
    for change in (lambda: table.pop("b"), lambda: table.update(d=1), table.clear):
        scan = table.scan()
        next(scan)
        change()
        with pytest.raises(RuntimeError, match=r"while being scanned; scan list\(table.scan"):
            next(scan)


@given(keys)
def test_stored_keys_are_read_as_they_were_given(key: Any) -> None:
    """By the short way, for every length of head."""
    found = _decode_key(encode_plain(key))
    assert (type(found), found) == (type(key), key)
    for length in (23, 24, 255, 256, 65_535, 65_536):
        assert _decode_key(encode_plain("x" * length)) == "x" * length
        assert _decode_key(encode_plain(bytes(length))) == bytes(length)


def test_the_order_is_made_once_and_kept_up_from_then_on() -> None:
    """With each key that comes or goes, however long nobody scans; an order nobody asks for is none."""
    chance = random.Random(7)
    table = Table({f"{number}": 0 for number in range(40_000)})
    assert lag(table) is None
    next(table.scan())
    made = table._key_order
    for _ in range(3 * tables._LAG):
        table[f"{chance.randrange(10**9)}"] = 1
        table.pop(f"{chance.randrange(40_000)}", None)
        assert (lag(table) or 0) <= tables._LAG
    assert [key for key, _ in table.scan()] == sorted(table)
    assert table._key_order is made
    for number in range(40_000):
        table.pop(f"{number}", None)
    assert [key for key, _ in table.scan()] == sorted(table)


def lag(table: Table[Any, Any]) -> int | None:
    """Return how many keys came or went that the order does not know yet; None where there is no order."""
    return None if table._contents.arrivals is None else len(table._contents.arrivals)


FACE = codes(Table, Contents, KeyOrder, SortedList, _decode_key)


def test_what_is_cut_short_anywhere_leaves_the_order_right() -> None:
    """Before every single instruction of a Table's methods, and of those of the order: undone or not."""
    content: dict[Any, Any] = dict.fromkeys([*range(8), "a", b"b"], 0)

    def attempt(at: int, undo: bool) -> bool:
        table: Table[Any, Any] = Table(content)
        list(table.scan())
        table._contents.begin()
        cut = cut_short(lambda: come_and_go(table), at, MemoryError, FACE)
        (table._contents.rollback if undo else table._contents.commit)()
        assert list(table.scan()) == expected(dict(table), None, None, None, False)
        if undo:
            assert dict(table) == content
        return cut

    at = 0
    while attempt(at, undo=at % 2 == 0):
        at += 7
    assert at > 1_000


def come_and_go(table: Table[Any, Any]) -> None:
    table["new"] = 1
    del table["a"]
    assert len(list(table.scan())) == len(table)
    table.popitem()
    table.update({100: 1, 101: 2})
    list(table.scan(after=5, limit=2))
    for number in range(1, 6):
        table.pop(number)
    list(table.scan("n"))
    table.clear()
    list(table.scan())


class Directory(StateMachine):
    """A list of names that is read by pages."""

    names: Table[str, int]

    @operation
    def enter(self, names: list[str], fail: bool = False) -> tuple[str, ...]:
        """Enter names and return the list, or fail after all of it."""
        self.names.update(dict.fromkeys(names, 1))
        found = tuple(name for name, _ in self.names.scan())
        if fail:
            raise Rejected("no")
        return found

    @query
    def page(self, after: str, limit: int) -> tuple[str, ...]:
        """Return a page."""
        return tuple(name for name, _ in self.names.scan(after=after, limit=limit))


def test_a_machine_forgets_what_a_failed_operation_entered() -> None:
    """In the order too, where the operation had scanned what it wrote; and a restored one has an order of its own."""
    machine = Directory.create({})
    assert run(machine, "enter", ["b", "aa"]).value == ("aa", "b")
    before = machine.digest()
    assert run(machine, "enter", ["a", "c"], True).outcome is Outcome.REJECTED
    assert run(machine, "page", "", 9).value == ("aa", "b")
    assert run(machine, "page", "", 2**64 - 1).value == ("aa", "b")
    assert machine.digest() == before
    other = Directory.create({})
    run(other, "enter", ["x", "y"])
    other.restore(machine.snapshot())
    assert run(other, "page", "aa", 9).value == ("b",)
    twin = copy.copy(machine)
    run(twin, "enter", ["a"])
    assert run(twin, "page", "", 9).value == ("a", "aa", "b")
    assert run(machine, "page", "", 9).value == ("aa", "b")


class AgainstSorted(RuleBasedStateMachine):
    """A Table, and a plain dict that is sorted each time: given the same commands, journal and transfer included."""

    def __init__(self) -> None:
        super().__init__()
        self.table: Table[Any, int] = Table()
        self.model: dict[Any, int] = {}
        self.saved: dict[Any, int] | None = None

    @rule(page=pages.filter(fits))
    def scan(self, page: dict[str, Any]) -> None:
        assert list(self.table.scan(**page)) == expected(self.model, **page)

    @rule(items=st.dictionaries(keys, st.integers(0, 9), max_size=30))
    def update(self, items: dict[Any, int]) -> None:
        self.table.update(items)
        self.model.update(items)

    @rule(key=keys)
    def pop(self, key: Any) -> None:
        assert self.table.pop(key, None) == self.model.pop(key, None)

    @rule()
    def pop_first(self) -> None:
        if self.model:
            key, value = self.table.popitem()
            assert self.model.pop(key) == value

    @rule()
    def clear(self) -> None:
        self.table.clear()
        self.model.clear()

    @precondition(lambda self: self.saved is None)
    @rule()
    def copy(self) -> None:
        self.table = self.table.copy()

    @precondition(lambda self: self.saved is None)
    @rule(items=st.dictionaries(keys, st.integers(0, 9)), lost=st.sets(keys), anew=st.booleans())
    def take_over(self, items: dict[Any, int], lost: set[Any], anew: bool) -> None:
        """As who catches up: into the Table as it is, or into an empty one that was scanned before."""
        if anew:
            self.table, self.model = Table(), {}
            assert list(self.table.scan()) == []
        base = self.table._contents.freeze()
        self.table.update({"written since": 1})
        goal = {key: value for key, value in self.model.items() if key not in lost} | items
        writes: dict[bytes, bytes | None] = {encode_plain(key): None for key in self.model}
        writes |= {encode_plain(key): encode_plain(value) for key, value in goal.items()}
        if anew:
            del self.table["written since"]
        self.table._contents.install(base, writes, Table(goal)._contents.freeze().root)
        self.model = goal

    @precondition(lambda self: self.saved is None)
    @rule()
    def begin(self) -> None:
        self.table._contents.begin()
        self.saved = dict(self.model)

    @precondition(lambda self: self.saved is not None)
    @rule(keep=st.booleans())
    def end(self, keep: bool) -> None:
        assert self.saved is not None
        if keep:
            self.table._contents.commit()
        else:
            self.table._contents.rollback()
            self.model = self.saved
        self.saved = None

    @invariant()
    def the_digest_knows_no_order(self) -> None:
        assert self.table.digest() == Table(self.model).digest()


TestAgainstSorted = AgainstSorted.TestCase
