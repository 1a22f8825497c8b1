"""Keys: what each does while something is being typed, and what the input line keeps for itself."""

from __future__ import annotations

import asyncio

import pytest

from pbft.dashboard.widgets.hint import HintLine
from pbft.dashboard.widgets.prompt import Prompt
from pbft.dashboard.widgets.results import Results
from pbft.group_file import GroupFile
from tests.dashboard.screens import Clock, all_well, finish, lab, screen, shown


def lines_run(results: Results) -> list[str]:
    return [entry.line for entry in results.entries]


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("f3", ":load 200"),
        ("f5", ":kill 0"),
        ("f6", ":pause 0"),
        ("f7", ":restart 0"),
        ("f8", ":byzantine 0 equivocate"),
        ("f9", ":heal"),
    ],
)
def test_fault_keys_run_their_command_while_something_is_typed(ledger: GroupFile, key: str, line: str) -> None:
    """Each key prints the command that it stands for and runs it, and what is being typed stays as it is."""

    async def story() -> None:
        async with shown(ledger, all_well()) as (app, pilot):
            await pilot.press(*"bal", key)
            await finish(app, pilot)
            results = app.query_one(Results)
            assert lines_run(results) == [line]
            assert results.entries[0].said is not None
            assert f"> {line}" in screen(app)
            assert app.query_one(Prompt).value == "bal"

    asyncio.run(story())


def test_keys_act_on_the_selected_replica(ledger: GroupFile) -> None:
    """Shift and Ctrl with the arrows, Alt with a digit and a click select; the selection wraps around."""

    async def story() -> None:
        async with shown(ledger, all_well()) as (app, pilot):
            for keys, selected in ((["shift+down"], 1), (["ctrl+down"], 2), (["ctrl+up", "shift+up", "shift+up"], 3)):
                await pilot.press(*keys)
                assert app.selected == selected
            await pilot.press("alt+2")
            assert app.selected == 2
            await pilot.press("alt+9")
            assert app.selected == 2
            await pilot.click("#table", offset=(5, 2))
            assert app.selected == 1
            assert "▸  1" in screen(app)
            await pilot.press("f5")
            assert lines_run(app.query_one(Results)) == [":kill 1"]

    asyncio.run(story())


def test_a_paused_replica_is_resumed(ledger: GroupFile) -> None:
    """F6 lets a replica go on that the keeper tells is paused."""

    async def story() -> None:
        async with shown(ledger, [*all_well(), lab([{"id": 0, "state": "paused"}])]) as (app, pilot):
            await pilot.press("f6")
            assert lines_run(app.query_one(Results)) == [":resume 0"]

    asyncio.run(story())


def test_ctrl_c_clears_and_twice_on_an_empty_line_leaves(ledger: GroupFile) -> None:
    """The first on an empty line says what a second would do; one that comes too late is a first one again."""

    async def story() -> None:
        clock = Clock()
        async with shown(ledger, clock=clock) as (app, pilot):
            await pilot.press(*"mint", "ctrl+c")
            assert app.query_one(Prompt).value == ""
            assert not app.query_one(HintLine).shown.startswith("  Ctrl-C")
            await pilot.press("ctrl+c")
            assert app.query_one(HintLine).shown == "  Ctrl-C once more leaves; the group goes on"
            clock.seconds = 2.5
            await pilot.press("ctrl+c")
            assert app.is_running
            assert app.return_value is None
            clock.seconds = 4.0
            await pilot.press("ctrl+c")
            assert app.return_value == 0

    asyncio.run(story())


@pytest.mark.parametrize("how", [["ctrl+q"], [*":quit", "enter"], [*"quit", "enter"]])
def test_ways_to_leave(ledger: GroupFile, how: list[str]) -> None:
    """Ctrl-Q and the command both end with exit code 0."""

    async def story() -> None:
        async with shown(ledger) as (app, pilot):
            await pilot.press(*how)
            await pilot.pause()
            assert app.return_value == 0

    asyncio.run(story())


def test_editing_keys_and_letters_stay_in_the_line(ledger: GroupFile) -> None:
    """Ctrl-K cuts the rest of the line, and no letter is a command, not even q."""

    async def story() -> None:
        async with shown(ledger) as (app, pilot):
            await pilot.press(*"qhkx", "home", "right", "ctrl+k", "ctrl+p")
            assert app.query_one(Prompt).value == "q"
            assert app.is_running
            assert len(app.screen_stack) == 1
            assert not app.query_one(Results).entries

    asyncio.run(story())


def test_up_and_down_walk_through_earlier_lines(ledger: GroupFile) -> None:
    """What was being typed comes back at the end, and earlier runs' lines are there from the start."""

    async def story() -> None:
        ledger.directory.joinpath("history").write_text("balance alice\nbalance bob\n", encoding="utf-8")
        async with shown(ledger) as (app, pilot):
            prompt = app.query_one(Prompt)
            await pilot.press(*"ow", "up")
            assert prompt.value == "balance bob"
            await pilot.press("up", "up")
            assert prompt.value == "balance alice"
            await pilot.press("down", "down")
            assert prompt.value == "ow"
            await pilot.press("ctrl+u", *"supply", "enter", "up")
            assert prompt.value == "supply"
        assert ledger.directory.joinpath("history").read_text(encoding="utf-8").split() == [
            *("balance", "alice", "balance", "bob"),
            "supply",
        ]

    asyncio.run(story())


def test_tab_goes_through_what_a_line_may_become(ledger: GroupFile) -> None:
    """An only candidate is taken; of several each Tab puts the next into the line, and the line below shows them."""

    async def story() -> None:
        async with shown(ledger) as (app, pilot):
            prompt, hint = app.query_one(Prompt), app.query_one(HintLine)
            await pilot.press(*"mi", "tab")
            assert prompt.value.strip() == "mint"
            assert "ACCOUNT" in hint.shown
            await pilot.press("ctrl+c", *":", "tab")
            first = prompt.value
            await pilot.press("tab")
            second = prompt.value
            assert first != second
            assert first.strip() in hint.shown
            assert second.strip() in hint.shown
            await pilot.press("shift+tab")
            assert prompt.value == first
            assert prompt.has_focus

    asyncio.run(story())


def test_what_is_wrong_is_said_while_it_is_typed(ledger: GroupFile) -> None:
    """The line below the input line tells of a mistake before Enter does."""

    async def story() -> None:
        async with shown(ledger) as (app, pilot):
            await pilot.press(*"mint alice ")
            assert "AMOUNT" in app.query_one(HintLine).shown.upper()
            await pilot.press(*"five ")
            assert "five" in app.query_one(HintLine).shown
            assert "int" in app.query_one(HintLine).shown

    asyncio.run(story())
