"""What a field may hold: whatever else an author writes, the sentence says what to write instead."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import re
from collections import deque
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, NewType

import pytest

from pbft.encoding import EncodingError, encode
from pbft.fields import encode_field
from pbft.machine import MachineError, StateMachine
from pbft.table import ENTRY_BYTES, Table


@dataclasses.dataclass(frozen=True)
class Point:
    x: int = 0


class Colour(enum.Enum):
    RED = "red"


class Place(enum.IntEnum):
    FIRST = 1


class Name(str):
    __slots__ = ()


MAP = "use Table[str, int], with one item for each key"
LIST = "use a tuple, or a Table with one item for each place, as in Table[int, str]"
SET = "use Table[str, bool], with one item for each member, or a sorted tuple if there are few"
NUMBER = "use int in the smallest unit, such as cents"
TIME = "use int, as milliseconds"
ENUM = "use its value, a str or int: Literal[...] says which there are"
PARTS = "use a tuple of its parts, or a field for each"
Owner = NewType("Owner", str)


class Pair(NamedTuple):
    left: int


JOINED = 'they are str, bytes or int; join the parts into a str, such as "1/2"'
NESTED = 'write one Table with a key for both, such as Table[str, int] with keys like "a/b"'
STR_KEYS = "a dict's keys are str inside a Table, as in dict[str, int]"
RECORD = "use a tuple of its parts, or a dict, as in dict[str, int]"
ONE_TABLE = "a field is a Table or never one: write Table[str, int] alone, which is empty at first"


def made(**body: Any) -> type[StateMachine]:
    """Return a class named Bad with this body."""
    return type("Bad", (StateMachine,), {"__annotations__": {}, "__module__": __name__, **body})


@pytest.mark.parametrize(
    ("annotation", "instead"),
    [
        (dict, MAP),
        (dict[str, int], MAP),
        (dict[int, int], MAP),
        (dict[str, int] | None, MAP),
        (list, LIST),
        (list[int], LIST),
        (deque, LIST),
        (tuple[list[int], ...], LIST),
        (set, SET),
        (set[int], SET),
        (frozenset[int], SET),
        (float, NUMBER),
        (float | None, NUMBER),
        (decimal.Decimal, NUMBER),
        (complex, NUMBER),
        (dt.datetime, TIME),
        (dt.timedelta, TIME),
        (bytearray, "use bytes"),
        (tuple, "say what is in it, as in tuple[int, ...]"),
        (Point, PARTS),
        (Colour, ENUM),
        (Place, ENUM),
        (Name, "use a plain int, str or bytes"),
        (Table[str, int] | None, ONE_TABLE),
        (tuple[Table[str, int], ...], ONE_TABLE),
        (object, "use int, str, bytes, bool, None, a tuple of these, or a Table"),
    ],
)
def test_an_annotation_that_no_field_has(annotation: Any, instead: str):
    """Said when the class is first used, with field, annotation and what to write instead."""
    with pytest.raises(MachineError) as caught:
        made(__annotations__={"seen": annotation}).create({})
    assert re.fullmatch(
        r"the field Bad\.seen is annotated .+, which (no field holds|can be changed unseen); .+", str(caught.value)
    )
    assert str(caught.value).endswith(f"; {instead}")


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        (Table[float, int], "a Table with keys of float; they are str, bytes or int"),
        (Table[bool, int], "a Table with keys of bool; they are str, bytes or int"),
        (Table[str | None, int], "a Table with keys of str | None; they are str, bytes or int"),
        (Table[str, float], f"a Table of float, which it cannot store; {NUMBER}"),
        (Table[str, set[int]], "a Table of set[int], which it cannot store; use a list, in sorted order"),
        (Table[str, tuple[str, dt.date]], f"which it cannot store; {TIME}"),
        (Table[tuple[int, int], int], f"a Table with keys of tuple[int, int]; {JOINED}"),
        (Table[str | tuple[str, ...], int], f"a Table with keys of str | tuple[str, ...]; {JOINED}"),
        (Table[Literal[True], int], "a Table with keys of Literal[True]; they are str, bytes or int"),
        (Table[str, Table[str, int]], f"a Table of Table[str, int], which it cannot store; {NESTED}"),
        (Table[str, list[Table[str, float]]], f"which it cannot store; {NESTED}"),
        (Table[str, Table[Any, Any]], f"a Table of Table[Any, Any], which it cannot store; {NESTED}"),
        (Table[str, dict[int, int]], f"a Table of dict[int, int], which it cannot store; {STR_KEYS}"),
        (Table[str, Mapping[str, int]], f"which it cannot store; {STR_KEYS}"),
        (Table[str, Point], f"a Table of Point, which it cannot store; {RECORD}"),
        (Table[str, Point | None], f"which it cannot store; {RECORD}"),
        (Table[str, list], "a Table of list, which it cannot store; say what is in it, as in list[int]"),  # type: ignore[type-arg] # as careless authors write it
        (Table[str, Pair], "a Table of Pair, which it cannot store; use a plain tuple or a list"),
        (Table[str, deque[int]], "deque[int], which it cannot store; use a list, as in list[int]"),
    ],
)
def test_a_table_of_what_no_table_stores(annotation: Any, says: str):
    """Said before the first item is stored."""
    with pytest.raises(MachineError, match=re.escape(says)):
        made(__annotations__={"seen": annotation}).create({})


@pytest.mark.parametrize(
    "annotation",
    [
        Table,
        Table[str, int],
        Table[str | bytes | int, Any],
        Table[Literal["a", "b"], list[int]],
        Table[Any, dict[str, int | None]],
        Table[str, object],
        Table[Owner, int],
        Table[Annotated[str, "a name"] | int, list[dict[str, tuple[int, ...]]]],
    ],
)
def test_tables_that_a_field_may_have(annotation: Any):
    """Keys of the three types, and every value that can be encoded."""
    assert len(made(__annotations__={"seen": annotation}).create({}).seen) == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({}, f"a dict can be changed unseen; {MAP}"),
        ([1], f"a list can be changed unseen; {LIST}"),
        ((1, (2, [])), f"a list can be changed unseen; {LIST}"),
        ({1}, f"a value of type set cannot be stored; {SET}"),
        (frozenset(), f"a value of type frozenset cannot be stored; {SET}"),
        (1.5, f"a value of type float cannot be stored; {NUMBER}"),
        ((1, decimal.Decimal(1)), f"a value of type Decimal cannot be stored; {NUMBER}"),
        (Point(), f"a value of type Point cannot be stored; {PARTS}"),
        (Colour.RED, f"a value of type Colour cannot be stored; {ENUM}"),
        (Place.FIRST, f"a value of type Place cannot be stored; {ENUM}"),
        (Name("x"), "a value of type Name cannot be stored; use a plain int, str or bytes"),
        (bytearray(), "a value of type bytearray cannot be stored; use bytes"),
        (2**64, "an integer beyond 64 bits cannot be stored; keep amounts within 2**64 - 1"),
    ],
)
def test_a_value_that_no_field_holds(value: Any, says: str):
    """In the first state and in an operation alike."""
    with pytest.raises(EncodingError, match=re.escape(says)):
        encode_field("seen", value)
    with pytest.raises(MachineError, match=re.escape(f"Bad.seen cannot be a field: {says}")):
        made(__init__=lambda self: setattr(self, "seen", value)).create({})


def test_a_value_that_is_nested_too_deep():
    """One sentence, however deep it is: no RecursionError."""
    value: tuple[Any, ...] = ()
    for _ in range(50_000):
        value = (value,)
    says = "Bad.seen cannot be a field: values nested more than 16 levels deep cannot be stored"
    with pytest.raises(MachineError, match=re.escape(says)):
        made(__init__=lambda self: setattr(self, "seen", value)).create({})


def test_a_field_holds_a_mebibyte_with_its_name():
    """As stored, since that is what a replica that catches up is sent in one piece; not one byte more."""
    room = ENTRY_BYTES - len(b"seen") - len(encode(bytes(ENTRY_BYTES // 2))) + ENTRY_BYTES // 2
    assert encode_field("seen", bytes(room)) == encode(bytes(room))
    says = (
        f"a field's value and its name have at most {ENTRY_BYTES} bytes together, these have {ENTRY_BYTES + 1}; "
        "use a Table, which holds as many items as you like"
    )
    with pytest.raises(EncodingError, match=re.escape(says)):
        encode_field("seen", bytes(room + 1))
