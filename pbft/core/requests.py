"""Requests that wait to be ordered and executed.

Owns: client requests whose signatures were verified, one a session, bounded by number and bytes, and the order in which
a primary takes them. Knows nothing of views or sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nsmallest

from pbft.core.batches import SignedRequest
from pbft.core.group import ITEM_BYTES, WRAPPING_BYTES, ClientKey, Limits
from pbft.core.settings import ReplicaSettings


@dataclass(slots=True)
class _Waiting:
    signed: SignedRequest
    proposed: bool = False
    relayed_ms: int | None = None


class WaitingRequests:
    """Verified requests by client and session, from arrival until they execute or become stale."""

    def __init__(self, settings: ReplicaSettings) -> None:
        self._settings = settings
        self._by_client: dict[ClientKey, dict[bytes, _Waiting]] = {}
        self._turns: dict[ClientKey, None] = {}
        """Clients with something to propose; who has waited longest for a turn stands first."""
        self._count = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    @property
    def ready(self) -> bool:
        """Whether a primary has something to propose."""
        return bool(self._turns)

    def held(self, client: ClientKey, session: bytes) -> SignedRequest | None:
        """Return the request that waits for a session, if one does."""
        waiting = self._by_client.get(client, {}).get(session)
        return waiting.signed if waiting else None

    def of(self, client: ClientKey) -> list[SignedRequest]:
        """Return what waits for a client's sessions."""
        return [waiting.signed for waiting in self._by_client.get(client, {}).values()]

    def vouches_for(self, signed: SignedRequest) -> bool:
        """Say whether exactly these bytes wait here, hence were verified before."""
        held = self.held(signed.request.client, signed.request.session)
        return held is not None and held.data == signed.data

    def has_room(self, signed: SignedRequest) -> bool:
        """Say whether this request fits the bounds, once the older one of its session has made room for it."""
        held = self.held(signed.request.client, signed.request.session)
        freed, freed_bytes = (1, len(held.data)) if held is not None else (0, 0)
        of_client = self.of(signed.request.client)
        more_bytes = len(signed.data) - freed_bytes
        return (
            self._count - freed < self._settings.waiting_requests
            and self._bytes + more_bytes <= self._settings.waiting_bytes
            and len(of_client) - freed < self._settings.waiting_requests_per_client
            and (
                len(of_client) == freed
                or sum(len(each.data) for each in of_client) + more_bytes <= self._settings.waiting_bytes_per_client
            )
        )

    def add(self, signed: SignedRequest) -> None:
        """Hold a verified request. It takes the place of an older one of its session."""
        client, session = signed.request.client, signed.request.session
        self._remove(client, session)
        self._by_client.setdefault(client, {})[session] = _Waiting(signed)
        self._turns.setdefault(client)
        self._count += 1
        self._bytes += len(signed.data)

    def relay_due(self, signed: SignedRequest, now_ms: int) -> bool:
        """Say whether exactly this request waits and was not relayed lately. From now on it was."""
        waiting = self._by_client.get(signed.request.client, {}).get(signed.request.session)
        if waiting is None or waiting.signed.data != signed.data:
            return False
        if waiting.relayed_ms is not None and now_ms < waiting.relayed_ms + self._settings.relay_gap_ms:
            return False
        waiting.relayed_ms = now_ms
        return True

    def relay_longest_silent(self, most: int, now_ms: int) -> list[SignedRequest]:
        """Return what was relayed longest ago, or never. From now on it was."""
        everything = (waiting for sessions in self._by_client.values() for waiting in sessions.values())
        chosen = nsmallest(
            most, everything, key=lambda waiting: -1 if waiting.relayed_ms is None else waiting.relayed_ms
        )
        for waiting in chosen:
            waiting.relayed_ms = now_ms
        return [waiting.signed for waiting in chosen]

    def take(self, limits: Limits) -> list[SignedRequest]:
        """Return what the next batch carries: a request of each client in turn, until a limit of the group is met.

        They stay here until they execute, but are not taken again.
        """
        taken: list[SignedRequest] = []
        operations = limits.batch_operations
        # A batch's header is an array's and a time: an eighth of what the limits leave for it, so a lone request fits.
        room = limits.batch_bytes - WRAPPING_BYTES // 8
        while self._turns and len(taken) < limits.batch_requests:
            client = next(iter(self._turns))
            unproposed = [each for each in self._by_client[client].values() if not each.proposed]
            waiting = unproposed[0]
            room -= len(waiting.signed.data) + ITEM_BYTES
            operations -= len(waiting.signed.request.operations)
            if room < 0 or operations < 0:
                break
            waiting.proposed = True
            taken.append(waiting.signed)
            del self._turns[client]
            if len(unproposed) > 1:
                self._turns[client] = None
        return taken

    def settle(self, client: ClientKey, session: bytes, timestamp: int) -> None:
        """Forget what waited for a session, now that it executed `timestamp` or something later."""
        held = self.held(client, session)
        if held is not None and held.request.timestamp <= timestamp:
            self._remove(client, session)

    def _remove(self, client: ClientKey, session: bytes) -> None:
        sessions = self._by_client.get(client, {})
        waiting = sessions.pop(session, None)
        if waiting is None:
            return
        self._count -= 1
        self._bytes -= len(waiting.signed.data)
        if not sessions:
            del self._by_client[client]
        if all(each.proposed for each in sessions.values()):
            self._turns.pop(client, None)
