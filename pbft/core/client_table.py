"""The replicated memory of who asked what: exactly-once for every session (OSDI'99 section 4.1; design 4.2).

Owns: for each client its sessions, each with the last timestamp and its results, and the floor below which none opens.
All of it follows from executed batches alone, so it is equal on all correct replicas. Knows no signatures, no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pbft.core.group import ClientKey, Limits
from pbft.machine import Result

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


def opened_ms(session: bytes) -> int:
    """Return the time that a session's id says it was opened at."""
    return int.from_bytes(session[:8], "big")


class ClientTable:
    """Sessions by client, least recently executed first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._sessions: dict[ClientKey, dict[bytes, Last]] = {}
        self._floors: dict[ClientKey, bytes] = {}

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
