"""The replicated memory of who asked what: exactly-once for every session (OSDI'99 section 4.1; design 4.2).

Owns: for each client its sessions, each with the last timestamp and its results, and the floor below which none opens;
how all of it is written down for a checkpoint. It follows from executed batches alone, so it is equal on all correct
replicas. Knows no signatures, no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Annotated

from pbft.core.codec import Digest, PublicKey, SessionId, Uint, Within, pack, unpack
from pbft.core.group import ClientKey, Limits
from pbft.core.messages import OperationResult
from pbft.encoding import EncodingError
from pbft.machine import Outcome, Result
from pbft.pieces import Pieces, read_items

LOWEST_SESSION = bytes(16)
"""The floor of a client whose table never filled."""


class Fate(Enum):
    """What executing a request comes to."""

    FRESH = "fresh"
    STALE = "stale"
    """Its session has passed this timestamp: a no-op."""
    UNKNOWN_SESSION = "unknown session"
    """Its session was evicted or may no longer open: a no-op, since it may have run before."""
    SESSION_IN_FUTURE = "session in the future"
    """Its session claims to have opened later than agreed time allows: a no-op."""


@dataclass(frozen=True, slots=True)
class Last:
    """The last request that a session executed, and its results."""

    timestamp: int
    request_digest: bytes
    sequence: int
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """A client as a snapshot writes it down: as many `SessionEntry` as it has sessions follow."""

    client: PublicKey
    floor: SessionId
    sessions: Uint


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A session as a snapshot writes it down, in its place from the least recently executed on."""

    session: SessionId
    timestamp: Uint
    request_digest: Digest
    sequence: Uint
    results: Annotated[tuple[OperationResult, ...], Within(0, 2**16)]


def opened_ms(session: bytes) -> int:
    """Return the time that a session's id says it was opened at."""
    return int.from_bytes(session[:8], "big")


class ClientTable:
    """Sessions by client, least recently executed first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._sessions: dict[ClientKey, dict[bytes, Last]] = {}
        self._floors: dict[ClientKey, bytes] = {}

    @property
    def sessions(self) -> int:
        """How many sessions are remembered."""
        return sum(len(sessions) for sessions in self._sessions.values())

    def last(self, client: ClientKey, session: bytes) -> Last | None:
        """Return what the session executed last, or None when it is not in the table."""
        return self._sessions.get(client, {}).get(session)

    def floor(self, client: ClientKey) -> bytes:
        """Return the greatest session id of this client ever evicted: none at or below it opens again."""
        return self._floors.get(client, LOWEST_SESSION)

    def judge(self, client: ClientKey, session: bytes, timestamp: int, agreed_ms: int) -> Fate:
        """Say what executing a request now comes to. Changes nothing.

        The floor is asked for a session that would open only, so that short-lived commands, by the thousand, never
        lock out a session that is alive (design 4.2).
        """
        last = self.last(client, session)
        if last is not None:
            return Fate.FRESH if timestamp > last.timestamp else Fate.STALE
        if session <= self.floor(client):
            return Fate.UNKNOWN_SESSION
        if opened_ms(session) > agreed_ms + self._limits.clock_drift_ms:
            return Fate.SESSION_IN_FUTURE
        return Fate.FRESH

    def record(self, client: ClientKey, session: bytes, last: Last) -> bytes | None:
        """Remember an executed request; return the session that had to leave for it, if one did."""
        sessions = self._sessions.setdefault(client, {})
        evicted = None
        if sessions.pop(session, None) is None and len(sessions) >= self._limits.sessions_per_client:
            evicted = next(iter(sessions))
            del sessions[evicted]
            self._floors[client] = max(self.floor(client), evicted)
        sessions[session] = last
        return evicted

    def snapshot(self) -> Pieces:
        """Return the whole table as pieces that no later request changes; equal tables give equal pieces."""
        kept = {
            client: (self.floor(client), tuple(sessions.items())) for client, sessions in sorted(self._sessions.items())
        }
        return Pieces(partial(_write, kept))

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Replace the whole table by that of a snapshot.

        Raises EncodingError for pieces that no table under these limits makes, and has then changed nothing.
        """
        found: dict[ClientKey, dict[bytes, Last]] = {}
        floors: dict[ClientKey, bytes] = {}
        previous = b""
        items = read_items(pieces)
        for item in items:
            entry = unpack(ClientEntry, item)
            if entry.client <= previous or not 1 <= entry.sessions <= self._limits.sessions_per_client:
                raise EncodingError("a client table's clients ascend, and have as many sessions as the limit allows")
            previous = entry.client
            found[entry.client] = _read_sessions(items, entry.sessions)
            if entry.floor != LOWEST_SESSION:
                floors[entry.client] = entry.floor
        self._sessions, self._floors = found, floors


def _write(kept: Mapping[ClientKey, tuple[bytes, tuple[tuple[bytes, Last], ...]]]) -> Iterator[bytes]:
    for client, (floor, sessions) in kept.items():
        yield pack(ClientEntry(client, floor, len(sessions)))
        for session, last in sessions:
            results = tuple(OperationResult(int(each.outcome), each.payload) for each in last.results)
            yield pack(SessionEntry(session, last.timestamp, last.request_digest, last.sequence, results))


def _read_sessions(items: Iterator[bytes], count: int) -> dict[bytes, Last]:
    sessions: dict[bytes, Last] = {}
    for _ in range(count):
        entry = unpack(SessionEntry, next(items, b""))
        if entry.session in sessions:
            raise EncodingError("a client table holds one session twice")
        results = tuple(Result(Outcome(each.outcome), each.payload) for each in entry.results)
        sessions[entry.session] = Last(entry.timestamp, entry.request_digest, entry.sequence, results)
    return sessions
