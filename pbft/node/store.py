"""Where a replica's votes are kept.

Owns: the face of a store, and one that keeps them in memory. Knows nothing of when votes are cast.
"""

from __future__ import annotations

from collections import deque
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
    """Keeps the newest votes in this process's memory. Nothing survives the process, and `durable` says so.

    A replica that restarts on it has forgotten how it voted, so it must count among the f faulty ones.
    """

    durable = False

    def __init__(self, most: int) -> None:
        self._votes: deque[Persist] = deque(maxlen=most)

    def persist(self, votes: Sequence[Persist]) -> None:
        """Keep the votes; the oldest go when there are more than `most`."""
        self._votes.extend(votes)

    def votes(self) -> list[Persist]:
        """Return the votes held, oldest first."""
        return list(self._votes)

    def close(self) -> None:
        """Forget everything."""
        self._votes.clear()
