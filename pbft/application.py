"""What an application is to those who run it: operations in, results out, and a state that can be written down.

Owns: the protocol that every application keeps, and what an operation can come to. Knows no way to write one:
`pbft.machine` has the usual one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from pbft.encoding import Plain, decode_plain, encode_plain
from pbft.operations import Context

FAILED_INSIDE: Final = "the operation failed inside the application; nothing was changed"


class Outcome(IntEnum):
    """How an operation ended. Only OK may have changed the state."""

    OK = 0
    REJECTED = 1
    """The application said no, in its own words."""
    INVALID = 2
    """There is no such operation, or its arguments do not fit."""
    FAILED = 3
    """The application broke: a bug of its author, the same on every replica."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one operation came to, in the bytes that replicas must agree on."""

    outcome: Outcome
    payload: bytes
    """Canonical encoding of the value (OK) or of one text (every other outcome)."""

    @classmethod
    def of(cls, outcome: Outcome, value: Plain) -> Result:
        """Return a result for a value. Raises EncodingError for one that cannot be encoded."""
        return cls(outcome, encode_plain(value))

    @property
    def value(self) -> Plain:
        """The value or the text, decoded afresh. Raises EncodingError where the bytes came from a liar."""
        return decode_plain(self.payload)


class Rejected(Exception):
    """The application says no. The client is shown the message, and the state stays as it was."""

    def __init__(self, message: str = "rejected") -> None:
        super().__init__(message)
        self.message = message


class Application(Protocol):
    """Bytes in, bytes out: for those who want no StateMachine.

    Two instances that executed the same operations in the same contexts return equal results and have equal digests,
    on any host and in any process. A class of this kind is made with its parameters as keywords, or by a
    classmethod `create(parameters)` where it has one.
    """

    def execute(self, operation: bytes, context: Context) -> Result:
        """Run one operation. Never raises; what is not OK has changed nothing.

        An answer beyond `context.answer_bytes` is replaced by a failure, so check before changing anything.
        """
        ...

    def digest(self) -> bytes:
        """Return 32 bytes over the whole state: equal for equal states, different for different ones."""
        ...

    def snapshot(self) -> Iterable[bytes]:
        """Return the whole state as pieces of at most SNAPSHOT_PIECE_BYTES each: equal states give equal pieces.

        They are those of the moment of the call, whatever is executed afterwards, and can be iterated over again: a
        list will do. Every checkpoint calls this, so what can wait should wait for the iteration.
        """
        ...

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Replace the whole state by that of a snapshot, which another instance may have made.

        Afterwards `digest()` and `snapshot()` are those of its maker. Raises ValueError for pieces that no snapshot of
        this class makes, and has then changed nothing.
        """
        ...
