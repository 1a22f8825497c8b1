"""A panel of text over the middle of the screen: help, why the group is stuck, or the evidence.

Owns: which part of a long text is seen. The replica table, the results and the input line stay in sight beside it, so
that what is read here can be tried at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from pbft.dashboard.widgets.pane import Pane, titled, wrapped


class Panel(Pane):
    """Lines under a title; PageUp and PageDown turn pages where they do not fit."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._title = ""
        self._lines: tuple[Text, ...] = ()
        self._top = 0

    def open(self, title: str, lines: Sequence[Text]) -> None:
        """Show a text, from its beginning unless it is the one of this title already."""
        if title != self._title:
            self._top = 0
        self._title, self._lines = title, tuple(lines)
        self.draw()

    def scroll_lines(self, lines: int) -> None:
        """Move down (or up) in the text."""
        self._top = max(0, self._top + lines)
        self.draw()

    def draw(self) -> None:
        """Draw what is seen of the text."""
        width, height = self.size.width, self.size.height - 1
        if width < 10 or height < 1:
            return
        lines = [part for line in self._lines for part in wrapped(line, width)]
        self._top = min(self._top, max(0, len(lines) - height))
        left = len(lines) - height - self._top
        words = "Esc closes"
        if left > 0:
            words = f"{left} more lines: PageDown · {words}"
        elif self._top:
            words = f"PageUp goes back · {words}"
        seen = lines[self._top : self._top + height]
        self.show(titled(self._title, width, seen, Text(words, "yellow")))
