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
    "kv": (
        Call("alice stores a setting", "alice", "put", ("config/colour", "red"), 1),
        Call("bob reads it, with its version", "bob", "get", ("config/colour",), {"value": "red", "version": 1}),
        Call("bob changes it, if nobody has since", "bob", "compare_and_set", ("config/colour", 1, "blue"), returns=2),
        Call(
            "alice still thinks of the first version",
            "alice",
            "compare_and_set",
            ("config/colour", 1, "green"),
            rejected="has version 2 and not 1",
        ),
        Call("alice stores two more", "alice", "put", ("config/size", "9"), 3),
        Call("with another prefix", "alice", "put", ("users/alice", "admin"), 4),
        Call(
            "bob lists a prefix, one item a page",
            "bob",
            "scan",
            ("config/", "", 1),
            {
                "items": ({"key": "config/colour", "value": "blue", "version": 2},),
                "after": "config/colour",
                "changes": 4,
            },
        ),
        KillBackup("a backup is killed, without a warning"),
        Call(
            "bob asks for the next page all the same",
            "bob",
            "scan",
            ("config/", "config/colour", 1),
            {"items": ({"key": "config/size", "value": "9", "version": 3},), "after": None, "changes": 4},
        ),
        Call("alice removes a key", "alice", "delete", ("config/colour",), 2),
        Call("and writes it again: the version is none that it ever had", "alice", "put", ("config/colour", "red"), 6),
        Prove(Call("bob counts the keys, with a receipt", "bob", "count", (), 3)),
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
        Call("bob opens a second account", "bob", "open", ("savings",), 0),
        Call(
            "alice pays into both at once",
            "alice",
            "transfer_all",
            ((("alice", "bob", 5), ("alice", "savings", 15)), "in two legs"),
            {"alice": 30},
        ),
        Call(
            "of two legs the second is beyond her means, so neither is made",
            "alice",
            "transfer_all",
            ((("alice", "bob", 20), ("alice", "savings", 20)),),
            rejected='leg 2: the account "alice" holds 10',
        ),
        KillBackup("a backup is killed, without a warning"),
        Prove(Call("bob pays alice 20, with a receipt", "bob", "transfer", ("bob", "alice", 20), 35)),
        Call(
            "alice looks at all accounts",
            "alice",
            "accounts",
            (),
            (
                {"account": "alice", "owner": "alice", "balance": 50},
                {"account": "bob", "owner": "bob", "balance": 35},
                {"account": "savings", "owner": "bob", "balance": 15},
            ),
        ),
        Call("no money was lost or made", "bob", "supply", (), 100),
    ),
}

SUGGESTED: Final[dict[str, tuple[str, ...]]] = {
    "Counter": ("call add 5", "call add -2 --explain", "call value --key bob"),
    "KV": (
        "call put config/colour red",
        "call scan config/ --explain",
        "call compare_and_set config/colour 1 blue --key bob",
    ),
    "Ledger": (
        "call mint alice 100",
        "call transfer alice bob 30 --explain",
        "call balance bob --key bob",
    ),
}
"""Commands that work in a new group, by the name of its application."""
