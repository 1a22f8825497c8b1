"""The ledger that comes with pbft: who may do what, and that money is neither made nor lost on the way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.machine import Outcome, describe
from pbft_apps.ledger import (
    ACCOUNTS_PER_CLIENT,
    KEPT_ENTRIES,
    LEGS,
    MAX_SUPPLY,
    MEMO_CHARACTERS,
    PAGE_ACCOUNTS,
    PAGE_ENTRIES,
    STATEMENT_ENTRIES,
    Ledger,
)
from tests.apps.bank import Bank


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
        {"number": 1, "time_ms": 2_000, "direction": "in", "other": "alice", "amount": 30, "memo": "rent"},
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


def test_a_statement_is_read_by_pages(bank: Bank) -> None:
    """The newest last; the oldest number of one page leads to the page before, and payments meanwhile move nothing."""
    for number in range(1, 26):
        bank.does("alice", "transfer", "alice", "bob", 1, f"payment {number}")

    def numbers(*args: Any) -> list[int]:
        entries = bank.does("bob", "statement", "bob", *args)
        assert [entry["memo"] for entry in entries] == [f"payment {entry['number']}" for entry in entries]
        return [entry["number"] for entry in entries]

    assert numbers() == list(range(25 - STATEMENT_ENTRIES + 1, 26))
    assert numbers(16) == list(range(6, 16))
    bank.does("alice", "transfer", "alice", "bob", 1, "payment 26")
    assert numbers(16) == list(range(6, 16))
    assert numbers(6) == list(range(1, 6))
    assert numbers(1) == numbers(0) == numbers(-7) == []
    assert numbers(2**64 - 1, 2) == numbers(None, 2) == [25, 26]
    for limit in (0, PAGE_ENTRIES + 1):
        assert bank.refuses("bob", "statement", "bob", None, limit) == f"a page has 1 to 100 items, not {limit}"


def test_a_statement_forgets_what_is_old(bank: Bank) -> None:
    """However often an account is paid, it takes no more memory; numbers go on, and the balance is right."""
    bank.does("alice", "mint", "alice", 1_000)
    for number in range(1, KEPT_ENTRIES + 31):
        bank.does("alice", "transfer", "alice", "bob", 1, f"payment {number}")
    kept = bank.does("bob", "statement", "bob", None, PAGE_ENTRIES)
    assert [entry["number"] for entry in kept] == list(range(31, KEPT_ENTRIES + 31))
    assert [entry["memo"] for entry in kept] == [f"payment {entry['number']}" for entry in kept]
    assert bank.does("bob", "statement", "bob", 31) == bank.does("bob", "statement", "bob", 5) == ()
    assert bank.does("bob", "balance", "bob") == KEPT_ENTRIES + 30
    assert len(bank.ledger.entries) == 2 * KEPT_ENTRIES


def test_accounts_are_listed_by_pages(bank: Bank) -> None:
    """By name, with owner and balance, all of them or those with a prefix."""
    for name in ("shop.2", "shop.10", "Zoe", "shop"):
        bank.does("bob", "open", name)
    assert bank.does("bob", "accounts", "", "", 2) == (
        {"account": "Zoe", "owner": "bob", "balance": 0},
        {"account": "alice", "owner": "alice", "balance": 100},
    )

    def listed(*args: Any) -> list[str]:
        return [each["account"] for each in bank.does("alice", "accounts", *args)]

    assert listed("", "alice", 2) == ["bob", "shop"]
    assert listed("", "shop") == ["shop.10", "shop.2"]
    assert listed("shop.") == ["shop.10", "shop.2"]
    assert listed("shop", "shop", 1) == ["shop.10"]
    assert listed("x") == listed("", "x") == []
    for limit in (0, PAGE_ACCOUNTS + 1):
        assert bank.refuses("bob", "accounts", "", "", limit) == f"a page has 1 to 500 items, not {limit}"


def test_one_client_cannot_open_accounts_without_end(bank: Bank) -> None:
    """Replicas keep all of them in memory; those that others opened do not count, nor do refusals."""
    for number in range(ACCOUNTS_PER_CLIENT):
        bank.does("bob", "open", f"b{number}")
    assert bank.refuses("bob", "open", "one-more") == (
        "you have opened 1000 accounts already, and nobody may open more"
    )
    assert bank.does("bob", "open", "b7") == 0
    assert bank.does("alice", "open", "a1") == 0


def test_the_largest_pages_fit_into_an_answer() -> None:
    """Of an ordinary group, whatever names and memos are in them."""
    bank = Bank(Ledger.create({"issuer": "i" * 64, "clients": ("i" * 64,)}))
    ledger = bank.ledger
    for number in range(PAGE_ACCOUNTS):
        ledger.owners[f"{number:064}"] = "o" * 64
        ledger.balances[f"{number:064}"] = MAX_SUPPLY
    ledger.balances["0" * 64] = 0
    for _ in range(PAGE_ENTRIES):
        bank.does("i" * 64, "mint", "0" * 64, 2**32, "\U0001f600" * MEMO_CHARACTERS)
    for words in (("accounts", "", "", PAGE_ACCOUNTS), ("statement", "0" * 64, None, PAGE_ENTRIES)):
        assert len(bank.call("alice", *words).payload) < 128 * 1024


def test_a_transfer_in_legs(bank: Bank) -> None:
    """One after the other, all under one memo; what is left in each source comes back."""
    bank.does("alice", "open", "till")
    legs = [("alice", "till", 60), ("till", "bob", 25), ("till", "alice", 5), ("alice", "bob", 1)]
    assert bank.does("alice", "transfer_all", legs, "wages") == {"alice": 44, "till": 30}
    assert bank.does("alice", "accounts") == (
        {"account": "alice", "owner": "alice", "balance": 44},
        {"account": "bob", "owner": "bob", "balance": 26},
        {"account": "till", "owner": "alice", "balance": 30},
    )
    entries = bank.does("alice", "statement", "till")
    assert [(each["direction"], each["other"], each["amount"], each["memo"]) for each in entries] == [
        ("in", "alice", 60, "wages"),
        ("out", "bob", 25, "wages"),
        ("out", "alice", 5, "wages"),
    ]


@pytest.mark.parametrize(
    ("legs", "sentence"),
    [
        ([], "name 1 to 32 legs, not 0"),
        ([("alice", "bob", 1)] * (LEGS + 1), "name 1 to 32 legs, not 33"),
        ([("alice", "bob", 60), ("alice", "till", 41)], 'leg 2: the account "alice" holds 40, which is less than 41'),
        ([("alice", "bob", 1), ("bob", "till", 1)], 'leg 2: the account "bob" belongs to bob, not to alice'),
        ([("bob", "alice", 1), ("alice", "bob", 1)], 'leg 1: the account "bob" belongs to bob, not to alice'),
        ([("alice", "bob", 1), ("alice", "bob", 0)], "leg 2: an amount is at least 1, not 0"),
        ([("alice", "bob", 100), ("alice", "bob", -100)], "leg 2: an amount is at least 1, not -100"),
        ([("alice", "till", 1), ("till", "till", 1)], "leg 2: source and target are the same account"),
        (
            [("alice", "bob", 1), ("alice", "carol", 1)],
            'leg 2: there is no account "carol"; whoever wants it opens it with: open carol',
        ),
        ([("alice", "bob", 1), ("alice", "\x1b[2J", 1)], "leg 2: there is no such account"),
        (
            [("alice", "bob", 1), ("alice", "bob", MAX_SUPPLY)],
            'leg 2: the account "alice" holds 99, which is less than 18446744073709551615',
        ),
        # Money that nobody has does not go round in a circle either: nothing is set off.
        (
            [("alice", "till", 1_000), ("till", "alice", 1_000)],
            'leg 1: the account "alice" holds 100, which is less than 1000',
        ),
        # What a later leg brings is too late for an earlier one.
        ([("till", "bob", 5), ("alice", "till", 5)], 'leg 1: the account "till" holds 0, which is less than 5'),
    ],
)
def test_a_transfer_in_legs_is_made_wholly_or_not_at_all(
    bank: Bank, legs: list[tuple[str, str, int]], sentence: str
) -> None:
    """The first leg that cannot be made is named, and the ones before it are undone, statements included."""
    bank.does("alice", "open", "till")
    assert bank.refuses("alice", "transfer_all", legs) == sentence
    assert bank.refuses("alice", "transfer_all", [("alice", "bob", 1)], "m" * 141).startswith("a memo has at most 140")
    assert bank.does("alice", "transfer_all", [("alice", "bob", 1)] * LEGS) == {"alice": 100 - LEGS}


@pytest.mark.parametrize(
    "legs",
    [
        None,
        "alice",
        [["alice", "bob"]],
        [["alice", "bob", "1"]],
        [["alice", "bob", True]],
        [["alice", "bob", 1, 1]],
        [["alice", "bob", 1], None],
        {"alice": 1},
        [[b"alice", "bob", 1]],
    ],
)
def test_legs_of_another_shape_are_told_so(bank: Bank, legs: Any) -> None:
    """And none of them is made."""
    before = bank.ledger.digest()
    assert bank.call("alice", "transfer_all", legs).outcome is Outcome.INVALID
    assert bank.ledger.digest() == before


def test_every_operation_has_a_line_of_help() -> None:
    """`pbft apps` and help show them, and what an argument means where its name does not tell."""
    specs = {spec.name: spec for spec in describe(Ledger)}
    assert all(spec.summary.endswith(".") for spec in specs.values())
    for name, words in {"transfer_all": ("LEGS",), "statement": ("BEFORE", "LIMIT"), "accounts": ("AFTER",)}.items():
        assert all(word in specs[name].docstring for word in words)
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
