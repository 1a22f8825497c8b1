"""How long a checkpoint keeps the next batch waiting.

Owns: this measurement: turns of replicas that do a checkpoint's work, beside those that do none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pbft.bench.accounts import OWNER, filled_ledger
from pbft.bench.clocks import COLLECTIONS
from pbft.bench.simulated import PATIENCE_MS, Writer, group_of
from pbft.bench.turns import TimedReplica, Turns
from pbft.core.effects import BecameStable
from pbft.core.settings import ReplicaSettings

CHANGED_ACCOUNTS: Final = 1_000
"""About so many accounts change between two checkpoints."""
CHECKPOINTS: Final = 3


@dataclass(frozen=True)
class CheckpointDelay:
    """What checkpoints did to the turns of the replicas of one group."""

    accounts: int
    checkpoints: int
    """Checkpoints that became stable."""
    transfers: int
    """Transfers between two of them; each changes two accounts."""
    with_checkpoint: Turns
    """Turns that took, digested or finished a checkpoint."""
    without: Turns
    nodes: int
    """Nodes digested towards checkpoints, in all turns."""
    most_nodes: int
    """The most nodes digested in a slice: those of a turn, shared among its slices."""
    bound: int
    """How many of them may be: `checkpoint_nodes` of the replicas' settings."""

    @property
    def added_ms(self) -> float:
        """How much longer a turn with a checkpoint's work took than a usual one without, at most.

        Without what Python took to look for garbage, which may fall upon any turn.
        """
        return max(0.0, self.with_checkpoint.most_work_ms - self.without.p50_ms)

    @property
    def held(self) -> bool:
        """Whether no more nodes than the bound were digested at one go."""
        return self.most_nodes <= self.bound


def measure_delays(accounts: int, checkpoints: int = CHECKPOINTS) -> CheckpointDelay:
    """Let a group of four execute transfers over some checkpoints, and sum up its replicas' turns."""
    ledger = filled_ledger(accounts)
    group = group_of(ledger)
    interval = group.group.limits.checkpoint_interval
    at_once = -(-CHANGED_ACCOUNTS // (2 * interval))
    writer = Writer(group.client(OWNER), accounts, "delays", at_once)
    writer.go()
    with COLLECTIONS:
        group.run_until(lambda: len(group.steps(0, BecameStable)) >= checkpoints, PATIENCE_MS)
    replicas = [group.replica(i) for i in group.correct]
    turns = [turn for replica in replicas if isinstance(replica, TimedReplica) for turn in replica.turns]
    return CheckpointDelay(
        accounts=accounts,
        checkpoints=len(group.steps(0, BecameStable)),
        transfers=at_once * interval,
        with_checkpoint=Turns.of([turn for turn in turns if turn.checkpoint]),
        without=Turns.of([turn for turn in turns if not turn.checkpoint]),
        nodes=sum(turn.nodes for turn in turns),
        most_nodes=max(-(-turn.nodes // max(1, turn.slices)) for turn in turns),
        bound=ReplicaSettings().checkpoint_nodes,
    )
