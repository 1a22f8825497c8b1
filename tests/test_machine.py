"""State machines at work: how operations run, and that they return or change nothing."""

from __future__ import annotations

import copy
import random
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.encoding import encode_plain
from pbft.machine import (
    FAILED_INSIDE,
    ArgumentError,
    Context,
    Outcome,
    Result,
    StateMachine,
    describe,
    describe_parameters,
    encode_operation,
    operation,
    query,
)
from pbft.table import Table
from tests.kiosk import CONTEXT, FAILURES, Kiosk, kiosk, run, text


class Empty(StateMachine):
    """No field, no operation."""


def test_an_operation_changes_fields_and_tables_and_returns_a_value() -> None:
    """Positional and named arguments, and defaults, all reach the method."""
    machine = kiosk()

    assert run(machine, "buy", "tea", 3) == Result(Outcome.OK, encode_plain(7))
    assert run(machine, "buy", "tea").value == 6
    assert run(machine, "buy", "tea", amount=2).value == 4
    assert run(machine, "buy", amount=1, good="tea").value == 3
    assert (machine.sold, machine.last, machine.stock["tea"]) == (7, ("tea", 1), 3)
    assert run(machine, "count", "tea").value == 3


def test_the_context_goes_to_whoever_asks_for_it_by_type() -> None:
    """Any name and any position, and it is never one of the client's arguments."""

    class Clock(StateMachine):
        @operation
        def first(self, where: Context, word: str) -> tuple[str, int]:
            return where.client + word, where.time_ms

        @operation
        def last(self, word: str, *, context: Context) -> tuple[str, int]:
            return word, context.sequence

        @query
        def draw(self, context: Context) -> int:
            return context.random.getrandbits(32)

    machine = Clock.create({})
    assert run(machine, "first", "!").value == ("alice!", 1_000)
    assert run(machine, "last", "x").value == ("x", 7)
    assert run(machine, "draw").value == random.Random(bytes(32)).getrandbits(32)
    assert text(run(machine, "last", "x", context=1)) == 'last() has no argument "context"; there is word'
    assert [len(spec.parameters) for spec in describe(Clock)] == [1, 1, 0]


def test_the_random_of_a_context_depends_on_the_seed_only() -> None:
    """The same for every replica, another for another operation, and it goes on from draw to draw."""
    again, other = Context(2_000, "bob", 8, bytes(32)), Context(1_000, "alice", 7, bytes(31) + b"\x01")
    first = Context(1_000, "alice", 7, bytes(32))

    assert first.random.random() == again.random.random() != other.random.random()
    assert first.random.random() == again.random.random()
    assert first == CONTEXT


def test_rejected_carries_its_message_and_changes_nothing() -> None:
    """The application's no is no failure."""
    machine = kiosk()
    before = machine.digest()

    assert run(machine, "buy", "tea", 11) == Result(Outcome.REJECTED, encode_plain("only 10 tea left"))
    assert run(machine, "spoil", "rejected") == Result(Outcome.REJECTED, encode_plain("no"))
    assert machine.digest() == before
    assert machine.last_failure is None


@pytest.mark.parametrize(
    "how",
    [
        "error",
        "recursion",
        "exit",
        "generator exit",
        "cancelled",
        "assertion",
        "memory",
        "rejected without words",
        "rejected with a number",
        "rejected with a surrogate",
        "execute inside",
    ],
)
def test_every_other_exception_gives_one_fixed_text_and_changes_nothing(how: str) -> None:
    """Messages may hold addresses, so none is repeated; the exception is kept for whoever debugs this replica."""
    machine = kiosk()
    before, fields = machine.digest(), dict(vars(machine))

    assert run(machine, "spoil", how) == Result(Outcome.FAILED, encode_plain(FAILED_INSIDE))
    assert machine.digest() == before
    assert vars(machine) == fields
    assert machine.last_failure is not None
    assert run(machine, "buy", "tea").value == 9


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("float", "left the field sold with a value it cannot hold: a value of type float cannot be stored; use int"),
        ("too large", "left the field sold with a value it cannot hold: an integer beyond 64 bits cannot be stored"),
        (
            "list",
            "left the field last with a value it cannot hold: a list can be changed unseen; use a tuple, or a Table",
        ),
        ("list in a tuple", "left the field last with a value it cannot hold: a list can be changed unseen"),
        ("dict", "left the field last with a value it cannot hold: a dict can be changed unseen"),
        ("new field", "set a new field sodl; declare it in the class body"),
        ("deleted field", "deleted the field sold"),
        ("new Table", "assigned a Table to the field stock, or replaced one"),
        ("Table in a field", "assigned a Table to the field last"),
        ("Table replaced", "assigned a Table to the field stock, or replaced one"),
        ("Table twice", "assigned a Table to the field last"),
    ],
)
def test_a_field_left_with_what_it_cannot_hold_fails_the_operation(how: str, sentence: str) -> None:
    """The text names operation, field and remedy, and everything is as it was."""
    machine = kiosk()
    before, stock = machine.digest(), machine.stock

    result = run(machine, "spoil", how)

    assert result.outcome is Outcome.FAILED
    assert text(result).startswith(f"spoil() {sentence}")
    assert text(result).endswith("; nothing was changed")
    assert machine.digest() == before
    assert machine.stock is stock
    assert machine.last_failure is not None
    assert run(machine, "buy", "tea").value == 9


def test_a_keyboard_interrupt_passes_through_with_the_operation_undone() -> None:
    """Ctrl-C is the operator's, not the application's."""
    machine = kiosk()
    before = machine.digest()
    with pytest.raises(KeyboardInterrupt):
        run(machine, "spoil", "interrupt")
    assert machine.digest() == before
    assert run(machine, "buy", "tea").value == 9


def test_a_return_value_that_cannot_be_sent_fails_the_operation() -> None:
    """The text names the operation and the type; the change made before is undone."""

    class Leaky(StateMachine):
        calls: int = 0
        table: Table[str, int]

        @operation
        def leak(self, what: str) -> object:
            self.calls += 1
            return {"set": {1}, "float": 0.5, "self": self, "table": self.table, "large": 2**64}[what]

    machine = Leaky.create({})
    for what, kind in (("set", "set"), ("float", "float"), ("self", "Leaky"), ("table", "Table")):
        result = run(machine, "leak", what)
        assert result.outcome is Outcome.FAILED
        assert text(result).startswith(f"leak() returned what cannot be sent: a value of type {kind} cannot be stored")
    assert "beyond 64 bits" in text(run(machine, "leak", "large"))
    assert machine.calls == 0


def test_an_answer_longer_than_the_context_allows_fails_and_changes_nothing() -> None:
    """A value that could not be sent back must not have been paid for with a change."""
    machine = kiosk()
    before = machine.digest()
    context = Context(time_ms=1, client="alice", sequence=1, seed=bytes(32), answer_bytes=0)
    result = machine.execute(encode_operation("buy", ("tea",)), context)
    assert result.outcome is Outcome.FAILED
    assert "returned more than the 0 bytes left for it" in result.value
    assert machine.digest() == before


def test_a_query_that_changes_something_fails_and_changes_nothing() -> None:
    """What counts is content: a value put back is no change, and a Rejected stays a Rejected."""
    machine = kiosk()
    before = machine.digest()

    assert run(machine, "peek", "put back") == Result(Outcome.OK, encode_plain(0))
    for how in ("field", "table"):
        result = run(machine, "peek", how)
        assert result.outcome is Outcome.FAILED
        assert text(result).startswith("peek() is a query and must change nothing")
    assert run(machine, "peek", "rejected") == Result(Outcome.REJECTED, encode_plain("closed"))
    assert machine.digest() == before


@given(
    st.lists(st.tuples(st.sampled_from(["tea", "coffee", "mud"]), st.integers(-2, 5), st.sampled_from(list(FAILURES))))
)
def test_two_machines_stay_equal_whatever_fails_between(steps: list[tuple[str, int, str]]) -> None:
    """One executes only what succeeds, the other every failure too: results and digests stay equal."""
    steady, shaken = kiosk(), kiosk()
    for good, amount, how in steps:
        if how != "interrupt":
            assert run(shaken, "spoil", how).outcome in (Outcome.FAILED, Outcome.REJECTED)
        assert run(shaken, "buy", good, amount) == run(steady, "buy", good, amount)
        assert shaken.digest() == steady.digest()


def test_machines_share_nothing() -> None:
    """Each has fields and Tables of its own."""
    one, other = kiosk(), kiosk()
    run(one, "buy", "tea", 5)

    assert (other.sold, other.stock["tea"]) == (0, 10)
    assert one.digest() != other.digest()


def test_a_copy_goes_its_own_way() -> None:
    """Equal at first, in all that it answers; then what one does leaves the other alone."""
    one = kiosk()
    run(one, "buy", "tea", 5)
    other = copy.copy(one)
    assert type(other) is Kiosk
    assert other.digest() == one.digest()

    assert run(other, "buy", "tea", 1) == run(one, "buy", "tea", 1)
    before = one.digest()
    run(other, "buy", "tea", 1)
    assert one.digest() == before
    assert other.digest() != before


def test_fields_are_inherited_and_may_be_overridden() -> None:
    """A subclass adds fields, and gives new first values to old ones."""

    class Shop(Kiosk):
        sold = 5
        closed: bool = False

    assert dict(vars(Shop())) == dict(vars(Kiosk())) | {"sold": 5, "closed": False}


def test_the_digest_covers_names_values_types_and_tables() -> None:
    """Every difference in state is one in digest, and the order in which fields came to be is none."""

    def digest_of(**fields: Any) -> bytes:
        machine = Empty()
        vars(machine).update(fields)
        return machine.digest()

    table = Table({"a": 1})
    digests = [
        digest_of(),
        digest_of(a=1),
        digest_of(b=1),
        digest_of(a=True),
        digest_of(a="1"),
        digest_of(a=(1,)),
        digest_of(a=1, b=1),
        digest_of(a=table),
        digest_of(a=Table({"a": 2})),
        digest_of(a=Table()),
        digest_of(a=table.digest()),
        digest_of(ab=1),
    ]
    assert len(dict.fromkeys(digests)) == len(digests)
    assert digest_of(a=1, b=2) == digest_of(b=2, a=1)
    assert {len(each) for each in digests} == {32}


def test_processes_agree_on_results_and_digests() -> None:
    """Other processes under other hash seeds execute the same operations to the same bytes."""
    program = (
        "from tests.kiosk import kiosk, run\n"
        "machine = kiosk()\n"
        "for args in (('buy', 'tea', 3), ('buy', 'tae'), ('bui',), ('spoil', 'error'), ('spoil', 'list')):\n"
        "    print(run(machine, *args).payload.hex(), machine.digest().hex())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(["", *sys.path])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert len(found.pop().splitlines()) == 5


def test_parameters_reach_init_and_are_checked() -> None:
    """By name and annotation, as arguments are."""
    machine = Kiosk.create({"goods": ["tea"]})
    assert (machine.owner, dict(machine.stock)) == ("nobody", {"tea": 10})
    assert [str(parameter) for parameter in describe_parameters(Kiosk)] == ["owner: str", "goods: tuple[str, ...]"]
    for parameters, sentence in (
        ({"onwer": "x"}, 'Kiosk has no parameter "onwer"; there are goods, owner'),
        ({"owner": 5}, "Kiosk needs owner: str, got 5 (int)"),
        ({"goods": ["a", 1]}, "Kiosk needs goods: tuple[str, ...], but goods[1] is 1 (int)"),
    ):
        with pytest.raises(ArgumentError, match=re.escape(sentence)):
            Kiosk.create(parameters)


def test_a_machine_can_be_used_as_a_plain_object() -> None:
    """For tests of one's own: the methods are ordinary, and so is the constructor."""
    machine = Kiosk(owner="olga", goods=("tea",))
    assert machine.buy("tea", 4) == 6
    with pytest.raises(TypeError):
        Empty(5)  # type: ignore[call-arg]
