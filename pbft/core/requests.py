"""Requests that wait to be ordered and executed.

Owns: client requests whose signatures were verified, one a session, bounded by number and bytes; who has to make room
for whom; since when each waits; and the order in which a primary takes them. Knows nothing of views or sequences.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from heapq import nsmallest

from pbft.core.batches import SignedRequest
from pbft.core.group import ITEM_BYTES, WRAPPING_BYTES, ClientKey, Limits
from pbft.core.settings import ReplicaSettings


@dataclass(slots=True)
class Waiting:
    """A verified request, from its arrival until it executes or becomes stale."""

    signed: SignedRequest
    number: int
    """Counts arrivals: of two requests, the one with the smaller number came first."""
    starts_ms: int
    """When patience with the primary begins, on the monotonic clock."""
    proposed: bool = False
    """Whether a batch of this view carries it, as far as a primary must know so as not to take it twice."""
    relayed_ms: int | None = None
    """When it was last passed on to the primary of this view."""


class _Ranking:
    """How much of one thing each client holds, in order, so that who holds most is known at once."""

    def __init__(self) -> None:
        self._amounts: dict[ClientKey, int] = {}
        self._order: list[tuple[int, ClientKey]] = []

    def of(self, client: ClientKey) -> int:
        return self._amounts.get(client, 0)

    @property
    def most(self) -> tuple[int, ClientKey]:
        """The greatest amount and whose it is; nothing and nobody's while all hold nothing."""
        return self._order[-1] if self._order else (0, b"")

    def change(self, client: ClientKey, by: int) -> None:
        amount = self._amounts.pop(client, 0)
        if amount:
            del self._order[bisect_left(self._order, (amount, client))]
        if amount + by:
            self._amounts[client] = amount + by
            insort(self._order, (amount + by, client))


class WaitingRequests:
    """Verified requests by client and session, from arrival until they execute or become stale.

    Room is shared out among clients, by what they hold beyond what batches carry already. Once it is used up, whoever
    holds most makes room for whoever would hold less even with the newcomer: its newest request goes, never its only
    one. So however many sessions the others open, each client can have a request waiting here, as long as clients are
    at most `waiting_requests`, and twice the largest request for each of them is at most `waiting_bytes`. Only what a
    primary has proposed is never pushed out: it leaves soon, by executing or because the view ends.
    """

    def __init__(self, settings: ReplicaSettings) -> None:
        self._settings = settings
        self._by_client: dict[ClientKey, dict[bytes, Waiting]] = {}
        """By session, in order of arrival."""
        self._turns: dict[ClientKey, None] = {}
        """Clients with something to propose; who has waited longest for a turn stands first."""
        self._starts: list[tuple[int, int]] = []
        """When patience begins, and the number of arrival, of everything that waits; sorted."""
        self._unproposed = _Ranking()
        self._unproposed_bytes = _Ranking()
        self._arrived = 0
        self._bytes = 0
        self._settled_ms: int | None = None

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def held_bytes(self) -> int:
        """What is held takes so many bytes."""
        return self._bytes

    @property
    def ready(self) -> bool:
        """Whether a primary has something to propose."""
        return bool(self._turns)

    def held(self, client: ClientKey, session: bytes) -> SignedRequest | None:
        """Return the request that waits for a session, if one does."""
        waiting = self._find(client, session)
        return waiting.signed if waiting else None

    def of(self, client: ClientKey) -> list[SignedRequest]:
        """Return what waits for a client's sessions."""
        return [waiting.signed for waiting in self._by_client.get(client, {}).values()]

    def vouches_for(self, signed: SignedRequest) -> bool:
        """Say whether exactly these bytes wait here, hence were verified before."""
        held = self.held(signed.request.client, signed.request.session)
        return held is not None and held.data == signed.data

    # Room.

    def has_room(self, signed: SignedRequest) -> bool:
        """Say whether this request finds room: there is some, or others that hold more have to make it.

        An older request of its session has made room for it in any case. A client's own share is bounded as well.
        """
        return self._leaving_for(signed) is not None

    def add(self, signed: SignedRequest, now_ms: int, starts_ms: int) -> list[SignedRequest]:
        """Hold a verified request that has room, and return those that had to make it.

        It takes the place of an older one of its session. Patience with the primary begins at `starts_ms`, a moment of
        the monotonic clock that may lie ahead: a client whose clock is fast names a session that a primary may rightly
        refuse for a while. Raises ValueError where there is no room.
        """
        leaving = self._leaving_for(signed)
        if leaving is None:
            raise ValueError("there is no room for this request; ask has_room before adding it")
        client, session = signed.request.client, signed.request.session
        for each in leaving:
            self._forget(each)
        older = self._find(client, session)
        if older is not None:
            # The client keeps its turn: one that asks anew all the time would lose it each time, and look censored.
            self._forget(older)
        self._arrived += 1
        waiting = Waiting(signed, self._arrived, max(now_ms, starts_ms))
        self._by_client.setdefault(client, {})[session] = waiting
        insort(self._starts, (waiting.starts_ms, waiting.number))
        self._bytes += len(signed.data)
        self._count_unproposed(waiting, 1)
        self._turns.setdefault(client)
        return [each.signed for each in leaving]

    def _leaving_for(self, signed: SignedRequest) -> list[Waiting] | None:
        """Return what has to leave for this request, or None where it finds no room.

        Only one client is asked to leave room, which is enough for what the class promises: a request costs no more
        than a look at two clients' own, whether or not its signature is good.
        """
        client, session = signed.request.client, signed.request.session
        own = [len(each.data) for each in self.of(client) if each.request.session != session]
        if len(own) >= self._settings.waiting_requests_per_client:
            return None
        if own and sum(own) + len(signed.data) > self._settings.waiting_bytes_per_client:
            return None
        older = self._find(client, session)
        more_bytes = len(signed.data) - (len(older.signed.data) if older is not None else 0)
        excess_bytes = self._bytes + more_bytes - self._settings.waiting_bytes
        if excess_bytes > 0:
            replaces = older is not None and not older.proposed
            would_add = more_bytes if replaces else len(signed.data)
            return self._newest_bytes(excess_bytes, self._unproposed_bytes.of(client) + would_add)
        if older is None and len(self) >= self._settings.waiting_requests:
            return self._newest(self._unproposed.of(client) + 1)
        return []

    def _newest(self, would_hold: int) -> list[Waiting] | None:
        """Return the newest request of whoever has most, if that is more than the newcomer's client would have."""
        amount, client = self._unproposed.most
        return [self._unproposed_of(client)[-1]] if amount > would_hold else None

    def _newest_bytes(self, excess_bytes: int, would_hold: int) -> list[Waiting] | None:
        """Return the newest requests that take so many bytes together, of whoever has most bytes.

        Each is asked for only while its client has more than the newcomer's would have, and never its oldest.
        """
        amount, client = self._unproposed_bytes.most
        leaving = []
        for each in reversed(self._unproposed_of(client)[1:]):
            if excess_bytes <= 0 or amount <= would_hold:
                break
            leaving.append(each)
            amount -= len(each.signed.data)
            excess_bytes -= len(each.signed.data)
        return leaving if excess_bytes <= 0 else None

    # How long they wait.

    @property
    def earliest_ms(self) -> int | None:
        """When patience began, or will, for whatever has waited longest; None when nothing waits."""
        return self._starts[0][0] if self._starts else None

    def oldest(self) -> list[Waiting]:
        """Return for each client the request whose patience began first."""
        return [min(each.values(), key=lambda one: (one.starts_ms, one.number)) for each in self._by_client.values()]

    def is_waiting(self, client: ClientKey, number: int) -> bool:
        """Say whether a client's request that arrived as this one still waits."""
        return any(each.number == number for each in self._by_client.get(client, {}).values())

    def take_settled_ms(self) -> int | None:
        """Return when patience began for the longest waiting of all that settled since this was asked last."""
        settled_ms, self._settled_ms = self._settled_ms, None
        return settled_ms

    # To the primary.

    def relay_due(self, signed: SignedRequest, now_ms: int) -> bool:
        """Say whether exactly this request waits and was not relayed lately. From now on it was."""
        waiting = self._find(signed.request.client, signed.request.session)
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

    # Turns.

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
            unproposed = self._unproposed_of(client)
            waiting = unproposed[0]
            room -= len(waiting.signed.data) + ITEM_BYTES
            operations -= len(waiting.signed.request.operations)
            if room < 0 or operations < 0:
                break
            self._mark(waiting)
            taken.append(waiting.signed)
            del self._turns[client]
            if len(unproposed) > 1:
                self._turns[client] = None
        return taken

    def mark_proposed(self, client: ClientKey, session: bytes, timestamp: int) -> None:
        """Note that a batch proposed again carries a session's request of this timestamp: no primary takes it anew."""
        waiting = self._find(client, session)
        if waiting is not None and waiting.signed.request.timestamp <= timestamp and not waiting.proposed:
            self._mark(waiting)
            self._pass_turn(client)

    def unpropose(self) -> None:
        """Begin a new view: no batch carries anything yet, its primary was told nothing, turns go by arrival."""
        for sessions in self._by_client.values():
            for waiting in sessions.values():
                waiting.relayed_ms = None
                if waiting.proposed:
                    waiting.proposed = False
                    self._count_unproposed(waiting, 1)
        first = {client: next(iter(sessions.values())).number for client, sessions in self._by_client.items()}
        self._turns = dict.fromkeys(sorted(first, key=lambda client: first[client]))

    def settle(self, client: ClientKey, session: bytes, timestamp: int) -> None:
        """Forget what waited for a session, now that it executed `timestamp` or something later."""
        waiting = self._find(client, session)
        if waiting is not None and waiting.signed.request.timestamp <= timestamp:
            self._forget(waiting)
            self._pass_turn(client)
            if self._settled_ms is None or waiting.starts_ms < self._settled_ms:
                self._settled_ms = waiting.starts_ms

    # The books.

    def _find(self, client: ClientKey, session: bytes) -> Waiting | None:
        return self._by_client.get(client, {}).get(session)

    def _unproposed_of(self, client: ClientKey) -> list[Waiting]:
        return [each for each in self._by_client.get(client, {}).values() if not each.proposed]

    def _count_unproposed(self, waiting: Waiting, sign: int) -> None:
        client = waiting.signed.request.client
        self._unproposed.change(client, sign)
        self._unproposed_bytes.change(client, sign * len(waiting.signed.data))

    def _mark(self, waiting: Waiting) -> None:
        waiting.proposed = True
        self._count_unproposed(waiting, -1)

    def _pass_turn(self, client: ClientKey) -> None:
        """Take a client that has nothing more to propose out of the turns."""
        if not self._unproposed.of(client):
            self._turns.pop(client, None)

    def _forget(self, waiting: Waiting) -> None:
        client, session = waiting.signed.request.client, waiting.signed.request.session
        sessions = self._by_client[client]
        del sessions[session]
        if not sessions:
            del self._by_client[client]
        del self._starts[bisect_left(self._starts, (waiting.starts_ms, waiting.number))]
        self._bytes -= len(waiting.signed.data)
        if not waiting.proposed:
            self._count_unproposed(waiting, -1)
