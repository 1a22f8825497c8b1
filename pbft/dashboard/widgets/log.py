"""The event log: what happened, the newest last.

Owns: how a line of it looks. What is worth a line is the model's matter.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from pbft.dashboard.views import LogLine
from pbft.dashboard.widgets.pane import Pane, titled, wrapped

_SOURCE_COLUMNS = 9


class LogPane(Pane):
    """As many of the latest events as fit, two lines for a long one, with how long after the first frame each came."""

    def draw(self, lines: Sequence[LogLine], start_us: int) -> None:
        """Draw the end of the log."""
        width, height = self.size.width, self.size.height - 1
        if width and height >= 1:
            drawn = [part for each in lines[-height:] for part in _draw_line(each, start_us, width)]
            self.show(titled("Events", width, drawn[-height:]))


def _draw_line(line: LogLine, start_us: int, width: int) -> list[Text]:
    seconds = max(0, line.us - start_us) // 1_000_000
    text = Text().append(f" {seconds // 60:>3}:{seconds % 60:02}  ", "bright_black")
    text.append(f"{line.source:<{_SOURCE_COLUMNS}}  ", "cyan")
    room = max(10, width - text.cell_len)
    first, *more = wrapped(Text(line.text, line.style), room, indent=0)
    drawn = [text.copy().append_text(first)]
    if more:
        rest = Text(" " * text.cell_len).append_text(more[0])
        if len(more) > 1:
            rest.append("…")
        rest.truncate(width, overflow="ellipsis")
        drawn.append(rest)
    return drawn
