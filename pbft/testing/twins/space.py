"""All scenarios of twins that the kit runs, numbered.

Owns: which partitions, times and calls are combined, and which of them are the same scenario under other names. Any
number's scenario is found without the ones before it.

A *placement* puts every node into one of up to three blocks: the cores in all ways, and each client beside some core.
A *family* takes a placement for each phase, out of a choice of its own, and a time for each phase. Two sequences of
placements are one where nodes can change names so that one becomes the other:

- the two cores of a double replica;
- replicas that are neither double nor the primary of one of the views 0 to f: they do the same. Where a scenario comes
  to a later view they take office in another order, and only there it would be another scenario;
- double replicas that are primaries of none of these views.

Of each such class the first member is kept. It is found phase by phase: of the placements for a phase, those are kept
that are first among what the renamings make of them which leave all phases before as they are.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from pbft.core.group import Quorums, ReplicaId
from pbft.testing.twins.scenario import CLIENTS, Phase, Scenario, node_names, second

Placement = tuple[int, ...]
"""The block of each node, by its place among the nodes. Blocks are numbered as they come up."""

Renaming = tuple[int, ...]
"""For the place of each node, the place of the node that takes its name."""

Choice = Callable[["Family", Placement], bool]
"""Says whether a placement comes into question; no renaming makes a difference to the answer."""

MOST_BLOCKS: Final = 3

STAYING: Final = 8
"""In one scenario of so many the twins stay when the group heals, which takes a third more messages."""

PROPOSED_MS: Final = 2
"""After as much, a request and its proposal have left and nothing else: all envelopes travel for 1 ms."""
PREPARED_MS: Final = 3
"""After as much, prepares have left as well, and no commit."""
COMMITTED_MS: Final = 4
"""After as much, commits have left, and no reply."""
VIEW_CHANGED_MS: Final = 30
"""After as much, whoever had no answer has left the view, and the next one has begun where a quorum stands together."""


@dataclass(frozen=True)
class Family:
    """Scenarios of one size, with the same double replicas and as many phases."""

    n: int
    twins: tuple[ReplicaId, ...]
    times_ms: tuple[tuple[int, ...], ...]
    """For each phase, how long it may last."""
    choices: tuple[Choice, ...]
    """For each phase, which placements come into question."""

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """All nodes: the cores, and then the clients."""
        return (*node_names(self.n, self.twins), *CLIENTS)

    @cached_property
    def _tree(self) -> _Branch:
        return _Branch(self, 0, tuple(self._renamings()))

    @cached_property
    def _times(self) -> int:
        return math.prod(len(times) for times in self.times_ms)

    def __len__(self) -> int:
        return self._tree.count * self._times

    def scenario(self, number: int) -> Scenario:
        """Return the scenario of a number from 0 on. Raises IndexError beyond the last."""
        if not 0 <= number < len(self):
            raise IndexError(f"this family has {len(self)} scenarios, and none with the number {number}")
        number, time = divmod(number, self._times)
        placements = self._tree.find(number)
        phases = []
        for place, (placement, times) in enumerate(zip(placements, self.times_ms, strict=True)):
            time, which = divmod(time, len(times))
            callers = (CLIENTS, CLIENTS[:1], ())[min(place, 2)]
            phases.append(Phase(times[which], self._blocks(placement), callers))
        return Scenario(self.n, self.twins, tuple(phases))

    @cached_property
    def placements(self) -> tuple[tuple[Placement, ...], ...]:
        """The placements that come into question, for each phase."""
        return tuple(tuple(self._chosen(choice)) for choice in self.choices)

    def _chosen(self, choice: Choice) -> Iterator[Placement]:
        for placed in _partitions(len(self.nodes) - len(CLIENTS)):
            for beside in itertools.product(range(max(placed) + 1), repeat=len(CLIENTS)):
                placement = (*placed, *beside)
                if choice(self, placement):
                    yield placement

    def _blocks(self, placement: Placement) -> tuple[tuple[str, ...], ...]:
        return tuple(
            tuple(node for node, block in zip(self.nodes, placement, strict=True) if block == wanted)
            for wanted in range(max(placement) + 1)
        )

    def _renamings(self) -> Iterator[Renaming]:
        """Yield every way to exchange names."""
        place = {node: i for i, node in enumerate(self.nodes)}
        first = Quorums.of(self.n).faults + 1
        plain = [i for i in range(first, self.n) if i not in self.twins]
        double = [i for i in self.twins if i >= first]
        for backups, twins in itertools.product(itertools.permutations(plain), itertools.permutations(double)):
            replicas = dict(zip((*plain, *double), (*backups, *twins), strict=True))
            for turned in itertools.product((False, True), repeat=len(self.twins)):
                taken: list[int] = list(range(len(self.nodes)))
                for i in range(self.n):
                    taken[i] = replicas.get(i, i)
                for twin, turn in zip(self.twins, turned, strict=True):
                    other = replicas.get(twin, twin)
                    pair = (place[str(other)], place[second(other)])
                    taken[twin], taken[place[second(twin)]] = pair[::-1] if turn else pair
                yield tuple(taken)


class _Branch:
    """What may follow after some phases, given the renamings that leave those as they are."""

    def __init__(self, family: Family, phase: int, renamings: tuple[Renaming, ...]) -> None:
        self._first: list[Placement] = []
        self._next: list[_Branch | None] = []
        self._ends: list[int] = []
        self.count = 0
        last = phase + 1 == len(family.choices)
        known: dict[tuple[Renaming, ...], _Branch] = {}
        seen: dict[Placement, None] = {}
        for placement in family.placements[phase]:
            if placement in seen:
                continue
            kept = []
            for renaming in renamings:
                renamed = _rename(placement, renaming)
                seen[renamed] = None
                if renamed == placement:
                    kept.append(renaming)
            branch = None
            if not last:
                key = tuple(kept)
                branch = known[key] = known.get(key) or _Branch(family, phase + 1, key)
            self._first.append(placement)
            self._next.append(branch)
            self.count += 1 if branch is None else branch.count
            self._ends.append(self.count)

    def find(self, number: int) -> tuple[Placement, ...]:
        """Return the placements of a number, one for each phase from here on."""
        place = bisect_right(self._ends, number)
        before = self._ends[place - 1] if place else 0
        branch = self._next[place]
        rest = () if branch is None else branch.find(number - before)
        return (self._first[place], *rest)


def _rename(placement: Placement, renaming: Renaming) -> Placement:
    """Let nodes exchange names, and number the blocks as they come up again."""
    numbers: dict[int, int] = {}
    return tuple([numbers.setdefault(placement[i], len(numbers)) for i in renaming])


def _partitions(cores: int) -> Iterator[Placement]:
    """Yield every partition of so many cores into one to three blocks."""

    def grow(begun: Placement) -> Iterator[Placement]:
        if len(begun) == cores:
            yield begun
            return
        for block in range(min(max(begun, default=-1) + 2, MOST_BLOCKS)):
            yield from grow((*begun, block))

    yield from grow(())


# What comes into question.


def anywhere(family: Family, placement: Placement) -> bool:
    """Take every placement."""
    return True


def served(family: Family, placement: Placement) -> bool:
    """Take those in which each client stands beside a primary of view 0: else its request waits for a view to fail."""
    primaries = _primaries(family, placement)
    return all(block in primaries for block in placement[-len(CLIENTS) :])


def served_apart(family: Family, placement: Placement) -> bool:
    """Take those in which clients stand beside primaries of view 0, each beside one of its own where there are two."""
    primaries, clients = _primaries(family, placement), placement[-len(CLIENTS) :]
    return sorted(dict.fromkeys(clients)) == sorted(dict.fromkeys(primaries))


def two_worlds(family: Family, placement: Placement) -> bool:
    """Take two blocks with a core of every double replica in each, one of which all but decides something.

    That is, it holds a quorum of replicas or one fewer. Clients are served apart where they can be.
    """
    if max(placement) != 1 or not _promising(family, placement) or not served_apart(family, placement):
        return False
    at = dict(zip(family.nodes, placement, strict=True))
    return all(at[str(twin)] != at[second(twin)] for twin in family.twins)


def worlds_and_one(family: Family, placement: Placement) -> bool:
    """Take one block or two, of which one all but decides something, or a core beside them that stands alone."""
    cores = placement[: -len(CLIENTS)]
    small = max(placement) < MOST_BLOCKS - 1 or min(cores.count(block) for block in range(MOST_BLOCKS)) == 1
    return small and _promising(family, placement) and served_apart(family, placement)


def _primaries(family: Family, placement: Placement) -> list[int]:
    """Return the blocks in which a primary of view 0 stands."""
    return [placement[i] for i, node in enumerate(family.nodes) if node in ("0", second(0))]


def _promising(family: Family, placement: Placement) -> bool:
    """Say whether some block holds all but one of a quorum of replicas."""
    held: list[dict[int, None]] = [{} for _ in range(MOST_BLOCKS)]
    for node, block in zip(family.nodes[: -len(CLIENTS)], placement, strict=False):
        held[block][int(node.rstrip("'"))] = None
    return max(map(len, held)) >= Quorums.of(family.n).quorum - 1


# The space.

_EACH: Final = (PROPOSED_MS, PREPARED_MS, COMMITTED_MS, VIEW_CHANGED_MS)

_CUT_OR_NOT: Final = (PREPARED_MS, VIEW_CHANGED_MS)

FAMILIES: Final = (
    *(Family(4, (twin,), (_EACH, _EACH), (served, anywhere)) for twin in (0, 1, 3)),
    *(
        Family(4, (twin,), ((PREPARED_MS, COMMITTED_MS), (VIEW_CHANGED_MS,), _CUT_OR_NOT), (served_apart,) * 3)
        for twin in (0, 1, 3)
    ),
    *(
        Family(7, twins, (first, (VIEW_CHANGED_MS,)), (two_worlds, worlds_and_one))
        for twins, first in (((0, 1), _CUT_OR_NOT), ((0, 6), (PREPARED_MS,)), ((5, 6), _CUT_OR_NOT))
    ),
)
"""In each, who is double: the primary of view 0, that of view 1, a backup; and two of these where f is 2."""


class Space:
    """Some families as one, in an order in which every stretch is a fair sample of them all."""

    def __init__(self, *families: Family) -> None:
        self._families = families

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        return tuple(itertools.accumulate(map(len, self._families)))

    @cached_property
    def _stride(self) -> int:
        """A step near the golden section of the whole, so that no two near numbers are neighbours there."""
        count = len(self)
        return next(step for step in itertools.count(int(count * 0.618)) if math.gcd(step, count) == 1)

    def __len__(self) -> int:
        return self._ends[-1]

    def scenario(self, number: int) -> Scenario:
        """Return the scenario of a number from 0 on. Raises IndexError beyond the last."""
        if not 0 <= number < len(self):
            raise IndexError(f"there are {len(self)} scenarios, from 0 on, and none with the number {number}")
        place = number * self._stride % len(self)
        which = bisect_right(self._ends, place)
        found = self._families[which].scenario(place - (self._ends[which - 1] if which else 0))
        return replace(found, stays=number % STAYING == 0)


SPACE: Final = Space(*FAMILIES)
"""Every scenario that the kit knows."""
