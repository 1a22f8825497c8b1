"""Primaries that assign sequences as no correct one does: with gaps, out of order, one batch to two (P3)."""

from __future__ import annotations

from dataclasses import replace

from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.core.messages import PrePrepare, pack
from pbft.testing.byzantine.proposer import Proposer


class Reassigner(Proposer):
    """Proposes each batch where a subclass wants it, with the votes of all who collude."""

    def propose(self, to: ReplicaId, body: PrePrepare, envelope: Envelope) -> list[Envelope]:
        """Propose the same batch for other sequences."""
        said = []
        for sequence in self.places(body.sequence):
            moved = replace(body, sequence=sequence)
            said += [self.say(Kind.PRE_PREPARE, pack(moved), envelope.beside), *self.means.support(moved)]
        return said

    def places(self, sequence: int) -> tuple[int, ...]:
        """Return the sequences that a batch is proposed for in place of its own."""
        return (sequence,)


class GappyPrimary(Reassigner):
    """Leaves every odd sequence out."""

    def places(self, sequence: int) -> tuple[int, ...]:
        """Return twice the sequence."""
        return (2 * sequence,)


class SwappingPrimary(Reassigner):
    """Swaps each two neighbours, so that the second is proposed first, if it ever is."""

    def places(self, sequence: int) -> tuple[int, ...]:
        """Return the neighbour: 2 for 1, 1 for 2, 4 for 3."""
        return (sequence + 1 if sequence % 2 else sequence - 1,)


class RepeatingPrimary(Reassigner):
    """Orders every batch twice, so that each request of it stands at two sequences."""

    def places(self, sequence: int) -> tuple[int, ...]:
        """Return two sequences of which no other batch has one."""
        return (2 * sequence - 1, 2 * sequence)
