"""Misbehaviours by their names, and several in one replica.

Owns: which go together. What each does is its own file's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from pbft.testing.byzantine import ADVERSARIES, Adversary, Mutator, Replayer, Silent, Twins

MISBEHAVIOURS: Final[Mapping[str, type[Adversary]]] = MappingProxyType({kind.__name__: kind for kind in ADVERSARIES})
"""What the testing kit brings, by name."""

_ALONE: Final = (Silent, Twins)
"""Who says nothing tells no lies, and who runs two cores is two replicas already."""

_OUTERMOST: Final = (Mutator, Replayer)
"""What they make of a message others may be unable to read: they have the last word."""


def together(kinds: Sequence[type[Adversary]]) -> type[Adversary] | None:
    """Return one class of several misbehaviours, the first of which has the last word; None if they do not go together.

    None may be there twice or build on another of them, Silent and Twins stand alone, and a Mutator or Replayer comes
    first.
    """
    if len(kinds) == 1:
        return kinds[0]
    if any(issubclass(kind, _ALONE) for kind in kinds) or any(issubclass(kind, _OUTERMOST) for kind in kinds[1:]):
        return None
    pairs = ((one, other) for place, one in enumerate(kinds) for other in kinds[place + 1 :])
    if any(issubclass(one, other) or issubclass(other, one) for one, other in pairs):
        return None
    return type("+".join(kind.__name__ for kind in kinds), tuple(kinds), {"__doc__": "Several misbehaviours."})
