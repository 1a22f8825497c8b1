"""What `pbft bench state` counts, with few accounts: the counts are there, true of each other, and within bounds."""

from __future__ import annotations

import os

import pytest

from pbft.bench import accounts as ledgers
from pbft.bench.apart import MeasurementEnded, apart
from pbft.bench.catching_up import CatchUp, Memory, measure_newcomer, measure_returning
from pbft.bench.checkpoints import CheckpointCost, measure_checkpoints
from pbft.bench.clocks import percentile
from pbft.bench.delays import measure_delays
from pbft.bench.memory import ALLOWED_BYTES, MANY, MemoryCost, measure_memory
from pbft.bench.state import PARTS, measure_state, to_plain
from pbft.bench.turns import Turn, Turns
from pbft.core.settings import ReplicaSettings
from pbft.errors import PbftError
from pbft.trie import Inner, Leaf

ACCOUNTS = 300
MISSED = 300
"""Sequences: more than two checkpoint intervals, so that nobody can send them as batches any more."""


def refuse(word: str) -> None:
    raise PbftError(f"refused: {word}")


def break_down() -> None:
    raise ArithmeticError("seven is not eight")


def vanish() -> None:
    os._exit(9)


def test_a_filled_ledger_is_what_operations_make_of_it() -> None:
    """Accounts written directly can be paid from, and the state is as large as its keys and values."""
    ledger = ledgers.filled_ledger(ACCOUNTS)
    before = ledgers.state_bytes(ledger)
    assert len(ledger.balances) == len(ledger.owners) == ACCOUNTS + 2  # the clients' own, without money
    ledgers.run_transfers(ledger, ACCOUNTS, 5, turn=1)
    assert sum(ledger.balances.values()) == ACCOUNTS * ledgers.BALANCE
    assert sum(ledger.counts.values()) == 10
    assert ledgers.state_bytes(ledger) > before


def test_nodes_are_counted_where_they_are_new() -> None:
    """A node that stood there before counts for nothing, nor does anything below it."""
    leaves = [Leaf((bytes([number]),), 1, bytes(32)) for number in range(3)]
    root = Inner((leaves[0], leaves[1], *[None] * 14), 2, 2, bytes(32))
    later = Inner((leaves[0], leaves[2], *[None] * 14), 2, 2, bytes(32))
    assert [ledgers.new_nodes(*each) for each in ((root, None), (root, root), (later, root), (None, root))] == [
        3,
        0,
        2,
        0,
    ]
    assert [ledgers.depth_of(each) for each in (None, leaves[0], root)] == [0, 0, 1]


def test_checkpoints_digest_what_changed() -> None:
    """As many nodes as are new in the tries, at most changed keys times depth + 1, and far fewer than at first."""
    costs = measure_checkpoints(ACCOUNTS)
    assert all(cost.held and cost.nodes == cost.new_nodes <= cost.bound for cost in costs), costs
    assert costs[0].changed == 2 * ACCOUNTS
    writes = [cost for cost in costs if cost.how == "Table writes"]
    assert [cost.changed for cost in writes] == [100, ACCOUNTS]
    assert all(cost.nodes < costs[0].nodes for cost in writes)
    assert all(cost.changed > 0 and cost.depth >= 1 for cost in costs)


def test_a_broken_bound_is_no_secret() -> None:
    """One node too many, by either count, and the bound has not held; memory is judged among very many accounts."""
    good = CheckpointCost(ACCOUNTS, "", 10, 0, 0, nodes=30, new_nodes=30, depth=2, bound=30)
    assert good.held
    assert not CheckpointCost(ACCOUNTS, "", 10, 0, 0, nodes=31, new_nodes=30, depth=2, bound=30).held
    assert not CheckpointCost(ACCOUNTS, "", 10, 0, 0, nodes=30, new_nodes=31, depth=2, bound=30).held
    assert [MemoryCost(size, 0, size * ALLOWED_BYTES + size // 2).held for size in (MANY - 1, MANY)] == [None, False]
    assert MemoryCost(MANY, 0, MANY * ALLOWED_BYTES).held


def test_memory_is_measured_in_a_fresh_process() -> None:
    """What the process grew by is at least what keys and values take, and several times that in Python."""
    cost = apart(measure_memory, 10 * ACCOUNTS)
    assert cost.resident_bytes > cost.state_bytes > 10 * ACCOUNTS * len(ledgers.account(0))
    assert cost.per_account == cost.resident_bytes / (10 * ACCOUNTS)


def assert_caught_up(cost: CatchUp) -> None:
    """The figures of one transfer fit each other."""
    assert cost.transfers >= 1
    assert cost.nodes > 1
    assert cost.moved_bytes > 0
    assert cost.share == cost.moved_bytes / cost.state_bytes
    assert cost.virtual_ms > 0
    assert 0 < cost.install_ms <= cost.turns.longest_ms
    assert cost.turns.p50_ms <= cost.turns.p99_ms <= cost.turns.longest_ms


def test_a_replica_that_missed_much_catches_up() -> None:
    """It is level in the end, in the state of the others: the measurement fails otherwise."""
    cost = measure_returning(ACCOUNTS, MISSED)
    assert_caught_up(cost)
    assert (cost.missed, cost.from_nothing, cost.liars, cost.lies) == (MISSED, False, 0, 0)
    assert cost.held is None


@pytest.mark.parametrize("lying", [False, True])
def test_a_replica_without_any_state_catches_up_while_clients_write(lying: bool) -> None:
    """It moves all of the state, in a process of its own; where a source lies, its lies are counted too."""
    cost = measure_newcomer(5 * ACCOUNTS, lying)  # enough for every source to be asked
    assert_caught_up(cost)
    assert cost.from_nothing
    assert cost.written > 0
    assert cost.moved_bytes > cost.state_bytes
    assert (cost.liars > 0, cost.lies > 0) == (lying, lying)
    assert cost.memory is not None
    assert cost.memory.peak_bytes >= cost.memory.final_bytes > 0


def test_bounds_on_catching_up_apply_among_very_many_accounts() -> None:
    """Who was behind may move a tenth of the state, and who had nothing may hold as much again as it will need."""

    def held(accounts: int, moved: int, memory: Memory | None) -> bool | None:
        turns = Turns.of([])
        counts = {"liars": 0, "lies": 0, "written": 0, "nodes": 1, "transfers": 1, "virtual_ms": 1, "missed": 1}
        sizes = {"accounts": accounts, "state_bytes": 100, "moved_bytes": moved}
        return CatchUp(
            **counts, **sizes, from_nothing=memory is not None, seconds=1, turns=turns, install_ms=1, memory=memory
        ).held

    most = ALLOWED_BYTES * MANY
    assert [held(MANY - 1, 11, None), held(MANY, 11, None), held(MANY, 10, None)] == [None, False, True]
    assert [held(MANY, 130, Memory(7 + most, 7)), held(MANY, 130, Memory(8 + most, 7))] == [True, False]


def test_turns_with_a_checkpoint_are_told_from_those_without() -> None:
    """Both kinds occur, nodes are digested in the former, and never more at one go than the settings allow."""
    delay = measure_delays(ACCOUNTS, checkpoints=1)
    assert delay.held
    assert 0 < delay.most_nodes <= delay.bound == ReplicaSettings().checkpoint_nodes
    assert delay.with_checkpoint.count > 0
    assert delay.without.count > delay.with_checkpoint.count
    assert delay.nodes >= delay.checkpoints * delay.most_nodes


def test_turns_are_summed_up() -> None:
    """Percentiles are values that occurred; no turns at all have taken no time."""
    turns = [Turn(float(ms), ms / 2, 1, 0, checkpoint=False, installed=False) for ms in range(1, 101)]
    assert Turns.of(turns) == Turns(100, 50.0, 99.0, 100.0, 50.0, 50.0)
    assert Turns.of([]) == Turns(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert percentile([3.0, 1.0], 1.0) == 3.0


def test_parts_are_measured_in_processes_and_told_as_plain_data() -> None:
    """A report has each size's figures, with what follows from them."""
    (report,) = measure_state([20, 40], ["checkpoints"])
    assert report.held
    told = to_plain(report)
    assert told["part"] == "checkpoints"
    assert sorted({each["accounts"] for each in told["figures"]}) == [20, 40]
    assert all(each["held"] is True and type(each["settle_ms"]) is float for each in told["figures"])
    assert set(PARTS) == {"checkpoints", "memory", "returning", "newcomer", "delays"}


def test_what_goes_wrong_in_another_process_is_told_here() -> None:
    """An error of ours comes back as it is, any other with its traceback, and a lost process is one sentence."""
    with pytest.raises(PbftError, match=r"^refused: eggs$"):
        apart(refuse, "eggs")
    with pytest.raises(RuntimeError, match="seven is not eight"):
        apart(break_down)
    with pytest.raises(MeasurementEnded, match="fewer --accounts"):
        apart(vanish)
