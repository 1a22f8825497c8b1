"""A network on virtual time: seeded delay, loss, duplication and reordering, and the faults a test asks for by name.

Owns: the order of events, and the fate of every envelope between two addresses. Knows nothing of what envelopes mean
beyond what sentences about them read (`pbft.net.verbs`), and nothing of who receives them.

Time is in whole milliseconds. Events of one millisecond happen in the order in which they were planned, so a run
depends on nothing but its seed.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Generic, Literal, TypeVar

from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.net.verbs import Sentence, Verb, parse

Address = ReplicaId | str
"""Where envelopes go: a replica by its number, a client's session by its label ("alice", "alice/2")."""

Addresses = Address | Iterable[Address] | None
"""One address, several, or None for every one."""

WALL_START_MS: Final = 1_750_000_000_000
"""What a right wall clock shows when virtual time begins."""

Spread = Literal["even", "exponential"]
"""How delays lie between the least and the greatest: all alike, or most of them short and a few long."""

MAX_PENDING: Final = 200_000
MAX_RULES: Final = 64

Event = TypeVar("Event")
Counted = TypeVar("Counted")

_STEEPNESS: Final = 10 * math.log(2)
"""With this rate half of all exponential delays lie within the lowest tenth of their range."""


class EventQueue(Generic[Event]):
    """What is still to happen, earliest first. Full queues refuse: a run that plans without end has a bug."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Event]] = []
        self._planned = 0

    def __len__(self) -> int:
        return len(self._heap)

    def plan(self, at_ms: int, event: Event) -> None:
        """Add an event. Raises OverflowError when more than MAX_PENDING events are waiting."""
        if len(self._heap) >= MAX_PENDING:
            raise OverflowError(f"more than {MAX_PENDING} events are waiting: something sends without end")
        self._planned += 1
        heapq.heappush(self._heap, (at_ms, self._planned, event))

    @property
    def next_ms(self) -> int | None:
        """When the next event happens, or None when nothing is planned."""
        return self._heap[0][0] if self._heap else None

    def due(self, now_ms: int) -> list[Event]:
        """Take out all events up to this moment, in order."""
        events = []
        while self._heap and self._heap[0][0] <= now_ms:
            events.append(heapq.heappop(self._heap)[2])
        return events


@dataclass(eq=False)
class Rule:
    """What happens to the envelopes a test names: read `network.on(Kind.PREPARE, src=3, dst=1).drop()` aloud.

    A rule does nothing until one of its verbs is called, and again nothing once `first` envelopes met it.
    """

    sentence: Sentence
    where: Callable[[Envelope], bool] | None = None
    left: int | None = None
    """How many envelopes it still applies to; None for all that come."""
    met: int = field(default=0)
    """How many envelopes this rule has met so far."""

    def __str__(self) -> str:
        """Return the rule as a sentence that `Network.let` reads; a function to choose envelopes is left out."""
        return str(self.sentence)

    def drop(self, first: int | None = None) -> Rule:
        """Lose them: all, or the first so many."""
        return self._arm(Verb(copies=0), first)

    def delay(self, extra_ms: int, first: int | None = None) -> Rule:
        """Deliver them this much later than the network would."""
        return self._arm(Verb(later_ms=extra_ms), first)

    def duplicate(self, copies: int = 2, first: int | None = None) -> Rule:
        """Deliver each this many times, every copy with a delay of its own."""
        return self._arm(Verb(copies=copies), first)

    def stop(self) -> None:
        """Let everything pass from now on."""
        self.left = 0

    def takes(self, src: Address, dst: Address, envelope: Envelope) -> bool:
        """Say whether the envelope meets this rule, and count it if so."""
        if (
            self.left == 0
            or not self.sentence.means(src, dst, envelope)
            or (self.where is not None and not self.where(envelope))
        ):
            return False
        self.met += 1
        if self.left is not None:
            self.left -= 1
        return True

    def _arm(self, verb: Verb, first: int | None) -> Rule:
        self.sentence, self.left = replace(self.sentence, verb=verb, first=first), first
        return self


class Network:
    """Decides when, how often and whether each envelope arrives.

    `loss`, `duplicate` and `reorder` are shares of the envelopes between 0 and 1; `delay_ms` is the least and the
    greatest delay of a link. They are drawn evenly, or with the exponential `spread` so that half of them lie in the
    lowest tenth. A reordered envelope waits up to five times the greatest delay longer.
    """

    def __init__(
        self,
        chance: random.Random,
        loss: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        delay_ms: tuple[int, int] = (1, 10),
        spread: Spread = "even",
    ) -> None:
        if spread not in ("even", "exponential"):
            raise ValueError(f"delays spread 'even' or 'exponential', not {spread!r}")
        for name, share in (("loss", loss), ("duplicate", duplicate), ("reorder", reorder)):
            if not 0 <= share < 1:
                raise ValueError(f"{name} is a share from 0 up to but not including 1, not {share}")
        self._chance = chance
        self.loss = loss
        self.duplicate = duplicate
        self.reorder = reorder
        self.delay_ms = _checked_delay(delay_ms)
        self.spread = spread
        self._links: dict[tuple[Address, Address], tuple[int, int]] = {}
        self._cuts: Counter[tuple[Address, Address]] = Counter()
        """How often each link is cut, in one direction: faults overlap, and one that ends does not mend another's."""
        self._isolated: Counter[Address] = Counter()
        self._rules: list[Rule] = []
        self._losing: list[Callable[[Address, Address, Envelope], bool]] = []

    # What a test says.

    def on(
        self,
        kind: Kind | None = None,
        src: Addresses = None,
        dst: Addresses = None,
        where: Callable[[Envelope], bool] | None = None,
    ) -> Rule:
        """Name some envelopes; say next what becomes of them: `drop`, `delay`, `duplicate`. The first rule met wins."""
        kinds = None if kind is None else (kind,)
        return self._add(Rule(Sentence(kinds, _several(src), _several(dst)), where, left=0))

    def let(self, sentence: str) -> Rule:
        """Let a sentence come true: "prepares of view 1 from 3 to 1: drop". `pbft.net.verbs` has the grammar.

        The first rule met wins, whichever way it was made; cuts come before all rules. Raises ValueError with what to
        write instead.
        """
        said = parse(sentence)
        return self._add(Rule(said, left=said.first))

    def lose(self, lost: Callable[[Address, Address, Envelope], bool]) -> None:
        """Ask somebody else about every envelope first: what it says yes to is lost, until the network heals."""
        self._losing.append(lost)

    def cut(self, one: Address, other: Address) -> None:
        """Let nothing pass between two addresses, in both directions."""
        self.cut_one_way(one, other)
        self.cut_one_way(other, one)

    def cut_one_way(self, src: Address, dst: Address) -> None:
        """Let nothing pass from one address to the other; the way back stays open."""
        self._cuts[src, dst] += 1

    def isolate(self, address: Address) -> None:
        """Let nothing pass to or from an address, clients' traffic included."""
        self._isolated[address] += 1

    def split(self, *sides: tuple[Address, ...]) -> None:
        """Let nothing pass between the sides. Addresses on no side still reach everybody."""
        for one, other in _across(sides):
            self.cut(one, other)

    def slow(self, src: Address, dst: Address, delay_ms: tuple[int, int]) -> None:
        """Give one link, in one direction, a delay of its own."""
        self._links[src, dst] = _checked_delay(delay_ms)

    def mend(self, one: Address, other: Address) -> None:
        """Take back one `cut` of these two; what was cut twice stays cut."""
        self.mend_one_way(one, other)
        self.mend_one_way(other, one)

    def mend_one_way(self, src: Address, dst: Address) -> None:
        """Take back one `cut_one_way` of this link."""
        _uncount(self._cuts, (src, dst))

    def rejoin(self, address: Address) -> None:
        """Take back one `isolate` of an address."""
        _uncount(self._isolated, address)

    def unite(self, *sides: tuple[Address, ...]) -> None:
        """Take back one `split` of these sides."""
        for one, other in _across(sides):
            self.mend(one, other)

    def hasten(self, src: Address, dst: Address) -> None:
        """Forget the delay that `slow` gave a link."""
        self._links.pop((src, dst), None)

    def heal(self) -> None:
        """Mend all cuts, and forget all rules and the delays of single links. Loss and its like stay as they are."""
        self._losing.clear()
        self._cuts.clear()
        self._isolated.clear()
        self._rules.clear()
        self._links.clear()

    def calm(self) -> None:
        """Lose, double and reorder nothing from now on."""
        self.loss = self.duplicate = self.reorder = 0.0

    # What the cluster asks.

    @property
    def longest_ms(self) -> int:
        """The longest that an envelope which is not lost travels, but for rules that delay it."""
        high = max([self.delay_ms[1], *(high for _, high in self._links.values())])
        return high + (5 * high if self.reorder else 0)

    def delays(self, src: Address, dst: Address, envelope: Envelope) -> list[int]:
        """Return after how many milliseconds each copy of the envelope arrives; an empty list means that it is lost."""
        if (src, dst) in self._cuts or src in self._isolated or dst in self._isolated:
            return []
        if any(lost(src, dst, envelope) for lost in self._losing):
            return []
        rule = next((each for each in self._rules if each.takes(src, dst, envelope)), None)
        if rule is not None:
            verb = rule.sentence.verb
            return [self._delay(src, dst) + verb.later_ms for _ in range(verb.copies)]
        if self.loss and self._chance.random() < self.loss:
            return []
        copies = 2 if self.duplicate and self._chance.random() < self.duplicate else 1
        return [self._delay(src, dst) for _ in range(copies)]

    def _add(self, rule: Rule) -> Rule:
        if len(self._rules) >= MAX_RULES:
            raise OverflowError(f"a network takes at most {MAX_RULES} rules; heal() forgets them")
        self._rules.append(rule)
        return rule

    def _delay(self, src: Address, dst: Address) -> int:
        low, high = self._links.get((src, dst), self.delay_ms) if self._links else self.delay_ms
        # The same draw either way: one number of the chance a delay, whatever the spread.
        drawn = self._chance.random()
        if self.spread == "exponential":
            drawn = min(-math.log1p(-drawn) / _STEEPNESS, 1.0)
        delay = low + min(int(drawn * (high - low + 1)), high - low)
        if self.reorder and self._chance.random() < self.reorder:
            delay += self._chance.randint(1, 5 * high)
        return delay


def _across(sides: tuple[tuple[Address, ...], ...]) -> Iterator[tuple[Address, Address]]:
    """Yield each two addresses that stand on different sides."""
    for i, side in enumerate(sides):
        for one in side:
            for others in sides[i + 1 :]:
                for other in others:
                    yield one, other


def _uncount(counts: Counter[Counted], key: Counted) -> None:
    """Take one off a count, and forget it at none."""
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]


def _several(addresses: Addresses) -> tuple[Address, ...] | None:
    if addresses is None:
        return None
    return (addresses,) if isinstance(addresses, int | str) else tuple(addresses)


def _checked_delay(delay_ms: tuple[int, int]) -> tuple[int, int]:
    low, high = delay_ms
    if not 1 <= low <= high:
        # A delay of zero would let a message be answered within the very millisecond it was sent in, without end.
        raise ValueError(f"a delay goes from at least 1 ms up to no less, not {delay_ms}")
    return low, high
