"""What the tests of the dashboard share: a group on disk, a screen of its own, and what stands on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from pbft.console.history import History
from pbft.console.session import Console
from pbft.dashboard.app import Dashboard
from pbft.group_file import GroupFile
from pbft.lab.making import make_group

Event = Mapping[str, Any]


class Recorded:
    """A feed of events that were recorded, or made up: all at once, then silence."""

    def __init__(self, events: Sequence[Event] = ()) -> None:
        self.events = events
        self.told = asyncio.Event()

    async def __call__(self) -> AsyncGenerator[Event, None]:
        for event in self.events:
            yield event
        self.told.set()
        await asyncio.Event().wait()


class Clock:
    """Seconds that pass only when somebody says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def make_files(folder: Path, application: str = "ledger") -> GroupFile:
    return make_group(folder / "group", application)


@contextlib.asynccontextmanager
async def shown(
    files: GroupFile,
    events: Sequence[Event] = (),
    size: tuple[int, int] = (100, 30),
    clock: Clock | None = None,
) -> AsyncIterator[tuple[Dashboard, Pilot[int]]]:
    """A dashboard of a group that does not run, on a screen in memory, with these events folded and drawn."""
    feed = Recorded(events)
    async with Console(files, "alice") as console:
        app = Dashboard(files, console, feed, History(files.directory / "history"), now=clock or Clock())
        async with app.run_test(size=size) as pilot:
            await feed.told.wait()
            app.draw()
            await pilot.pause()
            yield app, pilot


def screen(app: Dashboard) -> str:
    """The lines on the screen, as somebody would read them."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


def report(replica: int, **fields: Any) -> dict[str, Any]:
    """A replica's account of itself, in good health."""
    return {
        "id": replica,
        "pid": 100 + replica,
        "app": "ledger",
        "role": "backup" if replica else "primary",
        "view": 0,
        "target": 0,
        "executed": 7,
        "stable_checkpoint": 0,
        "state_digest": "ab" * 32,
        "digest_sequence": 7,
        "health": "ok",
        "rss_bytes": 40 * 2**20,
        "operations": 7,
        "messages_in": 10,
        "messages_out": 10,
        "situation": None,
        **fields,
    }


def counters(replica: int, us: int = 0, **fields: Any) -> Event:
    return {"event": "counters", "replica": replica, "us": us, "report": report(replica, **fields)}


def all_well(n: int = 4) -> list[Event]:
    return [counters(replica) for replica in range(n)]


def lab(replicas: Sequence[Mapping[str, Any]] = (), n: int = 4, **links: Any) -> Event:
    """What a keeper tells; `replicas` says what differs from a running, correct one."""
    states = [
        {
            "id": each,
            "pid": 100 + each,
            "state": "running",
            "misbehaviour": None,
            "restarted": False,
            "exit_code": None,
            "words": "",
        }
        for each in range(n)
    ]
    for changed in replicas:
        states[changed["id"]].update(changed)
    calm = {"cut": [], "loss": [], "delay": [], "sentences": [], "stepping": False, "held": 0}
    faulty = [[each["id"], each["state"]] for each in states if each["state"] != "running"]
    faulty += [[each["id"], f"lies: {each['misbehaviour']}"] for each in states if each["misbehaviour"]]
    state = {"replicas": states, "links": calm | links, "faulty": faulty, "faults": (n - 1) // 3}
    return {"event": "lab", "us": 0, "state": state}


async def finish(app: Dashboard, pilot: Pilot[int]) -> None:
    """Wait until every line that was entered has come to its end, and is drawn."""
    running = [worker for worker in app.workers if worker.name == "line"]
    if running:
        await app.workers.wait_for_complete(running)
    await pilot.pause()
