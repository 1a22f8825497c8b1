"""A ledger: accounts that belong to clients, an issuer who mints, transfers that conserve money."""

import re

from pbft import Context, Rejected, StateMachine, Table, operation, query

MAX_SUPPLY = 2**64 - 1
MEMO_CHARACTERS = 140
ACCOUNTS_PER_CLIENT = 1_000
LEGS = 32
KEPT_ENTRIES = 100
STATEMENT_ENTRIES = 10
PAGE_ENTRIES = 100
PAGE_ACCOUNTS = 500
ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Entry = tuple[int, str, str, int, str]
"""Agreed time in ms, "in" or "out", the other account (empty when minted), amount, memo."""


class Ledger(StateMachine):
    """Accounts of whole numbers: the smallest unit there is, such as cents.

    Each client named at the start has an account of that name; more are opened by whoever wants one. Everybody may
    look at all of them. An issuer, if there is one, creates money; nobody else makes any, and none is ever lost.
    """

    issuer: str | None
    minted: int = 0
    owners: Table[str, str]
    opened: Table[str, int]
    balances: Table[str, int]
    counts: Table[str, int]
    entries: Table[str, Entry]

    def __init__(self, issuer: str | None = None, clients: tuple[str, ...] = ()) -> None:
        """Name the client who may mint (nobody by default) and those who have an account from the start."""
        if issuer is not None and clients and issuer not in clients:
            raise ValueError(f"the issuer {issuer} is no client of the group; name one of {', '.join(clients)}")
        self.issuer = issuer
        for client in clients:
            self.owners[client] = client
            self.balances[client] = 0

    @classmethod
    def check_values(cls) -> dict[str, tuple[object, ...]]:
        """Name arguments for `pbft check` to try: those it thinks of itself seldom make legs that can be paid."""
        accounts = ("alice", "bob", "till")
        legs = (
            [("alice", "bob", 1)],
            [("alice", "till", 2), ("till", "bob", 1)],
            [("alice", "bob", 1), ("bob", "till", 1)],
        )
        return {"account": accounts, "source": accounts, "target": accounts, "amount": (1, 5, 100), "legs": legs}

    @operation
    def open(self, account: str, context: Context) -> int:
        """Open an account that belongs to you, and return its balance.

        ACCOUNT has 1 to 64 letters, digits, dots, dashes or underscores, a letter or digit first. Opening one of
        yours again changes nothing. A client opens at most 1,000.
        """
        if not ACCOUNT_NAME.fullmatch(account):
            raise Rejected(
                "an account's name has 1 to 64 of a-z, A-Z, 0-9, dot, dash, underscore; a letter or digit first"
            )
        owner = self.owners.get(account)
        if owner is None:
            # Without a bound one client could fill the memory of every replica.
            opened = self.opened.get(context.client, 0)
            if opened >= ACCOUNTS_PER_CLIENT:
                raise Rejected(f"you have opened {opened} accounts already, and nobody may open more")
            self.opened[context.client] = opened + 1
            self.owners[account] = context.client
            self.balances[account] = 0
        elif owner != context.client:
            raise Rejected(f'the account "{account}" belongs to {owner} already')
        return self.balances[account]

    @operation
    def mint(self, account: str, amount: int, context: Context, memo: str = "") -> int:
        """Create money in an account, as the issuer, and return the account's balance.

        AMOUNT is at least 1; all money together stays below 2**64. MEMO goes into the account's statement.
        """
        if self.issuer is None:
            raise Rejected("this ledger has no issuer, so nobody can mint")
        if context.client != self.issuer:
            raise Rejected(f"only the issuer, {self.issuer}, can mint")
        _check_memo(memo)
        _check_amount(amount)
        self._check_known(account)
        if amount > MAX_SUPPLY - self.minted:
            raise Rejected(f"the supply would pass {MAX_SUPPLY}; at most {MAX_SUPPLY - self.minted} can be minted")
        self.minted += amount
        self.balances[account] += amount
        self._note(account, (context.time_ms, "in", "", amount, memo))
        return self.balances[account]

    @operation
    def transfer(self, source: str, target: str, amount: int, context: Context, memo: str = "") -> int:
        """Move money from an account of yours to any other, and return what is left.

        AMOUNT is at least 1 and at most what SOURCE holds. MEMO, of at most 140 characters, goes into both statements.
        """
        _check_memo(memo)
        return self._move(source, target, amount, memo, context)

    @operation
    def transfer_all(self, legs: list[tuple[str, str, int]], context: Context, memo: str = "") -> dict[str, int]:
        """Make several transfers, all of them or none, and return what is left in each source.

        LEGS are 1 to 32 of [SOURCE, TARGET, AMOUNT], in JSON and, on a command line, in quotes:

            transfer_all '[["alice", "bob", 30], ["alice", "carol", 12]]' "rent, and dinner"

        They are made in this order, each like a transfer of its own: every source is yours, and holds the amount when
        its turn comes. Money that an earlier leg brought is there for a later one; nothing is set off, so that no
        statement ever tells of money that nobody had. The first leg that cannot be made is named, and then nothing
        was changed.
        """
        if not 1 <= len(legs) <= LEGS:
            raise Rejected(f"name 1 to {LEGS} legs, not {len(legs)}")
        _check_memo(memo)
        for number, (source, target, amount) in enumerate(legs, 1):
            try:
                self._move(source, target, amount, memo, context)
            except Rejected as error:
                # Raised again, it undoes the legs before: an operation returns or changes nothing.
                raise Rejected(f"leg {number}: {error}") from None
        return {source: self.balances[source] for source, _, _ in legs}

    @query
    def balance(self, account: str) -> int:
        """Return what an account holds."""
        self._check_known(account)
        return self.balances[account]

    @query
    def owner(self, account: str) -> str:
        """Return the client whom an account belongs to."""
        self._check_known(account)
        return self.owners[account]

    @query
    def accounts(self, prefix: str = "", after: str = "", limit: int = 100) -> list[dict[str, str | int]]:
        """Return accounts by name, with owner and balance: a page of them.

        PREFIX is what their names begin with, empty for all accounts. AFTER is the last account of the page before.
        LIMIT is the most of a page, at most 500: one that has fewer is the last.
        """
        _check_limit(limit, PAGE_ACCOUNTS)
        page = self.owners.scan(prefix, after=after, limit=limit)
        return [{"account": account, "owner": owner, "balance": self.balances[account]} for account, owner in page]

    @query
    def statement(
        self, account: str, before: int | None = None, limit: int = STATEMENT_ENTRIES
    ) -> list[dict[str, int | str]]:
        """Return an account's latest entries, the newest last: a page of them.

        Entries are numbered from 1. BEFORE is the number of the oldest entry of the page before, to see older ones;
        LIMIT the most of a page, at most 100. The ledger keeps the latest 100 of each account, since anybody may pay
        anybody and no client is to fill the replicas' memory: what must last is a receipt, which pbft call writes.
        """
        self._check_known(account)
        _check_limit(limit, PAGE_ENTRIES)
        last = self.counts.get(account, 0)
        oldest = max(1, last - KEPT_ENTRIES + 1)
        end = last + 1 if before is None else min(max(before, oldest), last + 1)
        names = ("number", "time_ms", "direction", "other", "amount", "memo")
        return [
            dict(zip(names, (number, *self.entries[_entry_key(account, number)]), strict=True))
            for number in range(max(oldest, end - limit), end)
        ]

    @query
    def supply(self) -> int:
        """Return all the money there is: what was minted."""
        return self.minted

    def _check_known(self, account: str) -> None:
        if account in self.owners:
            return
        if not ACCOUNT_NAME.fullmatch(account):
            raise Rejected("there is no such account")
        raise Rejected(f'there is no account "{account}"; whoever wants it opens it with: open {account}')

    def _move(self, source: str, target: str, amount: int, memo: str, context: Context) -> int:
        _check_amount(amount)
        self._check_known(source)
        self._check_known(target)
        if self.owners[source] != context.client:
            raise Rejected(f'the account "{source}" belongs to {self.owners[source]}, not to {context.client}')
        if source == target:
            raise Rejected("source and target are the same account")
        left = self.balances[source] - amount
        if left < 0:
            raise Rejected(f'the account "{source}" holds {self.balances[source]}, which is less than {amount}')
        self.balances[source] = left
        self.balances[target] += amount
        self._note(source, (context.time_ms, "out", target, amount, memo))
        self._note(target, (context.time_ms, "in", source, amount, memo))
        return left

    def _note(self, account: str, entry: Entry) -> None:
        number = self.counts.get(account, 0) + 1
        self.counts[account] = number
        self.entries[_entry_key(account, number)] = entry


def _entry_key(account: str, number: int) -> str:
    # One small item an entry, each overwritten in its turn: writing one costs the same however many are kept.
    return f"{account}:{number % KEPT_ENTRIES}"


def _check_amount(amount: int) -> None:
    if amount < 1:
        raise Rejected(f"an amount is at least 1, not {amount}")


def _check_memo(memo: str) -> None:
    if len(memo) > MEMO_CHARACTERS:
        raise Rejected(f"a memo has at most {MEMO_CHARACTERS} characters, not {len(memo)}")


def _check_limit(limit: int, most: int) -> None:
    if not 1 <= limit <= most:
        raise Rejected(f"a page has 1 to {most} items, not {limit}")
