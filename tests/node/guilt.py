"""Replicas that contradict themselves: evidence with real keys, for tests of what keeps it."""

from __future__ import annotations

from typing import Final

from pbft.core.effects import Evidence
from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.messages import Checkpoint, NewView, Prepare, PrePrepare, ViewChange, pack
from tests.node.parties import make_parties

PARTIES: Final = make_parties()

Said = PrePrepare | Prepare | Checkpoint | ViewChange | NewView


def word(by: int, kind: Kind, said: Said) -> Envelope:
    """Return what a replica of the group signs."""
    return seal(PARTIES.group, PARTIES.replicas[by], kind, by, pack(said))


def equivocation(by: int, sequence: int = 1, view: int = 0) -> Evidence:
    """Return two contradicting PREPAREs of one replica."""
    first, second = (word(by, Kind.PREPARE, Prepare(view, sequence, bytes([n]) * 32)) for n in (1, 2))
    return Evidence(by, first, second)
