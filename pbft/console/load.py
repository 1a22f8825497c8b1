"""A load on a group, so that there is something to see: so many operations a second, whatever becomes of them.

Owns: when the next operation is due, how many may be on their way, and what is counted. It is *open-loop*: a slow group
is sent no fewer. What cannot be sent in time is counted as late and never sent, so that nothing piles up.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pbft.annotations import Mismatch
from pbft.console.outcome import Failure
from pbft.console.text import clean
from pbft.errors import PbftError
from pbft.machine import OperationSpec, Outcome

if TYPE_CHECKING:
    from pbft.client import Client

MAX_IN_FLIGHT: Final = 4_096
MAX_RATE: Final = 100_000
_LATENCIES: Final = 1_000
_TICK_SECONDS: Final = 0.05
"""What is due within such a time is sent together, and rides in one signed request."""


@dataclass(frozen=True)
class Load:
    """How a load goes, counted from its start."""

    rate: float
    """Operations a second that are asked for."""
    line: str
    """The operation, as it was entered; cleaned."""
    sent: int
    answered: int
    """Operations that f+1 replicas gave one answer to."""
    rejected: int
    """Those among them that the application refused."""
    failed: int
    """Operations without an answer: too few replicas gave one in time, or the group would not order them."""
    late: int
    """Operations that were due while too many were on their way, and were never sent."""
    in_flight: int
    p50_ms: float | None
    """Half of the last thousand answers took at most so long; None before the first."""
    p99_ms: float | None
    trouble: str
    """What the last failed one said, cleaned; empty while none failed."""


class Generator:
    """Sends one operation again and again, through a session of its own, until it is stopped."""

    def __init__(self, client: Client, rate: float, line: str, operation: bytes, timeout: float) -> None:
        self._client = client
        self._rate = rate
        self._line = clean(line)
        self._operation = operation
        self._timeout = timeout
        self._calls: dict[asyncio.Task[None], None] = {}
        self._latencies_ms: deque[float] = deque(maxlen=_LATENCIES)
        self._sent = self._answered = self._rejected = self._failed = self._late = 0
        self._trouble = ""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the session and begin."""
        await self._client.start()
        self._task = asyncio.create_task(self._send_for_ever())

    async def stop(self) -> None:
        """End at once; operations that are on their way may still run."""
        tasks = [*([self._task] if self._task else []), *self._calls]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    @property
    def load(self) -> Load:
        """How it goes."""
        ordered = sorted(self._latencies_ms)
        return Load(
            rate=self._rate,
            line=self._line,
            sent=self._sent,
            answered=self._answered,
            rejected=self._rejected,
            failed=self._failed,
            late=self._late,
            in_flight=len(self._calls),
            p50_ms=percentile(ordered, 50) if ordered else None,
            p99_ms=percentile(ordered, 99) if ordered else None,
            trouble=self._trouble,
        )

    async def _send_for_ever(self) -> None:
        begun = time.monotonic()
        # The first is due at once: a slow load would else show nothing for long.
        due = 1
        while True:
            for _ in range(due - self._sent - self._late):
                if len(self._calls) >= MAX_IN_FLIGHT:
                    self._late = due - self._sent
                    break
                self._sent += 1
                call = asyncio.create_task(self._call())
                self._calls[call] = None
                call.add_done_callback(self._calls.pop)
            await asyncio.sleep(max(_TICK_SECONDS, begun + due / self._rate - time.monotonic()))
            due = 1 + int((time.monotonic() - begun) * self._rate)

    async def _call(self) -> None:
        begun = time.monotonic()
        try:
            reply = await self._client.submit(self._operation, timeout=self._timeout)
        except PbftError as error:
            self._failed += 1
            self._trouble = clean(str(error))
            return
        self._latencies_ms.append((time.monotonic() - begun) * 1_000)
        self._answered += 1
        if reply.outcome is not Outcome.OK:
            self._rejected += 1


def read_rate(word: str) -> float:
    """Return the operations a second that a word says. Raises Failure."""
    try:
        rate = float(word)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= MAX_RATE:
        raise Failure(f":load takes the operations a second, more than 0 and at most {MAX_RATE}, or off")
    return rate


def everyday_operation(specs: Mapping[str, OperationSpec], client: str) -> tuple[str, ...]:
    """Return words for an operation that can be sent again and again without knowing what it is for.

    The first query whose parameters can all be filled, with the client's name for a text and 1 for a number, or else
    the first operation. Raises Failure where there is none.
    """
    for spec in sorted(specs.values(), key=lambda each: not each.is_query):
        words = _fill(spec, client)
        if words is not None:
            return (spec.name, *words)
    raise Failure("say which operation to send: :load RATE OP ARGS…")


def _fill(spec: OperationSpec, client: str) -> Sequence[str] | None:
    words: list[str] = []
    for parameter in spec.parameters:
        if not parameter.required:
            break
        # Where several types will do the one that is named first is meant.
        word = "1" if parameter.annotation.split(" ")[0] == "int" else client
        try:
            parameter.shape.parse(word)
        except Mismatch:
            return None
        words.append(word)
    return words


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the smallest of some values that so many of a hundred do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
