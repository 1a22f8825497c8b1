"""A sequence drawn for a terminal, as phases against replicas or as messages in the order of time; and sparklines.

Owns: how flows and series look at a given width. Knows nothing of where they are shown. `pbft.dashboard.mermaid` writes
the diagram for other programs.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from pbft.console.text import fit
from pbft.dashboard.mermaid import milliseconds
from pbft.dashboard.views import Arrow, Cell, FlowView, Phase, PhaseView
from pbft.wording import listing

PHASE_STYLES: Final[dict[Phase, str]] = {
    "request": "cyan",
    "pre-prepare": "blue",
    "prepare": "yellow",
    "commit": "magenta",
    "reply": "green",
}
"""One colour a phase, in the matrix and in the diagram."""

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_LABEL_CELLS: Final = 12
_DONE_CELLS: Final = 7
_LEAST_CELLS: Final = 2
_WIDEST_CELLS: Final = 18

_TIME_LABEL_CELLS: Final = 9
_SHORT: Final[dict[Phase, str]] = {
    "request": "req",
    "pre-prepare": "pre-p",
    "prepare": "prep",
    "commit": "comm",
    "reply": "reply",
}
_LONG_LABEL: Final = _TIME_LABEL_CELLS + 4 + 11 + 1
_SHORT_LABEL: Final = _TIME_LABEL_CELLS + 1 + 5 + 1
_WIDEST_GAP: Final = 16
_ROOMY_GAP: Final = 5


def sparkline(points: Sequence[float | None], width: int, style: str = "") -> Text:
    """Draw the latest points as blocks from nothing to the greatest shown, one a cell; unknown ones stay blank."""
    shown = list(points[-width:]) if width > 0 else []
    greatest = max((each for each in shown if each is not None), default=0.0)
    drawn = "".join(_block(each, greatest) for each in shown)
    return Text(drawn.rjust(max(0, width)), style)


def matrix(flow: FlowView, width: int) -> Text:
    """Draw phases against replicas: what each holds of what it needs, and when it was complete.

    Wide cells have counts and times, narrow ones counts, and the narrowest a mark. Where not even marks fit, a
    sentence says how many columns it takes.
    """
    cells = min(_WIDEST_CELLS, (width - _LABEL_CELLS - _DONE_CELLS) // flow.n)
    if cells < max(_LEAST_CELLS, len(str(flow.n - 1)) + 1):
        needed = _LABEL_CELLS + _DONE_CELLS + flow.n * max(_LEAST_CELLS, len(str(flow.n - 1)) + 1)
        return _too_narrow("The table", flow.n, needed, width)
    drawn = Text(" " * _LABEL_CELLS, no_wrap=True)
    for replica in range(flow.n):
        name = f"r{replica}" if cells > len(str(flow.n)) + 1 else str(replica)
        mark = "*" if replica == flow.primary and len(name) + 1 < cells else ""
        style = "red" if replica in flow.others else "bold" if replica == flow.primary else ""
        drawn.append(f"{name}{mark}".ljust(cells), style)
    drawn.append("done".rjust(_DONE_CELLS), "dim")
    for phase in flow.phases:
        drawn.append("\n")
        drawn.append(f"{phase.name:<{_LABEL_CELLS}}", PHASE_STYLES[phase.name])
        for cell in phase.cells:
            drawn.append_text(_draw_cell(cell, phase, cells))
        style = "green" if phase.done >= phase.needed else "yellow"
        drawn.append(f"{phase.done}/{phase.needed}".rjust(_DONE_CELLS), style)
    if flow.others:
        drawn.append("\n")
        drawn.append(fit(f"≠ {listing(flow.others)}: another batch or view than the others tell of", width), "red")
    return drawn


def diagram_rows(flow: FlowView) -> int:
    """Return how many arrows the diagram has: one a row."""
    return len(flow.arrows)


def sequence_diagram(flow: FlowView, width: int, height: int, top: int = 0) -> Text:
    """Draw the messages of a sequence in the order of time, from arrow number `top` on, in at most `height` lines.

    Each row is one message as its receiver had it, with the milliseconds since the sequence began. Where the lifelines
    do not fit, a sentence says how many columns they take.
    """
    least = 3 if flow.n <= 10 else 4
    label = _LONG_LABEL if (width - _LONG_LABEL) // (flow.n + 1) >= _ROOMY_GAP else _SHORT_LABEL
    gap = min(_WIDEST_GAP, (width - label) // (flow.n + 1))
    if gap < least:
        return _too_narrow("The diagram", flow.n, _SHORT_LABEL + least * (flow.n + 1), width)
    drawn = _names(flow, label, gap)
    room = max(0, height - 1)
    top = max(0, min(top, len(flow.arrows) - 1))
    shown = flow.arrows[top : top + room]
    hidden = len(flow.arrows) - top - len(shown)
    if hidden and room:
        # The last line says that there is more.
        shown = shown[:-1]
        hidden += 1
    for arrow in shown:
        drawn.append("\n")
        drawn.append_text(_row(arrow, flow.n, label, gap))
    if hidden and room:
        drawn.append("\n")
        drawn.append(fit(f"… {hidden} more below", width), "dim")
    elif not flow.arrows and room:
        drawn.append("\n")
        drawn.append(fit("no message of it was told of yet", width), "dim")
    return drawn


def _block(point: float | None, greatest: float) -> str:
    if point is None:
        return " "
    if greatest <= 0:
        return _BLOCKS[0]
    return _BLOCKS[max(0, min(len(_BLOCKS) - 1, int(point / greatest * len(_BLOCKS))))]


def _too_narrow(what: str, n: int, needed: int, width: int) -> Text:
    words = f"{what} of {n} replicas takes {needed} columns, and here are {max(0, width)}: widen the window."
    return Text("\n".join(textwrap.wrap(words, max(1, width))), "dim", no_wrap=True)


def _draw_cell(cell: Cell, phase: PhaseView, cells: int) -> Text:
    """Draw one cell, padded to its width: as much as fits, the most telling first."""
    mark = "✓" if cell.done else "✗" if cell.differing else "·" if not cell.received else "◐"
    style = "green" if cell.done else "yellow" if cell.received else "dim"
    if not cell.told:
        mark, style = "–", "dim"
    differing = "".join(f" ✗{each}" for each in cell.differing)
    number = f"{cell.received}/{cell.needed}" if cell.needed > 1 else ""
    time = "" if cell.after_us is None else milliseconds(cell.after_us)
    drawn = Text()
    shown = mark
    if cell.told and number and len(mark) + len(number) < cells:
        shown = f"{mark}{number}"
    drawn.append(shown, style)
    for more, colour in ((differing, "bold red"), (f" {time}" if time else "", "dim")):
        if more and drawn.cell_len + cell_len(more) < cells:
            drawn.append(more, colour)
    if cell.differing and differing not in drawn.plain:
        drawn.stylize("bold red")
    drawn.pad_right(cells - drawn.cell_len)
    return drawn


def _names(flow: FlowView, label: int, gap: int) -> Text:
    names = ["client" if gap > 6 else "c", *(f"r{each}" for each in range(flow.n))]
    drawn = Text(" " * label, no_wrap=True)
    for place, name in enumerate(names):
        style = "bold" if place == flow.primary + 1 else "cyan" if place == 0 else ""
        marked = f"{name}*" if place == flow.primary + 1 and len(name) + 1 < gap else name
        drawn.append(marked.ljust(gap), style)
    return drawn


def _row(arrow: Arrow, n: int, label: int, gap: int) -> Text:
    """Draw one message: the lifelines, and an arrow from its sender's to its receiver's."""
    style = "bold red" if arrow.differing else PHASE_STYLES[arrow.phase]
    drawn = Text(f"{milliseconds(arrow.after_us):>{_TIME_LABEL_CELLS}}", "dim")
    if label == _LONG_LABEL:
        drawn.append(" ms ", "dim")
        drawn.append(f"{arrow.phase:<11} ", style)
    else:
        drawn.append(f" {_SHORT[arrow.phase]:<5} ", style)
    begin = 0 if arrow.sender is None else arrow.sender + 1
    end = 0 if arrow.receiver is None else arrow.receiver + 1
    first, last = min(begin, end) * gap, max(begin, end) * gap
    line = [" "] * ((n + 1) * gap)
    for place in range(n + 1):
        line[place * gap] = "│"
    before, after = "".join(line[:first]), "".join(line[last + 1 :])
    line[first : last + 1] = ["┼" if each % gap == 0 else "─" for each in range(first, last + 1)]
    line[begin * gap] = "├" if begin < end else "┤"
    line[end * gap] = "│"
    head = last - 1 if begin < end else first + 1
    line[head] = "✗" if arrow.differing else "→" if begin < end else "←"
    drawn.append(before, "dim")
    drawn.append("".join(line[first : last + 1]), style)
    drawn.append(after, "dim")
    return drawn
