"""The swarm's state machine: a journal that tells each writer the place of its word.

Owns: nothing but its own two fields. Its answers give a run away at once: a word lost, written twice or moved
changes the places of others, and the running digest makes every difference in order a difference in state.
"""

from __future__ import annotations

from pbft.encoding import digest
from pbft.machine import Rejected, StateMachine, operation, query


class Journal(StateMachine):
    """Words in the order in which they were written, kept as a count and a digest."""

    words: int = 0
    head: bytes = bytes(32)

    @operation
    def write(self, word: str) -> int:
        """Append a word and return its place, counted from 1. The empty word is rejected."""
        if not word:
            raise Rejected("the empty word cannot be written")
        self.words += 1
        self.head = digest(b"pbft/journal", self.head, word.encode())
        return self.words

    @query
    def length(self) -> int:
        """Return how many words there are."""
        return self.words
