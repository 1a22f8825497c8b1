"""The swarm's applications: what is asked of them, and the invariants that hold in every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pbft.encoding import Plain
from pbft.machine import Application, Outcome
from pbft.testing import OracleFailure, swarm
from pbft.testing.clients import Call
from pbft.testing.swarm import Plan, Program, Workload
from pbft.testing.swarm.programs import CLIENTS
from pbft_apps.ledger import Ledger
from tests.swarm.tally import SEEDS

LEDGER_SEEDS = range(5_000, 5_005 + SEEDS // 50)


def money(machine: Application) -> str | None:
    """O12: all money was minted and none is lost; nobody owes."""
    assert isinstance(machine, Ledger)
    balances = list(machine.balances.values())
    if sum(balances) != machine.minted:
        return f"accounts hold {sum(balances)} of {machine.minted} minted"
    return next((f"an account holds {balance}" for balance in balances if balance < 0), None)


def trade(label: str, number: int, word_bytes: int) -> tuple[str, tuple[Plain, ...]]:
    """Alice mints; everybody sends what they may have, more than that, and from accounts that are not theirs."""
    client = label.partition("/")[0]
    other = CLIENTS[(CLIENTS.index(client) + 1 + number % 3) % len(CLIENTS)]
    if client == "alice" and number % 3 == 0:
        return "mint", (CLIENTS[number % len(CLIENTS)], 100 + number)
    if number % 7 == 3:
        return "transfer", (other, client, 1)
    return "transfer", (client, other, 10 + number)


def some_of_each(calls: Sequence[Call], _alone: bool) -> str | None:
    """A run in which nothing is ever rejected, or nothing succeeds, would show little."""
    return (
        None if len(calls) < 60 or any(call.outcome is Outcome.REJECTED for call in calls) else "nothing was rejected"
    )


WITH_LEDGER = {
    **swarm.WORKLOADS,
    "ledger": Workload(Ledger, trade, {"issuer": "alice", "clients": CLIENTS}, invariant=money, check=some_of_each),
}


@pytest.mark.parametrize("seed", LEDGER_SEEDS)
def test_money_is_conserved_whatever_happens(seed: int) -> None:
    """The ledger under the swarm's faults: O12 after every batch, on a model that executes the agreed order."""
    swarm.play(replace(Plan.draw(seed), workload="ledger"), workloads=WITH_LEDGER)


def test_a_ledger_that_loses_money_is_found_out() -> None:
    """The same run with a ledger that keeps a fee: the invariant fires at the first transfer."""

    class Greedy(Ledger):
        def _note(self, account: str, entry: tuple[int, str, str, int, str]) -> None:
            """Note it, and keep one of what came in."""
            super()._note(account, entry)
            if entry[1] == "in" and entry[2]:
                self.balances[account] -= 1

    greedy = {"ledger": replace(WITH_LEDGER["ledger"], application=Greedy)}
    programs = (Program("alice", 0, 5, 1, 0), Program("bob", 0, 5, 1, 0))
    plan = replace(Plan.draw(LEDGER_SEEDS[0]), workload="ledger", programs=programs, faults=(), byzantine=())
    with pytest.raises(OracleFailure, match="accounts hold") as failure:
        swarm.play(plan, workloads=greedy)
    assert failure.value.oracle == "O12"


@pytest.mark.parametrize("name", swarm.WORKLOADS)
def test_workloads_succeed_and_are_rejected(name: str) -> None:
    """In a quiet run of each workload some operations do something and some are told no."""
    programs = (Program("alice", 0, 14, 1, 0), Program("bob", 0, 14, 2, 0))
    plan = replace(Plan.draw(11), workload=name, programs=programs, faults=(), byzantine=(), word_bytes=3_000)
    lines: list[str] = []
    swarm.play(plan, echo=lines.append)
    answers = [line for line in lines if "answered t" in line]
    assert any(": OK " in line for line in answers)
    assert any(": REJECTED " in line for line in answers)


def test_a_word_that_is_lost_or_doubled_is_found_out() -> None:
    """The journal's check at the end: places are 1, 2, 3 and so on, each once; with others at work, each once."""
    check = swarm.WORKLOADS["journal"].check
    programs = (Program("alice", 0, 6, 1, 0), Program("bob", 0, 6, 2, 0))
    plan = replace(Plan.draw(3), workload="journal", programs=programs, faults=(), byzantine=(), colluders=())
    seen: list[Call] = []

    def keep(calls: Sequence[Call], alone: bool) -> str | None:
        seen.extend(calls)
        return check(calls, alone)

    swarm.play(plan, workloads={"journal": replace(swarm.WORKLOADS["journal"], check=keep)})
    written = [call for call in seen if call.outcome is Outcome.OK]
    last = max(written, key=lambda call: int(call.value()))
    others = [call for call in written if call is not last]
    missing = [call for call in written if call is not others[0]]
    assert check(seen, True) is None
    for alone in (True, False):
        assert "lost or doubled" in (check([*written, written[0]], alone) or "")
    assert "lost or doubled" in (check(missing, True) or "")
    assert check(missing, False) is None, "somebody else may have written it"
