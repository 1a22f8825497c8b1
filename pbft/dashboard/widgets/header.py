"""The two lines at the top: the group and its pace, and what it bears.

Owns: how a header looks. What stands in it is the model's matter, cleaned there.
"""

from __future__ import annotations

from rich.text import Text

from pbft.dashboard.views import Header
from pbft.dashboard.widgets.pane import Pane, wrapped

_DIM = "bright_black"
_WIDE = 100


class HeaderPane(Pane):
    """What the group is, how fast it goes, and how many faults it still bears."""

    def draw(self, header: Header, load: str) -> None:
        """Draw a header; `load` is what our own load generator does, "" while it rests."""
        if self.size.width:
            self.show(draw_header(header, load, self.size.width))


def draw_header(header: Header, load: str, width: int) -> Text:
    """Return the header's lines, cut to a width: two, or three where a sentence says what is no longer promised."""
    first = Text(" ")
    first.append(header.application or "…", "bold cyan")
    _add(first, "group", header.group or "…")
    _add(first, "n", f"{header.n} f {header.faults}")
    # On a narrow screen the table alone tells who that is.
    primary = "" if header.primary is None or width < _WIDE else f" (primary {header.primary})"
    _add(first, "view", ("…" if header.view is None else str(header.view)) + primary)
    _add(first, "op/s", _number(header.throughput))
    if header.latency_of:
        _add(first, "p50", _ms(header.p50_ms))
        _add(first, "p99", _ms(header.p99_ms))
    if load:
        first.append("  ")
        first.append(load, "magenta")
    first.truncate(width, overflow="ellipsis")
    second = Text(" faults ")
    second.append(f"{header.budget} used", f"bold {header.budget_style}")
    told = "; ".join(f"replica {replica} {why}" for replica, why in header.faulty)
    if header.beyond:
        second.append("  ")
        second.append(header.beyond, "bold red")
        if header.network:
            second.append(f"  network: {header.network}", "yellow")
        lines = wrapped(second, width, indent=1)[:2]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Text("\n").join((first, *lines))
    if told:
        second.append("  ")
        second.append(told, header.budget_style)
    elif header.starting:
        second.append("  starting", _DIM)
    elif header.speaking < header.n:
        second.append(f"  {header.speaking} of {header.n} replicas are heard from", _DIM)
    else:
        second.append(f"  all {header.n} replicas are heard from", _DIM)
    if header.network:
        second.append("  network: ", _DIM)
        second.append(header.network, "yellow")
    second.truncate(width, overflow="ellipsis")
    return Text("\n").join((first, second))


def _add(line: Text, name: str, value: str) -> None:
    line.append("  ")
    line.append(name, _DIM)
    line.append(f" {value}")


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f}" if 0 < value < 10 else f"{value:,.0f}"


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"
