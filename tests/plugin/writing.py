"""Tests that a user might write, for pytest to run inside a test of the plugin."""

from __future__ import annotations

from typing import Final

# Loaded before pytest runs within pytest: what such a run loads is forgotten at its end, and what `pbft` has in hand of
# it would be of another loading than what the next one has.
import pbft.plugin.real
import pbft.plugin.simulated  # noqa: F401

HEAD: Final = """
import pytest
from pbft import Context, InvalidOperation, OperationFailed, Rejected, StateMachine, Table, Timeout, operation, query
from pbft.plugin import Misused, NotConverged

class Auction(StateMachine):
    bids: Table[str, int]
    winners: Table[str, str]
    rounds: int = 0

    @operation
    def bid(self, lot: str, amount: int, context: Context) -> int:
        if amount <= self.bids.get(lot, 0):
            raise Rejected(f"{lot} stands at {self.bids[lot]}")
        self.bids[lot], self.winners[lot] = amount, context.client
        self.rounds += 1
        return amount

    @query
    def best(self, lot: str) -> int:
        return self.bids.get(lot, 0)

    @operation
    def divide(self, amount: int, by: int) -> int:
        return amount // by
"""
"""An application, and the names that tests of it use."""
