"""Safety of the screen: what strangers write comes out as harmless text, wherever it is shown."""

from __future__ import annotations

import asyncio
import unicodedata
from pathlib import Path

import pytest

from pbft.console.outcome import ExitCode
from pbft.console.said import Said
from pbft.dashboard.app import Dashboard
from pbft.dashboard.widgets.prompt import Prompt
from pbft.dashboard.widgets.results import Results
from pbft.group_file import GroupFile
from tests.dashboard.screens import Event, all_well, counters, finish, lab, screen, shown

HOSTILE = {
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;b3duZWQ=\x07",
    "cursor": "\x1b[2J\x1b[1;1Howned",
    "c1": "\x9b2J\x9d0;owned\x9c",
    "override": "\u202egro.live\u2066",
    "lines": "one\ntwo\rthree\x85four\u2028five",
    "markup": "[red]owned[/red][@click=app.quit]here[/]",
    "link": "[link=https://example.org]owned[/link]",
    "tower": "a" + "\u0301" * 5000,
}


def check(app: Dashboard) -> str:
    """Nothing on the screen steers a terminal or is a link, and every line is as wide as the screen."""
    strips = app.screen._compositor.render_strips()
    for strip in strips:
        assert strip.cell_length == app.size.width
        assert sum(len(segment.text) for segment in strip) <= 5 * app.size.width
        for segment in strip:
            assert not [each for each in segment.text if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
            if segment.style is not None:
                assert segment.style.link is None
                assert "@click" not in segment.style.meta
    return screen(app)


def spoken(words: str) -> list[Event]:
    """A liar puts the same words wherever it may put any."""
    return [
        *all_well(),
        counters(1, health=words, role=words, state_digest=words, app=words),
        {"event": "hello", "replica": 1, "us": 0, "format": 1, "group": words, "application": words, "lies": words},
        {
            "event": "flow",
            "replica": 1,
            "us": 5,
            "sequence": 8,
            "view": 0,
            "digest": words,
            "requests": [{"client": words, "timestamp": 3, "operations": 1}],
            "request_us": 1,
            "pre_prepare_us": 2,
            "prepares": {words: 3},
            "prepared_us": None,
            "commits": {},
            "committed_us": None,
            "executed_us": None,
            "differing": [words],
        },
        {"event": "incident", "replica": 1, "us": 6, "level": "error", "what": words, "fields": {words: words}},
        {"event": "incident", "replica": 1, "us": 6, "level": words, "what": "view left", "fields": {"why": words}},
        {"event": "fault", "us": 7, "command": words, "said": words},
        {"event": "dropped", "replica": 1, "us": 8, "why": words},
        lab([{"id": 2, "misbehaviour": words, "words": words, "state": "ended"}], sentences=[words]),
    ]


@pytest.mark.parametrize("words", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_liar_cannot_steer_the_screen(ledger: GroupFile, words: str) -> None:
    """Whatever a replica or the keeper says is text: in every part, in panels, and in the diagram."""

    async def story() -> None:
        async with shown(ledger, spoken(words), size=(120, 40)) as (app, pilot):
            check(app)
            for key in ("f2", "f4", "f10", "f1"):
                await pilot.press(key)
                await pilot.pause()
                app.draw()
                await pilot.pause()
                check(app)

    asyncio.run(story())


@pytest.mark.parametrize("words", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_memo_cannot_steer_the_screen(ledger: GroupFile, words: str) -> None:
    """A value that an operation returned is shown as it is spelled, in the lines of results."""

    async def story() -> None:
        async with shown(ledger) as (app, pilot):
            results = app.query_one(Results)
            entry = results.begin(f"statement {words}")
            results.end(entry, Said("statement", ExitCode.FINE, (f'[{{"memo": "{words}"}}]', words), "result"))
            await pilot.pause()
            check(app)

    asyncio.run(story())


def test_markup_is_shown_as_it_was_written(ledger: GroupFile) -> None:
    """Brackets are text: nothing is coloured by them, and nothing is swallowed."""

    async def story() -> None:
        async with shown(ledger) as (app, pilot):
            results = app.query_one(Results)
            results.end(results.begin("balance"), Said("", ExitCode.FINE, (HOSTILE["markup"],), "result"))
            await pilot.pause()
            assert HOSTILE["markup"] in check(app)

    asyncio.run(story())


@pytest.mark.parametrize("words", [HOSTILE["override"], HOSTILE["clipboard"], HOSTILE["markup"]])
def test_what_is_pasted_or_remembered_is_harmless_too(ledger: GroupFile, words: str, tmp_path: Path) -> None:
    """The input line, its hint, the echo of a line and what Up brings back spell out what steers."""

    async def story() -> None:
        async with shown(ledger) as (app, pilot):
            prompt = app.query_one(Prompt)
            prompt.replace(words, 0, 0)
            await pilot.pause()
            check(app)
            await pilot.press("enter")
            await finish(app, pilot)
            check(app)
            prompt.remember(words)
            await pilot.press("up")
            check(app)

    asyncio.run(story())
