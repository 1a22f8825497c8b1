"""The order of lines: who waits for whom, what is pasted, and where results stand that come late."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot

from pbft.console.outcome import ExitCode
from pbft.console.said import Said
from pbft.console.session import MAX_LINES
from pbft.dashboard.app import Dashboard
from pbft.dashboard.turns import Turns
from pbft.dashboard.widgets.prompt import Prompt
from pbft.dashboard.widgets.results import Results
from pbft.group_file import GroupFile
from tests.dashboard.screens import all_well, finish, screen, shown


def results_of(app: Dashboard) -> list[tuple[str, bool]]:
    """The lines among the results, with whether they have ended."""
    return [(entry.line, entry.said is not None) for entry in app.query_one(Results).entries]


async def paste(app: Dashboard, pilot: Pilot[int], text: str) -> None:
    app.query_one(Prompt).post_message(events.Paste(text))
    await pilot.pause()


def test_operations_wait_for_commands_and_commands_for_each_other_but_not_for_operations():
    """What is entered after a command goes after it; help is never held up, nor a key by what lasts."""
    turns = Turns()
    call = turns.take("balance alice", {})
    kill = turns.take(":kill 0", {})
    after = turns.take("balance bob", {})
    bare = turns.take("client bob", {})
    last = turns.take("supply", {})
    assert [each.waits_for for each in (call, kill, after, bare, last)] == ["", "", ":kill 0", ":kill 0", ":kill 0"]
    kill.end()
    assert [each.waits_for for each in (after, bare, last)] == ["", "", "client bob"]
    bare.end()
    wait = turns.take(":wait 5", {})
    assert turns.take("help", {}).waits_for == ""
    assert turns.take(":heal", {}, pressed=True).waits_for == ""
    assert turns.take("supply", {}).waits_for == ":wait 5"
    assert turns.take('supply "', {}).waits_for == ":wait 5"
    wait.end()
    assert turns.take("supply", {}).waits_for == ":heal"


def test_what_is_entered_after_a_command_waits_for_its_end(ledger: GroupFile, tmp_path: Path) -> None:
    """It says what it waits for, runs when that has ended, and what was recorded stands in the order of entry."""

    async def story() -> None:
        async with shown(ledger, all_well()) as (app, pilot):
            path = tmp_path / "recorded"
            pause = app._turns.take(":wait 30", {})
            for line in (f":record {path}", "client bob", ":heal", ":record off"):
                app.run_line(line)
            await pilot.pause()
            assert "> client bob  waiting for :wait 30…" in screen(app)
            assert app.console_session.client == "alice"
            pause.end()
            await finish(app, pilot)
            assert app.console_session.client == "bob"
            recorded = [line for line in path.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
            assert recorded == ["client bob", ":heal"]

    asyncio.run(story())


def test_esc_gives_up_what_keeps_lines_waiting(ledger: GroupFile) -> None:
    """A long pause is no prison: it is given up, and who waited goes on."""

    async def story() -> None:
        async with shown(ledger, all_well()) as (app, pilot):
            app.run_line(":wait 86400")
            app.run_line("client bob")
            await pilot.pause()
            assert results_of(app) == [(":wait 86400", False), ("client bob", False)]
            await pilot.press("escape")
            async with asyncio.timeout(30):
                while not all(ended for _, ended in results_of(app)):
                    await pilot.pause()
            assert results_of(app) == [(":wait 86400", True), ("client bob", True)]
            assert "given up" in screen(app)
            assert "\nbob >" in screen(app)

    asyncio.run(story())


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_paste_runs_its_lines_in_order_and_leaves_the_last_to_be_finished(ledger: GroupFile, end: str) -> None:
    """The first is added to what is typed already; empty lines are none; each is remembered."""

    async def story() -> None:
        async with shown(ledger, all_well()) as (app, pilot):
            await pilot.press(*"client ")
            await paste(app, pilot, end.join(("bob", "", "nonsense 1", "client alice", "mint al")))
            await finish(app, pilot)
            assert results_of(app) == [("client bob", True), ("nonsense 1", True), ("client alice", True)]
            prompt = app.query_one(Prompt)
            assert prompt.value == "mint al"
            assert app.console_session.client == "alice"
            await pilot.press("up")
            assert prompt.value == "client alice"
            await pilot.press("ctrl+c")
            await paste(app, pilot, "balance")
            assert prompt.value == "balance"
            assert len(results_of(app)) == 3

    asyncio.run(story())


def test_a_paste_beyond_all_bounds_is_refused_in_a_sentence(ledger: GroupFile) -> None:
    """Nothing of it is run."""

    async def story() -> None:
        async with shown(ledger, all_well()) as (app, pilot):
            await paste(app, pilot, "client bob\n" * (MAX_LINES + 1))
            await finish(app, pilot)
            assert f"at most {MAX_LINES} lines are pasted at once" in screen(app)
            assert app.console_session.client == "alice"

    asyncio.run(story())


def test_a_paste_ends_where_it_leaves(ledger: GroupFile) -> None:
    """No line runs after one that leaves."""

    async def story() -> None:
        async with shown(ledger, all_well()) as (app, pilot):
            await paste(app, pilot, ":quit\nclient bob\n")
            await pilot.pause()
            assert app.return_value == 0
            assert app.console_session.client == "alice"

    asyncio.run(story())


def test_a_late_answer_stands_below_those_that_came_before_it(ledger: GroupFile) -> None:
    """It comes with its question where it is looked for; who reads older ones is told that there is something new."""

    async def story() -> None:
        async with shown(ledger, all_well(), size=(80, 24)) as (app, pilot):
            results = app.query_one(Results)
            late = results.begin("transfer alice bob 3")
            for number in range(300):
                results.end(results.begin(f"balance {number}"), Said("", ExitCode.FINE, (f"value {number}",), "result"))
            await pilot.press("pageup")
            assert "new results" not in results.shown
            results.end(late, Said("", ExitCode.FINE, ("done at last",), "result"))
            assert "new results below" in results.shown
            await pilot.press("pagedown", "pagedown")
            assert results.shown.rstrip().split("\n")[-2:] == ["> transfer alice bob 3", "  done at last"]

            forgotten = results.begin("supply")
            results.clear()
            results.end(forgotten, Said("", ExitCode.FINE, ("5",), "result"))
            assert not results.entries

    asyncio.run(story())
