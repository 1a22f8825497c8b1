"""The application that the console's tests run: one operation of every shape, and a memo that gives back anything."""

from typing import Literal

from pbft.machine import Rejected, StateMachine, operation, query


class Board(StateMachine):
    memo: str = ""

    @operation
    def pin(self, account: str, amount: int, memo: str = "") -> int:
        """Pin a memo.

        It stays until the next one comes.
        """
        if amount < 0:
            raise Rejected(f"nobody owes you {memo}")
        self.memo = memo
        return amount

    @operation
    def paint(self, color: Literal["red", "rose", "blue"], twice: bool = False) -> str:
        """Paint the board."""
        return color * (2 if twice else 1)

    @operation
    def store(self, data: bytes, numbers: list[int], name: str | None = None) -> bytes:
        return data

    @operation
    def crash(self, by: int) -> int:
        """Break, as a careless author's code would."""
        return 1 // by

    @query
    def read(self) -> str:
        """Return the memo."""
        return self.memo

    @query
    def amount(self, account: str) -> dict[str, int]:
        """Return what an account is owed."""
        return {account: 1}
