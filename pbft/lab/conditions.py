"""What is wrong with the links between replicas: which are cut, what is lost or late, and which sentences hold.

Owns: the faults in force, and what they make of one message. Chance is handed in. Knows no sockets and no time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from pbft.core.group import ReplicaId
from pbft.lab.faults import Cut, Delay, FaultError, Let, Loss, Pair
from pbft.lab.letters import Letter
from pbft.lab.state import EVERY, LinksState, Party
from pbft.net.verbs import Sentence, Verb

MAX_SENTENCES: Final = 64


@dataclass(slots=True)
class _Rule:
    sentence: Sentence
    left: int | None
    """To how many messages it still applies; None for all that come."""


class Conditions:
    """The faults of all links of a group of `n`. Cuts come first, then losses, then the first sentence that is met."""

    def __init__(self, n: int, chance: random.Random) -> None:
        self._n = n
        self._chance = chance
        self._cuts: dict[Pair, None] = {}
        self._losses = _Amounts()
        self._delays = _Amounts()
        self._rules: list[_Rule] = []

    @property
    def any(self) -> bool:
        """Whether anything is wrong at all."""
        return bool(self._cuts or self._losses.any or self._delays.any or self._rules)

    @property
    def read_messages(self) -> bool:
        """Whether messages must be read, since sentences speak of what is in them."""
        return bool(self._rules)

    def impose(self, fault: Cut | Loss | Delay | Let) -> str:
        """Put a fault into force; say what has changed. Raises FaultError."""
        match fault:
            case Cut(replica, other):
                others = range(self._n) if other is None else (other,)
                self._cuts.update({_pair(replica, each): None for each in others if each != replica})
                cut_off = "all others" if other is None else f"replica {other}"
                return f"nothing passes between replica {replica} and {cut_off}"
            case Loss(percent, link):
                self._losses.put(link, percent)
                return f"{percent}% of the datagrams {_where(link)} are lost"
            case Delay(later_ms, link):
                self._delays.put(link, later_ms)
                return f"datagrams {_where(link)} arrive {later_ms} ms later"
            case Let(sentence):
                if len(self._rules) >= MAX_SENTENCES:
                    raise FaultError(f"at most {MAX_SENTENCES} sentences hold at once; heal ends them all")
                self._rules.append(_Rule(sentence, sentence.first))
                return f"from now on {sentence}"

    def heal(self) -> None:
        """End all faults."""
        self._cuts.clear()
        self._losses.clear()
        self._delays.clear()
        self._rules.clear()

    def is_cut(self, src: ReplicaId, dst: ReplicaId) -> bool:
        """Say whether nothing passes between two."""
        return bool(self._cuts) and _pair(src, dst) in self._cuts

    def loses(self, src: ReplicaId, dst: ReplicaId) -> bool:
        """Draw whether one datagram is lost."""
        percent = self._losses.of(src, dst)
        return bool(percent) and self._chance.random() * 100 < percent

    def delay_ms(self, src: ReplicaId, dst: ReplicaId) -> int:
        """Return how much later datagrams of a link arrive."""
        return self._delays.of(src, dst)

    def verb(self, letter: Letter) -> Verb:
        """Return what sentences make of a message, and count it where one applies to so many only."""
        if letter.envelope is None:
            return Verb()
        for rule in self._rules:
            if rule.sentence.means(letter.src, letter.dst, letter.envelope):
                if rule.left is not None:
                    rule.left -= 1
                    self._rules = [each for each in self._rules if each.left != 0]
                return rule.sentence.verb
        return Verb()

    def state(self) -> LinksState:
        """Return what is in force."""
        return LinksState(
            tuple(sorted(self._cuts)),
            self._losses.listed(),
            self._delays.listed(),
            tuple(str(rule.sentence) for rule in self._rules),
        )


class _Amounts:
    """One number for every link, and others for some. The last word on a link holds."""

    def __init__(self) -> None:
        self._everywhere = 0
        self._links: dict[Pair, int] = {}

    @property
    def any(self) -> bool:
        return bool(self._everywhere or self._links)

    def put(self, link: Pair | None, amount: int) -> None:
        if link is None:
            self._everywhere = amount
            self._links.clear()
        elif amount == self._everywhere:
            self._links.pop(link, None)
        else:
            self._links[link] = amount

    def of(self, src: ReplicaId, dst: ReplicaId) -> int:
        return self._links.get(_pair(src, dst), self._everywhere) if self._links else self._everywhere

    def clear(self) -> None:
        self.put(None, 0)

    def listed(self) -> tuple[tuple[Party, Party, int], ...]:
        everywhere = ((EVERY, EVERY, self._everywhere),) if self._everywhere else ()
        return (*everywhere, *((one, other, amount) for (one, other), amount in sorted(self._links.items())))


def _pair(one: ReplicaId, other: ReplicaId) -> Pair:
    return (one, other) if one < other else (other, one)


def _where(link: Pair | None) -> str:
    return "between replicas" if link is None else f"between replicas {link[0]} and {link[1]}"
