"""The hunt: which mutants the swarm catches, by which oracle, and how many seeds that takes.

Owns: the order of seeds, 0, 1, 2 and so on until one breaks, and what is told of each mutant. What a seed draws, and
what breaks it, is the swarm's and the oracles' matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from pbft.testing.mutants import catalogue
from pbft.testing.swarm import Pool, report

_ORACLE: Final = re.compile(r"O[0-9]+|persist-before-send|driver|end")


@dataclass(frozen=True)
class Fate:
    """What became of a mutant."""

    mutant: str
    oracle: str
    """The invariant that broke: O1 to O16, a rule of the driver's, "end"; or the name of the error that the core
    raised, which is no kill. Empty for a mutant that survived."""
    seeds: int
    """How many seeds it took; how many it survived."""
    sentence: str = ""
    """What the oracle said, in one line."""
    replay: str = ""
    """The command that shows it again."""

    @property
    def is_kill(self) -> bool:
        """Whether an oracle caught it: a mutant that only trips over itself shows nothing of what oracles see."""
        return _ORACLE.fullmatch(self.oracle) is not None


def hunt(mutant: str, seeds: Sequence[int]) -> Fate:
    """Try a mutant, by its name, on one seed after the other, until one breaks that does not break without it."""
    staged = catalogue()[mutant].staged
    for tried, seed in enumerate(seeds, start=1):
        done = report(seed, mutant, staged=staged)
        if done.oracle and not report(seed, staged=staged).oracle:
            return Fate(mutant, done.oracle, tried, _first_sentence(done.failure, done.oracle), done.replay)
    return Fate(mutant, "", len(seeds))


def hunts(mutants: Sequence[str], seeds: Sequence[int], pool: Pool) -> Iterator[Fate]:
    """Yield the fate of each mutant, in order, each as soon as it and those before it are known.

    A process has a mutant to itself: none tries seeds that turn out not to be needed.
    """
    return pool.each(partial(_hunt_one, tuple(mutants), seeds), range(len(mutants)))


def _hunt_one(mutants: tuple[str, ...], seeds: Sequence[int], number: int) -> Fate:
    return hunt(mutants[number], seeds)


def _first_sentence(failure: str, oracle: str) -> str:
    """Return what an oracle said; of an error, whose report begins with a traceback, the line that names it."""
    lines = failure.splitlines()
    raised = (line for line in lines if line.partition(":")[0].rpartition(".")[2] == oracle)
    return next(raised, lines[0]).removeprefix(f"{oracle}: ")
