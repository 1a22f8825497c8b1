"""What a replica did since its process began, counted by kind and cause.

Owns: counters of effects, for whoever shows them. Every kind is known in advance: neither liars nor clients can make
their number grow. Knows nothing of sockets and of who reads them.
"""

from __future__ import annotations

from collections import Counter

from pbft.core.effects import (
    BecameStable,
    Cause,
    Diverged,
    Effect,
    Evidence,
    Executed,
    StateInstalled,
    ViewChangeStarted,
    ViewEntered,
)
from pbft.core.group import ReplicaId
from pbft.core.settings import Now
from pbft.machine import Outcome


class Tallies:
    """Counters of what a driver's watcher sees. They only grow; whoever wants rates takes differences."""

    def __init__(self, n: int) -> None:
        self.batches = 0
        self.requests = 0
        """Executed requests that did something; one that came again does nothing."""
        self.operations: Counter[Outcome] = Counter(dict.fromkeys(Outcome, 0))
        self.checkpoints = 0
        """How often a later checkpoint became stable."""
        self.view_changes: Counter[Cause] = Counter(dict.fromkeys(Cause, 0))
        """How often this replica left its view, by why."""
        self.views_entered = 0
        self.evidence: Counter[ReplicaId] = Counter(dict.fromkeys(range(n), 0))
        """How often a replica was seen to sign two messages that exclude each other."""
        self.state_transfers = 0
        """States taken over from others."""
        self.state_bytes = 0
        """Bytes of state fetched for these."""
        self.divergences = 0

    def watch(self, effect: Effect, _: Now) -> None:
        """Count an effect. Never raises."""
        match effect:
            case Executed(requests=requests):
                self.batches += 1
                for request in requests:
                    self.requests += bool(request.outcomes)
                    for outcome in request.outcomes:
                        self.operations[Outcome(outcome)] += 1
            case BecameStable():
                self.checkpoints += 1
            case ViewChangeStarted(cause=cause):
                self.view_changes[cause] += 1
            case ViewEntered():
                self.views_entered += 1
            case Evidence(culprit):
                self.evidence[culprit] += 1
            case StateInstalled(bytes=size):
                self.state_transfers += 1
                self.state_bytes += size
            case Diverged():
                self.divergences += 1
            case _:
                pass
