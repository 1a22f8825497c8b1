"""The liars of a swarm: which ones a run draws, and how a plan names them.

Owns: the draw of one misbehaviour, or of two in one replica. What goes together is `pbft.testing.byzantine.naming`'s.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Final

from pbft.errors import PbftError
from pbft.testing.byzantine import Adversary
from pbft.testing.byzantine.naming import MISBEHAVIOURS, together
from pbft.wording import quote, suggest

_PAIRS_SHARE: Final = 0.3
"""How often a liar misbehaves in two ways."""

_PLUS: Final = "+"


class NoSuchLiar(PbftError, ValueError):
    """A name of no misbehaviour; the message is one sentence."""


@cache
def adversary(name: str) -> type[Adversary]:
    """Return the class of a liar: "Censor", or both of "Censor+TimeLiar", the first of which has the last word.

    Raises NoSuchLiar for names of no misbehaviour, and for those that do not go together.
    """
    kinds = []
    for each in name.split(_PLUS):
        if each not in MISBEHAVIOURS:
            raise NoSuchLiar(f"there is no liar {quote(each)}{suggest(each, MISBEHAVIOURS)}")
        kinds.append(MISBEHAVIOURS[each])
    kind = together(kinds)
    if kind is None:
        raise NoSuchLiar(f"{quote(name)} is no liar: these misbehaviours do not go together in this order")
    return kind


def parts(name: str) -> list[str]:
    """Return the misbehaviours of a liar, by name."""
    return name.split(_PLUS)


def draw_liar(chance: random.Random) -> str:
    """Return a liar's name, now and then with two misbehaviours."""
    names = list(MISBEHAVIOURS)
    one, other = chance.choice(names), chance.choice(names)
    if chance.random() < _PAIRS_SHARE and together([MISBEHAVIOURS[one], MISBEHAVIOURS[other]]) is not None:
        return one + _PLUS + other
    return one
