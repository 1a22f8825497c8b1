"""Far more waits than a primary can do within a timeout: a correct one is blamed by nobody, a censor is (attack P6).

The primary is the real `WaitingRequests.take`, and so is the backup; between them requests come late, in another order,
or to one of the two alone, and batches take their time.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random

import pytest

from pbft.core.batches import SignedRequest
from pbft.core.effects import Cause
from pbft.core.group import Limits, Quorums
from pbft.core.requests import WaitingRequests
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.core.timers import Timers
from tests.core.builders import Scene, session_id, signed
from tests.core.patience import T

CLIENTS, GREEDY, SESSIONS = 150, 6, 40
"""Each client asks again as soon as it is answered: most in one session, a few in many at once."""
BATCH, BATCH_MS = 4, 30
"""Requests in a batch, and how long each takes to execute."""
ROUND_MS = -(-CLIENTS // BATCH) * BATCH_MS
"""How long everybody's turn takes."""
DELAY_MS = 120
"""No message takes longer: an eighth of a timeout, about."""
LIMITS = Limits(batch_requests=BATCH)
SETTINGS = ReplicaSettings(view_timeout_ms=T, replace_slow_primary=False)
"""A load under which all wait for longer than the timeout makes every primary look slow, which is not judged here."""
SCENE = Scene(clients=tuple(f"client {number}" for number in range(CLIENTS)))


class Overload:
    """Clients without end, a primary, and a backup that watches it."""

    def __init__(self, seed: int, censored: str | None = None) -> None:
        self.random = Random(seed)
        self.censored = SCENE.key(censored) if censored else b""
        self.now_ms = 0
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.planned = 0
        self.at_primary, self.at_backup = WaitingRequests(SETTINGS), WaitingRequests(SETTINGS)
        self.timers = Timers(self.at_backup, SETTINGS, LIMITS, Quorums.of(4))
        self.ran: dict[str, dict[bytes, int]] = {"primary": {}, "backup": {}}
        """The greatest timestamp that each session has executed, as each of the two knows."""
        self.assigned = self.executed_by_primary = self.executed = self.seen = 0
        self.primary_free_ms = self.backup_free_ms = 0
        """When each of the two has executed all that was proposed so far: the primary is a little behind."""
        self.longest_wait_ms = 0
        for number in range(CLIENTS):
            for session in range(SESSIONS if number < GREEDY else 1):
                self.ask(f"client {number}", number * 1_000 + session, 1)

    def plan(self, delay_ms: int, step: Callable[[], None]) -> None:
        self.planned += 1
        heappush(self.events, (self.now_ms + delay_ms, self.planned, step))

    def delay(self) -> int:
        return self.random.randint(1, DELAY_MS)

    def run(self, until_ms: int) -> tuple[int, Cause | None]:
        """Let time pass until then or until the backup gives up; return when, and why."""
        while self.events[0][0] <= until_ms:
            deadline_ms = self.timers.deadline_ms
            if deadline_ms is not None and deadline_ms <= self.events[0][0]:
                self.now_ms = max(self.now_ms, deadline_ms)
                if (cause := self.timers.cause(self.now_ms)) is not None:
                    return self.now_ms, cause
                continue
            self.now_ms, _, step = heappop(self.events)
            step()
            while self.assigned - self.executed_by_primary < SETTINGS.window and self.at_primary.ready:
                self.propose()
        return until_ms, None

    # A client.

    def ask(self, client: str, session: int, timestamp: int) -> None:
        """Send to the primary now and then, to the backup later or sooner, and again until it is answered."""
        each = signed(SCENE.request(client, timestamp, (b"op",), session_id(session)))
        if self.random.random() < 0.7:
            self.plan(self.delay(), lambda: self.reach_primary(each))
        sending = SessionSettings()
        after_ms, interval_ms = self.random.choice((0, sending.retransmit_ms)), sending.retransmit_ms
        self.plan(after_ms + self.delay(), lambda: self.reach_backup(each, interval_ms))

    def reach_primary(self, each: SignedRequest) -> None:
        if each.request.client != self.censored and self.is_news(each, self.at_primary, "primary"):
            self.at_primary.add(each, self.now_ms, self.now_ms)

    def reach_backup(self, each: SignedRequest, interval_ms: int) -> None:
        if self.is_news(each, self.at_backup, "backup"):
            self.at_backup.add(each, self.now_ms, self.now_ms)
        if self.at_backup.relay_due(each, self.now_ms):
            self.plan(self.delay(), lambda: self.reach_primary(each))
        if self.ran["backup"].get(each.request.session, 0) < each.request.timestamp:
            longer_ms = min(2 * interval_ms, SessionSettings().retransmit_max_ms)
            self.plan(interval_ms, lambda: self.reach_backup(each, longer_ms))

    def is_news(self, each: SignedRequest, waiting: WaitingRequests, where: str) -> bool:
        held = waiting.held(each.request.client, each.request.session)
        known = held.request.timestamp if held else self.ran[where].get(each.request.session, 0)
        return each.request.timestamp > known and waiting.has_room(each)

    # The primary and the backup.

    def propose(self) -> None:
        self.assigned += 1
        sequence, batch = self.assigned, self.at_primary.take(LIMITS)
        seen_ms = self.now_ms + self.delay()
        self.plan(seen_ms - self.now_ms, lambda: self.see(sequence))
        self.backup_free_ms = max(seen_ms, self.backup_free_ms) + BATCH_MS
        self.plan(self.backup_free_ms - self.now_ms, lambda: self.execute(sequence, batch))
        self.primary_free_ms = max(self.backup_free_ms, self.primary_free_ms) + self.random.randint(0, BATCH_MS // 3)
        self.plan(self.primary_free_ms - self.now_ms, lambda: self.execute_at_primary(sequence, batch))

    def see(self, sequence: int) -> None:
        self.seen = max(self.seen, sequence)
        if self.seen > self.executed:
            self.timers.begun(self.now_ms, self.seen)

    def execute_at_primary(self, sequence: int, batch: list[SignedRequest]) -> None:
        self.executed_by_primary = sequence
        self.note(batch, self.at_primary, "primary")

    def execute(self, sequence: int, batch: list[SignedRequest]) -> None:
        assert sequence == self.executed + 1
        self.executed = sequence
        oldest_ms = self.at_backup.earliest_ms
        self.longest_wait_ms = max(
            self.longest_wait_ms, self.now_ms - (self.now_ms if oldest_ms is None else oldest_ms)
        )
        fresh = self.note(batch, self.at_backup, "backup")
        self.timers.executed(sequence, [each.request.client for each in fresh], self.now_ms)
        if self.seen > sequence:
            self.timers.begun(self.now_ms, self.seen)
        else:
            self.timers.idle()
        for each in fresh:
            client = SCENE.group.clients[each.request.client].name
            number = int.from_bytes(each.request.session[8:], "big")
            self.ask(client, number, each.request.timestamp + 1)

    def note(self, batch: list[SignedRequest], waiting: WaitingRequests, where: str) -> list[SignedRequest]:
        """Settle what a batch carries; return what of it was fresh."""
        fresh = []
        for each in batch:
            waiting.settle(each.request.client, each.request.session, each.request.timestamp)
            if each.request.timestamp > self.ran[where].get(each.request.session, 0):
                self.ran[where][each.request.session] = each.request.timestamp
                fresh.append(each)
        return fresh


@pytest.mark.parametrize("seed", range(4))
def test_an_overloaded_primary_is_blamed_by_nobody(seed):
    """A turn takes longer than the timeout, and the last of a greedy client's requests waits for dozens of turns."""
    overload = Overload(seed)
    assert ROUND_MS > T
    assert overload.run(20 * T) == (20 * T, None)
    assert overload.longest_wait_ms > 10 * T
    assert overload.executed > 20 * T // (2 * BATCH_MS)


@pytest.mark.parametrize("seed", range(4))
def test_among_thousands_a_censored_client_is_noticed(seed):
    """After half a timeout, what was under way by then, and a round of turns: then somebody else is served twice."""
    overload = Overload(seed, censored=f"client {CLIENTS - 1}")
    when_ms, cause = overload.run(20 * T)
    assert cause is Cause.UNFAIR
    told_ms = SessionSettings().retransmit_ms + DELAY_MS
    under_way_ms = (SETTINGS.window + 1) * (BATCH_MS + BATCH_MS // 3) + DELAY_MS
    assert T < when_ms <= told_ms + T // 2 + under_way_ms + ROUND_MS + BATCH_MS + 3 * (T // 8)
