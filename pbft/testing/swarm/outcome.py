"""What a run of the swarm came to, in numbers.

Owns: what only these runs count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pbft.testing import runs


@dataclass(frozen=True, kw_only=True)
class Outcome(runs.Outcome):
    """What a run came to."""

    undecided: int
    """1 where the search for an order that explains all answers (O10) gave up; else 0."""
    rare_paths: Mapping[str, int]
    """How often correct replicas went each way that few runs go, where any did."""
    parting: str
    """Where correct replicas first came to different things, in words; empty where they did not."""
