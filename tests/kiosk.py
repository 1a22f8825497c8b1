"""A state machine with something of everything, and a way to call it: what the tests of machines share."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, ClassVar, Final

from pbft.encoding import MAX_INTEGER, Plain
from pbft.machine import (
    Application,
    Context,
    Outcome,
    Rejected,
    Result,
    StateMachine,
    encode_operation,
    operation,
    query,
)
from pbft.table import Table

CONTEXT = Context(time_ms=1_000, client="alice", sequence=7, seed=bytes(32))


class Kiosk(StateMachine):
    """Something of everything: fields, a Table, parameters, queries and each way to fail."""

    LIMIT: ClassVar[dict[str, int]] = {"sales": 100}
    STEP: Final = 1
    sold: int = 0
    last: tuple[str, int] | None = None
    stock: Table[str, int]
    owner: str

    def __init__(self, owner: str = "nobody", goods: tuple[str, ...] = ()) -> None:
        self.owner = owner
        for good in goods:
            self.stock[good] = 10

    @operation
    def buy(self, good: str, amount: int = 1) -> int:
        """Buy some of a good.

        More about buying.
        """
        left = self.stock.get(good, 0) - amount
        if left < 0:
            raise Rejected(f"only {self.stock.get(good, 0)} {good} left")
        self.stock[good] = left
        self.sold += amount
        self.last = (good, amount)
        return left

    @operation
    def spoil(self, how: str) -> None:
        """Change everything, then fail in one of many ways."""
        self.sold = 99
        self.last = None
        self.stock["tea"] = 0
        self.stock["new"] = 1
        self.stock.pop("coffee")
        FAILURES[how](self)

    @query
    def count(self, good: str) -> int:
        """Return how much of a good there is."""
        return self.stock[good]

    @query
    def peek(self, how: str) -> int:
        """Look, or pretend to."""
        if how == "put back":
            self.sold += 10**6
            self.sold -= 10**6
            self.stock["tea"] = self.stock["tea"]
        elif how == "field":
            self.sold += 1
        elif how == "table":
            self.stock["tea"] += 1
        elif how == "rejected":
            self.stock["tea"] += 1
            raise Rejected("closed")
        return self.sold


def recurse(machine: Kiosk) -> None:
    recurse(machine)


def throw(error: BaseException) -> None:
    raise error


class Wordless(Rejected):
    def __init__(self) -> None:
        pass


def reject(message: Any) -> None:
    raise Rejected(message)


FAILURES: Final[dict[str, Any]] = {
    "error": lambda machine: throw(ValueError(f"at {id(machine)}")),
    "recursion": recurse,
    "exit": lambda machine: sys.exit(3),
    "generator exit": lambda machine: throw(GeneratorExit()),
    "cancelled": lambda machine: throw(asyncio.CancelledError()),
    "assertion": lambda machine: throw(AssertionError()),
    "memory": lambda machine: b"x" * sys.maxsize,
    "rejected without words": lambda machine: throw(Wordless()),
    "rejected with a number": lambda machine: reject(5),
    "rejected with a surrogate": lambda machine: reject("\ud800"),
    "execute inside": lambda machine: machine.execute(encode_operation("buy", ["tea"]), CONTEXT),
    "interrupt": lambda machine: throw(KeyboardInterrupt()),
    "rejected": lambda machine: reject("no"),
    "float": lambda machine: setattr(machine, "sold", 1.5),
    "too large": lambda machine: setattr(machine, "sold", MAX_INTEGER + 1),
    "list": lambda machine: setattr(machine, "last", [1]),
    "list in a tuple": lambda machine: setattr(machine, "last", (1, ([],))),
    "dict": lambda machine: setattr(machine, "last", {}),
    "new field": lambda machine: setattr(machine, "sodl", 1),
    "deleted field": lambda machine: delattr(machine, "sold"),
    "new Table": lambda machine: setattr(machine, "stock", Table()),
    "Table in a field": lambda machine: setattr(machine, "last", Table()),
    "Table replaced": lambda machine: setattr(machine, "stock", 5),
    "Table twice": lambda machine: setattr(machine, "last", machine.stock),
}


def kiosk() -> Kiosk:
    return Kiosk.create({"owner": "olga", "goods": ("tea", "coffee")})


def run(machine: Application, name: str, *args: Plain, **kwargs: Plain) -> Result:
    return machine.execute(encode_operation(name, args, kwargs), CONTEXT)


def text(result: Result) -> str:
    assert result.outcome is not Outcome.OK
    assert type(result.value) is str
    return result.value
