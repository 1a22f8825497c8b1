"""Whose turn it is: what is entered while something else runs waits where the order matters.

Owns: which lines wait for which others. A fault or another command goes before all that is entered after it, so that a
session which was pasted or recorded does the same when it is run again; operations run beside each other, and keep no
command waiting, for commands are what brings a group back that answers nothing. Knows no results and no screen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from pbft.console.commands import command_name
from pbft.console.outcome import Failure
from pbft.console.statements import split
from pbft.machine import OperationSpec

_LASTING: Final = ("wait", "run")
"""Commands that last as long as somebody wants them to."""

_FREE: Final = ("help",)
"""Commands whose place in the order changes nothing."""


class Turn:
    """One line's place in the order, or that of several lines which were pasted together."""

    def __init__(self, line: str, earlier: Sequence[Turn], lasting: bool) -> None:
        self.line = line
        self.lasting = lasting
        self.task: asyncio.Task[object] | None = None
        """What runs it, once it does."""
        self._earlier = tuple(earlier)
        self._ended = asyncio.Event()

    @property
    def waits_for(self) -> str:
        """The line that keeps this one waiting, "" where none does."""
        return next((each.line for each in self._earlier if not each._ended.is_set()), "")

    async def come(self) -> None:
        """Return when all have ended that go first."""
        self.task = asyncio.current_task()
        for each in self._earlier:
            await each._ended.wait()

    def end(self) -> None:
        """Let those go on that waited."""
        self._ended.set()

    @property
    def has_ended(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._ended.is_set()


class Turns:
    """The turns that others wait for."""

    def __init__(self) -> None:
        self._first: list[Turn] = []

    def take(self, line: str, specs: Mapping[str, OperationSpec], *, pressed: bool = False) -> Turn:
        """Return the turn of a line that is entered now. A key that is `pressed` is not held up by what lasts."""
        name = _command(line, specs)
        earlier = [each for each in self._going() if name not in _FREE and not (pressed and each.lasting)]
        turn = Turn(line, earlier, name in _LASTING)
        if name is not None and name not in _FREE:
            self._first.append(turn)
        return turn

    def take_all(self, lines: Sequence[str]) -> Turn:
        """Return the turn of lines that were pasted together, and run one after the other like those of a script."""
        turn = Turn(lines[0], self._going(), True)
        self._first.append(turn)
        return turn

    def give_up(self) -> None:
        """End what lasts and keeps others waiting, or would in its turn."""
        for each in self._going():
            if each.lasting and each.task is not None:
                each.task.cancel()

    def _going(self) -> list[Turn]:
        self._first = [each for each in self._first if not each.has_ended]
        return list(self._first)


def _command(line: str, specs: Mapping[str, OperationSpec]) -> str | None:
    """Return the command that a line holds, None for an operation and for what says nothing."""
    try:
        words = split(line)
    except Failure:
        return None
    return command_name(words[0], specs) if words else None
