"""A part of the screen that shows a title and lines, and is drawn again only when they change.

Owns: the line that bears a title, and the comparison that spares most drawing. Knows nothing of what it shows; texts
come cleaned, as `rich.text.Text`, in which nothing is markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.text import Text
from textual.widgets import Static

from pbft.console.text import fit

TITLE_STYLE: Final = "bold cyan"
RULE_STYLE: Final = "bright_black"


class Pane(Static):
    """Lines under a title, cut at the edges of the pane and never wrapped."""

    DEFAULT_CSS = "Pane { height: 1; width: 100%; text-wrap: nowrap; text-overflow: clip; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(Text(), id=id, markup=False)
        self._shown: tuple[str, tuple[object, ...]] = ("", ())
        self.drawn = 0
        """How often it was drawn, which is what costs."""

    def show(self, text: Text) -> None:
        """Show this text, unless it is what is shown already."""
        if text.style:
            # Spans may have any style of rich's; a whole text's own only what the framework can name, too.
            text.stylize_before(text.style)
            text.style = ""
        now = (text.plain, tuple(text.spans))
        if now == self._shown:
            return
        self._shown = now
        self.drawn += 1
        text.no_wrap = True
        text.overflow = "crop"
        # The pane's size is the arrangement's matter and never follows from its text.
        self.update(text, layout=False)

    @property
    def shown(self) -> str:
        """What it shows, as plain text."""
        return self._shown[0]


def titled(title: str, width: int, lines: Iterable[Text], note: Text | None = None) -> Text:
    """Return lines under a rule that bears their title, and a note behind it."""
    text = Text().append("─ ", RULE_STYLE)
    text.append(title, TITLE_STYLE)
    text.append(" ")
    if note is not None:
        text.append_text(note)
        text.append(" ")
    text.truncate(width, overflow="ellipsis")
    text.append("─" * max(0, width - text.cell_len), RULE_STYLE)
    for line in lines:
        text.append("\n")
        text.append_text(line)
    return text


def wrapped(text: Text, width: int, indent: int = 2) -> list[Text]:
    """Return a line folded to a width, between words where there are any, the rest indented."""
    from rich.console import Console

    if text.cell_len <= width:
        return [_level(text, width)]
    console = Console(width=width, markup=False, emoji=False, highlight=False)
    first, *rest = text.wrap(console, max(8, width - indent), overflow="fold")
    return [_level(first, width), *(Text(" " * indent).append_text(_level(each, width - indent)) for each in rest)]


def _level(line: Text, width: int) -> Text:
    """Return a line without towers of accents, which terminals draw over other lines."""
    shown = fit(line.plain, width)
    return line if shown == line.plain or line.cell_len > width else Text(shown, line.style)
