"""The line below the input line: what is being typed, what is wrong with it, or what Tab offers.

Owns: how these look, and which of a long list of offers are seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from pbft.console.text import fit
from pbft.dashboard.widgets.pane import Pane


class HintLine(Pane):
    """One line of help on the line above it."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._hinted = ("", False)

    def on_resize(self) -> None:
        """Show for the new width what was shown last."""
        self.hint(*self._hinted)

    def hint(self, words: str, wrong: bool) -> None:
        """Show what is to be typed, or what is wrong so far."""
        self._hinted = (words, wrong)
        self.show(Text("  ").append(fit(words, max(1, self.size.width - 2)), "yellow" if wrong else "bright_black"))

    def offer(self, lines: Sequence[str], chosen: int) -> None:
        """Show the lines that Tab goes through, with the chosen one among its neighbours."""
        words = [_last_word(line) for line in lines]
        first = chosen
        room = max(10, self.size.width - 4)
        used = len(words[chosen]) + 2
        while first > 0 and used + len(words[first - 1]) + 2 <= room // 2:
            first -= 1
            used += len(words[first]) + 2
        text = Text().append("  " if first == 0 else "… ", "bright_black")
        for number in range(first, len(words)):
            if text.cell_len > room:
                break
            text.append(words[number], "reverse" if number == chosen else "cyan")
            text.append("  ")
        text.truncate(max(1, self.size.width), overflow="ellipsis")
        self.show(text)


def _last_word(line: str) -> str:
    words = fit(line, 400).split()
    return words[-1] if words else ""
