"""The state as maps of bytes: what checkpoints cover of a machine, and what it takes over from others."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pbft.contents import Contents
from pbft.encoding import EncodingError, encode, encode_plain
from pbft.machine import Outcome, StateMachine
from pbft.table import Table
from tests.kiosk import Kiosk, kiosk, run
from tests.tries import fresh


def stored(section: Contents) -> dict[bytes, bytes | None]:
    return {key: section.get(key) for key in section}


def replace(section: Contents, content: dict[bytes, bytes]) -> None:
    """Do to a section what a transfer does: it becomes another content, whose root is known."""
    gone = dict.fromkeys(key for key in section if key not in content)
    section.install(section.freeze(), {**gone, **content}, fresh(content))


def content_of(section: Contents) -> dict[bytes, bytes]:
    return {key: section.get(key) or b"" for key in section}


def test_scalars_come_first_and_then_tables_by_name() -> None:
    """Scalars by their names, each encoded; a Table has its name there too, with nothing behind it."""

    class Shop(StateMachine):
        zeta: int = 5
        goods: Table[str, int]
        alpha: tuple[int, ...] = (1,)
        buyers: Table[int, str]

    shop = Shop.create({})
    shop.goods["tea"] = 1
    shop.buyers[7] = "x"
    assert shop.section_names() == ("", "buyers", "goods")
    scalars, buyers, goods = shop.sections()
    assert stored(scalars) == {b"zeta": encode(5), b"alpha": encode((1,)), b"goods": b"", b"buyers": b""}
    assert stored(buyers) == {encode(7): encode("x")}
    assert stored(goods) == {encode("tea"): encode(1)}


def test_sections_are_always_the_same_maps_brought_up_to_date() -> None:
    """A view that was taken of one keeps what it saw, of scalars as of Tables."""
    machine = kiosk()
    sections = machine.sections()
    views = [section.freeze() for section in sections]
    digests = [view.digest for view in views]
    run(machine, "buy", "tea", 3)
    assert all(one is other for one, other in zip(sections, machine.sections(), strict=True))
    assert sections[0].get(b"sold") == encode(3)
    assert [view.digest for view in views] == digests
    assert all(one.digest != other for one, other in zip([each.freeze() for each in sections], digests, strict=True))
    machine.sections()
    assert sections[0].freeze() is sections[0].freeze()


def test_a_machine_goes_on_from_sections_that_were_installed() -> None:
    """As their maker does: fields, Tables in order, results, writes and digests; an undo reaches back to them only."""
    source, target = kiosk(), Kiosk.create({"owner": "nobody", "goods": ("mud", "tea")})
    run(source, "buy", "tea", 4)
    assert list(target.stock) == ["mud", "tea"]
    for section, like in zip(target.sections(), source.sections(), strict=True):
        replace(section, content_of(like))
    target.adopt()
    assert {name: value for name, value in vars(target).items() if name != "stock"} == {
        name: value for name, value in vars(source).items() if name != "stock"
    }
    assert list(target.stock.items()) == list(source.stock.items())
    assert target.digest() == source.digest()
    for how in ("error", "recursion", "Table replaced"):
        assert run(target, "spoil", how).outcome is Outcome.FAILED
    assert run(target, "buy", "tea", 2) == run(source, "buy", "tea", 2)
    assert target.last_written == source.last_written
    digests = [[section.freeze().digest for section in machine.sections()] for machine in (source, target)]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({b"sold": None}, "a state of other fields than last, owner, sold, stock"),
        ({b"more": encode(1)}, "a state of other fields than"),
        ({b"sold": b""}, "the field sold is of another kind"),
        ({b"stock": encode(1)}, "the field stock is of another kind"),
        ({b"sold": encode([1, {"a": 1}])}, "a dict can be changed unseen"),
        ({b"sold": encode_plain({})}, "a dict can be changed unseen"),
        ({b"sold": b"\x18\x01"}, "not canonical"),
        ({b"sold": encode(1.5)}, "float cannot be stored"),
    ],
)
def test_scalars_that_no_machine_of_the_class_writes(change: dict[bytes, bytes | None], says: str) -> None:
    """Are refused, and no field has changed."""
    machine = kiosk()
    scalars = machine.sections()[0]
    scalars.write(b"owner", encode("eve"))
    for key, value in change.items():
        scalars.write(key, value)
    before = dict(vars(machine))
    with pytest.raises(EncodingError, match=says):
        machine.adopt()
    assert vars(machine) == before


def test_a_machine_without_fields_has_one_section() -> None:
    """Which is empty."""

    class Empty(StateMachine):
        """No field, no operation."""

    machine = Empty.create({})
    (scalars,) = machine.sections()
    assert len(scalars) == 0
    machine.adopt()


def test_a_copy_has_sections_of_its_own() -> None:
    """What is written to either is not in the other."""
    one = kiosk()
    one.sections()
    other: Any = copy.copy(one)
    run(one, "buy", "tea", 1)
    digests = [[section.freeze().digest for section in machine.sections()] for machine in (one, other)]
    assert all(mine != its for mine, its in zip(*digests, strict=True))
    run(other, "buy", "tea", 1)
    assert [section.freeze().digest for section in other.sections()] == digests[0]
