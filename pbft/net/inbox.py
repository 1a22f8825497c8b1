"""Messages that wait to be served, with a share for every peer.

Owns: a queue for each peer, bounded in messages and bytes, and the order in which they are served: one message of each
peer in turn. Knows nothing of what messages say. A peer that floods fills its own queue, and waits for its own turn.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Peer = TypeVar("Peer", bound=Hashable)
Item = TypeVar("Item")

_BOOKKEEPING_BYTES = 128


class _Queue(Generic[Item]):
    __slots__ = ("held_bytes", "items")

    def __init__(self) -> None:
        self.items: deque[tuple[Item, int]] = deque()
        self.held_bytes = 0


class FairInbox(Generic[Peer, Item]):
    """Queues of peers, served in turn. `most` and `most_bytes` bound each peer's."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._queues: OrderedDict[Peer, _Queue[Item]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def offer(self, peer: Peer, item: Item, size: int) -> bool:
        """Queue an item of `size` bytes, or say False when its peer's share is full."""
        queue = self._queues.get(peer)
        cost = size + _BOOKKEEPING_BYTES
        if queue is None:
            queue = self._queues[peer] = _Queue()
        elif len(queue.items) >= self._most or queue.held_bytes + cost > self._most_bytes:
            return False
        queue.items.append((item, cost))
        queue.held_bytes += cost
        self._count += 1
        return True

    def take(self) -> Item | None:
        """Return the next item: the oldest of the peer that has waited longest for a turn."""
        if not self._queues:
            return None
        peer, queue = self._queues.popitem(last=False)
        item, cost = queue.items.popleft()
        queue.held_bytes -= cost
        self._count -= 1
        if queue.items:
            self._queues[peer] = queue
        return item
