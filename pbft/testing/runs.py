"""What a simulated run came to, and how it ended: in the same words for the swarm, for twins and for ByzzFuzz.

Owns: the counts that every run has, and reports. A bug that raises is a failed run, and no end of those who count runs.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from pbft.core.effects import BecameStable, StateInstalled, ViewEntered
from pbft.testing.cluster import Cluster
from pbft.testing.oracles import OracleFailure

Echo = Callable[[str], None]
"""Takes every line of a run's trace as it is written."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to. Judges nothing."""

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
    trace_digest: str

    @classmethod
    def of(cls, group: Cluster, calls: int, **own: Any) -> Self:
        """Return what a group has come to so far, with what runs of one kind count besides."""
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
            trace_digest=group.trace_digest(),
            **own,
        )


CameTo = TypeVar("CameTo", bound=Outcome)


@dataclass(frozen=True, kw_only=True)
class Report(Generic[CameTo]):
    """A run's end, for whoever counts: its outcome, or why it failed."""

    number: int
    """The seed of a run that is drawn; the place of one that is enumerated."""
    seconds: float
    outcome: CameTo | None
    """What it came to; None when it failed."""
    failure: str = ""
    """Empty when all is well; else what broke, the last lines of the trace, and the command that shows it again."""
    replay: str
    oracle: str = ""
    """The oracle that found a failure, or the name of the error that ended the run."""
    broken: CameTo | None = None
    """What a failed run had come to where it broke; None where it did not even begin, or nobody asked."""

    @property
    def reached(self) -> CameTo | None:
        """What the run came to, failed or not."""
        return self.outcome or self.broken


def tell(
    number: int, replay: str, play: Callable[[], CameTo], reached: Callable[[], CameTo | None] = lambda: None
) -> Report[CameTo]:
    """Play a run and tell its end, whatever that is. `reached` is asked what a failed one had come to."""
    began = time.perf_counter()
    outcome, broken, failure, oracle = None, None, "", ""
    try:
        outcome = play()
    except Exception as error:
        oracle = error.oracle if isinstance(error, OracleFailure) else type(error).__name__
        told = isinstance(error, AssertionError)
        failure = str(error) if told else "".join(traceback.format_exception(error)).rstrip()
        broken = reached()
    seconds = time.perf_counter() - began
    return Report(
        number=number,
        seconds=seconds,
        outcome=outcome,
        failure=failure,
        replay=replay,
        oracle=oracle,
        broken=broken,
    )
