"""Who answered a request that is completed: for people to see, never to be believed by.

Owns: the count of replies beyond the f+1 equal ones, one word a replica. What is believed is decided before, in
`pbft.core.session`.
"""

from __future__ import annotations

from pbft.core.group import ReplicaId
from pbft.core.replies import ReadReply


def same(one: ReadReply, other: ReadReply) -> bool:
    """Say whether two replies to one request are one answer: at one place in the order, with equal results."""
    return one.sequence == other.sequence and one.detail.results == other.detail.results


class Tally:
    """The replies to one request, held against the answer that was believed."""

    def __init__(self, n: int, believed: ReadReply) -> None:
        self._n = n
        self._believed = believed
        self._equal: dict[ReplicaId, bool] = {}

    def count(self, replica: ReplicaId, reply: ReadReply) -> None:
        """Count a replica's reply; its first word stands."""
        self._equal.setdefault(replica, same(reply, self._believed))

    @property
    def matching(self) -> tuple[ReplicaId, ...]:
        """Who gave the answer that was believed."""
        return tuple(replica for replica in range(self._n) if self._equal.get(replica) is True)

    @property
    def differing(self) -> tuple[ReplicaId, ...]:
        """Who gave another one."""
        return tuple(replica for replica in range(self._n) if self._equal.get(replica) is False)

    @property
    def silent(self) -> tuple[ReplicaId, ...]:
        """Who has not answered yet."""
        return tuple(replica for replica in range(self._n) if replica not in self._equal)
