"""Table: a dict in its manners, a function of its content in its digest and order."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pbft.encoding import MAX_INTEGER, EncodingError, encode_plain
from pbft.table import Table

keys = st.sampled_from(["", "a", "b", "aa", "é", b"", b"a", b"aa", 0, 1, -1, 24, 2**63]) | st.integers(-5, 5)
values = st.sampled_from([0, 1, True, None, "x", b"x", (1, (2, "y")), {"k": (1,)}]) | st.integers(0, 9)


def test_it_reads_and_writes_like_a_dict() -> None:
    """Every method a dict user reaches for."""
    table = Table({"a": 1})
    table["b"] = 2
    table.update({"c": 3}, d=4)

    assert (len(table), table["b"], table.get("x"), table.get("x", 9)) == (4, 2, None, 9)
    assert "a" in table
    assert "x" not in table
    assert table.setdefault("a", 7) == 1
    assert table.setdefault("e", 7) == 7
    assert table.pop("e") == 7
    assert table.pop("e", None) is None
    del table["d"]
    assert dict(table) == {"a": 1, "b": 2, "c": 3}
    assert list(table.items()) == [("a", 1), ("b", 2), ("c", 3)]
    assert list(table.keys()) == ["a", "b", "c"]
    assert list(table.values()) == [1, 2, 3]
    assert table == Table([("c", 3), ("a", 1), ("b", 2)])
    assert table.popitem() == ("a", 1)
    table.clear()
    assert not table
    assert repr(table) == "<Table of 0 items>"


@pytest.mark.parametrize("missing", ["x", b"x", 5])
def test_a_missing_key_raises_key_error(missing: Any) -> None:
    """As a dict does, for each way to ask."""
    table: Table[Any, int] = Table()
    for ask in (table.__getitem__, table.__delitem__, table.pop):
        with pytest.raises(KeyError):
            ask(missing)
    with pytest.raises(KeyError, match="empty"):
        table.popitem()


def test_keys_of_different_types_never_meet() -> None:
    """1, "1" and b"1" are three keys; a dict that took them for one would split replicas."""
    table: Table[Any, str] = Table({1: "int", "1": "str", b"1": "bytes"})

    assert (table[1], table["1"], table[b"1"], len(table)) == ("int", "str", "bytes", 3)


@pytest.mark.parametrize("key", [True, None, 1.0, (1,), bytearray(b"a"), type("Text", (str,), {})("a")])
def test_other_keys_are_refused(key: Any) -> None:
    """Reading and writing alike: True is not 1, and 1.0 is not either."""
    table: Table[Any, int] = Table({1: 1})
    for use in (
        table.__getitem__,
        table.__delitem__,
        table.__contains__,
        table.get,
        lambda key: table.update([(key, 1)]),
    ):
        with pytest.raises(TypeError, match=f"a Table's keys are str, bytes or int, not {type(key).__name__}"):
            use(key)
    assert dict(table) == {1: 1}


@pytest.mark.parametrize("key", [2**64, "\ud800"])
def test_keys_without_canonical_bytes_are_refused(key: Any) -> None:
    """Their sentence is the encoding's."""
    with pytest.raises(EncodingError):
        Table({key: 1})


@pytest.mark.parametrize("value", [1.5, {1, 2}, object(), MAX_INTEGER + 1, {1: 2}, Table()])
def test_values_without_canonical_bytes_are_refused(value: Any) -> None:
    """And the item stays as it was."""
    table: Table[str, Any] = Table({"a": 1})
    with pytest.raises(EncodingError):
        table["a"] = value
    assert dict(table) == {"a": 1}


def test_what_you_get_is_a_copy() -> None:
    """Neither the object stored nor the one handed out is a way into the Table."""
    stored = {"tags": ["x"]}
    table: Table[str, Any] = Table({"a": stored})
    before = table.digest()
    stored["tags"].append("y")
    table["a"]["more"] = 1
    table.pop("a")["more"] = 1
    table["a"] = stored | {"tags": ["x"]}
    table.setdefault("a", {})["more"] = 1

    assert table["a"] == {"tags": ("x",)}
    assert table.digest() == before


def test_setdefault_hands_out_what_is_stored_and_not_the_default() -> None:
    """A list given as default would look writable; the stored copy is a tuple."""
    table: Table[str, Any] = Table()
    assert table.setdefault("a", []) == ()


def test_order_depends_on_content_only() -> None:
    """Sorted by encoded key: integers, then bytes, then text, short before long."""
    ordered = [0, 5, 23, 24, 300, -1, -2, b"", b"b", b"aa", "", "b", "aa"]
    for order in (ordered, ordered[::-1], sorted(ordered, key=str)):
        assert list(Table((key, 0) for key in order)) == ordered


def test_adding_or_removing_keys_while_iterating_is_refused() -> None:
    """As with a dict; replacing values is allowed, and a copy of the keys is the way out."""
    table = Table({"a": 1, "b": 2, "c": 3})
    for key in table:
        table[key] += 1
    assert list(table.values()) == [2, 3, 4]
    for change in (lambda: table.pop("b"), lambda: table.update(d=1), table.clear):
        with pytest.raises(RuntimeError, match=r"iterate over list\(table\)"):
            [change() for _ in table]
    table.update(x=1, y=2)
    for key in list(table):
        del table[key]
    assert len(table) == 0


@given(st.dictionaries(keys, values), st.dictionaries(keys, values))
def test_digests_are_equal_exactly_when_contents_are(left: dict[Any, Any], right: dict[Any, Any]) -> None:
    """Content means encoded content: True is not 1, and order of insertion is nothing."""

    def content(items: dict[Any, Any]) -> dict[bytes, bytes]:
        return {encode_plain(key): encode_plain(value) for key, value in items.items()}

    one, other = Table(left), Table(reversed(list(right.items())))
    assert (one.digest() == other.digest()) == (content(left) == content(right))
    assert len(one.digest()) == 32


def test_key_and_value_cannot_trade_places_in_the_digest() -> None:
    """Each is a part of its own under the digest."""
    assert Table({"a": "b"}).digest() != Table({"b": "a"}).digest()
    assert Table({"a": ("b", "c")}).digest() != Table({"a": "b", "c": "d"}).digest()
    assert Table().digest() != Table({"": ""}).digest()


def test_the_digest_does_not_depend_on_the_process() -> None:
    """Other processes under other hash seeds agree; the fixed value would reveal a change of the format."""
    program = "from pbft.table import Table; print(Table({'b': [1], 'a': {'k': b'v'}, 7: None}).digest().hex())"
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {Table({7: None, "a": {"k": b"v"}, "b": (1,)}).digest().hex()}


def test_rollback_puts_back_what_was_replaced_added_and_removed() -> None:
    """The journal remembers the first value of each key, however often it is written."""
    table: Table[str, Any] = Table({"kept": 1, "changed": 2, "removed": 3, "again": 4})
    before, digest = dict(table), table.digest()
    table._begin()
    table["changed"] = 20
    table["changed"] = 21
    table["added"] = 5
    del table["removed"]
    del table["again"]
    table["again"] = 40
    del table["added"]
    table["added"] = 6
    assert table._changed()
    table._rollback()

    assert dict(table) == before
    assert table.digest() == digest
    assert not table._changed()


def test_commit_keeps_and_ends_the_journal() -> None:
    """A rollback after a commit has nothing to undo."""
    table = Table({"a": 1})
    table._begin()
    table["a"] = 2
    table._commit()
    table._rollback()
    assert dict(table) == {"a": 2}


def test_writing_back_the_same_is_no_change() -> None:
    """What counts is content: a value put away and restored is unchanged."""
    table = Table({"a": 1})
    table._begin()
    table["a"] = 1
    del table["a"]
    table["a"] = 1
    assert not table._changed()


@given(st.dictionaries(keys, values))
def test_what_is_stored_makes_an_equal_table(content: dict[Any, Any]) -> None:
    """In ascending order of encoded keys; what was taken out is a copy that later writes do not reach."""
    table = Table(content)
    stored = table._stored()
    again: Table[Any, Any] = Table._of_stored(sorted(stored.items()))
    before = table.digest()
    table["more"] = 1
    table.clear()

    assert dict(again.items()) == dict(Table(content).items())
    assert again.digest() == before
    assert stored == {encode_plain(key): encode_plain(value) for key, value in content.items()}


@pytest.mark.parametrize(
    "items",
    [
        [(b"", encode_plain(1))],
        [(encode_plain("b"), encode_plain(1)), (encode_plain("a"), encode_plain(1))],
        [(encode_plain("a"), encode_plain(1)), (encode_plain("a"), encode_plain(1))],
        [(encode_plain(True), encode_plain(1))],
        [(encode_plain(None), encode_plain(1))],
        [(encode_plain("a") + b"x", encode_plain(1))],
        [(encode_plain("a"), b"")],
        [(encode_plain("a"), b"\x1b" + bytes(8))],
    ],
)
def test_what_no_table_stores_makes_none(items: list[tuple[bytes, bytes]]) -> None:
    """Keys that do not ascend or are none, and anything that is not canonical."""
    with pytest.raises(EncodingError):
        Table._of_stored(items)


def test_a_copy_is_a_table_of_its_own() -> None:
    """As with a dict: equal at first, and what is written to one is not in the other."""
    table = Table({"a": 1})
    twin = copy.copy(table)
    assert twin.digest() == table.digest()
    twin["b"] = 2
    del table["a"]
    assert (dict(table), dict(twin)) == ({}, {"a": 1, "b": 2})
    assert twin.digest() == Table({"a": 1, "b": 2}).digest()


class AgainstDict(RuleBasedStateMachine):
    """A Table and a plain dict, given the same commands, journal included."""

    def __init__(self) -> None:
        super().__init__()
        self.table: Table[Any, Any] = Table()
        self.model: dict[Any, Any] = {}
        self.saved: dict[Any, Any] | None = None

    @rule(key=keys, value=values)
    def put(self, key: Any, value: Any) -> None:
        self.table[key] = value
        self.model[key] = value

    @rule(key=keys)
    def pop(self, key: Any) -> None:
        assert self.table.pop(key, "none") == self.model.pop(key, "none")

    @rule(key=keys, value=values)
    def set_default(self, key: Any, value: Any) -> None:
        assert self.table.setdefault(key, value) == self.model.setdefault(key, value)

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
    def begin(self) -> None:
        self.table._begin()
        self.saved = dict(self.model)

    @precondition(lambda self: self.saved is not None)
    @rule(keep=st.booleans())
    def end(self, keep: bool) -> None:
        assert self.saved is not None
        if keep:
            self.table._commit()
        else:
            self.table._rollback()
            self.model = self.saved
        self.saved = None

    @invariant()
    def agree(self) -> None:
        assert dict(self.table.items()) == self.model
        assert len(self.table) == len(self.model)
        assert all(key in self.table for key in self.model)
        # Compared with a Table made afresh, so that a digest kept too long shows.
        assert self.table.digest() == Table(self.model).digest()


TestAgainstDict = AgainstDict.TestCase
