"""What clients ask for in the swarm, and what must have come of it.

Owns: the workloads by name, each an application with the operations that sessions call one after the other. What a
session calls follows from its name and from how many it called before, from nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pbft.encoding import Plain
from pbft.machine import Application, Outcome
from pbft.testing.clients import Call
from pbft.testing.journal import Journal
from pbft.testing.linearizability import Execute, execute_plainly
from pbft.testing.scroll import Scroll
from pbft.testing.shelf import Shelf
from pbft.testing.warehouse import Warehouse

Operation = tuple[str, tuple[Plain, ...]] | tuple[str, tuple[Plain, ...], Mapping[str, Plain]] | bytes
"""A method's name, its arguments, and the named ones where there are any; or the bytes that are executed."""


def _fine(_calls: Sequence[Call], _alone: bool) -> str | None:
    return None


@dataclass(frozen=True)
class Workload:
    """An application under load."""

    application: type[Any]
    operation: Callable[[str, int, int], Operation]
    """What a session (by its label) calls next, after so many calls, with words of about so many bytes."""
    parameters: Mapping[str, Plain] = field(default_factory=dict)
    invariant: Callable[[Application], str | None] | None = None
    """What is wrong with the application's state, or None; asked after every batch (O12)."""
    check: Callable[[Sequence[Call], bool], str | None] = _fine
    """What is wrong with all that correct clients were answered, or None; asked at the end, with whether nothing else
    can have run: no call whose end is unknown, and none of clients that collude with liars."""
    execute: Execute = execute_plainly
    """How a model executes an operation where only its client's history is known (O10)."""


def _write(label: str, number: int, word_bytes: int) -> Operation:
    # Now and then the empty word, which is rejected.
    return "write", ("" if number % 11 == 7 else f"{label}.{number}".ljust(word_bytes, "."),)


def _places(calls: Sequence[Call], alone: bool) -> str | None:
    """Every word has a place of its own; and where nothing else was written, none is missing."""
    places = sorted(call.value() for call in calls if call.outcome is Outcome.OK)
    right = list(range(1, len(places) + 1)) if alone else sorted(dict.fromkeys(places))
    return None if places == right else f"words were lost or doubled: {places}"


def _handle(label: str, number: int, word_bytes: int) -> Operation:
    box = f"{label}.{number % 5}" if number % 2 else f"common.{number % 7}"
    if number % 4 == 3:
        return "take", (box,)
    return "put", (box, "" if number % 13 == 5 else f"{label}.{number}".ljust(word_bytes, "."))


ITEMS: Final = 600
"""What a warehouse begins with: so many that below its trie's root some nodes have children, and others lose theirs."""


def _move(label: str, number: int, word_bytes: int) -> Operation:
    """Rows of items come and go, some of them again and again; orders are forgotten, and one lamp goes on and off."""
    spread = sum(label.encode()) * 53 + number * 97
    first = spread % (ITEMS + 100)
    content = "" if number % 5 == 4 else f"{label}.{number}".ljust(min(word_bytes, 200), ".")
    match number % 6:
        case 0:
            return "clear", (first, 20 + spread % 40)
        case 1:
            return "deliver", (first, 5 + spread % 50, content)
        case 2:
            return "order", (f"{label}.{number % 5}", first)
        case 3:
            return "clear", (ITEMS, 60)
        case 4:
            return "deliver", (ITEMS + spread % 20, 40, content)
        case _:
            return ("settle", (f"{label}.{(number - 3) % 5}",)) if number % 4 == 1 else ("switch", ("common",))


def _scribble(label: str, number: int, word_bytes: int) -> Operation:
    if number % 4 == 3:
        return "tear", (1 + number % 7,)
    return "append", ("" if number % 11 == 6 else f"{label}.{number}".ljust(word_bytes, "."),)


WORKLOADS: Final[Mapping[str, Workload]] = {
    "journal": Workload(Journal, _write, check=_places),
    "shelf": Workload(Shelf, _handle),
    "warehouse": Workload(Warehouse, _move, {"items": ITEMS}),
    "scroll": Workload(Scroll, _scribble),
}
