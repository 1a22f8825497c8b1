"""The replicated memory of who asked what: exactly-once for every session (OSDI'99 section 4.1; design 4.2).

Owns: for each client its sessions, each with the last timestamp and its results, and the floor below which none opens;
how all of it is written down for a checkpoint, and read back from one. It follows from executed batches alone, so it is
equal on all correct replicas. Knows no signatures, no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Final

from pbft.contents import Contents
from pbft.core.codec import Digest, Small, Uint, Within, unpack
from pbft.core.group import ClientKey, Limits
from pbft.core.messages import OperationResult
from pbft.encoding import EncodingError, encode
from pbft.machine import Outcome, Result

SESSION_BYTES: Final = 16
LOWEST_SESSION = bytes(SESSION_BYTES)
"""The floor of a client whose table never filled."""

FLOOR: Final = b"f"
"""What the key of a client's floor begins with; the client follows."""
SESSION: Final = b"s"
"""What the key of a session's entry begins with; the client and the session follow."""
_CLIENT_BYTES: Final = 32
_FLOOR_KEY_BYTES: Final = len(FLOOR) + _CLIENT_BYTES
_SESSION_KEY_BYTES: Final = len(SESSION) + _CLIENT_BYTES + SESSION_BYTES


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
    place: int
    """The request's position among those of its batch: (sequence, place) orders all sessions by their execution."""
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A session as a checkpoint covers it. Its key names the client and the session."""

    timestamp: Uint
    request_digest: Digest
    sequence: Uint
    place: Small
    results: Annotated[tuple[OperationResult, ...], Within(0, 2**16)]


def opened_ms(session: bytes) -> int:
    """Return the time that a session's id says it was opened at."""
    return int.from_bytes(session[:8], "big")


class ClientTable:
    """Sessions by client, least recently executed first.

    What is asked and recorded at every request are Python objects. What a checkpoint covers is a map of bytes, the
    `section`, into which they are written when a checkpoint asks for it, so that a session that executes a hundred
    times between two checkpoints is encoded once. It has an entry for each floor and session: FLOOR + client holds the
    floor's id, SESSION + client + session a packed `SessionEntry`.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._sessions: dict[ClientKey, dict[bytes, Last]] = {}
        self._floors: dict[ClientKey, bytes] = {}
        self._section = Contents()
        # Dicts, not sets, since they are iterated over.
        self._dirty_sessions: dict[ClientKey, dict[bytes, Last | None]] = {}
        self._dirty_floors: dict[ClientKey, bytes] = {}

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
        """Remember an executed request; return the session that had to leave for it, if one did.

        Requests are recorded in the order of their execution: (sequence, place) only grows. Whoever reads the entries
        later knows from these alone which session leaves next.
        """
        sessions = self._sessions.setdefault(client, {})
        dirty = self._dirty_sessions.setdefault(client, {})
        evicted = None
        if sessions.pop(session, None) is None and len(sessions) >= self._limits.sessions_per_client:
            evicted = next(iter(sessions))
            del sessions[evicted]
            dirty[evicted] = None
            self._dirty_floors[client] = self._floors[client] = max(self.floor(client), evicted)
        sessions[session] = dirty[session] = last
        return evicted

    def section(self) -> Contents:
        """Return what a checkpoint covers of the table, with all that was recorded so far: always the same object.

        Encodes the sessions and floors that changed since it was called last, and no other. Equal tables have equal
        content, whatever their histories were.
        """
        for client, floor in self._dirty_floors.items():
            self._section.write(FLOOR + client, floor)
        for client, sessions in self._dirty_sessions.items():
            for session, last in sessions.items():
                self._section.write(SESSION + client + session, None if last is None else _write(last))
        # Only now: whatever cut this short, the next call writes all of it again.
        self._forget_dirty()
        return self._section

    def adopt(self) -> None:
        """Become the table that the section holds, after somebody else wrote into it: a state transfer.

        Call it before `section` is asked for again. What was recorded since that was called last is dropped, as it
        belongs to the state that was replaced. Raises EncodingError for entries that no table under these limits
        writes, and has then changed nothing: whoever wrote them puts the section right.
        """
        floors: dict[ClientKey, bytes] = {}
        found: list[tuple[ClientKey, bytes, Last]] = []
        for key in sorted(self._section):
            value = self._section.get(key) or b""
            if key.startswith(FLOOR) and len(key) == _FLOOR_KEY_BYTES:
                floors[key[1:]] = _read_floor(value)
            elif key.startswith(SESSION) and len(key) == _SESSION_KEY_BYTES:
                found.append((key[1 : 1 + _CLIENT_BYTES], key[1 + _CLIENT_BYTES :], _read(value)))
            else:
                raise EncodingError("a client table's keys name a client's floor or one of its sessions")
        sessions = _in_order(found)
        _check(sessions, floors, self._limits.sessions_per_client)
        self._sessions, self._floors = sessions, floors
        self._forget_dirty()

    def _forget_dirty(self) -> None:
        self._dirty_sessions.clear()
        self._dirty_floors.clear()


def _write(last: Last) -> bytes:
    # A `SessionEntry` field by field: `pack` costs four times as much, and a checkpoint begins with all that are dirty.
    results = [[int(each.outcome), each.payload] for each in last.results]
    return encode([last.timestamp, last.request_digest, last.sequence, last.place, results])


def _read(value: bytes) -> Last:
    entry = unpack(SessionEntry, value)
    results = tuple(Result(Outcome(each.outcome), each.payload) for each in entry.results)
    return Last(entry.timestamp, entry.request_digest, entry.sequence, entry.place, results)


def _read_floor(value: bytes) -> bytes:
    if len(value) != SESSION_BYTES or value == LOWEST_SESSION:
        raise EncodingError(
            f"a client's floor is the id of an evicted session: {SESSION_BYTES} bytes that are not all 0"
        )
    return value


def _in_order(found: list[tuple[ClientKey, bytes, Last]]) -> dict[ClientKey, dict[bytes, Last]]:
    """Return sessions by client, least recently executed first."""
    sessions: dict[ClientKey, dict[bytes, Last]] = {}
    previous: tuple[int, int] | None = None
    for client, session, last in sorted(found, key=lambda each: (each[2].sequence, each[2].place)):
        if (last.sequence, last.place) == previous:
            raise EncodingError("a client table's sessions executed one after the other; two say the same place")
        previous = last.sequence, last.place
        sessions.setdefault(client, {})[session] = last
    return sessions


def _check(sessions: Mapping[ClientKey, Mapping[bytes, Last]], floors: Mapping[ClientKey, bytes], most: int) -> None:
    """Refuse what no history of records leaves behind.

    A session below its client's floor is no such thing: who is in the table goes on, and only the floor itself left it.
    """
    for client, each in sessions.items():
        if len(each) > most:
            raise EncodingError(
                f"a client has at most {most} sessions, as many as the limit allows; one has {len(each)}"
            )
        if LOWEST_SESSION in each or floors.get(client) in each:
            raise EncodingError("no session has the id of its client's floor, which never opens")
    for client in floors:
        # A session leaves only for another that takes its room.
        if len(sessions.get(client, {})) != most:
            raise EncodingError(f"a client of whom a session was evicted has as many as the limit allows: {most}")
