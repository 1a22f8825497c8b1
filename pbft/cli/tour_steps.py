"""What the tour does with each application: data, and no more.

Owns: one script for each application that is shipped, and the commands that a banner suggests for it. Values stand
here as the group must answer them: a tour that sees another one fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pbft.encoding import Plain


@dataclass(frozen=True)
class Call:
    """One operation, by one client."""

    tells: str
    client: str
    operation: str
    args: tuple[Plain, ...]
    returns: Plain = None
    """The value that must come back, unless it must be rejected."""
    rejected: str = ""
    """Words that the rejection must hold; empty where the operation must succeed."""


@dataclass(frozen=True)
class Together:
    """Two operations at the same time, by two programs that use one client's key."""

    tells: str
    client: str
    operation: str
    args: tuple[tuple[Plain, ...], tuple[Plain, ...]]
    returns: tuple[tuple[Plain, Plain], ...]
    """Which pairs of values may come back: either order is right, and nothing else."""


@dataclass(frozen=True)
class KillBackup:
    """SIGKILL for a replica that is not the primary."""

    tells: str


@dataclass(frozen=True)
class Prove:
    """An operation whose receipt is written to a file, read again and verified without the group."""

    call: Call


Step = Call | Together | KillBackup | Prove

SCRIPTS: Final[dict[str, tuple[Step, ...]]] = {
    "counter": (
        Call("alice adds 5", "alice", "add", (5,), 5),
        Call("bob takes 2 away", "bob", "add", (-2,), 3),
        Together(
            "two programs add 10 and 100 under alice's key at once",
            "alice",
            "add",
            ((10,), (100,)),
            ((13, 113), (113, 103)),
        ),
        KillBackup("a backup is killed, without a warning"),
        Call("alice adds 1 all the same", "alice", "add", (1,), 114),
        Prove(Call("bob asks for the total, with a receipt", "bob", "value", (), 114)),
    ),
    "ledger": (
        Call("alice, the issuer, mints 100 for herself", "alice", "mint", ("alice", 100), 100),
        Call("alice pays bob 30", "alice", "transfer", ("alice", "bob", 30, "for the tour"), 70),
        Call(
            "bob pays 1000 that he does not have",
            "bob",
            "transfer",
            ("bob", "alice", 1000),
            rejected="which is less than 1000",
        ),
        Call(
            "bob helps himself to alice's account",
            "bob",
            "transfer",
            ("alice", "bob", 70),
            rejected="belongs to alice",
        ),
        Together(
            "two programs pay 10 each under alice's key at once",
            "alice",
            "transfer",
            (("alice", "bob", 10), ("alice", "bob", 10)),
            ((60, 50), (50, 60)),
        ),
        KillBackup("a backup is killed, without a warning"),
        Prove(Call("bob pays alice 20, with a receipt", "bob", "transfer", ("bob", "alice", 20), 30)),
        Call("alice looks at her account", "alice", "balance", ("alice",), 70),
        Call("no money was lost or made", "bob", "supply", (), 100),
    ),
}

SUGGESTED: Final[dict[str, tuple[str, ...]]] = {
    "Counter": ("call add 5", "call add -2 --explain", "call value --key bob"),
    "Ledger": (
        "call mint alice 100",
        "call transfer alice bob 30 --explain",
        "call balance bob --key bob",
    ),
}
"""Commands that work in a new group, by the name of its application."""
