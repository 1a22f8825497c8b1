"""Snapshots of state machines: the whole state as pieces, and back into another machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.encoding import EncodingError, encode, encode_plain
from pbft.machine import (
    SNAPSHOT_PIECE_BYTES,
    Application,
    MachineError,
    Outcome,
    Rejected,
    StateMachine,
    operation,
)
from pbft.pieces import cut_items, read_items
from pbft.table import ENTRY_BYTES, Table
from tests.kiosk import Kiosk, kiosk, run

PIECE = SNAPSHOT_PIECE_BYTES


class Notes(StateMachine):
    """Fields of every scalar kind and two Tables, one of them never named in the class body."""

    writes: int = 0
    last: tuple[str, bytes | None] | None = None
    sealed: bool = False
    title: str
    pages: Table[str | bytes | int, Any]

    def __init__(self, title: str = "untitled") -> None:
        self.title = title
        self.index = Table[int, int]({0: 0})

    @operation
    def put(self, key: str | bytes | int, value: Any) -> int:
        self.pages[key] = value
        self.writes += 1
        self.index[self.writes] = len(self.pages)
        self.last = (str(key), key if isinstance(key, bytes) else None)
        return self.writes

    @operation
    def drop(self, key: str | bytes | int) -> None:
        self.sealed = not self.sealed
        del self.pages[key]

    @operation
    def retitle(self, title: str) -> None:
        self.pages.clear()
        self.title = title
        raise Rejected("the title stays")


keys = st.sampled_from(["", "a", "b", b"", b"a", 0, 1, -1, 24]) | st.text(max_size=3) | st.binary(max_size=3)
values = st.sampled_from([None, True, 5, "x" * 300, (1, (2, "y")), {"k": [1], "j": None}]) | st.integers(-9, 9)
puts = st.tuples(st.just("put"), keys, values)
steps = st.lists(puts | st.tuples(st.just("drop"), keys) | st.tuples(st.just("retitle"), st.just("other")), max_size=25)


def notes(history: Sequence[Any] = ()) -> Notes:
    machine = Notes.create({"title": "mine"})
    for step in history:
        run(machine, *step)
    return machine


def pieces_of(*items: bytes) -> list[bytes]:
    return list(cut_items(items))


@given(steps, steps, steps)
def test_a_machine_goes_on_from_a_snapshot_as_its_maker_does(
    before: list[Any], elsewhere: list[Any], after: list[Any]
) -> None:
    """Whatever the other machine held is gone, and from then on results, digests and snapshots stay equal."""
    source, target = notes(before), notes(elsewhere)
    target.restore(source.snapshot())

    assert target.digest() == source.digest()
    assert list(target.snapshot()) == list(source.snapshot())
    for step in after:
        assert run(target, *step) == run(source, *step)
        assert target.digest() == source.digest()
    assert vars(target) == vars(source)
    assert list(target.snapshot()) == list(source.snapshot())


@given(steps, steps)
def test_a_snapshot_is_that_of_the_moment_it_was_taken(before: list[Any], after: list[Any]) -> None:
    """What runs later, and restoring another state, changes nothing in it; iterating again gives the same."""
    machine = notes(before)
    snapshot = machine.snapshot()
    at_once = list(notes(before).snapshot())
    for step in after:
        run(machine, *step)
    assert list(snapshot) == at_once
    machine.restore(notes().snapshot())
    assert list(snapshot) == at_once
    assert list(notes(before).snapshot()) == at_once


@given(st.dictionaries(keys, values))
def test_equal_states_have_equal_pieces_however_they_came_about(content: dict[Any, Any]) -> None:
    """Neither the order of writes nor what was written and removed between shows; different states differ."""

    class Plain(StateMachine):
        pages: Table[Any, Any]

    one, other = Plain(), Plain()
    one.pages.update(content)
    other.pages.update({"gone": 1, **dict(reversed(content.items()))})
    assert list(one.snapshot()) != list(other.snapshot())
    del other.pages["gone"]
    assert list(one.snapshot()) == list(other.snapshot())


def test_the_order_in_which_fields_came_to_be_does_not_show() -> None:
    """As in the digest."""
    one, other = notes(), notes()
    vars(other).clear()
    vars(other).update(reversed(vars(one).items()))
    assert list(vars(one)) != list(vars(other))
    assert list(one.snapshot()) == list(other.snapshot())


def test_a_value_larger_than_a_piece_is_spread_over_several() -> None:
    """In a Table and in a plain field: 64 KiB and more, whatever the size of a piece."""
    source, target = Notes(title="x" * (3 * PIECE)), Notes()
    for size in (PIECE - 10, PIECE, 64 * 1024, 5 * PIECE):
        source.pages[size] = bytes(size)
    pieces = list(source.snapshot())

    assert {len(piece) for piece in pieces[:-1]} == {PIECE}
    assert 0 < len(pieces[-1]) <= PIECE
    assert sum(map(len, pieces)) > 10 * PIECE
    target.restore(pieces)
    assert target.digest() == source.digest()
    assert target.title == source.title
    assert target.pages[64 * 1024] == bytes(64 * 1024)


def test_processes_agree_on_the_pieces() -> None:
    """Other processes under other hash seeds write the same state down alike; the digest would reveal a new format."""
    program = (
        "import hashlib\n"
        "from tests.kiosk import kiosk, run\n"
        "machine = kiosk()\n"
        "run(machine, 'buy', 'tea', 3)\n"
        "print(hashlib.blake2b(b''.join(machine.snapshot()), digest_size=8).hexdigest())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(["", *sys.path])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {"2a9b47be4a60af34"}


def test_a_machine_without_fields_has_a_snapshot_too() -> None:
    """Of no pieces: there is nothing to say."""

    class Empty(StateMachine):
        """No field, no operation."""

    assert list(Empty().snapshot()) == []
    Empty().restore([])
    with pytest.raises(EncodingError, match="more than this state has"):
        Empty().restore(pieces_of(b"x"))


@given(steps.filter(bool), st.data())
def test_altered_pieces_are_refused_or_are_another_state(history: list[Any], data: st.DataObject) -> None:
    """No second spelling of one state is accepted, and a refusal changes nothing."""
    source, target = notes(history), notes()
    stream = b"".join(source.snapshot())
    place, bit = data.draw(st.integers(0, len(stream) - 1)), 1 << data.draw(st.integers(0, 7))
    altered = stream[:place] + bytes([stream[place] ^ bit]) + stream[place + 1 :]
    before = target.digest()
    try:
        target.restore([altered[at : at + PIECE] for at in range(0, len(altered), PIECE)])
    except ValueError:
        assert target.digest() == before
    else:
        assert b"".join(target.snapshot()) == altered
        assert target.digest() != source.digest()


@given(steps.filter(bool), st.data())
def test_pieces_cut_off_anywhere_are_refused(history: list[Any], data: st.DataObject) -> None:
    """And so is one more item; either changes nothing."""
    items = list(read_items(notes(history).snapshot()))
    stream = b"".join(notes(history).snapshot())
    left = data.draw(st.integers(0, len(stream) - 1))
    target = notes()
    before, tables = target.digest(), (target.pages, target.index)
    for pieces in ([stream[:left]] if left else [], pieces_of(*items, b""), pieces_of(*items, b"writes")):
        with pytest.raises(ValueError, match="snapshot"):
            target.restore(pieces)
    assert target.digest() == before
    assert target.pages is tables[0]
    assert target.index is tables[1]


class One(StateMachine):
    number: int = 1
    table: Table[str, int]


GOOD = (b"number", b"value", encode(7), b"table", b"table", encode("a"), encode(1), encode("b"), encode(2), b"")


def test_the_items_of_a_snapshot() -> None:
    """Field after field by name: its kind, then its value or the Table's items and an end."""
    machine = One()
    machine.restore(pieces_of(*GOOD))
    assert (machine.number, dict(machine.table)) == (7, {"a": 1, "b": 2})
    assert tuple(read_items(machine.snapshot())) == GOOD


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ((), "ends before the last field"),
        (GOOD[:3], "ends before the last field"),
        (GOOD[:-1], "ends before the last field"),
        ((*GOOD[:-2], b""), "not canonical CBOR"),
        ((*GOOD, b"x", b"value", encode(1)), "more than this state has"),
        ((b"numbers", *GOOD[1:]), "where the value number should be is another"),
        ((b"number", b"table", b"", *GOOD[3:]), "where the value number should be is another"),
        ((*GOOD[:4], b"value", encode(1)), "where the table table should be is another"),
        ((*GOOD[3:], *GOOD[:3]), "where the value number should be is another"),
        ((*GOOD[:5], encode("b"), encode(2), encode("a"), encode(1), b""), "the keys of a Table's snapshot ascend"),
        ((*GOOD[:5], encode("a"), encode(2), encode("a"), encode(1), b""), "the keys of a Table's snapshot ascend"),
        ((*GOOD[:5], encode(None), encode(1), b""), "a key that is neither str, bytes nor int"),
        ((*GOOD[:5], encode(True), encode(1), b""), "a key that is neither str, bytes nor int"),
        ((*GOOD[:5], encode([1]), encode(1), b""), "a key that is neither str, bytes nor int"),
        ((*GOOD[:5], b"\x18\x01", encode(1), b""), "not canonical CBOR"),
        ((*GOOD[:5], encode("a"), b"\x18\x01", b""), "not canonical CBOR"),
        ((*GOOD[:5], encode("a"), encode(1.5), b""), "type float cannot be stored"),
        ((*GOOD[:2], b"\x18\x01", *GOOD[3:]), "not canonical CBOR"),
        ((*GOOD[:2], encode({"a": 1}), *GOOD[3:]), "a dict can be changed unseen"),
        ((*GOOD[:2], encode([1, {}]), *GOOD[3:]), "a dict can be changed unseen"),
        ((*GOOD[:2], encode(1.5), *GOOD[3:]), "type float cannot be stored"),
        ((*GOOD[:2], encode("x" * ENTRY_BYTES), *GOOD[3:]), "at most 1048576 bytes together"),
        ((*GOOD[:5], encode("a"), encode("x" * ENTRY_BYTES), b""), "an item of more than 1048576 bytes"),
    ],
)
def test_pieces_that_no_machine_of_the_class_makes_are_refused(items: tuple[bytes, ...], sentence: str) -> None:
    """Names, kinds, order, number and values are checked, whoever may have signed them; nothing is changed."""
    machine = One()
    machine.table["kept"] = 5
    before = dict(vars(machine))
    with pytest.raises(EncodingError, match=sentence):
        machine.restore(pieces_of(*items))
    assert vars(machine) == before
    assert machine.table is before["table"]


def test_the_pieces_of_another_class_are_refused() -> None:
    """A replica that was given the wrong application keeps what it has."""
    machine = notes()
    before = machine.digest()
    with pytest.raises(EncodingError, match="a snapshot of other fields"):
        machine.restore(kiosk().snapshot())
    assert machine.digest() == before


def test_which_fields_there_are_is_as_in_the_first_state() -> None:
    """Those that `__init__` sets count, and a machine that breaks the rules is told so before anything is read."""

    class Bad(StateMachine):
        missing: int

    with pytest.raises(MachineError, match=r"Bad\.missing has no first value"):
        Bad().restore([])
    fresh = Kiosk()
    fresh.restore(kiosk().snapshot())
    assert fresh.owner == "olga"
    assert dict(fresh.stock) == {"coffee": 10, "tea": 10}


def test_an_operation_cannot_restore_its_own_machine() -> None:
    """It would undo itself, and what undoes operations would undo it again."""

    class Sly(StateMachine):
        total: int = 0

        @operation
        def undo(self) -> None:
            self.total = 5
            self.restore(Sly().snapshot())

    machine = Sly.create({})
    assert run(machine, "undo").outcome is Outcome.FAILED
    assert isinstance(machine.last_failure, RuntimeError)
    assert machine.total == 0


def test_a_restored_machine_still_undoes_what_fails() -> None:
    """Its Tables are new ones, with journals of their own."""
    machine, source = kiosk(), kiosk()
    run(source, "buy", "tea", 4)
    machine.restore(source.snapshot())
    before = machine.digest()
    for how in ("error", "Table replaced", "new field"):
        assert run(machine, "spoil", how).outcome is Outcome.FAILED
        assert machine.digest() == before
    assert run(machine, "buy", "tea", 7).outcome is Outcome.REJECTED
    assert run(machine, "buy", "tea", 6).value == 0


@pytest.mark.parametrize("name", ["snapshot", "restore"])
def test_the_two_names_are_the_machines_own(name: str) -> None:
    """An application that used one of them would replace what checkpoints rest on."""
    mine: Any = type("Mine", (StateMachine,), {name: operation(lambda self: None)})
    with pytest.raises(MachineError, match=f"Mine.{name} would replace the machine's own {name}; rename it"):
        mine.create({})


def test_a_state_machine_is_an_application() -> None:
    """What replicas run has all that the protocol asks for."""
    application: Application = kiosk()
    application.restore(application.snapshot())
    assert run(application, "count", "tea").payload == encode_plain(10)
