"""A replica's metrics on a TCP port, for Prometheus to fetch.

Owns: the port, how much of the replica's time whoever asks there may take, and what is said where the package
prometheus-client is missing. Knows nothing of what is told: that is `pbft.node.collecting`.

It is served by the replica's own event loop. What prometheus-client offers is a thread for each connection, without a
bound: whoever holds connections open would hold threads, a thread that reads counters meets dictionaries that change
under it, and every one of them competes with the replica for the interpreter. Here text is made between two turns of
the loop, when nothing changes, so the numbers of one text are of one moment; a text serves everybody for a moment; and
connections are few, short, and cut off when they are slow. Making one takes a millisecond or
two, about what a turn of a busy replica takes.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Callable
from typing import Final

from pbft.group_file import Address, GroupFile
from pbft.net.waiting import system_now
from pbft.node.assembly import StartError
from pbft.node.driver import Driver
from pbft.node.phases import Phases
from pbft.node.tallies import Tallies

PATH: Final = "/metrics"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The text format that every Prometheus reads, whatever else it asks for."""

MOST_CONNECTIONS: Final = 8
CONNECTION_SECONDS: Final = 5.0
"""What a question with its answer may take. A connection serves one."""
HEAD_BYTES: Final = 8_192
KEPT_MS: Final = 250
"""How long a text serves whoever asks: the replica makes four a second at most."""

_PACKAGE: Final = "prometheus_client"


class Exposition:
    """Answers HTTP requests for one text. `render` makes it, and is never called twice within `KEPT_MS`."""

    def __init__(
        self,
        render: Callable[[], bytes],
        clock_ms: Callable[[], int] = lambda: system_now().monotonic_ms,
        connection_seconds: float = CONNECTION_SECONDS,
    ) -> None:
        self._render = render
        self._clock_ms = clock_ms
        self._connection_seconds = connection_seconds
        self._text: tuple[int, bytes] | None = None
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, asyncio.Event] = {}

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._server.sockets[0].getsockname()[1] if self._server is not None else 0
        return port

    async def listen(self, host: str, port: int) -> None:
        """Begin to answer. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=HEAD_BYTES)

    async def close(self) -> None:
        """Stop listening, and cut off who is being answered."""
        if self._server is None:
            return
        self._server.close()
        ends = list(self._open.values())
        for writer in list(self._open):
            writer.transport.abort()
        for end in ends:
            await end.wait()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        end = self._open[writer] = asyncio.Event()
        try:
            async with asyncio.timeout(self._connection_seconds):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # Whoever asks so slowly, so much or not at all gets nothing; a scraper asks again by itself.
            pass
        finally:
            writer.transport.abort()
            del self._open[writer]
            end.set()

    def _answer(self, head: bytes) -> bytes:
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _response("400 Bad Request", b"This port speaks HTTP/1.1.\n")
        method, target = words[0], words[1].split(b"?", 1)[0]
        if method not in (b"GET", b"HEAD"):
            return _response(
                "405 Method Not Allowed", b"Nothing can be changed here: GET /metrics\n", "Allow: GET, HEAD\r\n"
            )
        if target != PATH.encode("ascii"):
            return _response("404 Not Found", b"The metrics of this replica are at /metrics\n")
        return _response("200 OK", self._current(), body_wanted=method == b"GET")

    def _current(self) -> bytes:
        now_ms = self._clock_ms()
        if self._text is None or now_ms - self._text[0] >= KEPT_MS:
            self._text = (now_ms, self._render())
        return self._text[1]


def _response(status: str, body: bytes, more: str = "", body_wanted: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"{more}Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (body if body_wanted else b"")


def metrics_installed() -> bool:
    """Say whether the package is there that metrics need."""
    return importlib.util.find_spec(_PACKAGE) is not None


async def open_exposition(files: GroupFile, driver: Driver) -> Exposition | None:
    """Show a driver's metrics where its group's file says; None where it says nothing. Raises StartError.

    A replica that cannot show what it was told to show does not start: a start is when somebody looks, and metrics that
    are missing are otherwise missed on the day they are needed.
    """
    me = driver.replica.me
    address = files.metrics_address(me)
    if address is None:
        return None
    if not metrics_installed():
        raise StartError(
            f"replica {me} is to show metrics but lacks a package; pip install 'pbft[metrics]', "
            f"or take [metrics] out of {files.path}"
        )
    from prometheus_client import CollectorRegistry, generate_latest

    from pbft.node.collecting import ReplicaCollector

    phases, tallies = Phases(), Tallies(files.group.n)
    driver.watchers += [phases.watch, tallies.watch]
    driver.taps.append(phases.tap)
    registry = CollectorRegistry()
    registry.register(ReplicaCollector(files.group, driver, phases, tallies))
    exposition = Exposition(lambda: generate_latest(registry))
    await _listen(exposition, address, me)
    return exposition


async def _listen(exposition: Exposition, address: Address, replica: int) -> None:
    try:
        await exposition.listen(address.host, address.port)
    except OSError as error:
        # The stock event loop words the error anew; the system's own words stand under its number.
        number = error.errno or 0
        reason = (os.strerror(number) if number > 0 else error.strerror or str(error)).lower()
        raise StartError(
            f"replica {replica} cannot show its metrics on {address}: {reason}; "
            "stop what uses the port, or write another base_port under [metrics] in group.toml"
        ) from None
