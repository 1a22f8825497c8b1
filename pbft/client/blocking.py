"""The client for scripts and notebooks: every call waits for its answer.

Owns: a thread with an event loop of its own, so that it works where another loop already runs, as in a notebook.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pbft.client.asynchronous import TIMEOUT_SECONDS, Client
from pbft.client.errors import ClientClosed
from pbft.client.reply import Reply
from pbft.core.group import ReplicaId
from pbft.encoding import Plain
from pbft.keys import PrivateKey

T = TypeVar("T")

_ENDING_SECONDS = 5.0


def connect(
    directory: Path | str, key: str | Path | PrivateKey = "alice", timeout: float = TIMEOUT_SECONDS
) -> BlockingClient:
    """Return a blocking client of the group in a folder. Takes and raises what `Client.open` does."""
    return BlockingClient(Client.open(directory, key, timeout))


class BlockingClient:
    """What `Client` does, one wait a call. Threads may share one; their calls at once ride together.

    Close it, or use it in a `with`; what is forgotten is closed when the program ends.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_run, args=(self._loop,), name="pbft client", daemon=True)
        self._thread.start()
        self._end = weakref.finalize(self, _end, client, self._loop, self._thread)
        try:
            self._wait(client.start())
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """The registered name that applications see."""
        return self._client.name

    def call(self, name: str, /, *args: Plain, timeout: float | None = None, **kwargs: Plain) -> Plain:
        """Run an operation and return its value; see `Client.call`."""
        return self._wait(self._client.call(name, *args, timeout=timeout, **kwargs))

    def ask(
        self, name: str, /, *args: Plain, timeout: float | None = None, receipt: bool = False, **kwargs: Plain
    ) -> Reply:
        """Run an operation and return all that is known of its answer; see `Client.ask`."""
        return self._wait(self._client.ask(name, *args, timeout=timeout, receipt=receipt, **kwargs))

    def submit(self, operation: bytes, *, timeout: float | None = None, receipt: bool = False) -> Reply:
        """Run an operation given as bytes; see `Client.submit`."""
        return self._wait(self._client.submit(operation, timeout=timeout, receipt=receipt))

    def tally(self, reply: Reply, within_seconds: float) -> Reply:
        """Return a reply with who answered what after it was believed; see `Client.tally`."""
        return self._wait(self._client.tally(reply, within_seconds))

    def inspect(self, *replicas: ReplicaId, timeout: float = 2.0) -> dict[ReplicaId, dict[str, Any] | None]:
        """Ask replicas for their reports; see `Client.inspect`."""
        return self._wait(self._client.inspect(*replicas, timeout=timeout))

    def close(self) -> None:
        """Close the client and its thread. Closing twice is fine."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, answer: Coroutine[Any, Any, T]) -> T:
        if not self._end.alive:
            answer.close()
            raise ClientClosed("this client is closed; connect again")
        future = asyncio.run_coroutine_threadsafe(answer, self._loop)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C among others: whoever stops waiting leaves nothing behind that waits on.
            future.cancel()
            raise


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _end(client: Client, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    tasks: list[asyncio.Task[None]] = []

    async def close() -> None:
        try:
            await client.close()
            # Calls that waited have their error by now; their threads must hear of it before the loop stops.
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                await asyncio.wait(others, timeout=_ENDING_SECONDS / 2)
            await loop.shutdown_default_executor()
        finally:
            loop.stop()

    loop.call_soon_threadsafe(lambda: tasks.append(loop.create_task(close())))
    # The collector may call this from any thread, the loop's own included, which must not wait for itself.
    if threading.current_thread() is not thread:
        thread.join(_ENDING_SECONDS)
