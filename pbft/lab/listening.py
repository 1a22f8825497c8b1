"""What all of a local group publishes, in one stream: every replica's events, and those of the keeper.

Owns: connecting to their sockets, again and again, and which lines count as events. Believes nobody: a line is bounded,
must be one JSON object of a known kind that speaks for who sent it, and no source may talk so much that the others go
unheard. What is inside an event is for its reader to check, and to clean before a terminal sees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import time
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Any, Final, NoReturn

from pbft.group_file import GroupFile
from pbft.lab.starting import control_path
from pbft.net.local_sockets import socket_path
from pbft.net.waiting import fine_clock_us
from pbft.node.stream import SOCKET_NAME

OF_REPLICAS: Final = frozenset({"hello", "counters", "flow", "incident", "dropped"})
OF_KEEPERS: Final = frozenset({"lab", "fault"})

_PAUSE_SECONDS: Final = 0.25
_LARGEST_LINE_BYTES: Final = 1024 * 1024
_QUEUED: Final = 256
_LINES_A_SECOND: Final = 200
"""More than this, of one source, waits for the next second. A replica sends some twenty."""
_LINE_BYTES: Final = 8 * 1024
"""A line counts once for each so many bytes: whoever reads it spends time by its length."""


async def listen(files: GroupFile, replicas: Collection[int] | None = None) -> AsyncGenerator[dict[str, Any], None]:
    """Give the events of a group's replicas on this machine and of its keeper as they come, for ever.

    Every event has "event" and "us", those of replicas "replica" besides; `pbft.node.stream` says what they mean, and
    {"event": "gone", "replica": I} follows the last one of a replica whose stream ended, with None for the keeper's.
    Whoever is not there is tried again every quarter of a second. With `replicas` only those are listened to, and no
    keeper. Close it when done: `async with contextlib.aclosing(listen(files)) as events`.
    """
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_QUEUED)
    sources = [
        _Source(functools.partial(socket_path, files.data(replica), SOCKET_NAME), b"", replica, OF_REPLICAS)
        for replica in (range(files.group.n) if replicas is None else replicas)
    ]
    if files.lab and replicas is None:
        sources.append(_Source(lambda: control_path(files), b'{"do":"follow"}\n', None, OF_KEEPERS))
    tasks = [asyncio.create_task(source.follow(queue)) for source in sources]
    try:
        while True:
            yield await queue.get()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def read_event(line: bytes, replica: int | None, known: Collection[str]) -> dict[str, Any] | None:
    """Return the event that a line from a replica, or from the keeper, spells; None where it spells none."""
    try:
        event = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or type(event.get("us")) is not int:
        return None
    if not isinstance(event.get("event"), str) or event["event"] not in known:
        return None
    if replica is not None and (type(event.get("replica")) is not int or event["replica"] != replica):
        return None
    return event


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


class _Source:
    """One socket that somebody publishes on, or not yet."""

    def __init__(self, path: Callable[[], str], greeting: bytes, replica: int | None, known: Collection[str]) -> None:
        self._path = path
        self._greeting = greeting
        self._replica = replica
        self._known = known
        # Not of each connection: whoever hangs up and is found again gets no more for it.
        self._share = _Share(_LINES_A_SECOND, time.monotonic)
        self._heard = False

    async def follow(self, queue: asyncio.Queue[dict[str, Any]]) -> NoReturn:
        """Put every event into a queue, waiting while that is full; connect again whenever the stream ends."""
        while True:
            # Nobody there, no such folder yet, or a connection that breaks.
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(self._path(), limit=_LARGEST_LINE_BYTES)
                try:
                    writer.write(self._greeting)
                    await self._read(reader, queue)
                finally:
                    writer.close()
            if self._heard:
                self._heard = False
                await queue.put({"event": "gone", "replica": self._replica, "us": fine_clock_us()})
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _read(self, reader: asyncio.StreamReader, queue: asyncio.Queue[dict[str, Any]]) -> None:
        """Read until the stream ends, or says something too long to be an event."""
        while True:
            try:
                line = await reader.readuntil()
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                return
            if pause := self._share.take(1 + len(line) // _LINE_BYTES):
                await asyncio.sleep(pause)
            event = read_event(line, self._replica, self._known)
            if event is not None:
                self._heard = True
                await queue.put(event)


class _Share:
    """How many lines one source gets in, second by second."""

    def __init__(self, lines: int, clock: Callable[[], float]) -> None:
        self._lines = lines
        self._clock = clock
        self._since = clock()
        self._taken = 0

    def take(self, lines: int = 1) -> float:
        """Count a line, or one worth several, and return how many seconds it has to wait."""
        now = self._clock()
        if now - self._since >= 1:
            self._since, self._taken = now, 0
        self._taken += lines
        if self._taken <= self._lines:
            return 0.0
        pause = max(0.0, self._since + 1 - now)
        self._since, self._taken = self._since + 1, lines
        return pause
