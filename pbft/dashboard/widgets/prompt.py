"""The input line: editing, history and completion.

Owns: what Tab, Up and Down do to the line that is being typed. What can be typed, and what it means, is the console's
matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from pbft.console.text import clean

_LONGEST: Final = 4_000
_LINE_END: Final = re.compile(r"\r\n|\r|\n")


class Prompt(Input):
    """An input line with a memory. Up and Down walk through earlier lines, Tab through what a line may become."""

    DEFAULT_CSS = """
    Prompt, Prompt:focus {
        height: 1; border: none; padding: 0; background: $surface;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "older", show=False),
        Binding("down", "newer", show=False),
        Binding("tab", "complete(1)", show=False),
        Binding("shift+tab", "complete(-1)", show=False),
    ]

    class Candidates(Message):
        """Tab found lines that the typed one may become; `chosen` of them is in the line now."""

        def __init__(self, lines: Sequence[str], chosen: int) -> None:
            super().__init__()
            self.lines = lines
            self.chosen = chosen

    class Pasted(Message):
        """Several lines came at once, of which these are complete."""

        def __init__(self, lines: Sequence[str]) -> None:
            super().__init__()
            self.lines = lines

    def __init__(self, complete: Callable[[str], Sequence[str]], history: Sequence[str], *, id: str) -> None:
        """`complete` returns the whole lines that a line may become, and `history` is what was typed earlier."""
        super().__init__(id=id, max_length=_LONGEST, placeholder="", select_on_focus=False)
        self._complete = complete
        self._history = list(history)
        self._place = len(self._history)
        self._draft = ""
        self._candidates: list[str] = []
        self._chosen = -1

    def remember(self, line: str) -> None:
        """Add a line to what Up brings back, unless it is the latest there."""
        if line.strip() and (not self._history or self._history[-1] != line):
            self._history.append(line)
        self._place = len(self._history)
        self._draft = ""

    def put(self, line: str) -> None:
        """Replace the line and set the cursor behind it."""
        self.value = clean(line)
        self.cursor_position = len(self.value)

    def forget_candidates(self) -> None:
        """Start completion afresh from the line as it is."""
        self._candidates = []
        self._chosen = -1

    @property
    def completing(self) -> bool:
        """Whether the line is one that Tab put there."""
        return 0 <= self._chosen < len(self._candidates) and self.value == clean(self._candidates[self._chosen])

    def action_older(self) -> None:
        """Bring back the line before."""
        if self._place == len(self._history):
            self._draft = self.value
        if self._place > 0:
            self._place -= 1
            self.put(self._history[self._place])

    def action_newer(self) -> None:
        """Go on to the line after, at last to what was being typed."""
        if self._place < len(self._history):
            self._place += 1
            self.put(self._draft if self._place == len(self._history) else self._history[self._place])

    def action_complete(self, step: int) -> None:
        """Put the next (or previous) line that the typed one may become."""
        if not self.completing:
            self._candidates = list(self._complete(self.value))
            self._chosen = -1 if step > 0 else 0
        if not self._candidates:
            return
        self._chosen = (self._chosen + step) % len(self._candidates)
        only = len(self._candidates) == 1
        self.put(self._candidates[self._chosen])
        self.post_message(self.Candidates(() if only else tuple(self._candidates), self._chosen))
        if only:
            self.forget_candidates()

    async def on_key(self, event: events.Key) -> None:
        """Do what a key means in its turn: the framework would put letters into the line first that follow it."""
        binding = next(iter(self._bindings.key_to_bindings.get(event.key, ())), None)
        if binding is not None:
            event.stop()
            event.prevent_default()
            await self.app.run_action(binding.action, default_namespace=self)

    def on_paste(self, event: events.Paste) -> None:
        """Hand over the lines that are complete, and keep the unfinished one; the framework would drop all but one."""
        start, end = sorted(self.selection)
        lines = _LINE_END.split(self.value[:start] + event.text + self.value[end:])
        if len(lines) > 1:
            event.stop()
            event.prevent_default()
            self.post_message(self.Pasted([clean(line.strip()) for line in lines[:-1]]))
            self.put(lines[-1])

    async def action_submit(self) -> None:
        """Hand the line over and begin an empty one at once: what is typed next must not be added to it."""
        await super().action_submit()
        self.value = ""

    def replace(self, text: str, start: int, end: int) -> None:
        """Replace a part of the line by what was typed or pasted; what could steer the terminal is spelled out."""
        super().replace(clean(text), start, end)
