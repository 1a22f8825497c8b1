"""How many lines each part of the screen gets.

Owns: the rules by which a terminal's lines are shared out, and the size that is too small. Pure arithmetic: knows no
widgets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIN_COLUMNS: Final = 80
MIN_LINES: Final = 24

_TITLE: Final = 1
_INPUT: Final = 3
"""The input line, the hint below it, and the keys."""
_HEADER: Final = 2
_FLOW: Final = 7
"""A title, the names of replicas, and one line a phase."""
_LEAST_LOG: Final = 2
_LEAST_RESULTS: Final = 4
_LEAST_PANEL: Final = 9


@dataclass(frozen=True)
class Arrangement:
    """Lines by part, titles included; 0 hides a part. Together they fill the screen."""

    header: int
    table: int
    flow: int
    """The flow of messages, with the sparklines beside it."""
    log: int
    panel: int
    """Help, explanation or evidence, in place of flow and log."""
    results: int
    flow_columns: int
    """How wide the flow is; the sparklines have the rest of the line."""


def arrange(
    columns: int, lines: int, replicas: int, panel: bool, tall_flow: bool, alarm: bool = False
) -> Arrangement | None:
    """Share out a screen, None where it is too small.

    The table gets a line a replica as long as the rest keeps its least; it scrolls otherwise. `panel` shows a panel in
    place of flow and log, and `tall_flow` gives the log's lines to the flow, for a diagram that is longer than a
    matrix. `alarm` gives the header a line more, for what is no longer promised.
    """
    if columns < MIN_COLUMNS or lines < MIN_LINES:
        return None
    header, least_results = (_HEADER + 1, _LEAST_RESULTS - 1) if alarm else (_HEADER, _LEAST_RESULTS)
    left = lines - header - _INPUT
    least = least_results + (_LEAST_PANEL if panel else _FLOW + _LEAST_LOG + _TITLE)
    table = min(replicas + _TITLE, max(4, left - least))
    left -= table
    flow_columns = columns - max(28, columns * 3 // 10)
    if panel:
        results = min(8, max(least_results, left // 4))
        return Arrangement(header, table, 0, 0, left - results, results, flow_columns)
    if tall_flow:
        log = _LEAST_LOG + _TITLE
        results = min(8, max(least_results, (left - log) // 4))
        return Arrangement(header, table, left - log - results, log, 0, results, flow_columns)
    flow = _FLOW
    left -= flow
    # Newest results matter more than old news, up to where a whole answer fits.
    results = min(12, max(least_results, left // 2))
    return Arrangement(header, table, flow, left - results, 0, results, flow_columns)
