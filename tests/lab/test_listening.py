"""Listening to a whole group: merged, reconnecting, and believing nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pbft.group_file import GroupFile
from pbft.lab import listening as module
from pbft.lab.listening import OF_KEEPERS, OF_REPLICAS, listen, read_event
from pbft.lab.making import make_group
from pbft.lab.starting import control_path
from pbft.net.local_sockets import socket_path
from pbft.node.stream import SOCKET_NAME

COUNTER = "pbft_apps.counter:Counter"


class Speaker:
    """Somebody who publishes whatever a test wants, at a replica's socket or at the keeper's."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.asked: list[bytes] = []
        self.connected = asyncio.Event()

    async def open(self, greeted: bool = False) -> Speaker:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.append(writer)
            if greeted:
                self.asked.append(await reader.readline())
            self.connected.set()

        self._server = await asyncio.start_unix_server(accept, self._path)
        return self

    async def say(self, *lines: bytes) -> None:
        await self.connected.wait()
        for writer in self._writers:
            writer.write(b"".join(line + b"\n" for line in lines))

    async def hang_up(self) -> None:
        self.connected.clear()
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def close(self) -> None:
        await self.hang_up()
        assert self._server is not None
        self._server.close()


def line(event: str, replica: int | None, us: int = 1, **fields: object) -> bytes:
    who = {} if replica is None else {"replica": replica}
    return json.dumps({"event": event, "us": us, **who, **fields}).encode()


@contextlib.asynccontextmanager
async def speaking(files: GroupFile, *replicas: int) -> AsyncIterator[list[Speaker]]:
    speakers = []
    for replica in replicas:
        files.data(replica).mkdir(parents=True, exist_ok=True)
        speakers.append(await Speaker(socket_path(files.data(replica), SOCKET_NAME)).open())
    try:
        yield speakers
    finally:
        for speaker in speakers:
            await speaker.close()


async def take(events: AsyncGenerator[dict[str, Any], None], count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        return [await anext(events) for _ in range(count)]


@pytest.fixture
def files(tmp_path: Path) -> GroupFile:
    return make_group(tmp_path / "g", COUNTER)


def test_events_of_all_replicas_and_of_the_keeper_come_together(files: GroupFile):
    """Each as it was said; the keeper is asked to be followed."""

    async def body() -> None:
        async with speaking(files, 0, 3) as (first, last), contextlib.aclosing(listen(files)) as events:
            keeper = await Speaker(control_path(files)).open(greeted=True)
            await asyncio.gather(
                first.say(line("hello", 0, n=4)), last.say(line("counters", 3)), keeper.say(line("lab", None)),
                take_into := asyncio.ensure_future(take(events, 3)),
            )  # fmt: skip
            heard = take_into.result()
            assert sorted((each["event"], each.get("replica")) for each in heard if "replica" in each) == [
                ("counters", 3),
                ("hello", 0),
            ]
            assert [each["event"] for each in heard if "replica" not in each] == ["lab"]
            assert keeper.asked == [b'{"do":"follow"}\n']
            await keeper.close()

    asyncio.run(body())


def test_whoever_goes_is_told_of_and_found_again(files: GroupFile, monkeypatch: pytest.MonkeyPatch):
    """A stream that ends is followed by "gone"; a replica that was not there, or comes back, is heard then."""
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)

    async def body() -> None:
        async with contextlib.aclosing(listen(files, [2])) as events:
            waiting = asyncio.ensure_future(take(events, 1))
            await asyncio.sleep(0)
            async with speaking(files, 2) as (speaker,):
                await speaker.say(line("hello", 2))
                assert [each["event"] for each in await waiting] == ["hello"]
                await speaker.hang_up()
                (gone,) = await take(events, 1)
                assert (gone["event"], gone["replica"], type(gone["us"])) == ("gone", 2, int)
                await speaker.say(line("hello", 2))
                assert [each["event"] for each in await take(events, 1)] == ["hello"]

    asyncio.run(body())


def test_who_never_said_anything_is_not_gone(files: GroupFile, monkeypatch: pytest.MonkeyPatch):
    """A connection that ends without an event is no stream that ended."""
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)

    async def body() -> None:
        async with speaking(files, 0, 1) as (mute, other), contextlib.aclosing(listen(files, [0, 1])) as events:
            waiting = asyncio.ensure_future(take(events, 1))
            await mute.say(b"no event")
            await mute.hang_up()
            await mute.say(b"no event")
            await other.say(line("hello", 1))
            assert [each["replica"] for each in await waiting] == [1]

    asyncio.run(body())


def test_what_is_no_event_is_passed_over_and_what_is_endless_ends_the_stream(
    files: GroupFile, monkeypatch: pytest.MonkeyPatch
):
    """Lines out of form, or in another's name, are dropped one by one; without an end of line nothing grows."""
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)

    async def body() -> None:
        async with speaking(files, 1) as (liar,), contextlib.aclosing(listen(files, [1])) as events:
            waiting = asyncio.ensure_future(take(events, 2))
            await liar.say(b"{", b"[]", line("hello", 2), line("lab", 1), line("gone", 1), line("hello", 1))
            await liar.say(b"x" * (3 * module._LARGEST_LINE_BYTES))
            assert [each["event"] for each in await waiting] == ["hello", "gone"]

    asyncio.run(body())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b'{"event": "hello", "replica": 1}',
        b'{"event": "hello", "replica": 1, "us": "1"}',
        b'{"event": "hello", "replica": 1, "us": true}',
        b'{"event": "hello", "replica": true, "us": 1}',
        b'{"event": "hello", "replica": 1.0, "us": 1}',
        b'{"event": ["hello"], "replica": 1, "us": 1}',
        b'{"event": {}, "replica": 1, "us": 1}',
        b'{"event": "fault", "replica": 1, "us": 1}',
        b'{"event": "hello", "replica": 1, "us": 1, "n": NaN}',
        b'{"event": "hello", "replica": 1, "us": 1, "n": -Infinity}',
        b'{"event": "hello", "replica": 1, "us": ' + b"9" * 5_000 + b"}",
        b"[" * 100_000,
        b'{"event": "hello", "replica": 1, "us": 1, "n": "\xff"}',
    ],
    ids=range(15),
)
def test_lines_that_are_no_events(text: bytes):
    """Whatever a liar says in place of an event: nothing is raised, and nothing comes of it."""
    assert read_event(text, 1, OF_REPLICAS) is None


def test_a_keeper_speaks_of_its_own_matters_only():
    """And a replica of its own: neither can speak as the other."""
    assert read_event(line("lab", None, state={}), None, OF_KEEPERS) == {"event": "lab", "us": 1, "state": {}}
    assert read_event(line("hello", 0), None, OF_KEEPERS) is None


def test_a_source_that_talks_without_pause_waits_for_the_next_second():
    """So many lines a second of each: what comes faster is read later."""
    now = 0.0
    share = module._Share(3, lambda: now)
    assert [share.take() for _ in range(3)] == [0, 0, 0]
    assert share.take() == 1
    now = 1.0
    assert [share.take() for _ in range(3)] == [0, 0, 1]
    now = 5.5
    assert [share.take() for _ in range(4)] == [0, 0, 0, 1]


def test_a_long_line_counts_as_many(monkeypatch: pytest.MonkeyPatch, files: GroupFile):
    """Reading takes time by the length: who sends a few huge lines, or hangs up in between, gets in no more."""
    now = 0.0
    share = module._Share(100, lambda: now)
    assert [share.take(60), share.take(60)] == [0, 1]
    now = 1.0
    assert [share.take(40), share.take()] == [0, 1]
    taken: list[tuple[module._Share, int]] = []

    def take_note(share: module._Share, lines: int = 1) -> float:
        taken.append((share, lines))
        return 0.0

    monkeypatch.setattr(module._Share, "take", take_note)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)

    async def body() -> None:
        async with speaking(files, 2) as (speaker,), contextlib.aclosing(listen(files, [2])) as events:
            for size in (1, 800_000):
                waiting = asyncio.ensure_future(take(events, 1))
                await speaker.say(line("flow", 2, digest="x" * size))
                await waiting
                await speaker.hang_up()
                assert [each["event"] for each in await take(events, 1)] == ["gone"]

    asyncio.run(body())
    assert [lines for _, lines in taken] == [1, 98]
    assert taken[0][0] is taken[1][0]
