"""An application's state as maps from bytes to bytes: what a checkpoint covers of it, and a transfer moves.

Owns: how an application that is no StateMachine fits in: its snapshot's pieces, by their place, are its only section.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pbft.contents import Contents
from pbft.encoding import EncodingError
from pbft.machine import Application, MachineError, StateMachine
from pbft.pieces import SNAPSHOT_PIECE_BYTES

_INDEX_BYTES = 8


class Sections(Protocol):
    """What the execution needs to know of an application's state."""

    def sections(self) -> tuple[Contents, ...]:
        """Return the maps that hold the state, brought up to date, always the same ones in the same order."""
        ...

    def section_names(self) -> tuple[str, ...]:
        """Return what they are called."""
        ...

    def adopt(self) -> None:
        """Take over what somebody else wrote into them. Raises ValueError for what no such application writes."""
        ...


def sections_of(application: Application) -> Sections:
    """Return an application's state as sections."""
    return application if isinstance(application, StateMachine) else _Pieces(application)


class _Pieces:
    """One section with all pieces of a snapshot. What did not change since the last one costs a comparison only."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._pieces = Contents()

    def sections(self) -> tuple[Contents, ...]:
        """Take a snapshot: costs time in proportion to the state.

        Raises MachineError for one that cannot be iterated over again, or whose pieces are not as they must be.
        """
        pieces = self._application.snapshot()
        if isinstance(pieces, Iterator):
            raise MachineError(
                f"{type(self._application).__name__}.snapshot() returns what can be iterated over only once; "
                "return a list of its pieces"
            )
        count = 0
        for piece in pieces:
            if type(piece) is not bytes or len(piece) > SNAPSHOT_PIECE_BYTES:
                raise MachineError(
                    f"{type(self._application).__name__}.snapshot() gives a piece that is no bytes, or longer than the "
                    f"{SNAPSHOT_PIECE_BYTES} allowed in each; cut its pieces smaller"
                )
            self._pieces.write(_key(count), piece)
            count += 1
        for index in range(count, len(self._pieces)):
            self._pieces.write(_key(index), None)
        return (self._pieces,)

    def section_names(self) -> tuple[str, ...]:
        """Return one name, of the pieces."""
        return ("",)

    def adopt(self) -> None:
        """Give the application the pieces to restore."""
        pieces = [self._pieces.get(_key(index)) for index in range(len(self._pieces))]
        if None in pieces:
            raise EncodingError("a snapshot whose pieces are not numbered from 0 on")
        self._application.restore([piece for piece in pieces if piece is not None])


def _key(index: int) -> bytes:
    return index.to_bytes(_INDEX_BYTES, "big")
