"""The last minute in small: throughput, latency and messages, a point a second.

Owns: their captions. The curves are drawn by `pbft.dashboard.drawing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from pbft.dashboard.drawing import sparkline
from pbft.dashboard.views import Series
from pbft.dashboard.widgets.pane import Pane, titled

if TYPE_CHECKING:
    from pbft.console.load import Load


class Gauges(Pane):
    """Three curves, or as many as fit."""

    def draw(self, series: Series, load: Load | None) -> None:
        """Draw the curves; `load` is our own load generator, with what it counted."""
        width, height = self.size.width, self.size.height - 1
        if width < 10 or height < 1:
            return
        curves = (
            ("op/s", series.throughput, "green"),
            ("latency ms", series.latency_ms, "yellow"),
            ("messages/s", series.messages, "cyan"),
        )
        lines: list[Text] = []
        for name, points, style in curves:
            lines += [_caption(name, points, width), Text(" ").append_text(sparkline(points, width - 2, style))]
        note = None
        if load is not None:
            failed = f", {load.failed} failed" if load.failed else ""
            note = Text(f"{load.answered} answered{failed}", "magenta")
        self.show(titled("Last minute", width, lines[:height], note))


def _caption(name: str, points: Sequence[float | None], width: int) -> Text:
    known = [point for point in points if point is not None]
    text = Text().append(f" {name} ", "bright_black")
    if known:
        text.append(f"{_spell(known[-1])}", "bold")
        text.append(f"  up to {_spell(max(known))}", "bright_black")
    text.truncate(width, overflow="ellipsis")
    return text


def _spell(value: float) -> str:
    return f"{value:.1f}" if 0 < value < 10 else f"{value:,.0f}"
