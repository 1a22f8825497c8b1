"""A ledger of very many accounts, and what is done to it.

Owns: how the state is filled, how large it is, and the transfers that change it. The ledger is found by its name, as by
every command: this library imports no application.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pbft.encoding import Plain
from pbft.loading import create_application, load_application
from pbft.machine import Context, Outcome, StateMachine, encode_operation
from pbft.table import Table
from pbft.trie import Inner, Node

APPLICATION: Final = "ledger"
OWNER: Final = "alice"
"""The client whom all accounts belong to: the one who calls."""
OTHER: Final = "bob"
BALANCE: Final = 1_000_000
"""What each account holds at first: more than it can lose here."""

FILLED: Final = (
    f"The accounts are written into the Tables `owners` and `balances` of {APPLICATION} directly, under names such as "
    '"account-000007", and belong to one client.'
)
"""How the state comes to be, for whoever reads the figures."""


def account(number: int) -> str:
    """Return the name of an account."""
    return f"account-{number:06}"


def parameters() -> Mapping[str, Plain]:
    """Return what the ledger is created with: no accounts but the clients' own."""
    return {"clients": (OWNER, OTHER)}


def empty_ledger() -> Any:
    """Return a ledger in its first state, which is a StateMachine with Tables `owners` and `balances`."""
    return create_application(load_application(APPLICATION), parameters())


def write_accounts(ledger: Any, accounts: int) -> None:
    """Open so many accounts, with money in each."""
    for number in range(accounts):
        name = account(number)
        ledger.owners[name] = OWNER
        ledger.balances[name] = BALANCE


def settle(machine: StateMachine) -> None:
    """Digest whatever has changed, as a checkpoint does."""
    for contents in machine.sections():
        contents.freeze().settle()


def filled_ledger(accounts: int) -> Any:
    """Return a ledger of so many accounts, its state digested."""
    ledger = empty_ledger()
    write_accounts(ledger, accounts)
    settle(ledger)
    return ledger


def state_bytes(machine: StateMachine) -> int:
    """Return the bytes of all keys and values of a state."""
    roots = [contents.freeze().root for contents in machine.sections()]
    return sum(root.size for root in roots if root is not None)


def write_some(table: Table[str, int], accounts: int, changed: int, turn: int) -> None:
    """Give exactly so many balances, spread at random, a value that transfers lead nobody to."""
    for number in random.Random(f"writes {accounts} {changed} {turn}").sample(range(accounts), changed):
        table[account(number)] = BALANCE + 10_000 * turn + changed


def transfers(accounts: int, seed: str) -> Iterator[tuple[str, str, int]]:
    """Yield source, target and amount of payments between accounts drawn at random, without end."""
    chance = random.Random(f"transfers {accounts} {seed}")
    while True:
        source, target = chance.sample(range(accounts), 2)
        yield account(source), account(target), 1


def run_transfers(machine: StateMachine, accounts: int, count: int, turn: int) -> None:
    """Execute so many transfers, as a replica does once they are agreed on."""
    for number, words in enumerate(itertools.islice(transfers(accounts, f"turn {turn}"), count)):
        context = Context(time_ms=1, client=OWNER, sequence=number + 1, seed=bytes(32))
        result = machine.execute(encode_operation("transfer", words), context)
        assert result.outcome is Outcome.OK, result


def depth_of(node: Node | None) -> int:
    """Return how many steps it is from a root to the deepest node below it."""
    if not isinstance(node, Inner):
        return 0
    return 1 + max(depth_of(child) for child in node.children)


def new_nodes(node: Node | None, before: Node | None) -> int:
    """Return how many nodes from here down are not those that stood there before: each of them was digested."""
    if node is None or node is before:
        return 0
    if not isinstance(node, Inner):
        return 1
    old = before.children if isinstance(before, Inner) else (None,) * len(node.children)
    return 1 + sum(map(new_nodes, node.children, old))
