"""A ledger: accounts that belong to clients, an issuer who mints, transfers that conserve money."""

import re

from pbft import Context, Rejected, StateMachine, Table, operation, query

MAX_SUPPLY = 2**64 - 1
MEMO_CHARACTERS = 140
STATEMENT_ENTRIES = 10
ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Entry = tuple[int, str, str, int, str]
"""Agreed time in ms, "in" or "out", the other account (empty when minted), amount, memo."""


class Ledger(StateMachine):
    """Each client named at the start has an account of that name; more are opened by whoever wants one."""

    issuer: str | None
    minted: int = 0
    owners: Table[str, str]
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

    @operation
    def open(self, account: str, context: Context) -> int:
        """Open an account that belongs to you, and return its balance."""
        if not ACCOUNT_NAME.fullmatch(account):
            raise Rejected(
                "an account's name has 1 to 64 of a-z, A-Z, 0-9, dot, dash, underscore; a letter or digit first"
            )
        owner = self.owners.setdefault(account, context.client)
        if owner != context.client:
            raise Rejected(f'the account "{account}" belongs to {owner} already')
        return self.balances.setdefault(account, 0)

    @operation
    def mint(self, account: str, amount: int, context: Context, memo: str = "") -> int:
        """Create money in an account, as the issuer, and return the account's balance."""
        if self.issuer is None:
            raise Rejected("this ledger has no issuer, so nobody can mint")
        if context.client != self.issuer:
            raise Rejected(f"only the issuer, {self.issuer}, can mint")
        _check_amount(amount, memo)
        self._check_known(account)
        if amount > MAX_SUPPLY - self.minted:
            raise Rejected(f"the supply would pass {MAX_SUPPLY}; at most {MAX_SUPPLY - self.minted} can be minted")
        self.minted += amount
        self.balances[account] += amount
        self._note(account, (context.time_ms, "in", "", amount, memo))
        return self.balances[account]

    @operation
    def transfer(self, source: str, target: str, amount: int, context: Context, memo: str = "") -> int:
        """Move money from an account of yours to any other, and return what is left."""
        _check_amount(amount, memo)
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
    def statement(self, account: str) -> list[dict[str, int | str]]:
        """Return an account's latest entries, the newest last."""
        self._check_known(account)
        count = self.counts.get(account, 0)
        kept = range(max(0, count - STATEMENT_ENTRIES), count)
        names = ("time_ms", "direction", "other", "amount", "memo")
        return [dict(zip(names, self.entries[_entry_key(account, number)], strict=True)) for number in kept]

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

    def _note(self, account: str, entry: Entry) -> None:
        number = self.counts.get(account, 0)
        self.counts[account] = number + 1
        self.entries[_entry_key(account, number)] = entry


def _entry_key(account: str, number: int) -> str:
    # One small item an entry, each overwritten in its turn: writing one costs the same however many are kept.
    return f"{account}:{number % STATEMENT_ENTRIES}"


def _check_amount(amount: int, memo: str) -> None:
    if amount < 1:
        raise Rejected(f"an amount is at least 1, not {amount}")
    if len(memo) > MEMO_CHARACTERS:
        raise Rejected(f"a memo has at most {MEMO_CHARACTERS} characters, not {len(memo)}")
