"""Who speaks: one open client a name, each opened when it is first needed.

Owns: these clients, and that they are few and end. Knows nothing of lines.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from pbft.console.calls import client_of
from pbft.group_file import GroupFile

if TYPE_CHECKING:
    from pbft.client import Client

MAX_OPEN: Final = 8
"""How many stay open: each has a socket, and greets the group from time to time."""


class Callers:
    """The clients through which lines are sent."""

    def __init__(self, files: GroupFile, timeout: float) -> None:
        self._files = files
        self._timeout = timeout
        self._clients: dict[str, Client] = {}
        self._calls: dict[str, int] = {}
        self._opening = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def speaking(self, name: str) -> AsyncIterator[Client]:
        """Give the client of a name, opened if need be. Raises Failure or PbftError."""
        self._calls[name] = self._calls.get(name, 0) + 1
        try:
            async with self._opening:
                client = self._clients.pop(name, None) or await self._open(name)
                # Written anew, so that the one used longest ago comes first.
                self._clients[name] = client
            yield client
        finally:
            self._calls[name] -= 1

    async def close(self) -> None:
        """Close all of them."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.close()

    async def _open(self, name: str) -> Client:
        idle = [each for each in self._clients if not self._calls.get(each)]
        if len(self._clients) >= MAX_OPEN and idle:
            await self._clients.pop(idle[0]).close()
        client = client_of(self._files, name, self._timeout)
        await client.start()
        return client
