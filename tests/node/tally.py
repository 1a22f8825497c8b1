"""The application that the node's tests run: small, and with one of every outcome."""

from pbft.machine import Context, Rejected, StateMachine, operation, query


class Tally(StateMachine):
    total: int = 0
    note: str = ""

    @operation
    def add(self, amount: int) -> int:
        """Add an amount and return the total."""
        if amount < 0:
            raise Rejected("a tally only grows")
        self.total += amount
        return self.total

    @operation
    def write(self, note: str) -> int:
        """Keep a note and return its length."""
        self.note = note
        return len(note)

    @operation
    def divide(self, by: int) -> int:
        """Break when `by` is 0, as a careless author's code would."""
        self.total //= by
        return self.total

    @query
    def read(self) -> str:
        """Return the note."""
        return self.note

    @query
    def whoami(self, context: Context) -> str:
        """Return the caller's name."""
        return context.client
