"""How much a replica keeps: nothing beyond the high watermark (O13), and everything else under a formula (O14).

Owns: the oracles that hold a replica's own account of its memory against the written bounds, now and then in a run.
"""

from __future__ import annotations

from pbft.core.replica import Replica
from pbft.core.usage import bounds
from pbft.testing.oracles.base import Oracle


class NothingAbove(Oracle):
    """O13: beyond the high watermark a replica keeps nothing but what its small rooms for early messages hold."""

    id = "O13"

    def sampled(self, replica: Replica) -> None:
        """Count what lies beyond the high watermark."""
        above = replica.usage().get("above_high")
        if above != 0:
            high = replica.status().high_watermark
            self.fail(f"replica {replica.me} keeps {above} slots beyond its high watermark {high}")


class Bounded(Oracle):
    """O14: log, votes, queues, snapshots and rooms stay under what n, L, the clients and the size limits allow."""

    id = "O14"

    def sampled(self, replica: Replica) -> None:
        """Hold every count against its bound; each count has one, and each bound is counted."""
        usage, allowed = replica.usage(), bounds(self.facts.group, replica.settings)
        if usage.keys() != allowed.keys():
            odd = sorted(usage.keys() ^ allowed.keys())
            self.fail(f"replica {replica.me} counts other things than have bounds: {', '.join(odd)}")
        for name, count in usage.items():
            if count > allowed[name]:
                self.fail(f"replica {replica.me} has {name} = {count}, and {allowed[name]} is the most")


__all__ = ["Bounded", "NothingAbove"]
