"""`pbft soak`: fresh seeds for as long as somebody likes, and all planted bugs now and then.

Owns: this command: where it goes on, when it ends, what is remembered between two soaks. What is drawn, judged and cut
down is `pbft.testing`'s matter.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from pbft.cli.mutants import say_fate
from pbft.cli.output import say
from pbft.cli.runs import JobsOption
from pbft.cli.shrunk import shrink_and_keep
from pbft.cli.sums import Sums, told_paths
from pbft.console.outcome import ExitCode, Failure
from pbft.wording import count, quote

if TYPE_CHECKING:
    from pbft.testing.swarm import Pool, Report

_TOLD_EVERY: Final = 100
"""Seeds between two lines that say how far it has come."""

_HUNTED_SEEDS: Final = 500
"""Within so many seeds a mutant has to be caught."""

_MOST_SEED: Final = 10**18

Deadline = float | None
Item = TypeVar("Item")


def soak(
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", metavar="M", min=0, show_default=False, help="How long. Default: until Ctrl-C."),
    ] = None,
    first: Annotated[
        int | None,
        typer.Option(
            "--from",
            metavar="SEED",
            min=0,
            max=_MOST_SEED,
            show_default=False,
            help="The first seed. Default: where the last soak ended.",
        ),
    ] = None,
    save: Annotated[
        Path, typer.Option("--save", metavar="DIR", help="Where shrunk plans of seeds that fail go.")
    ] = Path(".soak/plans"),
    state: Annotated[Path, typer.Option("--state", metavar="FILE", help="Where the next seed is remembered.")] = Path(
        ".soak/next-seed"
    ),
    mutants_every: Annotated[
        int, typer.Option("--mutants-every", metavar="N", min=0, help="Hunt all mutants after so many seeds; 0: never.")
    ] = 1_000,
    jobs: JobsOption = None,
) -> None:
    """Run fresh seeds, keep the plans of those that fail, and hunt mutants now and then.

    Ends with 1 when a seed failed or a mutant survived, also when Ctrl-C ends it.
    """
    from pbft.testing.swarm import Pool

    began = time.monotonic()
    deadline = None if minutes is None else began + 60 * minutes
    soaking = Soak(first if first is not None else _recall(state), save, state, mutants_every)
    try:
        with Pool(jobs) as pool:
            soaking.run(pool, deadline)
    except KeyboardInterrupt:
        say("interrupted", "yellow")
    finally:
        soaking.remember()
    soaking.sum_up(time.monotonic() - began)
    if soaking.failed:
        raise typer.Exit(ExitCode.REJECTED)


class Soak:
    """One soak: the seeds it has run, and what came of them."""

    def __init__(self, first: int, save: Path, state: Path, mutants_every: int) -> None:
        self.next = first
        self._first = first
        self._sums = Sums()
        self._kept: list[Path] = []
        self._killed = 0
        self._survivors: list[str] = []
        self._save = save
        self._state = state
        self._mutants_every = mutants_every

    @property
    def failed(self) -> bool:
        """Whether anything was found."""
        return bool(self._sums.failed or self._survivors)

    def run(self, pool: Pool, deadline: Deadline) -> None:
        """Run seeds and hunt mutants by turns, until the time is up."""
        say(f"soaking from seed {self.next} on")
        while not _is_over(deadline):
            seeds = itertools.islice(itertools.count(self.next), self._mutants_every or None)
            for done in _until(deadline, pool.reports(seeds)):
                self._take(done)
            if not _is_over(deadline):
                self._hunt(pool, deadline)

    def remember(self) -> None:
        """Write down where the next soak goes on."""
        self._state.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._state.with_name(self._state.name + ".new")
        fresh.write_text(f"{self.next}\n", encoding="ascii")
        fresh.replace(self._state)

    def sum_up(self, seconds: float) -> None:
        """Say what came of it."""
        told = self._sums.told(max(seconds, 0.001))
        for line in told_paths(self._sums.times, self._sums.runs):
            say(line, "dim")
        for path in self._kept:
            say(f"kept: {path}")
        for name in self._survivors:
            say(f"survived: {name}", "red")
        hunted = self._killed + len(self._survivors)
        say(
            f"{count(self._sums.ended, 'seed')} from {self._first} on, {told['failed']} failed; "
            f"{count(hunted, 'mutant')} hunted, {len(self._survivors)} survived; {told['deliveries']} deliveries in "
            f"{told['seconds']} s; the next soak goes on at {self.next}",
            "red" if self.failed else "green",
        )

    def _take(self, done: Report) -> None:
        from pbft.testing.swarm import Plan

        self._sums.count(done)
        self.next = done.number + 1
        if done.outcome is None:
            say(f"seed {done.number} failed: {done.failure.splitlines()[0]}", "red")
            self._kept.append(shrink_and_keep(Plan.draw(done.number), done.oracle, None, self._save, as_json=False))
        if self._sums.ended % _TOLD_EVERY == 0:
            self.remember()
            say(f"{count(self._sums.ended, 'seed')}, {self._sums.failed} failed; seed {self.next} is next")

    def _hunt(self, pool: Pool, deadline: Deadline) -> None:
        """Hunt every mutant on the first seeds, as `pbft mutants` does: one that survives there has got away."""
        from pbft.testing.mutants import catalogue
        from pbft.testing.mutants.hunt import hunts

        names = list(catalogue())
        say(f"hunting {count(len(names), 'mutant')} before seed {self.next}")
        width = max(map(len, names))
        for fate in _until(deadline, hunts(names, range(_HUNTED_SEEDS), pool)):
            say_fate(fate, width)
            if fate.is_kill:
                self._killed += 1
            else:
                self._survivors.append(fate.mutant)


def _recall(state: Path) -> int:
    """Return the seed at which the last soak ended; 0 where none was."""
    try:
        text = state.read_bytes()[:64].decode("ascii", "replace").strip()
    except FileNotFoundError:
        return 0
    if not text.isdecimal() or not text.isascii() or int(text) > _MOST_SEED:
        raise Failure(f"{state} holds no seed but {quote(text)}: remove it, or say --from SEED")
    return int(text)


def _is_over(deadline: Deadline) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _until(deadline: Deadline, items: Iterator[Item]) -> Iterator[Item]:
    """Yield until the time is up; what is under way then is no longer waited for."""
    for item in items:
        yield item
        if _is_over(deadline):
            return
