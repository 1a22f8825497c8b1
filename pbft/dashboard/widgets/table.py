"""The table of replicas, one of which is selected: function keys act on it.

Owns: the columns, which rows are seen where there are more than fit, and clicks. Knows no faults.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual import events
from textual.message import Message

from pbft.dashboard.views import Row
from pbft.dashboard.widgets.pane import RULE_STYLE, TITLE_STYLE, Pane

_HEADING = f"{'id':>2}  {'role':<8}{'view':>5}{'executed':>9}{'stable':>8}  {'digest':<8}{'memory':>8}  health"


class ReplicaTable(Pane):
    """Replicas by number. The selected one is shown in reverse."""

    class Picked(Message):
        """Somebody clicked on a replica."""

        def __init__(self, replica: int) -> None:
            super().__init__()
            self.replica = replica

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._first = 0
        self._count = 0

    def draw(self, rows: Sequence[Row], selected: int) -> None:
        """Draw the replicas around the selected one, as many as fit."""
        width, height = self.size.width, self.size.height - 1
        if not width or height < 1:
            return
        self._first = min(self._first, max(0, len(rows) - height), selected)
        self._first = max(self._first, selected - height + 1)
        seen = rows[self._first : self._first + height]
        self._count = len(seen)
        heading = Text().append("─ ", RULE_STYLE).append(_HEADING, TITLE_STYLE).append(" ")
        more = f" {len(seen)} of {len(rows)}, Shift+↑↓ ─" if len(rows) > len(seen) else " Shift+↑↓ selects ─"
        if width - heading.cell_len < len(more):
            more = " Shift+↑↓ ─"
        heading.append("─" * max(0, width - heading.cell_len - len(more)), RULE_STYLE)
        heading.append(more, RULE_STYLE)
        heading.truncate(width)
        lines = [heading, *(_draw_row(row, row.id == selected, width) for row in seen)]
        self.show(Text("\n").join(lines))

    def on_click(self, event: events.Click) -> None:
        """Select the replica whose line was clicked."""
        if 1 <= event.y <= self._count:
            self.post_message(self.Picked(self._first + event.y - 1))


def _draw_row(row: Row, selected: bool, width: int) -> Text:
    line = Text().append("▸ " if selected else "  ", "bold cyan")
    line.append(f"{row.id:>2}  ", "bold" if selected else "")
    line.append(f"{row.role:<8}", "bold cyan" if row.role == "primary" else "")
    line.append(f"{_number(row.view):>5}{_number(row.executed):>9}{_number(row.stable):>8}  ")
    line.append(f"{row.digest:<8}", row.digest_style)
    line.append(f"{row.memory:>8}  ")
    line.append(row.health, row.style)
    line.truncate(width, overflow="ellipsis")
    if selected:
        line.append(" " * max(0, width - line.cell_len))
        line.stylize("on grey19")
    return line


def _number(value: int | None) -> str:
    return "–" if value is None else str(value)
