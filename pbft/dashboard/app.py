"""The dashboard: what keys do, where lines go and come back, and when what is drawn.

Owns: the input line's way to the console and of results back, the selected replica, which panel is open, and the four
drawings a second. What is known of the group is the model's matter, what a line means the console's, and what is where
the stage's; none of them knows this.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input
from textual.worker import WorkerFailed

from pbft.console.history import History
from pbft.console.outcome import Failure, judge
from pbft.console.said import Said
from pbft.console.session import MAX_LINES, Console
from pbft.dashboard.help import page
from pbft.dashboard.mermaid import write_mermaid
from pbft.dashboard.model import Model
from pbft.dashboard.panels import Accounts, Proofs, explain
from pbft.dashboard.stage import Stage
from pbft.dashboard.turns import Turn, Turns
from pbft.dashboard.widgets.flow import FlowPane
from pbft.dashboard.widgets.keys import PRESSED, KeyBar
from pbft.dashboard.widgets.panel import Panel
from pbft.dashboard.widgets.prompt import Prompt
from pbft.dashboard.widgets.results import Entry, Results
from pbft.dashboard.widgets.table import ReplicaTable
from pbft.errors import PbftError
from pbft.group_file import GroupFile
from pbft.net.waiting import fine_clock_us

DRAW_SECONDS: Final = 0.25
LOAD_RATE: Final = 200
"""Requests a second that F3 sends."""
_PANEL_EVERY: Final = 4
"""A panel's content is looked up once in so many drawings."""
_TWICE_SECONDS: Final = 2.0
_PAGE: Final = 5

Feed = Callable[[], AsyncGenerator[Mapping[str, Any], None]]
"""Starts the stream of events that the model folds."""


class Dashboard(App[int]):
    """One group on one screen. Ends with the exit code."""

    TITLE = "pbft"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS = "Screen { overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding(key, action, show=False, priority=True) for key, action in PRESSED]

    def __init__(
        self,
        files: GroupFile,
        console: Console,
        feed: Feed,
        history: History,
        started: bool = False,
        begin: Callable[[], object] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take a group, a console that whoever runs this has entered, and what starts the stream of events.

        `started` and `begin` are as in `pbft.dashboard.run`. `now` is in seconds, for the two presses of Ctrl-C.
        """
        super().__init__()
        group = files.group
        self.files = files
        self.console_session = console
        self.history = history
        application = group.genesis.application
        self.model = Model(group.n, group.quorums.faults, group.id.hex(), application, starting=begin is not None)
        self.accounts = Accounts(files)
        self.proofs = Proofs(files)
        self.selected = 0
        self.panel = ""
        """Which panel is open: "help", "explain", "evidence" or none."""
        self.failure: BaseException | None = None
        """What ended the app, if it was not meant to end."""
        self._feed, self._begin, self._now = feed, begin, now
        self._owns_group = started
        self._turns = Turns()
        self._drawings = 0
        self._interrupted_at = float("-inf")
        self._diagram = False
        self._proving = False

    def compose(self) -> ComposeResult:
        """Make the parts."""
        self.stage = Stage(self.files.group.n, self.console_session, self.history.lines)
        yield self.stage

    def on_mount(self) -> None:
        """Show the first frame at once; whatever waits begins after it."""
        self.stage.prompt.focus()
        self._arrange()
        self.call_after_refresh(self._go)

    def _go(self) -> None:
        self.set_interval(DRAW_SECONDS, self.draw)
        self.run_worker(self._follow(), exit_on_error=True)
        if self._begin is not None:
            self.run_worker(self._start(self._begin), name="line", exit_on_error=True)
        # The first line that is entered need not wait until sockets and signatures are loaded.
        self.run_worker(asyncio.to_thread(importlib.import_module, "pbft.client"), exit_on_error=True)

    def on_resize(self) -> None:
        """Share out the lines anew, in a moment: the framework notes the new size after it has told us."""
        self.call_next(self._arrange)

    def _arrange(self) -> None:
        if not self.stage.is_attached:
            return
        self.stage.share_out(bool(self.panel), self._diagram)
        self.call_after_refresh(self._draw_all)

    # Drawing.

    def draw(self) -> None:
        """Draw what the model knows now; four times a second."""
        if not self.stage.is_attached:
            # The last tick of a timer may come while the screen is being taken down.
            return
        self._drawings += 1
        load = self.console_session.load
        self.model.note_load((load.answered, load.p50_ms, load.p99_ms) if load else None)
        self.model.tick(fine_clock_us())
        self.stage.draw(self.model, self.selected)
        if self.panel in ("explain", "evidence") and self._drawings % _PANEL_EVERY == 0:
            self._fill_panel()

    def _draw_all(self) -> None:
        """Draw everything for the sizes that the parts have now."""
        if not self.stage.is_attached:
            return
        self.stage.draw(self.model, self.selected)
        self.stage.draw_rest()

    # What comes from the group.

    async def _follow(self) -> None:
        async with contextlib.aclosing(self._feed()) as events:
            async for event in events:
                self.accounts.note(event)
                self.model.apply(event, fine_clock_us())

    async def _start(self, begin: Callable[[], object]) -> None:
        """Do what waits, and show why it failed if it does."""
        entry = self.stage.results.begin("start")
        try:
            await asyncio.to_thread(begin)
        except (PbftError, OSError) as error:
            self.model.begun(False, fine_clock_us())
            self.stage.results.end(entry, Said.failed(judge(error)))
        else:
            self.model.begun(True, fine_clock_us())
            self.stage.results.end(entry, Said.note("the group runs; F1 says what to do with it"))

    # Lines that are entered.

    def on_input_changed(self, message: Input.Changed) -> None:
        """Show what is being typed."""
        prompt = self.stage.prompt
        if not prompt.completing:
            prompt.forget_candidates()
            self.stage.hint()

    def on_prompt_candidates(self, message: Prompt.Candidates) -> None:
        """Show what Tab goes through."""
        if message.lines:
            self.stage.hint_line.offer(message.lines, message.chosen)
        else:
            self.stage.hint()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Run the line."""
        self.stage.prompt.forget_candidates()
        if message.value.strip():
            self._remember(message.value)
            self.run_line(message.value)

    def on_prompt_pasted(self, message: Prompt.Pasted) -> None:
        """Run lines that came at once, one after the other."""
        lines = [line for line in message.lines if line.strip()]
        if len(lines) > MAX_LINES:
            refused = Failure(
                f"at most {MAX_LINES} lines are pasted at once; put these {len(lines)} in a file: :run FILE"
            )
            self.stage.results.end(self.stage.results.begin(lines[0]), Said.failed(refused))
        elif lines:
            for line in lines:
                self._remember(line)
            self._run(self._turns.take_all(lines), lines)

    def _remember(self, line: str) -> None:
        self.stage.prompt.remember(line)
        self.history.add(line)

    def run_line(self, line: str, *, pressed: bool = False) -> None:
        """Run a line as if it had been typed, or its key `pressed`: in its turn, beside those that wait for answers."""
        self._run(self._turns.take(line, self.console_session.specs, pressed=pressed), [line])

    def _run(self, turn: Turn, lines: Sequence[str]) -> None:
        entry = self.stage.results.begin(lines[0], turn.waits_for)
        self.run_worker(self._take_turn(turn, lines, entry), name="line", exit_on_error=True)

    async def _take_turn(self, turn: Turn, lines: Sequence[str], entry: Entry | None) -> None:
        """Run lines one after the other once it is their turn; `entry` shows already that the first waits."""
        results = self.stage.results
        try:
            await turn.come()
            for line in lines:
                if entry is None:
                    entry = results.begin(line)
                results.resume(entry)
                last = await self._submit(line, entry)
                entry = None
                if last is not None and last.wish == "quit":
                    break
        except asyncio.CancelledError:
            if entry is not None:
                results.end(entry, Said.note("given up"))
            raise
        finally:
            turn.end()

    async def _submit(self, line: str, entry: Entry) -> Said | None:
        """Run a line; of a script, show what each of its lines came to when it did."""
        results = self.stage.results
        last: Said | None = None
        async for said in self.console_session.steps(line):
            if last is not None:
                results.insert(entry, last)
            if said.reply is not None:
                self.model.note_call(said.reply.ms, fine_clock_us())
            last = self._fulfil(said)
            self.stage.show_who()
        if last is None or last.wish in ("help", "explain", "evidence", "clear"):
            results.drop(entry)
        else:
            results.end(entry, last)
        return last

    def _fulfil(self, said: Said) -> Said:
        """Do what a line asks of a screen, and return what is to be shown of it."""
        match said.wish:
            case "quit":
                self.exit(0)
            case "clear":
                self.stage.results.clear()
            case "help" | "explain" | "evidence":
                self._open(said.wish)
            case "diagram":
                return write_mermaid(self.model.flow(), Path(said.words[1]).expanduser())
            case None:
                pass
        return said

    # Keys.

    def action_help(self) -> None:
        """F1: open or close the help."""
        self._toggle("help")

    def action_explain(self) -> None:
        """F4: open or close what explains how the group is."""
        self._toggle("explain")

    def action_evidence(self) -> None:
        """F10: open or close the list of evidence."""
        self._toggle("evidence")

    def action_diagram(self) -> None:
        """F2: show the flow as a diagram in the order of time, or as a matrix again."""
        self._diagram = not self._diagram or bool(self.panel)
        self.panel = ""
        self._arrange()

    def action_close(self) -> None:
        """Esc: close the panel; without one, give up what lasts and keeps lines waiting."""
        if self.panel:
            self._toggle(self.panel)
        else:
            self._turns.give_up()

    def action_load(self) -> None:
        """F3: start or end the load."""
        self.run_line(":load off" if self.console_session.load else f":load {LOAD_RATE}", pressed=True)

    def action_kill(self) -> None:
        """F5: kill the selected replica."""
        self.run_line(f":kill {self.selected}", pressed=True)

    def action_pause(self) -> None:
        """F6: pause the selected replica, or let it go on."""
        rows = self.model.rows()
        paused = self.selected < len(rows) and rows[self.selected].health.startswith("paused")
        self.run_line(f":{'resume' if paused else 'pause'} {self.selected}", pressed=True)

    def action_restart(self) -> None:
        """F7: start the selected replica again."""
        self.run_line(f":restart {self.selected}", pressed=True)

    def action_lie(self) -> None:
        """F8: make the selected replica lie."""
        self.run_line(f":byzantine {self.selected} equivocate", pressed=True)

    def action_heal(self) -> None:
        """F9: end all faults of the network."""
        self.run_line(":heal", pressed=True)

    async def action_quit(self) -> None:
        """Ctrl-Q: leave."""
        self.exit(0)

    def action_interrupt(self) -> None:
        """Ctrl-C: clear the line; on an empty one, twice in a short while, leave."""
        prompt = self.stage.prompt
        if prompt.value:
            prompt.put("")
            prompt.remember("")
            return
        if self._now() - self._interrupted_at <= _TWICE_SECONDS:
            self.exit(0)
            return
        self._interrupted_at = self._now()
        end = "stops the group and leaves" if self._owns_group else "leaves; the group goes on"
        self.stage.hint_line.hint(f"Ctrl-C once more {end}", True)

    def action_move(self, step: int) -> None:
        """Select the next replica, or the one before."""
        self.action_select((self.selected + step) % self.files.group.n)

    def action_select(self, replica: int) -> None:
        """Select a replica."""
        if replica < self.files.group.n:
            self.selected = replica
            self.stage.draw(self.model, self.selected)

    def action_page(self, step: int) -> None:
        """PageUp and PageDown: in the panel that is open, else in the diagram, else in the results."""
        if self.panel:
            part: Panel | FlowPane | Results = self.stage.panel
        else:
            part = self.stage.flow if self._diagram else self.stage.results
        part.scroll_lines(step * max(1, part.size.height - 2))
        self.stage.draw(self.model, self.selected)

    # The mouse.

    def on_replica_table_picked(self, message: ReplicaTable.Picked) -> None:
        """Select the replica that was clicked."""
        self.action_select(message.replica)

    async def on_key_bar_pressed(self, message: KeyBar.Pressed) -> None:
        """Do what the clicked key does."""
        await self.run_action(message.action)

    def on_click(self) -> None:
        """Keep what is typed going to the input line, wherever somebody clicks."""
        self.stage.prompt.focus()

    # Panels.

    def _toggle(self, panel: str) -> None:
        self._open("" if self.panel == panel else panel)

    def _open(self, panel: str) -> None:
        self.panel = panel
        self._arrange()
        if panel:
            self._fill_panel()

    def _fill_panel(self) -> None:
        match self.panel:
            case "help":
                primary = self.model.header().primary or 0
                self.stage.panel.open("Help", page(self.files, self.console_session.specs, primary))
            case "explain":
                self.stage.panel.open("Why", explain(self.files, self.accounts))
            case "evidence":
                if not self._proving:
                    self._proving = True
                    self.run_worker(self._fill_evidence(), group="evidence", exit_on_error=True)

    async def _fill_evidence(self) -> None:
        try:
            # Signatures are checked there: not while keys wait.
            lines = await asyncio.to_thread(self.proofs.look)
        finally:
            self._proving = False
        if self.panel == "evidence":
            self.stage.panel.open("Evidence", lines)

    # An end that nobody meant.

    def _handle_exception(self, error: Exception) -> None:
        # The framework would print a page of local variables; whoever runs this says one sentence instead.
        if self.failure is None:
            self.failure = error.error if isinstance(error, WorkerFailed) else error
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()
