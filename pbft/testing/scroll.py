"""The swarm's application that is no StateMachine: lines of a text, each a piece of its snapshot.

Owns: nothing but its lines. They are written and torn off at the end, so that a snapshot has more pieces, then fewer.
"""

from __future__ import annotations

from collections.abc import Iterable

from pbft.encoding import Plain, digest
from pbft.machine import ArgumentError, Context, Outcome, Result
from pbft.operations import decode_operation
from pbft.pieces import SNAPSHOT_PIECE_BYTES


class Scroll:
    """Lines, of which the last ones can be torn off."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def execute(self, operation: bytes, context: Context) -> Result:
        """Append a line, or tear some off; return how many there are."""
        try:
            call = decode_operation(operation)
        except ArgumentError as error:
            return Result.of(Outcome.INVALID, str(error))
        outcome, told = self._run(call.name, call.args)
        return Result.of(outcome, told)

    def _run(self, name: str, args: tuple[Plain, ...]) -> tuple[Outcome, Plain]:
        match name, args:
            case "append", (str(line),) if len(line) <= SNAPSHOT_PIECE_BYTES // 4:
                if not line:
                    return Outcome.REJECTED, "the empty line cannot be written"
                self._lines.append(line.encode())
                return Outcome.OK, len(self._lines)
            case "tear", (int(count),) if type(count) is int and count > 0:
                if count > len(self._lines):
                    return Outcome.REJECTED, f"there are {len(self._lines)} lines"
                del self._lines[-count:]
                return Outcome.OK, len(self._lines)
        return Outcome.INVALID, "a scroll is appended to by a line, or torn by a number of lines"

    def digest(self) -> bytes:
        """Return 32 bytes over all lines."""
        return digest(b"pbft/scroll", *self._lines)

    def snapshot(self) -> Iterable[bytes]:
        """Return the lines."""
        return list(self._lines)

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Become the scroll with these lines."""
        self._lines = list(pieces)
