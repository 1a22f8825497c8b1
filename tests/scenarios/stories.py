"""What scenarios share: group sizes, who misbehaves, clients that never stop asking, and how long answers may take."""

from __future__ import annotations

import pytest

from pbft.core.effects import Reason, ViewChangeStarted, ViewEntered
from pbft.core.group import Limits
from pbft.core.replica import Replica
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import Adversary
from pbft.testing.clients import Call, SimulatedClient

SIZES = pytest.mark.parametrize("n", [4, 7])

LONGEST_MS = 10
"""How long an envelope travels at most, unless a scenario says otherwise."""
ROUND_MS = 2 * LONGEST_MS
DAY_MS = 86_400_000

SMALL_LOG = Limits(checkpoint_interval=4, log_size=8)
"""Limits under which a short run sees checkpoints, and a replica that misses a little needs a state."""


def faults(n: int) -> int:
    """Return how many of n may be faulty."""
    return (n - 1) // 3


def primaries(n: int, kind: type[Adversary]) -> dict[int, type[Adversary]]:
    """Make the first f replicas of n misbehave in one way: the primaries of views 0 to f-1."""
    return dict.fromkeys(range(faults(n)), kind)


def backups(n: int, kind: type[Adversary]) -> dict[int, type[Adversary]]:
    """Make the last f replicas of n misbehave in one way: no primaries for a while."""
    return dict.fromkeys(range(n - faults(n), n), kind)


def served_ms(bad: int, *, waits: int = 1, settings: ReplicaSettings | None = None) -> int:
    """Return within how long a client is answered though the next `bad` primaries, one after the other, serve nobody.

    A retransmission brings its request to everybody. The primary in office costs a view timeout, and each bad one after
    it `waits` of them: one, or two where it delays its NEW-VIEW as well and then proposes nothing. Each view's timeout
    is twice the one before. Then three rounds a view: VIEW-CHANGE and NEW-VIEW, the three phases, the reply.
    """
    settings = settings or ReplicaSettings()
    timeouts = [settings.view_timeout_ms << i for i in range(bad)]
    waits_ms = sum(timeouts[:1]) + waits * sum(timeouts[1:])
    return SessionSettings().retransmit_ms + waits_ms + (bad + 1) * 3 * ROUND_MS


def core(group: Cluster, i: int) -> Replica:
    """Return a correct replica itself."""
    replica = group.replica(i)
    assert isinstance(replica, Replica)
    return replica


def refused(group: Cluster, reason: Reason) -> list[int]:
    """Return how many messages each correct replica refused for a reason."""
    return [group.ignored(i)[reason] for i in group.correct]


def views_entered(group: Cluster) -> list[list[int]]:
    """Return the views that each correct replica entered, in order."""
    return [[step.view for step in group.steps(i, ViewEntered)] for i in group.correct]


def views_left(group: Cluster) -> list[int]:
    """Return how many views each correct replica left."""
    return [len(group.steps(i, ViewChangeStarted)) for i in group.correct]


def effective(group: Cluster, replica: int) -> int:
    """Return how many requests took effect on a replica."""
    return sum(1 for batch in group.history(replica) for one in batch.requests if one.outcomes)


class Load:
    """Programs that add 1 again and again: each calls as soon as its last call was answered, or `think_ms` later."""

    def __init__(self, group: Cluster, *names: str, think_ms: int = 0) -> None:
        self.calls: list[Call] = []
        self.answered_ms: list[int] = []
        """When each answer was accepted, in order."""
        self._group = group
        self._think_ms = think_ms
        self._running = True
        for client in group.clients(*names):
            self._next(client)

    def stop(self) -> list[Call]:
        """Call nothing more; return what is not answered yet."""
        self._running = False
        return [call for call in self.calls if not call.done]

    @property
    def pending(self) -> int:
        """How many calls are not answered yet."""
        return sum(1 for call in self.calls if not call.done)

    def answers(self, client: str) -> int:
        """Return how many calls of a client were answered."""
        return sum(1 for call in self.calls if call.client == client and call.done)

    def exactly_once(self) -> bool:
        """Say whether each addition counted once, now that all are answered: totals are 1, 2, 3 and so on."""
        return sorted(call.value() for call in self.calls) == list(range(1, len(self.calls) + 1))

    def _next(self, client: SimulatedClient) -> None:
        if not self._running:
            return
        call = client.call("add", 1)
        self.calls.append(call)

        def answered() -> None:
            self.answered_ms.append(self._group.now_ms)
            self._group.at(self._group.now_ms + self._think_ms, lambda: self._next(client))

        call.then = answered
