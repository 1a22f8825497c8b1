"""How much memory an account takes.

Owns: this measurement, which must run in a fresh process that holds nothing else.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import Final

from pbft.bench.accounts import empty_ledger, settle, state_bytes, write_accounts
from pbft.bench.clocks import rss_bytes

ALLOWED_BYTES: Final = 400
"""What an account may take where there are very many; among few, what the process needs anyway weighs more."""
MANY: Final = 1_000_000


@dataclass(frozen=True)
class MemoryCost:
    """What so many accounts take in memory, with their tries."""

    accounts: int
    state_bytes: int
    """Keys and values alone, encoded."""
    resident_bytes: int
    """What the process's resident memory grew by, once no garbage was left."""

    @property
    def per_account(self) -> float:
        """Bytes of resident memory an account."""
        return self.resident_bytes / self.accounts

    @property
    def held(self) -> bool | None:
        """Whether an account takes no more than it may; None where there are too few to say."""
        return self.per_account <= ALLOWED_BYTES if self.accounts >= MANY else None


def measure_memory(accounts: int) -> MemoryCost:
    """Fill a ledger and return what this process's memory grew by: to be called in a fresh one."""
    settle(empty_ledger())  # What the code itself takes is there before.
    gc.collect()
    before = rss_bytes()
    ledger = empty_ledger()
    write_accounts(ledger, accounts)
    settle(ledger)
    gc.collect()
    return MemoryCost(accounts, state_bytes(ledger), rss_bytes() - before)
