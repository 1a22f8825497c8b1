"""A counter: the smallest complete application."""

from pbft import StateMachine, operation, query


class Counter(StateMachine):
    """A total that everybody may add to."""

    total: int = 0

    @operation
    def add(self, amount: int) -> int:
        """Add an amount, which may be negative, and return the new total."""
        self.total += amount
        return self.total

    @query
    def value(self) -> int:
        """Return the total."""
        return self.total
