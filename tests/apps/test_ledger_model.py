"""The ledger against a plain model: money is conserved, and statements tell how it went, whatever clients try."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pbft_apps.ledger import KEPT_ENTRIES, MAX_SUPPLY, Ledger
from tests.apps.bank import Bank

people = st.sampled_from(["alice", "bob", "carol"])
accounts = st.sampled_from(["alice", "bob", "savings", "carol", "nowhere", "bad name"])
amounts = st.sampled_from([-1, 0, 1, MAX_SUPPLY, MAX_SUPPLY - 1, 2**63]) | st.integers(1, 50)


class AgainstModel(RuleBasedStateMachine):
    """Random clients at a ledger and at a model of it: answers, balances and conservation of money."""

    def __init__(self) -> None:
        super().__init__()
        self.bank = Bank(Ledger.create({"issuer": "alice", "clients": ("alice", "bob")}))
        self.owners = {"alice": "alice", "bob": "bob"}
        self.balances = {"alice": 0, "bob": 0}
        self.moved: dict[str, list[tuple[str, str, int]]] = {}

    def attempt(self, allowed: bool, client: str, name: str, *args: Any) -> Any:
        """Call, and check that it succeeds exactly when the model allows it, else that nothing changed."""
        if allowed:
            return self.bank.does(client, name, *args)
        return self.bank.refuses(client, name, *args)

    @rule(client=people, account=accounts)
    def open(self, client: str, account: str) -> None:
        allowed = account != "bad name" and self.owners.get(account, client) == client
        self.attempt(allowed, client, "open", account)
        if allowed:
            self.owners.setdefault(account, client)
            self.balances.setdefault(account, 0)

    @rule(client=people, account=accounts, amount=amounts)
    def mint(self, client: str, account: str, amount: int) -> None:
        supply = sum(self.balances.values())
        allowed = client == "alice" and account in self.owners and amount > 0 and supply + amount < 2**64
        told = self.attempt(allowed, client, "mint", account, amount)
        if allowed:
            self.balances[account] += amount
            self.moved.setdefault(account, []).append(("in", "", amount))
            assert told == self.balances[account]

    @rule(client=people, giver=accounts, taker=accounts, amount=amounts)
    def transfer(self, client: str, giver: str, taker: str, amount: int) -> None:
        allowed = self.move(client, giver, taker, amount)
        told = self.attempt(allowed, client, "transfer", giver, taker, amount)
        if allowed:
            assert told == self.balances[giver]

    @rule(client=people, legs=st.lists(st.tuples(accounts, accounts, amounts), max_size=4))
    def transfer_all(self, client: str, legs: list[tuple[str, str, int]]) -> None:
        """The very same transfers one by one, or none of them."""
        balances, moved = dict(self.balances), {name: [*entries] for name, entries in self.moved.items()}
        allowed = bool(legs) and all(self.move(client, *leg) for leg in legs)
        if not allowed:
            self.balances, self.moved = balances, moved
        told = self.attempt(allowed, client, "transfer_all", legs)
        if allowed:
            assert told == {giver: self.balances[giver] for giver, _, _ in legs}

    def move(self, client: str, giver: str, taker: str, amount: int) -> bool:
        """Make one transfer in the model, and say whether it may be."""
        if (
            self.owners.get(giver) != client
            or taker not in self.owners
            or giver == taker
            or not 0 < amount <= self.balances[giver]
        ):
            return False
        self.balances[giver] -= amount
        self.balances[taker] += amount
        self.moved.setdefault(giver, []).append(("out", taker, amount))
        self.moved.setdefault(taker, []).append(("in", giver, amount))
        return True

    @invariant()
    def money_is_conserved(self) -> None:
        held = {account: self.bank.does("bob", "balance", account) for account in self.owners}
        assert held == self.balances
        assert min(held.values()) >= 0
        assert sum(held.values()) == self.bank.does("bob", "supply")
        listed = self.bank.does("bob", "accounts")
        assert {each["account"]: each["owner"] for each in listed} == self.owners
        assert {each["account"]: each["balance"] for each in listed} == held
        assert [each["account"] for each in listed] == sorted(self.owners)

    @invariant()
    def statements_tell_what_happened(self) -> None:
        for account in self.owners:
            told = self.bank.does("bob", "statement", account, None, 100)
            moved = self.moved.get(account, [])
            assert [(each["direction"], each["other"], each["amount"]) for each in told] == moved[-KEPT_ENTRIES:]
            assert [each["number"] for each in told] == list(range(1, len(moved) + 1))[-KEPT_ENTRIES:]


TestAgainstModel = AgainstModel.TestCase
