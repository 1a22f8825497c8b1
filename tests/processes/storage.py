"""An application with a state of any size, for tests that move states between processes."""

from __future__ import annotations

from pbft import StateMachine, Table, operation


class Storage(StateMachine):
    """Many items, and a counter that leaves a trace in them."""

    total: int = 0
    items: Table[int, str]

    @operation
    def fill(self, first: int, count: int) -> int:
        """Store so many items, and return how many there are."""
        for number in range(first, first + count):
            self.items[number] = f"what number {number} is, at some length"
        return len(self.items)

    @operation
    def add(self, amount: int) -> int:
        """Add to the counter, note its value in one of twenty items, and return it."""
        self.total += amount
        self.items[self.total % 20] = f"when the counter stood at {self.total}"
        return self.total
