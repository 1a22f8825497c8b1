"""What a checkpoint costs when few of many accounts have changed.

Owns: this measurement: the state is frozen and digested, and the nodes of its tries are counted before and after.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pbft.bench.accounts import depth_of, empty_ledger, new_nodes, run_transfers, write_accounts, write_some
from pbft.bench.clocks import cpu_ms
from pbft.machine import StateMachine

CHANGED: Final = (100, 1_000)
"""Keys changed between two checkpoints."""
KEYS_OF_A_TRANSFER: Final = 6
"""Two balances, two counts of entries, and two entries."""
ROUNDS: Final = 3
"""How often each is measured. The round that took longest is told."""


@dataclass(frozen=True)
class CheckpointCost:
    """What one checkpoint took."""

    accounts: int
    how: str
    """What changed the state."""
    changed: int
    """Keys written since the checkpoint before."""
    freeze_ms: float
    """Before the next operation may run."""
    settle_ms: float
    """To digest what changed: in slices, between batches."""
    nodes: int
    """Nodes of the tries that were digested, as the tries count them."""
    new_nodes: int
    """Nodes that stand in the tries now and did not before, as counted by walking over them."""
    depth: int
    """Steps from the root of the deepest trie that changed to its lowest node."""
    bound: int
    """Changed keys times one more than the depth, of each trie."""

    @property
    def held(self) -> bool:
        """Whether no more nodes were digested than the bound allows."""
        return max(self.nodes, self.new_nodes) <= self.bound


def measure_checkpoints(accounts: int) -> list[CheckpointCost]:
    """Return the costs at one size: of the first checkpoint of all, and of later ones for each number of changes."""
    ledger = empty_ledger()
    costs = [_checkpoint(ledger, accounts, "everything, at first", lambda: write_accounts(ledger, accounts))]
    changes: list[tuple[str, Callable[[int], None]]] = []
    for changed in CHANGED:
        changes.append(("Table writes", _writing(ledger, accounts, min(changed, accounts))))
        count = -(-changed // KEYS_OF_A_TRANSFER)
        changes.append((f"{count} transfers", _transferring(ledger, accounts, count)))
    return costs + [_worst(ledger, accounts, how, change) for how, change in changes]


def _writing(ledger: Any, accounts: int, changed: int) -> Callable[[int], None]:
    return lambda turn: write_some(ledger.balances, accounts, changed, turn)


def _transferring(ledger: StateMachine, accounts: int, count: int) -> Callable[[int], None]:
    return lambda turn: run_transfers(ledger, accounts, count, turn)


def _worst(ledger: StateMachine, accounts: int, how: str, change: Callable[[int], None]) -> CheckpointCost:
    """Change the state and take a checkpoint, a few times; return the one that took longest, or broke the bound."""
    costs = [_checkpoint(ledger, accounts, how, functools.partial(change, turn)) for turn in range(1, ROUNDS + 1)]
    return max([cost for cost in costs if not cost.held] or costs, key=lambda cost: cost.settle_ms)


def _checkpoint(ledger: StateMachine, accounts: int, how: str, change: Callable[[], None]) -> CheckpointCost:
    """Take one checkpoint of a ledger after some change since the one before."""
    before = [contents.freeze() for contents in ledger.sections()]
    roots = [view.root for view in before]
    change()
    began = cpu_ms()
    views = [contents.freeze() for contents in ledger.sections()]
    frozen = cpu_ms()
    for view in views:
        view.settle()
    settled = cpu_ms()
    touched = [(view, root) for view, old, root in zip(views, before, roots, strict=True) if view is not old]
    depths = [depth_of(view.root) for view, _ in touched]
    return CheckpointCost(
        accounts=accounts,
        how=how,
        changed=sum(view.changes for view, _ in touched),
        freeze_ms=frozen - began,
        settle_ms=settled - frozen,
        nodes=sum(view.made for view, _ in touched),
        new_nodes=sum(new_nodes(view.root, root) for view, root in touched),
        depth=max(depths, default=0),
        bound=sum(view.changes * (depth + 1) for (view, _), depth in zip(touched, depths, strict=True)),
    )
