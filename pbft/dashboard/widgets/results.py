"""What was asked and what came of it, the newest nearest to the input line.

Owns: the list of lines that were run, in the order in which their results came, and how those look. Knows no group: a
result comes as the console said it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.text import Text

from pbft.console.text import clean
from pbft.dashboard.widgets.pane import Pane, titled, wrapped

if TYPE_CHECKING:
    from pbft.console.said import Said

KEPT: Final = 200
_LONGEST_LINE: Final = 2_000
_LONGEST_WAIT: Final = 60
_STYLES: Final = {"result": "bold", "error": "red", "note": ""}


@dataclass(eq=False)
class Entry:
    """A line that was run, and what it came to, None while it runs."""

    line: str
    said: Said | None = None
    waits_for: str = ""
    """The line that goes first, "" once this one runs."""


class Results(Pane):
    """The latest results, as many as fit; PageUp and PageDown bring older ones back."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self._open: dict[Entry, None] = {}
        """Those without a result, whether they are among the latest still or not."""
        self._back = 0
        self._unseen = False
        """Whether something came since somebody went back."""

    def begin(self, line: str, waits_for: str = "") -> Entry:
        """Show that a line runs, or waits for another one, and return the entry that takes its result."""
        entry = Entry(line, waits_for=waits_for)
        self._open[entry] = None
        self.entries.append(entry)
        self._back = 0
        self.draw()
        return entry

    def resume(self, entry: Entry) -> None:
        """Show that a line waits for no other one any more."""
        entry.waits_for = ""
        self.draw()

    def end(self, entry: Entry, said: Said) -> None:
        """Show what a line came to, below all else: somebody who waited long looks there, and for the question too."""
        entry.said = said
        if entry in self._open:
            self.drop(entry)
            self.entries.append(entry)
            self._unseen = True
        self.draw()

    def insert(self, before: Entry, said: Said) -> None:
        """Show what a line of a script came to, above the script, which still runs."""
        if before in self.entries:
            self.entries.remove(before)
        self.entries.append(Entry(said.line, said))
        if before in self._open:
            self.entries.append(before)
        self._unseen = True
        self.draw()

    def drop(self, entry: Entry) -> None:
        """Forget one line, whose result is shown elsewhere."""
        self._open.pop(entry, None)
        if entry in self.entries:
            self.entries.remove(entry)
        self.draw()

    def clear(self) -> None:
        """Forget all results; a line that still runs will not show its own."""
        self.entries.clear()
        self._open.clear()
        self._back = 0
        self.draw()

    def scroll_lines(self, lines: int) -> None:
        """Move back (negative) or forth in what was said."""
        self._back = max(0, self._back - lines)
        self.draw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.draw()

    def draw(self) -> None:
        """Draw the end of the list, or what lies as far back as was scrolled."""
        width, height = self.size.width, self.size.height - 1
        if width < 10 or height < 1:
            return
        wanted = height + self._back
        lines: list[Text] = []
        for entry in reversed(self.entries):
            lines = _draw_entry(entry, width) + lines
            if len(lines) >= wanted:
                break
        if not self.entries:
            lines = [Text(" Type an operation below; F1 says what there is to do and to break.", "bright_black")]
        self._back = min(self._back, max(0, len(lines) - height))
        end = len(lines) - self._back
        self._unseen = self._unseen and bool(self._back)
        news = ", new results below" if self._unseen else ""
        note = Text(f"{self._back} lines back{news}; PageDown returns", "yellow") if self._back else None
        self.show(titled("Results", width, lines[max(0, end - height) : end], note))


def _draw_entry(entry: Entry, width: int) -> list[Text]:
    asked = Text("> ", "cyan")
    asked.append(clean(entry.line)[:_LONGEST_LINE], "cyan")
    if entry.said is None:
        what = clean(entry.waits_for)[:_LONGEST_WAIT] or "an answer"
        asked.append(f"  waiting for {what}…", "dim")
        return wrapped(asked, width)
    lines = wrapped(asked, width)
    for number, line in enumerate(entry.said.lines):
        style = _STYLES[entry.said.kind]
        # The first line is the answer itself; what follows says how it came.
        text = Text("  ").append(clean(line)[:_LONGEST_LINE], style if number == 0 or style == "red" else "")
        lines += wrapped(text, width)
    return lines
