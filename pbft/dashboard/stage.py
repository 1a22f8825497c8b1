"""The stage: all that is on the dashboard's screen, and where.

Owns: the order of the parts, their sizes, and what each is drawn from. Knows no keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.widgets import Static

from pbft.console.session import Console
from pbft.console.text import fit
from pbft.dashboard.arrangement import MIN_COLUMNS, MIN_LINES, Arrangement, arrange
from pbft.dashboard.model import Model
from pbft.dashboard.widgets.flow import FlowPane
from pbft.dashboard.widgets.gauges import Gauges
from pbft.dashboard.widgets.header import HeaderPane
from pbft.dashboard.widgets.hint import HintLine
from pbft.dashboard.widgets.keys import KeyBar
from pbft.dashboard.widgets.log import LogPane
from pbft.dashboard.widgets.panel import Panel
from pbft.dashboard.widgets.prompt import Prompt
from pbft.dashboard.widgets.results import Results
from pbft.dashboard.widgets.table import ReplicaTable
from pbft.net.waiting import fine_clock_us

_NAME_COLUMNS = 20


class Stage(Container):
    """The whole screen: from the header down to the keys, or one sentence where it is too small for them."""

    DEFAULT_CSS = """
    Stage { height: 100%; width: 100%; overflow: hidden; }
    Stage #small { display: none; height: 100%; width: 100%; content-align: center middle; }
    Stage #all { height: 100%; width: 100%; layout: vertical; overflow: hidden; }
    Stage #middle, Stage #line { layout: horizontal; height: 1; width: 100%; overflow: hidden; }
    Stage #flow { width: 1fr; }
    Stage #who { width: auto; height: 1; }
    Stage #prompt { width: 1fr; }
    """

    def __init__(self, replicas: int, console: Console, history: Sequence[str]) -> None:
        super().__init__()
        self._replicas = replicas
        self._session = console
        self._arrangement: Arrangement | None = None
        self._panelled = self._diagram = self._alarm = False
        self._start_us = fine_clock_us()
        self.flow = FlowPane(id="flow")
        self.results = Results(id="results")
        self.panel = Panel(id="panel")
        self.prompt = Prompt(console.complete, history, id="prompt")
        self.hint_line = HintLine(id="hint")
        self._header = HeaderPane(id="header")
        self._table = ReplicaTable(id="table")
        self._gauges = Gauges(id="gauges")
        self._log = LogPane(id="log")
        self._keys = KeyBar(id="keys")
        self._who = Static(id="who", markup=False)
        self._small = Static(id="small", markup=False)
        self._middle = Horizontal(id="middle")
        self._all = Container(id="all")

    def compose(self) -> ComposeResult:
        """Put the parts in their order, top down."""
        yield self._small
        with self._all:
            yield self._header
            yield self._table
            with self._middle:
                yield self.flow
                yield self._gauges
            yield self._log
            yield self.panel
            yield self.results
            with Horizontal(id="line"):
                yield self._who
                yield self.prompt
            yield self.hint_line
            yield self._keys

    def on_mount(self) -> None:
        """Show who types."""
        self.show_who()

    def share_out(self, panel: bool, diagram: bool) -> None:
        """Give each part its lines, or say which size is needed."""
        width, height = self.app.size
        wanted = self._arrangement = arrange(width, height, self._replicas, panel, diagram, self._alarm)
        self._panelled, self._diagram = panel, diagram
        self._small.styles.display = "none" if wanted else "block"
        self._all.styles.display = "block" if wanted else "none"
        if wanted is None:
            sentence = f"The dashboard needs {MIN_COLUMNS} × {MIN_LINES}; this terminal has {width} × {height}."
            self._small.update(Text(sentence))
            return
        for part, lines in (
            (self._header, wanted.header),
            (self._table, wanted.table),
            (self._middle, wanted.flow),
            (self.flow, wanted.flow),
            (self._gauges, wanted.flow),
            (self._log, wanted.log),
            (self.panel, wanted.panel),
            (self.results, wanted.results),
        ):
            part.styles.display = "block" if lines else "none"
            part.styles.height = lines
        self._gauges.styles.width = width - wanted.flow_columns
        # A line that was hidden, on a terminal that was too small, has lost the keys.
        self.prompt.focus()

    def draw(self, model: Model, selected: int) -> None:
        """Draw what a model knows. Costs little where nothing has changed."""
        wanted = self._arrangement
        if wanted is None:
            return
        load, header = self._session.load, model.header()
        if bool(header.beyond) is not self._alarm:
            # What is no longer promised takes a line more, and the parts have their new sizes in a moment.
            self._alarm = not self._alarm
            self.share_out(self._panelled, self._diagram)
            self.call_after_refresh(self.draw, model, selected)
            self.call_after_refresh(self.draw_rest)
            return
        self._header.draw(header, f"load {load.rate:g}/s" if load else "")
        self._table.draw(model.rows(), selected)
        if wanted.flow:
            self.flow.draw(model.flow(), self._diagram)
            self._gauges.draw(model.series(), load)
            self._log.draw(model.lines(), self._start_us)

    def draw_rest(self) -> None:
        """Draw what no model knows, for the sizes that the parts have now."""
        if self._arrangement is None:
            return
        self.panel.draw()
        self.results.draw()
        self._keys.draw()
        self.hint()

    def show_who(self) -> None:
        """Show in front of the input line under whose name it speaks."""
        self._who.update(Text(f"{fit(self._session.client, _NAME_COLUMNS)} > ", "bold cyan"))

    def hint(self) -> None:
        """Show what is being typed, or what is wrong with it."""
        hint = self._session.hint(self.prompt.value)
        self.hint_line.hint(hint.text, hint.wrong)
