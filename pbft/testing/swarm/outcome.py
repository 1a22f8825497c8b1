"""What a run came to, in numbers.

Owns: the counts of one run. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pbft.core.effects import BecameStable, StateInstalled, ViewEntered
from pbft.testing.cluster import Cluster


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    n: int
    deliveries: int
    virtual_ms: int
    sequences: int
    calls: int
    view_changes: int
    """Views entered by anybody correct, after the first."""
    checkpoints: int
    """Checkpoints that anybody correct found stable."""
    transfers: int
    """States taken over, by all correct replicas together."""
    undecided: int
    """1 where the search for an order that explains all answers (O10) gave up; else 0."""
    rare_paths: Mapping[str, int]
    """How often correct replicas went each way that few runs go, where any did."""
    trace_digest: str

    @classmethod
    def of(cls, group: Cluster, calls: int, undecided: int, rare_paths: Mapping[str, int]) -> Outcome:
        """Return what a group has come to so far."""
        correct = group.correct
        views = [step.view for i in correct for step in group.steps(i, ViewEntered)]
        stable = [step.proof.sequence for i in correct for step in group.steps(i, BecameStable)]
        return cls(
            n=group.group.n,
            deliveries=group.deliveries,
            virtual_ms=group.now_ms,
            sequences=max(group.executed(i) for i in correct),
            calls=calls,
            view_changes=len(dict.fromkeys(views)),
            checkpoints=len(dict.fromkeys(stable)),
            transfers=sum(len(group.steps(i, StateInstalled)) for i in correct),
            undecided=undecided,
            rare_paths=rare_paths,
            trace_digest=group.trace_digest(),
        )
