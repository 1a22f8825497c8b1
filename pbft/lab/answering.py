"""The socket of a lab's keeper: questions in JSON lines, and a stream for whoever follows.

Owns: the socket and who may open it, bounds on what is asked and on what waits to be read, and answers to what is no
question. Does nothing itself: what is asked is the `Keeper`'s to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import traceback
from collections.abc import Mapping
from typing import Any, Final

from pbft.lab.faults import MAX_WORDS, FaultError
from pbft.lab.keeping import Event, Keeper, lab_event
from pbft.lab.starting import control_path
from pbft.net.local_sockets import open_socket, remove_socket

MAX_QUESTION_BYTES: Final = 64 * 1024
MAX_CONNECTIONS: Final = 64
MAX_WAITING_EVENTS: Final = 256
"""What a follower may leave unread, beyond what the system's own buffer holds."""

_CLOSING_SECONDS: Final = 1.0


class Answering:
    """Whoever asks a keeper, all of them."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._path = control_path(keeper.files)
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], None] = {}

    async def open(self) -> None:
        """Listen. Raises OSError."""
        listening = open_socket(self._path)
        self._server = await asyncio.start_unix_server(self._accept, sock=listening, limit=MAX_QUESTION_BYTES)

    async def close(self) -> None:
        """Listen no more, once those who follow have read all they were told, or had a moment for it."""
        if self._server is not None:
            self._server.close()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_CLOSING_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(OSError):
            remove_socket(self._path)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one question after the other, until whoever asks leaves."""
        try:
            if len(self._tasks) > MAX_CONNECTIONS:
                await _say(writer, {"error": f"{MAX_CONNECTIONS} programs ask already; try again when one has left"})
                return
            while line := await self._read(reader, writer):
                question = _parse(line)
                if question.get("do") == "follow":
                    await self._follow(reader, writer)
                    return
                await _say(writer, await self._answer(question))
                if question.get("do") == "stop":
                    self._keeper.over.set()
                    return
        except OSError:
            # It has left without its answer.
            return
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Return the next question, empty when there will be none."""
        reading = asyncio.ensure_future(reader.readline())
        over = asyncio.ensure_future(self._keeper.over.wait())
        await asyncio.wait((reading, over), return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if not reading.done():
            reading.cancel()
            return b""
        try:
            line = reading.result()
        except ValueError:
            await _say(writer, {"error": f"a question is one line of at most {MAX_QUESTION_BYTES} bytes"})
            return b""
        return line if line.endswith(b"\n") else b""

    async def _answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        try:
            match question:
                case {"do": "fault", "words": [*words]} if _are_words(words):
                    return {"said": await self._keeper.fault(words)}
                case {"do": "state"}:
                    return {"state": self._keeper.look().to_json()}
                case {"do": "stop"}:
                    return {"said": "the group is being stopped"}
            return {"error": 'ask for {"do": "fault", "words": ["kill", "2"]}, or to do "state", "follow" or "stop"'}
        except FaultError as error:
            return {"error": str(error)}
        except Exception as error:
            # A bug of ours must not take the whole group with it.
            traceback.print_exception(error, file=sys.stderr)
            return {"error": f"this should not have happened ({type(error).__name__}: {error}); please report it"}

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Write every event, until whoever follows leaves, or is too slow, or all is over."""
        keeper = self._keeper
        waiting: asyncio.Queue[Event | None] = asyncio.Queue()

        def tell(event: Event) -> None:
            if waiting.qsize() < MAX_WAITING_EVENTS:
                waiting.put_nowait(event)
            elif tell in keeper.followers:
                keeper.followers.remove(tell)
                writer.transport.abort()

        async def until_over() -> None:
            # What a follower writes is not read; that it has left shows here.
            leaving = asyncio.ensure_future(_until_left(reader))
            over = asyncio.ensure_future(keeper.over.wait())
            await asyncio.wait((leaving, over), return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            over.cancel()
            # Once more, for how it came to its end.
            keeper.look()
            waiting.put_nowait(None)

        keeper.followers.append(tell)
        tell(lab_event(keeper.state()))
        ending = asyncio.ensure_future(until_over())
        try:
            while (event := await waiting.get()) is not None:
                await _say(writer, event)
        finally:
            ending.cancel()
            if tell in keeper.followers:
                keeper.followers.remove(tell)


async def _until_left(reader: asyncio.StreamReader) -> None:
    """Throw away what somebody says, a piece at a time, until there will be no more."""
    with contextlib.suppress(OSError):
        while await reader.read(MAX_QUESTION_BYTES):
            continue


def _parse(line: bytes) -> dict[str, Any]:
    try:
        question = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return question if isinstance(question, dict) else {}


def _are_words(words: list[Any]) -> bool:
    return len(words) <= MAX_WORDS + 1 and all(isinstance(word, str) for word in words)


async def _say(writer: asyncio.StreamWriter, value: Mapping[str, Any]) -> None:
    writer.write(json.dumps(value).encode("ascii") + b"\n")
    await writer.drain()
