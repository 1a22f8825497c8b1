"""The applications in the simulator: under liars, losses and crashes, and on replicas that took over a state."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from pbft.core.effects import StateInstalled
from pbft.core.group import Limits
from pbft.machine import Application, Outcome
from pbft.testing import Call, Cluster, SimulatedClient
from pbft.testing.byzantine import Adversary, Equivocator, WrongReply
from pbft_apps.kv import KV
from pbft_apps.ledger import Ledger

NAMES = ("alice", "bob")


def conserved(machine: Application) -> str | None:
    """O12: all money was minted, none is lost, and nobody owes."""
    assert isinstance(machine, Ledger)
    balances = list(machine.balances.values())
    if sum(balances) != machine.minted or min(balances) < 0:
        return f"accounts hold {balances} of {machine.minted} minted"
    return None


def kept_together(machine: Application) -> str | None:
    """O12: every value has a version, and no two have the same."""
    assert isinstance(machine, KV)
    versions = list(machine.versions.values())
    if list(machine.values) != list(machine.versions):
        return f"the values of {list(machine.values)} have versions of {list(machine.versions)}"
    return None if len(set(versions)) == len(versions) else f"two values have one version: {versions}"


@pytest.mark.parametrize(("seed", "liar"), [(1, WrongReply), (2, Equivocator)])
def test_a_counter_kept_by_compare_and_set_loses_no_step(seed: int, liar: type[Adversary]) -> None:
    """Two clients add to one value, each again when the other was first: every success counts, whoever lies."""
    group = Cluster(KV, seed=seed, byzantine={0: liar}, loss=0.1, invariant=kept_together)
    clients = group.clients(*NAMES)
    done = 0
    for _ in range(6):
        seen = group.gather(*(client.call("get", "total") for client in clients))
        sent = [
            client.call("compare_and_set", "total", each["version"], str(int(each["value"] or 0) + 1))
            for client, each in zip(clients, seen, strict=True)
        ]
        outcomes = [call.outcome for call in group.settle(*sent)]
        assert sorted(outcomes, key=str) == sorted([Outcome.OK, Outcome.REJECTED], key=str)
        done += 1
    (found,) = group.gather(clients[0].call("get", "total"))
    assert found == {"value": str(done), "version": done}
    assert group.histories_agree()
    group.check_linearizable()


def test_pages_are_the_same_on_a_replica_that_took_over_the_state() -> None:
    """One that was cut off, scanned before, and missed keys that came and went; then it is needed for every answer."""
    limits = Limits(checkpoint_interval=4, log_size=8)
    group = Cluster(KV, seed=5, limits=limits, invariant=kept_together)
    alice, bob = group.clients(*NAMES)
    group.gather(*(alice.call("put", f"k{number:02}", "x") for number in range(0, 60, 2)))
    group.gather(bob.call("scan"))
    group.network.isolate(3)
    for number in range(30):
        group.gather(alice.call("put", f"k{2 * number + 1:02}", "y"), alice.call("delete", f"k{2 * number:02}"))
        group.gather(bob.call("scan", "k0"))
    group.network.heal()
    # Who was cut off from a group that is silent learns that it is behind from the next message.
    group.gather(alice.call("count"))
    group.run_until_level()
    assert group.steps(3, StateInstalled)
    group.crash(1)
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        (page,) = group.gather(bob.call("scan", "k", after, 7))
        found += [item["key"] for item in page["items"]]
        after = page["after"]
    assert found == [f"k{number:02}" for number in range(1, 60, 2)]
    assert group.histories_agree()


@pytest.mark.parametrize(("seed", "liar"), [(3, WrongReply), (4, Equivocator)])
def test_legs_are_all_or_nothing_under_faults(seed: int, liar: type[Adversary]) -> None:
    """Two clients pay each other in legs, some beyond their means; the primary lies, messages are lost, one crashes."""
    parameters = {"issuer": "alice", "clients": NAMES}
    group = Cluster(Ledger, seed=seed, byzantine={0: liar}, loss=0.1, parameters=parameters, invariant=conserved)
    alice, bob = group.clients(*NAMES)
    group.gather(alice.call("mint", "alice", 100), bob.call("open", "till"))
    calls: list[Call] = []
    for number in range(1, 9):
        calls += [
            pay(alice, [("alice", "bob", number), ("alice", "till", 4 * number)]),
            pay(bob, [("bob", "till", number), ("till", "alice", 2 * number)]),
        ]
        group.settle(*calls[-2:])
    assert {call.outcome for call in calls} == {Outcome.OK, Outcome.REJECTED}
    (accounts,) = group.gather(bob.call("accounts"))
    assert sum(each["balance"] for each in accounts) == 100
    for each in accounts:
        (entries,) = group.gather(alice.call("statement", each["account"], None, 100))
        came = sum(entry["amount"] * (1 if entry["direction"] == "in" else -1) for entry in entries)
        assert came == each["balance"]
        assert all(one["time_ms"] <= next_one["time_ms"] for one, next_one in pairwise(entries))
    assert group.histories_agree()
    group.check_linearizable()


def pay(client: SimulatedClient, legs: list[Any]) -> Call:
    return client.call("transfer_all", legs)
