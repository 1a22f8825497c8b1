"""Where a replica's votes are kept.

Owns: the face of a store, and the one of a replica that keeps nothing. Knows nothing of when votes are cast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pbft.core.effects import Persist


class Store(Protocol):
    """Makes votes durable, as many at once as one turn of the driver's loop casts."""

    @property
    def durable(self) -> bool:
        """Whether what was persisted survives the process."""

    def persist(self, votes: Sequence[Persist]) -> None:
        """Keep these votes and what they rest on: on return all are safe, or it raises and none may leave."""

    def close(self) -> None:
        """Release what the store holds."""


class MemoryStore:
    """A volatile store: votes live in the replica's own log and nowhere else, and `durable` says so.

    A replica that restarts on it has forgotten how it voted, so it must count among the f faulty ones.
    """

    durable = False

    def persist(self, votes: Sequence[Persist]) -> None:
        """Do nothing: the replica holds in memory what it voted, and what is to survive no crash is safe there."""

    def close(self) -> None:
        """Do nothing: nothing was opened."""
