"""Two states side by side: the first key that differs, by its name."""

from __future__ import annotations

from pbft.conformance.states import Difference, dump_state, first_difference
from pbft.machine import StateMachine
from pbft.table import Table


class Shop(StateMachine):
    total: int = 0
    last: tuple[str, int] | None = None
    prices: Table[str, int]
    notes: Table[int, str]


def difference(**changes: object) -> Difference | None:
    here, there = Shop(), Shop()
    for shop in (here, there):
        shop.prices["lamp"], shop.notes[-3] = 5, "old"
    for name, value in changes.items():
        if name == "prices":
            there.prices.update(value)  # type: ignore[call-overload]
        elif name == "notes":
            there.notes.update(value)  # type: ignore[call-overload]
        else:
            setattr(there, name, value)
    return first_difference(dump_state(here), dump_state(there))


def test_fields_come_first_then_tables_and_each_key_is_told_as_what_it_is():
    assert difference() is None
    assert difference(total=1) == Difference("the field total", "0", "1")
    assert difference(total=1, last=("a", 2)) == Difference("the field last", "None", '("a", 2)')
    assert difference(prices={"lamp": 6}) == Difference('the key "lamp" of prices', "5", "6")
    assert difference(prices={"chair": 1}) == Difference('the key "chair" of prices', "absent", "1")
    assert difference(notes={-3: "new"}, prices={"x": 1}) == Difference("the key -3 of notes", '"old"', '"new"')


def test_long_values_are_compared_whole_and_told_cut():
    found = difference(notes={7: "x" * 10_000})
    assert found is not None
    assert found.there.startswith("a value of more than 4096 bytes")
    here, there = Shop(), Shop()
    here.notes[1], there.notes[1] = "y" * 9_000 + "a", "y" * 9_000 + "b"
    assert first_difference(dump_state(here), dump_state(there)) is not None
