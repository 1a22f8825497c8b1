"""The dashboard as a whole: what it shows of a group, panels, sizes, results, and how it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from rich.style import Style
from rich.text import Text
from textual.worker import WorkerFailed

from pbft.client.reply import Reply
from pbft.console.history import History
from pbft.console.outcome import ExitCode
from pbft.console.said import Said
from pbft.console.session import Console
from pbft.dashboard.app import Dashboard
from pbft.dashboard.widgets.flow import FlowPane
from pbft.dashboard.widgets.header import HeaderPane
from pbft.dashboard.widgets.pane import Pane
from pbft.dashboard.widgets.prompt import Prompt
from pbft.dashboard.widgets.results import Results
from pbft.dashboard.widgets.table import ReplicaTable
from pbft.errors import PbftError
from pbft.group_file import GroupFile
from pbft.machine import Outcome
from tests.dashboard.screens import Event, all_well, counters, finish, lab, screen, shown


def flow(replica: int, sequence: int = 8) -> Event:
    """One replica's account of a sequence that all four agreed on a moment ago."""
    us = time.monotonic_ns() // 1000 - 10_000
    return {
        "event": "flow",
        "replica": replica,
        "us": us + 900,
        "sequence": sequence,
        "view": 0,
        "digest": "cd" * 32,
        "requests": [{"client": "alice", "timestamp": 3, "operations": 1}],
        "request_us": us if replica == 0 else None,
        "pre_prepare_us": us + 100,
        "prepares": {"1": us + 200, "2": us + 210, "3": us + 220},
        "prepared_us": us + 210,
        "commits": {"0": us + 300, "1": us + 310, "2": us + 320, "3": us + 330},
        "committed_us": us + 320,
        "executed_us": us + 400,
        "differing": [],
    }


def test_the_whole_picture(ledger: GroupFile) -> None:
    """Header, replicas, messages, events, input line and keys are all there at 100 × 30."""

    async def story() -> None:
        left = {"event": "incident", "replica": 2, "us": 1, "level": "info", "what": "stable checkpoint"}
        events = [*all_well(), lab(), *(flow(each) for each in range(4)), {**left, "fields": {"sequence": 128}}]
        async with shown(ledger, events) as (app, _):
            said = screen(app)
            assert said.startswith(" Ledger  group ")
            assert "faults 0/1 used" in said
            assert "n 4 f 1" in said
            for replica, role in enumerate(["primary", "backup", "backup", "backup"]):
                assert f"{replica}  {role}" in said
            assert "abababab" in said
            assert "40 MiB  ok" in said
            assert "sequence 8, view 0" in said
            for phase in ("request", "pre-prepare", "prepare", "commit", "reply"):
                assert f"\n{phase} " in said
            assert "op/s" in said
            assert "messages/s" in said
            assert "─ Events" in said
            assert "\nalice >" in said
            assert "F5 kill" in said
            assert len(said.split("\n")) == 30

    asyncio.run(story())


def test_more_faults_than_the_group_bears_are_told_in_red(ledger: GroupFile) -> None:
    """Two of four that fail are one too many: the header says what is no longer promised."""

    async def story() -> None:
        faults = [{"id": 1, "misbehaviour": "Equivocator"}, {"id": 2, "state": "killed", "pid": None}]
        async with shown(ledger, [*all_well(), lab(faults)], size=(80, 24)) as (app, pilot):
            await pilot.pause()
            header = app.query_one(HeaderPane)
            assert "2/1 used" in header.shown
            assert app.model.header().beyond
            assert app.model.header().beyond in " ".join(header.shown.split())
            table = app.query_one(ReplicaTable).shown
            assert "lying" in table
            assert "killed" in table

    asyncio.run(story())


def test_f2_shows_messages_in_the_order_of_time(ledger: GroupFile) -> None:
    """The diagram takes the matrix's place, PageDown goes on in it, and F2 brings the matrix back."""

    async def story() -> None:
        async with shown(ledger, [*all_well(), *(flow(each) for each in range(4))]) as (app, pilot):
            pane = app.query_one(FlowPane)
            matrix = pane.shown
            await pilot.press("f2")
            await pilot.pause()
            assert "client" in pane.shown
            assert "more below" in pane.shown
            first = pane.shown
            await pilot.press("pagedown")
            assert pane.shown != first
            await pilot.press("f2")
            await pilot.pause()
            assert pane.shown == matrix

    asyncio.run(story())


@pytest.mark.parametrize(("key", "words"), [("f1", "Kill the primary"), ("f4", "Why"), ("f10", "No replica keeps")])
def test_panels_open_and_close_beside_the_input_line(ledger: GroupFile, key: str, words: str) -> None:
    """A panel leaves table, results and input line in sight; its key or Esc closes it."""

    async def story() -> None:
        async with shown(ledger, all_well()) as (app, pilot):
            for closing in (key, "escape"):
                await pilot.press(key)
                await app.workers.wait_for_complete(
                    [each for each in app.workers if each.group == "evidence"] or [app.run_worker(asyncio.sleep(0))]
                )
                await pilot.pause()
                said = screen(app)
                assert words in said
                assert "primary" in said
                assert "─ Results" in said
                assert "alice >" in said
                await pilot.press(*"sup")
                assert app.query_one(Prompt).value == "sup"
                await pilot.press("ctrl+c", closing)
                await pilot.pause()
                assert "─ Messages" in screen(app)

    asyncio.run(story())


def test_the_explanation_goes_by_what_replicas_and_keeper_tell(ledger: GroupFile) -> None:
    """F4 names who is missing for a quorum, from the events alone, and follows as they change."""

    async def story() -> None:
        killed = lab([{"id": each, "state": "killed", "pid": None} for each in (2, 3)])
        events = [*all_well(), {"event": "gone", "replica": 2, "us": 1}, {"event": "gone", "replica": 3, "us": 1}]
        async with shown(ledger, [*events, killed]) as (app, pilot):
            await pilot.press("f4")
            await pilot.pause()
            said = " ".join(screen(app).split())
            assert "replica 2 (killed)" in said
            assert "replica 3 (killed)" in said

            app.accounts.note({**lab(), "state": "nonsense"})
            app.accounts.note({"event": "lab", "us": 1, "state": {"replicas": "nonsense"}})
            for each in all_well():
                app.accounts.note(each)
            await pilot.press("f4", "f4")
            await pilot.pause()
            assert "nothing is stuck" in screen(app)

    asyncio.run(story())


def test_the_help_is_about_this_application(ledger: GroupFile) -> None:
    """Examples come from signatures: what is shown can be typed as it stands, and all of it is reached by PageDown."""

    async def story() -> None:
        async with shown(ledger, all_well()) as (app, pilot):
            await pilot.press("f1")
            await pilot.pause()
            said = screen(app)
            assert "mint alice 5" in said
            assert "transfer alice bob 5" in said
            assert not app.console_session.hint("transfer alice bob 5").wrong
            seen = said
            for _ in range(20):
                await pilot.press("pagedown")
                await pilot.pause()
                seen += screen(app)
            for words in ("statement ACCOUNT", ":byzantine I HOW", "equivocate", "Ctrl-Q", ":mermaid FILE"):
                assert words in seen

    asyncio.run(story())


@pytest.mark.parametrize("size", [(80, 24), (81, 25), (100, 30), (140, 50), (300, 100)])
def test_every_size_from_the_least_is_filled(ledger: GroupFile, size: tuple[int, int]) -> None:
    """No line is wider than the screen, the keys stand on the last one, and the input line is seen."""

    async def story() -> None:
        async with shown(ledger, [*all_well(), *(flow(each) for each in range(4))], size=size) as (app, _):
            lines = screen(app).split("\n")
            assert len(lines) == size[1]
            assert max(map(len, lines)) <= size[0]
            assert lines[-1].startswith("F1")
            assert lines[-3].startswith("alice >")
            assert "^Q" in lines[-1]

    asyncio.run(story())


def test_a_screen_that_shrinks_and_grows(ledger: GroupFile) -> None:
    """Too small it says which size it needs; grown again it shows everything, and what was typed is still there."""

    async def story() -> None:
        async with shown(ledger, all_well()) as (app, pilot):
            await pilot.press(*"bal")
            await pilot.resize_terminal(60, 20)
            await pilot.pause()
            assert "The dashboard needs 80 × 24; this terminal has 60 × 20." in screen(app)
            await pilot.resize_terminal(80, 24)
            await pilot.pause()
            said = screen(app)
            assert "alice > bal" in said
            assert "primary" in said
            await pilot.resize_terminal(120, 40)
            await pilot.pause()
            assert len(screen(app).split("\n")) == 40

    asyncio.run(story())


def test_the_newest_result_is_seen_without_scrolling(ledger: GroupFile) -> None:
    """After more results than fit, the last stands right above the input line, and PageUp brings older ones back."""

    async def story() -> None:
        async with shown(ledger, size=(80, 24)) as (app, pilot):
            results = app.query_one(Results)
            for number in range(30):
                said = Said("", ExitCode.FINE, (f"value {number}", "4 ms · sequence 12"), "result")
                results.end(results.begin(f"balance {number}"), said)
            await pilot.pause()
            assert "value 29" in screen(app)
            assert "value 20" not in screen(app)
            for _ in range(14):
                await pilot.press("pageup")
            await pilot.pause()
            assert "value 20" in screen(app)
            results.begin("supply")
            await pilot.pause()
            assert "> supply  waiting" in screen(app)

    asyncio.run(story())


def test_results_of_a_line_come_back_and_count(ledger: GroupFile) -> None:
    """A line that fails says why below its echo; what is entered meanwhile keeps its order."""

    async def story() -> None:
        async with shown(ledger) as (app, pilot):
            await pilot.press(*"nonsense 5", "enter")
            await finish(app, pilot)
            said = screen(app)
            assert "> nonsense 5" in said
            assert "has no operation" in said
            await pilot.press(*"client bob", "enter")
            await finish(app, pilot)
            assert "\nbob >" in screen(app)
            await pilot.press(*":clear", "enter")
            await finish(app, pilot)
            assert not app.query_one(Results).entries

    asyncio.run(story())


def test_a_script_shows_what_each_of_its_lines_came_to(ledger: GroupFile, tmp_path: Path) -> None:
    """The lines of `:run` stand in their order, and the script's own end last."""

    async def story() -> None:
        script = tmp_path / "script"
        script.write_text("client bob\nclient alice\n", encoding="utf-8")
        async with shown(ledger) as (app, pilot):
            app.run_line(f":run {script}")
            await finish(app, pilot)
            lines = [entry.line for entry in app.query_one(Results).entries]
            assert lines == ["client bob", "client alice", f":run {script}"]
            assert all(entry.said is not None for entry in app.query_one(Results).entries)

    asyncio.run(story())


def test_the_flow_is_written_as_mermaid(ledger: GroupFile, tmp_path: Path) -> None:
    """`:mermaid FILE` writes what is shown, refuses before there is anything, and never writes over a file."""

    async def story() -> None:
        path = tmp_path / "flow.mmd"
        async with shown(ledger) as (app, pilot):
            app.run_line(f":mermaid {path}")
            await finish(app, pilot)
            assert "no request has been seen yet" in screen(app)
            assert not path.exists()
        async with shown(ledger, [*all_well(), *(flow(each) for each in range(4))]) as (app, pilot):
            app.run_line(f":mermaid {path}")
            await finish(app, pilot)
            assert path.read_text(encoding="utf-8").startswith("sequenceDiagram")
            app.run_line(f":mermaid {path}")
            await finish(app, pilot)
            assert "exists" in screen(app)

    asyncio.run(story())


def test_only_what_changed_is_drawn(ledger: GroupFile) -> None:
    """Drawing what is known already costs no update of any part: this is what keeps the dashboard cheap."""

    async def story() -> None:
        async with shown(ledger, [*all_well(), *(flow(each) for each in range(4))]) as (app, pilot):
            await pilot.pause()
            before = {pane.id: pane.drawn for pane in app.query(Pane)}
            app._draw_all()
            app._draw_all()
            assert {pane.id: pane.drawn for pane in app.query(Pane)} == before
            app.model.apply(counters(2, executed=9), 0)
            app._draw_all()
            after = {pane.id: pane.drawn for pane in app.query(Pane)}
            assert [name for name in after if after[name] != before[name]] == ["table"]

    asyncio.run(story())


def test_a_tick_after_the_end_is_harmless(ledger: GroupFile) -> None:
    """Timers and sizes may still tell of themselves while the screen is taken down: that is no error."""

    async def story() -> None:
        async with shown(ledger, all_well()) as (app, pilot):
            await app.stage.remove()
            app.draw()
            app.on_resize()
            await pilot.pause()
            assert app.failure is None

    asyncio.run(story())


def test_every_style_is_one_that_is_known(ledger: GroupFile) -> None:
    """A style that nobody knows is left out in silence, and looked for anew at each drawing, which costs the most."""

    async def story() -> None:
        faults = lab([{"id": 1, "misbehaviour": "Equivocator"}])
        async with shown(ledger, [*all_well(), faults, *(flow(each) for each in range(4))]) as (app, pilot):
            for key in ("f2", "f1", "f4", "f10", "escape"):
                await pilot.press(key)
                await pilot.pause()
                for pane in app.query(Pane):
                    content = pane.content
                    assert isinstance(content, Text)
                    assert not content.style
                    for span in content.spans:
                        assert isinstance(span.style, Style) or Style.parse(span.style) is not None

    asyncio.run(story())


def test_a_start_that_fails_says_so_on_the_screen(ledger: GroupFile) -> None:
    """The first frame does not wait for the group, and what goes wrong is a line among the results."""

    async def story() -> None:
        def begin() -> None:
            raise PbftError("port 4711 is taken; choose another")

        async def silence() -> AsyncGenerator[Event, None]:
            await asyncio.Event().wait()
            yield {}

        async with Console(ledger, "alice") as console:
            app = Dashboard(ledger, console, silence, History(ledger.directory / "none"), True, begin)
            async with app.run_test(size=(100, 30)) as pilot:
                await finish(app, pilot)
                assert "port 4711 is taken; choose another" in screen(app)
                assert app.is_running

    asyncio.run(story())


def test_an_error_of_its_own_ends_it_and_is_kept(ledger: GroupFile) -> None:
    """A feed that breaks ends the app; whoever runs it finds the error and tells it in one sentence."""

    async def story() -> None:
        async def broken() -> AsyncGenerator[Event, None]:
            yield counters(0)
            raise ZeroDivisionError("a defect of ours")

        async with Console(ledger, "alice") as console:
            app = Dashboard(ledger, console, broken, History(ledger.directory / "none"))

            async def run() -> None:
                async with app.run_test(size=(100, 30)):
                    await app._exception_event.wait()

            with pytest.raises(WorkerFailed):
                await run()
            assert isinstance(app.failure, ZeroDivisionError)

    asyncio.run(story())


def test_latencies_of_own_calls_are_those_of_the_header(ledger: GroupFile) -> None:
    """What a call of ours took is what the header tells, rather than what replicas say of their own."""

    async def story() -> None:
        async with shown(ledger, all_well()) as (app, _):
            reply = Reply(Outcome.OK, b"", 0, 1, 1, (0, 1), (), (2, 3), 2, 17, None, 0)
            app.model.note_call(reply.ms)
            app.draw()
            assert "p50 17 ms" in app.query_one(HeaderPane).shown

    asyncio.run(story())
