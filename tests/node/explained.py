"""Findings made by hand, as a replica's core gives them to its node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from pbft.core.findings import Did, DifferingKey, DivergenceExplained, Excerpt, Ordered, Recollected, Written
from pbft.encoding import encode_plain
from pbft.machine import Outcome, encode_operation
from pbft.table import ENTRY_BYTES


def excerpt(value: Any) -> Excerpt:
    """Return a value as it is told."""
    return Excerpt.of(encode_plain(value))


def wrote(amount: int) -> Did:
    """Return what an operation came to that wrote one amount."""
    return Did(Outcome.OK, excerpt(amount), (Written(1, excerpt("crooked"), excerpt(amount)),), 1)


FOUND: Final = DivergenceExplained(
    sequence=8,
    own=bytes([1]) * 32,
    proven=bytes([2]) * 32,
    equal_upto=4,
    compared_from=5,
    differs_at=6,
    operation=1,
    unknown="",
    ordered=Ordered("alice", 17, Excerpt.of(encode_operation("deposit", ["crooked", 5]))),
    did=wrote(6),
    others_did=(Recollected((0, 1, 3), wrote(5)),),
    sections=("", "balances"),
    keys=(
        DifferingKey("client table", Excerpt.of(b"s" + bytes(48)), Excerpt.of(b"\x01"), Excerpt.of(b"\x02")),
        DifferingKey("", Excerpt.of(b"total"), excerpt(16), excerpt(15)),
        DifferingKey("balances", excerpt("crooked"), excerpt(6), excerpt(5)),
    ),
    total_keys=3,
    rejoined_at=8,
)

SPLIT: Final = replace(
    FOUND,
    proven=None,
    others_did=(Recollected((0,), wrote(4)), Recollected((1, 3), wrote(5))),
    keys=(),
    total_keys=None,
    rejoined_at=None,
)

OUTSIDE: Final = replace(
    FOUND,
    differs_at=None,
    operation=None,
    unknown="all operations that could be compared did the same: the state was changed outside of them",
    ordered=None,
    did=None,
    others_did=(),
)

HOSTILE: Final = replace(
    FOUND,
    ordered=Ordered(
        "alice", 1, Excerpt.of(encode_operation("wipe\x1b[2J", ["\x1b]0;pwned\x07", {"\u202e": "x" * 500}]))
    ),
    did=Did(99, Excerpt.of(b"\xff\xff"), (Written(77, Excerpt.of(bytes(5_000)), None),), 2**40),
    keys=(
        DifferingKey("", Excerpt.of(b"\xff\x1b[31m"), Excerpt.of(b"\x1b[31m"), None),
        DifferingKey("balances", Excerpt.of(bytes(5_000)), Excerpt.of(bytes(ENTRY_BYTES)), excerpt("\x9b31m\r\n")),
    ),
)
"""What a stranger's operation may bring: things that steer terminals, and what is too long or cannot be decoded."""
