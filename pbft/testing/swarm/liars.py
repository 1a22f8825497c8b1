"""The liars of a swarm: every misbehaviour there is by its name, and several in one replica.

Owns: the names, and how misbehaviours are put together. What each does is `pbft.testing.byzantine`'s.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cache
from typing import Final

from pbft.errors import PbftError
from pbft.testing import byzantine
from pbft.testing.byzantine import Adversary, Mutator, Replayer, Silent, Twins
from pbft.wording import quote, suggest

ADVERSARIES: Final[Mapping[str, type[Adversary]]] = {kind.__name__: kind for kind in byzantine.ADVERSARIES}
"""The liars that a swarm draws from, by name."""

_PAIRS_SHARE: Final = 0.3
"""How often a liar misbehaves in two ways."""

_PLUS: Final = "+"

_ALONE: Final = (Silent, Twins)
"""Who says nothing tells no lies, and who runs two cores is two replicas already."""

_OUTERMOST: Final = (Mutator, Replayer)
"""What they make of a message others may be unable to read: they have the last word."""


class NoSuchLiar(PbftError, ValueError):
    """A name of no misbehaviour; the message is one sentence."""


@cache
def adversary(name: str) -> type[Adversary]:
    """Return the class of a liar: "Censor", or both of "Censor+TimeLiar", the first of which has the last word.

    Raises NoSuchLiar for names of no misbehaviour, and for those that do not go together.
    """
    kinds = []
    for each in name.split(_PLUS):
        if each not in ADVERSARIES:
            raise NoSuchLiar(f"there is no liar {quote(each)}{suggest(each, ADVERSARIES)}")
        kinds.append(ADVERSARIES[each])
    if len(kinds) == 1:
        return kinds[0]
    if not _go_together(kinds):
        raise NoSuchLiar(f"{quote(name)} is no liar: these misbehaviours do not go together in this order")
    return type("".join(kind.__name__ for kind in kinds), tuple(kinds), {})


def parts(name: str) -> list[str]:
    """Return the misbehaviours of a liar, by name."""
    return name.split(_PLUS)


def draw_liar(chance: random.Random) -> str:
    """Return a liar's name, now and then with two misbehaviours."""
    names = list(ADVERSARIES)
    one, other = chance.choice(names), chance.choice(names)
    if chance.random() < _PAIRS_SHARE and _go_together([ADVERSARIES[one], ADVERSARIES[other]]):
        return one + _PLUS + other
    return one


def _go_together(kinds: list[type[Adversary]]) -> bool:
    """Say whether none stands alone or is another one made worse, and each hears what it can read."""
    if any(issubclass(kind, _ALONE) for kind in kinds) or any(issubclass(kind, _OUTERMOST) for kind in kinds[1:]):
        return False
    pairs = ((one, other) for place, one in enumerate(kinds) for other in kinds[place + 1 :])
    return not any(issubclass(one, other) or issubclass(other, one) for one, other in pairs)
