"""Asking replicas how they are.

Owns: which reports are waited for, for how long a round waits, and the questions. Knows no sockets: whoever drives it
sends what it returns. A question goes only where the session's address is proven; elsewhere a greeting goes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable
from typing import Any, Final

from pbft.core.codec import MAX_UINT
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ClientKey, ReplicaId
from pbft.core.messages import Challenge, Hello, Inspect, Report, Welcome, pack, unpack

_AGAIN_SECONDS: Final = 0.25
_PADDING: Final = bytes(64)


class Asked:
    """One round of questions."""

    def __init__(self, nonce: int, replicas: Iterable[ReplicaId]) -> None:
        self.nonce = nonce
        self._reports: dict[ReplicaId, dict[str, Any] | None] = dict.fromkeys(replicas)
        self._answered = asyncio.Event()

    @property
    def missing(self) -> list[ReplicaId]:
        """Who has not answered."""
        return [replica for replica, report in self._reports.items() if report is None]

    def reports(self) -> dict[ReplicaId, dict[str, Any] | None]:
        """Return the reports, None for those missing."""
        return dict(self._reports)

    def answer(self, replica: ReplicaId, report: dict[str, Any]) -> None:
        """Note a report."""
        if replica in self._reports:
            self._reports[replica] = report
        if not self.missing:
            self._answered.set()

    async def wait(self) -> None:
        """Return when all have answered, or when it is time to ask again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN_SECONDS):
                await self._answered.wait()


class Inspection:
    """All rounds of one client, and which replicas know its address."""

    def __init__(self, client: ClientKey) -> None:
        self._client = client
        self._rounds: dict[int, Asked] = {}
        self._nonce = 0
        self._greeted: dict[ReplicaId, bytes] = {}

    def begin(self, replicas: Iterable[ReplicaId]) -> Asked:
        """Start a round."""
        self._nonce += 1
        asked = self._rounds[self._nonce] = Asked(self._nonce, replicas)
        return asked

    def end(self, asked: Asked) -> None:
        """Forget a round."""
        self._rounds.pop(asked.nonce, None)

    def waiting_for(self, replica: ReplicaId) -> list[Asked]:
        """Return the rounds that a replica's report is missing in."""
        return [asked for asked in self._rounds.values() if replica in asked.missing]

    def question(self, replica: ReplicaId, session: bytes, asked: Asked) -> Envelope:
        """Return what to send: the question, or a greeting where the session's address is not proven."""
        if self._greeted.get(replica) == session:
            return Envelope(Kind.INSPECT, self._client, pack(Inspect(session, asked.nonce)))
        return Envelope(Kind.HELLO, self._client, pack(Hello(session, b"", _PADDING)))

    def receive(self, envelope: Envelope, replica: ReplicaId, session: bytes) -> None:
        """Note what a replica said about our address, and its report. Raises EncodingError for what is malformed."""
        match envelope.kind:
            case Kind.WELCOME if unpack(Welcome, envelope.body).session == session:
                self._greeted[replica] = session
            case Kind.CHALLENGE if unpack(Challenge, envelope.body).session == session:
                self._greeted.pop(replica, None)
            case Kind.REPORT:
                report = unpack(Report, envelope.body)
                asked = self._rounds.get(report.nonce)
                fields = _read_fields(report.json, replica)
                if asked is not None and report.session == session and fields is not None:
                    asked.answer(replica, fields)
            case _:
                pass


def _whole_number(digits: str) -> int:
    """Return a number of a size that a replica can count to; what a liar sends beyond breaks whoever prints it."""
    if len(digits) > 20 or abs(int(digits)) > MAX_UINT:
        raise ValueError("a number beyond 63 bits")
    return int(digits)


def _read_fields(text: str, replica: ReplicaId) -> dict[str, Any] | None:
    try:
        fields = json.loads(text, parse_int=_whole_number)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) and fields.get("id") == replica else None
