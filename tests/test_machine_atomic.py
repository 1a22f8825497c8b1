"""An operation returns or leaves no trace: whatever it raises, and wherever it is cut short."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pbft.encoding
import pbft.machine
from pbft.contents import Contents, View
from pbft.encoding import encode, encode_plain
from pbft.fields import encode_field
from pbft.machine import FAILED_INSIDE, Outcome, Rejected, Result, StateMachine, encode_operation, operation, query
from pbft.table import ENTRY_BYTES, Table
from tests.interrupting import codes, cut_short
from tests.kiosk import CONTEXT, run, text


class Till(StateMachine):
    """Scalars and two Tables, an operation that writes all of them, and ways to break in the middle."""

    total: int = 0
    last: tuple[str, int] | None = None
    items: Table[str, int]
    notes: Table[int, Any]

    def __init__(self) -> None:
        for number in range(40):
            self.items[f"item-{number}"] = number

    @operation
    def work(self, then: str = "nothing") -> int:
        self.total += 1
        self.items["item-0"] = 100
        del self.items[f"item-{39 - self.total}"]
        self.notes[self.total] = {"digest": self.items.digest()}
        self.items["new"] = self.total
        self.items.popitem()
        self.last = ("work", self.total)
        WAYS[then](self)
        return self.total

    @query
    def look(self) -> int:
        return self.total


def throw(error: BaseException) -> None:
    raise error


def write_deeper(machine: Till, depth: int = 0) -> None:
    """Write until the interpreter's recursion limit is reached, inside a Table's methods."""
    machine.items[f"deep-{depth % 50}"] = depth
    machine.items.pop(f"deep-{depth % 50}")
    write_deeper(machine, depth + 1)


def write_at_the_limit(machine: Till) -> None:
    """Come so near to the limit that, from one depth to the next, each call inside the Tables is the one too many."""
    try:
        write_at_the_limit(machine)
    finally:
        machine.items["limit"] = machine.items.get("limit", 0) + 1
        machine.notes.clear()
        machine.items.popitem()


def huge(machine: Till) -> None:
    machine.notes[0] = b"x" * sys.maxsize


WAYS: dict[str, Callable[[Till], object]] = {
    "nothing": lambda machine: None,
    "rejected": lambda machine: throw(Rejected("no")),
    "error": lambda machine: throw(ValueError(f"at {id(machine)}")),
    "group": lambda machine: throw(BaseExceptionGroup("two", [ValueError(), SystemExit()])),
    "exit": lambda machine: sys.exit(1),
    "generator exit": lambda machine: throw(GeneratorExit()),
    "stop": lambda machine: throw(StopIteration(5)),
    "cancelled": lambda machine: throw(asyncio.CancelledError()),
    "recursion": write_deeper,
    "recursion at the limit": write_at_the_limit,
    "memory": huge,
    "text": lambda machine: machine.items.update({"item-2": 5, "\ud800": 6}),
    "key": lambda machine: machine.notes.update([(1, 1), (1.5, 2)]),  # type: ignore[list-item]
    "value": lambda machine: machine.notes.update([(1, 1), (2, {3})]),
    "surrogate field": lambda machine: setattr(machine, "\ud800", 1),
    "field that is no text": lambda machine: vars(machine).update({5: 5}),  # type: ignore[dict-item]
    "all fields": lambda machine: vars(machine).clear(),
    "other fields": lambda machine: setattr(machine, "__dict__", {"total": 1}),
    "interrupt": lambda machine: throw(KeyboardInterrupt()),
}
FIELDS = {
    "all fields": "deleted the field items",
    "other fields": "deleted the field items",
    "field that is no text": "set a new field 5",
}
FIXED = [way for way in WAYS if way not in ("nothing", "rejected", "interrupt", *FIELDS)]


def standing(machine: Till) -> tuple[Any, ...]:
    """Return all that a state is: fields, items in order, digests, and sections as they are stored."""
    sections = [{key: section.get(key) for key in section} for section in machine.sections()]
    return (
        {name: value for name, value in vars(machine).items() if type(value) is not Table},
        list(machine.items.items()),
        list(machine.notes.items()),
        machine.digest(),
        sections,
        [section.freeze().digest for section in machine.sections()],
    )


def till() -> Till:
    machine = Till.create({})
    assert run(machine, "work").value == 1
    return machine


@pytest.mark.parametrize("way", FIXED)
def test_what_breaks_leaves_no_trace_and_gives_the_fixed_result(way: str) -> None:
    """The exception is kept for whoever debugs the replica, and the next operation runs as if it had not been."""
    machine, other = till(), till()
    before, tables = standing(machine), (machine.items, machine.notes)
    views = [section.freeze() for section in machine.sections()]
    digests = [view.digest for view in views]

    result = run(machine, "work", way)

    assert result == Result(Outcome.FAILED, encode_plain(FAILED_INSIDE))
    assert machine.last_failure is not None
    assert machine.last_written == ()
    assert standing(machine) == before
    assert (machine.items, machine.notes) == tables
    assert machine.items is tables[0]
    assert [view.digest for view in views] == digests
    assert run(machine, "work") == run(other, "work")
    assert standing(machine) == standing(other)


@pytest.mark.parametrize(("way", "says"), FIELDS.items())
def test_other_fields_than_there_were_are_put_right(way: str, says: str) -> None:
    """However they came or went: the operation fails with the name of the first."""
    machine = till()
    before = standing(machine)
    assert text(run(machine, "work", way)).startswith(f"work() {says}")
    assert standing(machine) == before


def test_rejected_and_an_interrupt_leave_no_trace_either() -> None:
    """The one with its message, the other with nothing but the interrupt, which passes through."""
    machine = till()
    before = standing(machine)
    assert run(machine, "work", "rejected") == Result(Outcome.REJECTED, encode_plain("no"))
    assert standing(machine) == before
    with pytest.raises(KeyboardInterrupt):
        run(machine, "work", "interrupt")
    assert standing(machine) == before
    assert machine.last_written == ()
    assert run(machine, "look").value == 1


def test_an_item_that_is_too_large_fails_the_operation_with_its_sentence() -> None:
    """In a Table and in a scalar: which operation, how much, what to do; and nothing was changed."""

    class Hoard(StateMachine):
        text: str = ""
        table: Table[str, str]

        @operation
        def keep(self, size: int) -> None:
            self.text = "x"
            self.table["k"] = "x" * size

        @operation
        def hold(self, size: int) -> None:
            self.table["k"] = "x"
            self.text = "x" * size

    machine = Hoard.create({})
    before = machine.digest()
    assert text(run(machine, "keep", ENTRY_BYTES)) == (
        "keep() stored too much: a Table's value and its key have at most 1048576 bytes together, these have 1048583; "
        "spread the value over several keys; nothing was changed"
    )
    assert text(run(machine, "hold", ENTRY_BYTES)) == (
        "hold() left the field text with a value it cannot hold: a field's value and its name have at most 1048576 "
        "bytes together, these have 1048585; use a Table, which holds as many items as you like; nothing was changed"
    )
    assert machine.digest() == before
    assert run(machine, "keep", ENTRY_BYTES - 7).outcome is Outcome.OK
    assert run(machine, "hold", ENTRY_BYTES - 9).outcome is Outcome.OK
    assert len(machine.sections()[0].get(b"text") or b"") == ENTRY_BYTES - len("text")


def test_an_item_that_is_too_large_is_refused_in_the_first_state() -> None:
    """When the machine is created, with the same sentence."""

    class Full(StateMachine):
        table: Table[str, str]

        def __init__(self, size: int) -> None:
            self.table["k"] = "x" * size

    assert len(Full.create({"size": ENTRY_BYTES - 7}).table) == 1
    with pytest.raises(ValueError, match="have at most 1048576 bytes together, these have 1048577; spread the value"):
        Full.create({"size": ENTRY_BYTES - 6})


# Cut short anywhere. `_run` and `_refuse` are left out: there the trace would raise where no call is made, between two
# instructions of a try statement, where the interpreter itself raises nothing.

_OUT = codes(StateMachine._run, StateMachine._refuse, StateMachine.execute)
INSIDE = (
    codes(Table, Contents, View, Till, StateMachine, encode_field, encode, encode_plain, pbft.encoding.check_plain)
    | codes(pbft.machine._encode_returned)
) - _OUT


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit])
@pytest.mark.parametrize("way", ["nothing", "error"])
def test_an_operation_cut_short_anywhere_is_undone_or_whole(error: type[BaseException], way: str) -> None:
    """Whole only if it had come to its end before: then closing it is finished. The machine goes on either way."""
    whole = till()
    run(whole, "work", way)
    before, after, following = standing(till()), standing(whole), run(whole, "work")
    ends = []
    call = encode_operation("work", [way])

    def attempt(at: int) -> bool:
        machine = till()
        cut = cut_short(lambda: machine.execute(call, CONTEXT), at, error, INSIDE)
        now = standing(machine)
        ends.append(now == after)
        assert now in (before, after)
        if cut and way == "error":
            assert now == before
        if now == before:
            assert machine.last_written == ()
            run(machine, "work", way)
        assert run(machine, "work") == following
        assert standing(machine) == standing(whole)
        return cut

    at = 0
    while attempt(at):
        at += 11
    assert at > 1_000
    assert ends == sorted(ends)


steps = st.lists(st.sampled_from([*WAYS]), max_size=8)


@settings(deadline=None, max_examples=40)
@given(steps)
def test_failures_between_show_nowhere(ways: list[str]) -> None:
    """Two machines, one of which also broke in every way: equal results, writes, sections and digests."""
    steady, shaken = till(), till()
    for way in ways:
        if way not in ("interrupt", "nothing"):
            assert run(shaken, "work", way).outcome in (Outcome.FAILED, Outcome.REJECTED)
        assert run(shaken, "work") == run(steady, "work")
        assert shaken.last_written == steady.last_written
        assert standing(shaken) == standing(steady)


# What an operation wrote.


class Pad(StateMachine):
    big: int = 10**6
    name: str = "pad"
    b: Table[str, int]
    a: Table[str, int]

    @operation
    def apply(self, how: str) -> None:
        DEEDS[how](self)

    @query
    def peek(self, how: str) -> None:
        DEEDS[how](self)


def put_and_take(pad: Pad) -> None:
    pad.a["x"] = 1
    del pad.a["x"]
    pad.b["kept"] += 1
    pad.b["kept"] -= 1
    pad.big = int(str(pad.big))
    pad.name = "".join(["p", "ad"])


def all_kinds(pad: Pad) -> None:
    pad.b["new"] = 2
    pad.a["new"] = 1
    pad.b["new"] = 3
    del pad.b["kept"]
    pad.name = "other"
    pad.big += 1


DEEDS: dict[str, Callable[[Pad], None]] = {
    "nothing": lambda pad: None,
    "put and take": put_and_take,
    "all kinds": all_kinds,
    "reject": lambda pad: throw(Rejected("no")),
    "one": lambda pad: pad.a.update(x=1),
}


def pad() -> Pad:
    machine = Pad.create({})
    machine.b["kept"] = 1
    return machine


@pytest.mark.parametrize(
    ("how", "written"),
    [
        ("nothing", ()),
        ("put and take", ()),
        ("one", ((1, encode("x"), encode(1)),)),
        (
            "all kinds",
            (
                (0, b"big", encode(10**6 + 1)),
                (0, b"name", encode("other")),
                (1, encode("new"), encode(1)),
                (2, encode("new"), encode(3)),
                (2, encode("kept"), None),
            ),
        ),
    ],
)
def test_what_an_operation_wrote_is_known(how: str, written: Any) -> None:
    """By section, key and what is there now, where that differs: not what was written and put back, in any field."""
    machine = pad()
    assert run(machine, "apply", how).outcome is Outcome.OK
    assert machine.last_written == written
    sections = machine.sections()
    assert machine.section_names() == ("", "a", "b")
    assert all(sections[section].get(key) == value for section, key, value in machine.last_written)


def test_what_an_operation_wrote_is_all_that_changed() -> None:
    """Read from the sections themselves: nothing else differs, from a first state that has been adopted too."""
    machine = pad()
    before = [{key: section.get(key) for key in section} for section in machine.sections()]
    run(machine, "apply", "all kinds")
    for section, key, value in machine.last_written:
        before[section][key] = value
    now = [{key: section.get(key) for key in section} for section in machine.sections()]
    assert now == [{key: value for key, value in each.items() if value is not None} for each in before]


@pytest.mark.parametrize("how", ["reject", "no such deed"])
def test_an_operation_that_failed_wrote_nothing(how: str) -> None:
    """Neither does one that is refused before it runs, or a query, undo what is known of the one before unnoticed."""
    machine = pad()
    run(machine, "apply", "one")
    assert machine.last_written
    assert run(machine, "apply", how).outcome is not Outcome.OK
    assert machine.last_written == ()


@pytest.mark.parametrize("call", [("apply", 5), ("nowhere",), ("peek", "nothing"), ("peek", "put and take")])
def test_what_never_ran_or_only_looked_wrote_nothing(call: tuple[Any, ...]) -> None:
    """So that nobody takes the writes of the operation before for those of this one."""
    machine = pad()
    run(machine, "apply", "one")
    run(machine, *call)
    assert machine.last_written == ()
    assert machine.execute(b"\xff", CONTEXT).outcome is Outcome.INVALID
    assert machine.last_written == ()
