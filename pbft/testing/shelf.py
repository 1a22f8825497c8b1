"""The swarm's second state machine: a shelf of boxes, kept in a Table.

Owns: nothing but its own fields. Boxes come, grow and go, so that a Table's items are written, overwritten and removed,
and a state is worth transferring.
"""

from __future__ import annotations

from pbft.machine import Rejected, StateMachine, operation, query
from pbft.table import Table


class Shelf(StateMachine):
    """Boxes by their names, each with what was put into it last, and how often any was touched."""

    touched: int = 0
    boxes: Table[str, str]

    @operation
    def put(self, box: str, content: str) -> int:
        """Put something into a box in place of what was there; return how many boxes there are."""
        self.touched += 1
        self.boxes[box] = content
        if not content:
            # Said only now, when something has changed already: that must be taken back.
            raise Rejected("a box is never empty")
        return len(self.boxes)

    @operation
    def take(self, box: str) -> str:
        """Remove a box and return what was in it."""
        if box not in self.boxes:
            raise Rejected(f"there is no box {box}")
        self.touched += 1
        content = self.boxes[box]
        del self.boxes[box]
        return content

    @query
    def count(self) -> int:
        """Return how many boxes there are."""
        return len(self.boxes)
