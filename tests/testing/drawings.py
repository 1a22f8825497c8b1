"""Histories as drawings, and the objects that they are histories of."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pbft import Context, Rejected, StateMachine, Table, operation, query
from pbft.machine import Outcome, Result
from pbft.testing.linearizability import Operation

_BAR = re.compile(r"\[(?P<name>\w+)(?P<args>[^=\]>]*?)(?:=(?P<value>!?\w+))?[- ]*(?P<end>[\]>])")


class Register(StateMachine):
    """One value that is read, written, and swapped where it is as expected."""

    held: int = 0

    @query
    def read(self) -> int:
        """Return what was written last."""
        return self.held

    @operation
    def write(self, value: int) -> None:
        """Hold another value."""
        self.held = value

    @operation
    def swap(self, expected: int, value: int) -> None:
        """Hold another value if it now is as expected."""
        if self.held != expected:
            raise Rejected("no")
        self.held = value


class Queue(StateMachine):
    """First in, first out."""

    first: int = 0
    last: int = 0
    items: Table[int, str]

    @operation
    def enq(self, item: str) -> None:
        """Append an item."""
        self.items[self.last] = item
        self.last += 1

    @operation
    def deq(self) -> str:
        """Take the oldest item."""
        if self.first == self.last:
            raise Rejected("empty")
        self.first += 1
        return self.items.pop(self.first - 1)


class Shift(StateMachine):
    """Two doctors, of whom one has to stay: the classic that snapshot isolation gets wrong."""

    alice: bool = True
    bob: bool = True

    @query
    def on_call(self) -> int:
        """Return how many are there."""
        return self.alice + self.bob

    @operation
    def leave(self, context: Context) -> str:
        """Go home, unless nobody else stays."""
        if self.on_call() < 2:
            raise Rejected("stay")
        setattr(self, context.client, False)
        return "gone"


class Tally:
    """No StateMachine but an Application of bytes: it counts what it is told and says how often it was told that."""

    def __init__(self) -> None:
        self.told: dict[bytes, int] = {}

    def execute(self, operation: bytes, context: Context) -> Result:
        """Count."""
        self.told[operation] = self.told.get(operation, 0) + 1
        return Result.of(Outcome.OK, self.told[operation])

    def digest(self) -> bytes:
        """Return the counts in 32 bytes: enough for a few words."""
        return b"".join(self.snapshot()).ljust(32, b".")[:32]

    def snapshot(self) -> list[bytes]:
        """Return a piece a word."""
        return [word + b"%d" % count for word, count in sorted(self.told.items())]

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Take the counts over."""
        self.told = {piece[:-1]: int(piece[-1:]) for piece in pieces}


def drawn(drawing: str, *, threads: bool = False) -> list[Operation]:
    r"""Return the history of a drawing: a client a line, its operations as bars, time from left to right.

    `[write 1---]` was answered with nothing, `[read=1--]` with 1, `[deq=!empty]` rejected with that word; `[write 2-->`
    was never answered. A bar begins and ends where its brackets stand. Underscores stand for spaces in words.
    """
    history = []
    for line in drawing.splitlines():
        client = line.split(maxsplit=1)[0] if line.strip() else ""
        for bar in _BAR.finditer(line):
            value = bar["value"]
            history.append(
                Operation(
                    client,
                    bar["name"],
                    tuple(map(_word, bar["args"].replace("-", " ").split())),
                    called=bar.start(),
                    ended=bar.end() if bar["end"] == "]" else None,
                    value=None if value is None else _word(value.removeprefix("!")),
                    outcome=Outcome.REJECTED if value is not None and value.startswith("!") else Outcome.OK,
                    thread=client if threads else "",
                )
            )
    return history


def _word(text: str) -> int | str:
    return int(text) if text.isdigit() else text
