"""What a state machine's class may declare, and the sentences for what it may not."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from typing import Any

import pytest

from pbft.machine import Context, MachineError, StateMachine, describe, operation, query
from pbft.table import Table
from tests.kiosk import Kiosk, run


def made(**body: Any) -> type[StateMachine]:
    """Return a class named Bad with this body."""
    annotations = body.pop("annotations", {})
    return type("Bad", (StateMachine,), {"__annotations__": annotations, "__module__": __name__, **body})


def marked(function: Any) -> Any:
    """Return the function as an operation, without marking the original, which others use unmarked."""
    copy = types.FunctionType(function.__code__, globals(), function.__name__, function.__defaults__)
    copy.__annotations__ = function.__annotations__
    return operation(copy)


async def asynchronous(self: Any) -> None: ...


def generator(self: Any) -> Iterator[int]:
    yield 1


def starred(self: Any, *amounts: int) -> None: ...


def double_starred(self: Any, **amounts: int) -> None: ...


def selfless() -> None: ...


def bare(self, amount): ...


def wrong_default(self: Any, amount: int = "x") -> None: ...  # type: ignore[assignment]


def mutable_default(self: Any, amounts: list[int] = []) -> None: ...  # noqa: B006 - what is refused here


def fine(self: Any) -> None: ...


def contextual(self: Any, context: Context) -> None: ...


@pytest.mark.parametrize(
    ("cls", "sentence"),
    [
        (lambda: made(op=marked(asynchronous)), "Bad.op must be a plain def without yield or async"),
        (lambda: made(op=marked(generator)), "Bad.op must be a plain def without yield or async"),
        (lambda: made(op=marked(starred)), "Bad.op takes *amounts; name each parameter, or take amounts: list[...]"),
        (lambda: made(op=marked(double_starred)), "Bad.op takes **amounts; name each parameter"),
        (lambda: made(op=marked(selfless)), "Bad.op has no parameter self; write def selfless(self)"),
        (lambda: made(op=marked(bare)), "Bad.op: amount has no annotation; write amount: int, for instance"),
        (lambda: made(op=marked(wrong_default)), 'Bad.op: amount is annotated int, but its default is "x" (str)'),
        (lambda: made(op=marked(mutable_default)), "Bad.op: the default of amounts must be immutable: a list can be"),
        (lambda: made(_op=marked(fine)), "Bad._op is private by its name"),
        (lambda: made(digest=marked(fine)), "Bad.digest would replace the machine's own digest"),
        (lambda: made(execute=fine), "Bad.execute would replace the machine's own execute"),
        (lambda: made(annotations={"last_failure": int}), "would replace the machine's own last_failure"),
        (lambda: made(op=marked(fine), annotations={"op": int}), "Bad.op is both a field and an operation"),
        (lambda: made(seen={}), "Bad.seen is one dict shared by every machine in the process; declare seen: Table"),
        (lambda: made(seen=[], annotations={"seen": list[int]}), "Bad.seen is one list shared by every machine"),
        (lambda: made(seen=set()), "Bad.seen is one set shared"),
        (lambda: made(seen=Table(), annotations={"seen": Table[str, int]}), "Bad.seen is one Table shared"),
        (lambda: made(seen=None, annotations={"seen": Table[str, int]}), "Bad.seen is a Table with the value None"),
        (lambda: made(annotations={"seen": list[int]}), "field Bad.seen is annotated list[int], which can be changed"),
        (lambda: made(annotations={"seen": float}), "field Bad.seen is annotated float, which no field holds; use int"),
        (lambda: made(annotations={"seen": Table[str, int] | None}), "field Bad.seen is annotated"),
        (lambda: made(seen=0.5, annotations={"seen": Any}), "Bad.seen cannot be a field: a value of type float"),
        (lambda: made(annotations={"seen": "Nowhere"}), "the annotations of Bad cannot be read: name 'Nowhere'"),
        (lambda: made(annotations={"seen": int}), "Bad.seen has no first value; give it one in the class body or"),
        (lambda: made(__slots__=("hidden",)), "Bad has __slots__, which hide fields"),
        (lambda: made(__init__=starred), "Bad.__init__ takes *amounts"),
        (lambda: made(__init__=contextual), "Bad.__init__ asks for a Context, which only operations have"),
        (lambda: made(__init__=lambda self: setattr(self, "x", [])), "Bad.x cannot be a field: a list can be changed"),
        (lambda: made(__init__=lambda self: setattr(self, "x", object())), "Bad.x cannot be a field: a value of type"),
        (lambda: made(__init__=two_names_for_one_table), "Bad.a and Bad.b are one Table; give each its own"),
    ],
)
def test_a_class_that_breaks_a_rule_is_refused_with_what_to_write(cls: Any, sentence: str) -> None:
    """Before its first operation, and in one sentence."""
    with pytest.raises(MachineError, match=re.escape(sentence)):
        cls().create({})


def two_names_for_one_table(self: Any) -> None:
    self.a = self.b = Table()


def test_a_machine_made_by_hand_is_checked_before_its_first_operation() -> None:
    """`create` checks at once; a plain call of the class is checked by `execute`."""
    cls = made(__init__=lambda self: setattr(self, "x", []), op=marked(fine))
    with pytest.raises(MachineError, match=r"Bad\.x cannot be a field"):
        run(cls(), "op")


def test_only_a_plain_method_can_be_marked() -> None:
    """The decorators say where they go."""
    with pytest.raises(MachineError, match="directly above the def"):
        operation(property(fine))  # type: ignore[type-var]
    with pytest.raises(MachineError, match="@query marks a plain method"):
        query(staticmethod(fine))


def test_an_operation_is_replaced_by_a_marked_one_only() -> None:
    """A forgotten mark would silently take an operation away."""

    class Better(Kiosk):
        @operation
        def buy(self, good: str, amount: int = 1) -> int:
            return -1

    class Forgetful(Kiosk):
        def buy(self, good: str, amount: int = 1) -> int:
            return -1

    assert run(Better.create({}), "buy", "tea").value == -1
    assert [spec.name for spec in describe(Better)] == ["buy", "spoil", "count", "peek"]
    with pytest.raises(
        MachineError, match=r"Forgetful\.buy replaces an operation; mark it with @operation or @query too"
    ):
        describe(Forgetful)
