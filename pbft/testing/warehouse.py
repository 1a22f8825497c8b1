"""The swarm's machine with a large state: items by the hundred in a Table, orders and lamps in two small ones.

Owns: nothing but its own fields. Whole rows of items come and go at once, so that leaves of the trie split and subtrees
merge again; and what is refused is refused when much has been written already, all of which has to be undone.
"""

from __future__ import annotations

from pbft.machine import Rejected, StateMachine, operation, query
from pbft.table import Table

MOST_AT_ONCE = 60


class Warehouse(StateMachine):
    """Items by their numbers, orders by the names of those who gave them, and the lamps that are on."""

    moved: int = 0
    items: Table[int, str]
    orders: Table[str, int]
    lamps: Table[str, bool]

    def __init__(self, items: int = 0, item_bytes: int = 0) -> None:
        for number in range(items):
            self.items[number] = f"item {number}".ljust(item_bytes, ".")

    @operation
    def deliver(self, first: int, count: int, content: str) -> int:
        """Put the same into a row of items, whatever was there; return how many items there are."""
        for number in range(first, first + min(count, MOST_AT_ONCE)):
            # What was there leaves first: twice is each of them written, and has to be undone once.
            self.items.pop(number, None)
            self.items[number] = content
            self.moved += 1
        if not content:
            raise Rejected("an item is never empty")
        return len(self.items)

    @operation
    def clear(self, first: int, count: int) -> int:
        """Take away a row of items; return how many there were."""
        found = [number for number in range(first, first + min(count, MOST_AT_ONCE)) if number in self.items]
        for number in found:
            del self.items[number]
            self.moved += 1
        if not found:
            raise Rejected(f"there are no items from {first} on")
        return len(found)

    @operation
    def order(self, name: str, number: int) -> int:
        """Take one item for somebody; return how many they have ordered."""
        self.orders[name] = self.orders.get(name, 0) + 1
        if number not in self.items:
            # Said only now: the order is noted already, and perhaps it is the first of this name.
            raise Rejected(f"there is no item {number}")
        del self.items[number]
        return self.orders[name]

    @operation
    def settle(self, name: str) -> int:
        """Forget what somebody ordered; return how much that was."""
        if name not in self.orders:
            raise Rejected(f"{name} has ordered nothing")
        return self.orders.pop(name)

    @operation
    def switch(self, lamp: str) -> bool:
        """Light a lamp, or put it out; say whether it is on now. Twice leaves the state as it was."""
        if lamp in self.lamps:
            del self.lamps[lamp]
            return False
        self.lamps[lamp] = True
        return True

    @query
    def count(self) -> int:
        """Return how many items there are."""
        return len(self.items)
