"""A scraper: fetches a page as Prometheus does, and reads what it says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Page:
    """What came back for one request."""

    status: int
    headers: dict[str, str]
    body: str

    def families(self) -> Iterator[Metric]:
        yield from text_string_to_metric_families(self.body)

    def samples(self) -> dict[tuple[str, Labels], float]:
        """Every sample by its name and labels, of which none may come twice."""
        found: dict[tuple[str, Labels], float] = {}
        for family in self.families():
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                assert key not in found, key
                found[key] = sample.value
        return found

    def value(self, name: str, **labels: str) -> float:
        return self.samples()[name, tuple(sorted(labels.items()))]


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection, and have nothing left of it at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(port: int, request: bytes) -> bytes:
    """Send bytes to a port and return all that comes back until it is closed."""
    async with asyncio.timeout(20), connected(port) as (reader, writer):
        writer.write(request)
        return await reader.read()


async def scrape(port: int, path: str = "/metrics", method: str = "GET") -> Page:
    """Fetch one page. Raises ConnectionError where nobody answers."""
    raw = await ask(port, f"{method} {path} HTTP/1.1\r\nHost: replica\r\nAccept: */*\r\n\r\n".encode("ascii"))
    if not raw:
        raise ConnectionError("the connection was closed without an answer")
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert first.startswith("HTTP/1.1 ")
    return Page(int(first.split(" ")[1]), headers, body.decode())
