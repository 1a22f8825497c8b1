"""The ledger that comes with pbft: who may do what, and that money is neither made nor lost on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pbft.machine import Context, Outcome, Result, describe, encode_operation
from pbft_apps.ledger import MAX_SUPPLY, MEMO_CHARACTERS, STATEMENT_ENTRIES, Ledger


@dataclass
class Bank:
    """A ledger with a clock that goes on by a second a call."""

    ledger: Ledger
    now_ms: int = 0

    def call(self, client: str, name: str, *args: Any, **kwargs: Any) -> Result:
        self.now_ms += 1_000
        context = Context(time_ms=self.now_ms, client=client, sequence=self.now_ms // 1_000, seed=bytes(32))
        return self.ledger.execute(encode_operation(name, args, kwargs), context)

    def does(self, client: str, name: str, *args: Any, **kwargs: Any) -> Any:
        result = self.call(client, name, *args, **kwargs)
        assert result.outcome is Outcome.OK, result.value
        return result.value

    def refuses(self, client: str, name: str, *args: Any, **kwargs: Any) -> str:
        before = self.ledger.digest()
        result = self.call(client, name, *args, **kwargs)
        assert result.outcome is Outcome.REJECTED, result
        assert self.ledger.digest() == before
        assert type(result.value) is str
        return result.value


@pytest.fixture
def bank() -> Bank:
    """Alice issues, and holds 100; bob has an account from the start."""
    bank = Bank(Ledger.create({"issuer": "alice", "clients": ("alice", "bob")}))
    bank.does("alice", "mint", "alice", 100)
    return bank


def test_an_issuer_nobody_knows_is_refused_at_once() -> None:
    """A slip of the pen would make a ledger in which nobody can ever mint."""
    with pytest.raises(ValueError, match="the issuer nobody is no client of the group; name one of alice, bob"):
        Ledger(issuer="nobody", clients=("alice", "bob"))


def test_the_readmes_story(bank: Bank) -> None:
    """Mint, transfer, look: no ceremony for the group's clients."""
    assert bank.does("alice", "transfer", "alice", "bob", 30, "rent") == 70
    assert bank.does("bob", "balance", "bob") == 30
    assert bank.does("bob", "balance", "alice") == 70
    assert bank.does("bob", "supply") == 100
    assert bank.does("bob", "statement", "bob") == (
        {"time_ms": 2_000, "direction": "in", "other": "alice", "amount": 30, "memo": "rent"},
    )
    assert [entry["direction"] for entry in bank.does("bob", "statement", "alice")] == ["in", "out"]


def test_an_account_belongs_to_who_opened_it(bank: Bank) -> None:
    """Opening again is harmless for its owner, and refused to others."""
    assert bank.does("bob", "open", "savings") == 0
    assert bank.does("alice", "owner", "savings") == "bob"
    bank.does("alice", "transfer", "alice", "savings", 5)
    assert bank.does("bob", "open", "savings") == 5
    assert bank.does("bob", "transfer", "savings", "bob", 2) == 3

    assert bank.refuses("alice", "open", "savings") == 'the account "savings" belongs to bob already'
    assert bank.refuses("alice", "open", "bob") == 'the account "bob" belongs to bob already'
    assert bank.refuses("alice", "transfer", "savings", "alice", 1) == (
        'the account "savings" belongs to bob, not to alice'
    )


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("alice", "bob", 101), 'the account "alice" holds 100, which is less than 101'),
        (("alice", "bob", MAX_SUPPLY), 'the account "alice" holds 100, which is less than 18446744073709551615'),
        (("alice", "alice", 1), "source and target are the same account"),
        (("alice", "bob", 0), "an amount is at least 1, not 0"),
        (("alice", "bob", -5), "an amount is at least 1, not -5"),
        (("alice", "carol", 5), 'there is no account "carol"; whoever wants it opens it with: open carol'),
        (("carol", "bob", 5), 'there is no account "carol"; whoever wants it opens it with: open carol'),
        (("alice", "\x1b[2J", 5), "there is no such account"),
        (("alice", "x" * 50_000, 5), "there is no such account"),
        (("bob", "alice", 5), 'the account "bob" belongs to bob, not to alice'),
        (("alice", "bob", 5, "m" * (MEMO_CHARACTERS + 1)), "a memo has at most 140 characters, not 141"),
    ],
)
def test_a_transfer_that_may_not_be_is_rejected_with_clear_words(
    bank: Bank, args: tuple[Any, ...], sentence: str
) -> None:
    """And changes nothing."""
    assert bank.refuses("alice", "transfer", *args) == sentence


def test_only_the_issuer_mints(bank: Bank) -> None:
    """Into any account, a positive amount, up to a supply of 64 bits."""
    assert bank.does("alice", "mint", "bob", 5, "gift") == 5
    assert bank.refuses("bob", "mint", "bob", 5) == "only the issuer, alice, can mint"
    assert bank.refuses("alice", "mint", "carol", 5).startswith('there is no account "carol"')
    assert bank.refuses("alice", "mint", "alice", 0) == "an amount is at least 1, not 0"
    assert bank.refuses("alice", "mint", "alice", 5, "m" * 141).startswith("a memo has at most 140 characters")
    assert bank.refuses("alice", "mint", "bob", MAX_SUPPLY - 104) == (
        "the supply would pass 18446744073709551615; at most 18446744073709551510 can be minted"
    )
    assert bank.does("alice", "mint", "bob", MAX_SUPPLY - 105) == MAX_SUPPLY - 100
    assert bank.does("alice", "transfer", "alice", "bob", 100) == 0
    assert bank.does("bob", "balance", "bob") == bank.does("bob", "supply") == MAX_SUPPLY


def test_without_an_issuer_nobody_mints() -> None:
    """The default: no money at all."""
    bank = Bank(Ledger.create({}))
    bank.does("alice", "open", "alice")
    assert bank.refuses("alice", "mint", "alice", 1) == "this ledger has no issuer, so nobody can mint"


@pytest.mark.parametrize("name", ["", " ", "-x", ".x", "a b", "é", "a\n", "a:1", "x" * 65])
def test_a_name_that_is_hard_to_read_is_no_account(bank: Bank, name: str) -> None:
    """Names are shown to people and typed by them."""
    assert bank.refuses("alice", "open", name).startswith("an account's name has 1 to 64 of a-z, A-Z, 0-9")


def test_questions_about_unknown_accounts_are_rejected(bank: Bank) -> None:
    """For every query that takes an account."""
    for name in ("balance", "owner", "statement"):
        assert bank.refuses("alice", name, "carol").startswith('there is no account "carol"')


def test_a_statement_keeps_the_latest_entries(bank: Bank) -> None:
    """The newest last, and no more than it says."""
    for number in range(STATEMENT_ENTRIES + 3):
        bank.does("alice", "transfer", "alice", "bob", 1, f"payment {number}")
    memos = [entry["memo"] for entry in bank.does("bob", "statement", "bob")]
    assert memos == [f"payment {number}" for number in range(3, STATEMENT_ENTRIES + 3)]


def test_every_operation_has_a_line_of_help() -> None:
    """`pbft call` shows them."""
    assert all(spec.summary.endswith(".") for spec in describe(Ledger))
    assert [spec.usage for spec in describe(Ledger)][:3] == [
        "open ACCOUNT",
        "mint ACCOUNT AMOUNT [MEMO]",
        "transfer SOURCE TARGET AMOUNT [MEMO]",
    ]


@given(st.permutations(["alice", "bob", "carol"]))
def test_the_order_of_first_clients_is_no_difference(clients: list[str]) -> None:
    """The state is a function of the set."""
    first = Ledger.create({"clients": ("alice", "bob", "carol")})
    assert Ledger.create({"clients": clients}).digest() == first.digest()


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
            assert told == self.balances[account]

    @rule(client=people, giver=accounts, taker=accounts, amount=amounts)
    def transfer(self, client: str, giver: str, taker: str, amount: int) -> None:
        allowed = (
            self.owners.get(giver) == client
            and taker in self.owners
            and giver != taker
            and 0 < amount <= self.balances[giver]
        )
        told = self.attempt(allowed, client, "transfer", giver, taker, amount)
        if allowed:
            self.balances[giver] -= amount
            self.balances[taker] += amount
            assert told == self.balances[giver]

    @invariant()
    def money_is_conserved(self) -> None:
        held = {account: self.bank.does("bob", "balance", account) for account in self.owners}
        assert held == self.balances
        assert min(held.values()) >= 0
        assert sum(held.values()) == self.bank.does("bob", "supply")
        assert {account: self.bank.does("bob", "owner", account) for account in self.owners} == self.owners


TestAgainstModel = AgainstModel.TestCase
