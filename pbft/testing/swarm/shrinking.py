"""Cutting a plan that fails down to one that still fails and that somebody can read.

Owns: what makes a plan smaller, and the search: greedy, in a fixed order, within so many runs. Plays nothing by itself:
it is told whether a plan fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, TypeVar

from pbft.core.group import MIN_REPLICAS
from pbft.testing.swarm.faults import Fault
from pbft.testing.swarm.liars import parts
from pbft.testing.swarm.plan import Plan, PlanError

MOST_RUNS: Final = 300

Item = TypeVar("Item")
Told = Callable[[int, Plan], None]


@dataclass(frozen=True)
class Shrunk:
    """The smallest plan found that fails."""

    plan: Plan
    runs: int
    """How many plans were played for it."""
    ended: bool
    """Whether no smaller one was left to try; else the runs came to their end."""


def shrink(plan: Plan, fails: Callable[[Plan], bool], most_runs: int = MOST_RUNS, told: Told | None = None) -> Shrunk:
    """Return a smaller plan that fails as this one does: equal plans and judges give equal ones.

    `fails` plays a plan and says whether it fails in the same way. `told` hears of every smaller one that does, with
    the runs it took so far.
    """
    search = _Search(plan, fails, most_runs, told)
    try:
        while _any(step(search) for step in _STEPS):
            pass
    except _OutOfRuns:
        return Shrunk(search.plan, search.runs, ended=False)
    return Shrunk(search.plan, search.runs, ended=True)


class _OutOfRuns(Exception):
    pass


class _Search:
    """The smallest plan so far, and every one that was tried."""

    def __init__(self, plan: Plan, fails: Callable[[Plan], bool], most_runs: int, told: Told | None) -> None:
        self.plan = plan
        self.runs = 0
        self._fails = fails
        self._most_runs = most_runs
        self._told = told
        self._tried = {plan: None}

    def attempt(self, **changes: Any) -> bool:
        """Try the plan with these changes, and go on from there if it still fails."""
        try:
            smaller = replace(self.plan, **changes)
        except PlanError:
            return False
        if smaller in self._tried:
            return False
        if self.runs == self._most_runs:
            raise _OutOfRuns
        self._tried[smaller] = None
        self.runs += 1
        if not self._fails(smaller):
            return False
        self.plan = smaller
        if self._told is not None:
            self._told(self.runs, smaller)
        return True

    def fewer(self, name: str, least: int = 0) -> bool:
        """Leave out as many of several as possible: halves first, then smaller parts, then each (delta debugging)."""
        found = False
        size = len(getattr(self.plan, name))
        while size >= 1:
            start = 0
            while start < len(items := getattr(self.plan, name)):
                rest = items[:start] + items[start + size :]
                if len(rest) >= least and self.attempt(**{name: rest}):
                    found = True
                else:
                    start += size
            size //= 2
        return found

    def first(self, candidates: Iterator[dict[str, Any]]) -> bool:
        """Take the first of several changes under which the plan still fails."""
        return any(self.attempt(**changes) for changes in candidates)


# What makes a plan smaller, each for itself.


def _fewer_faults(search: _Search) -> bool:
    return search.fewer("faults")


def _fewer_liars(search: _Search) -> bool:
    found = search.fewer("byzantine")
    for place, (replica, name) in enumerate(search.plan.byzantine):
        if len(kinds := parts(name)) > 1:
            smaller = ({"byzantine": _with(search.plan.byzantine, place, (replica, kind))} for kind in kinds)
            found = search.first(smaller) or found
    return search.fewer("colluders") or found


def _fewer_programs(search: _Search) -> bool:
    found = search.fewer("programs", least=1)
    for place in range(len(search.plan.programs)):
        found = _any(search.first(_smaller_programs(search, place, name)) for name in _SMALLEST) or found
    return found


_SMALLEST: Final[dict[str, int]] = {"calls": 1, "operations": 1, "start_ms": 0, "think_ms": 0}
"""The least that a program may do, by field."""


def _smaller_programs(search: _Search, place: int, name: str) -> Iterator[dict[str, Any]]:
    program = search.plan.programs[place]
    for value in _between(_SMALLEST[name], getattr(program, name)):
        change: dict[str, Any] = {name: value}
        yield {"programs": _with(search.plan.programs, place, replace(program, **change))}


def _fewer_clients(search: _Search) -> bool:
    first = search.plan.programs[0].client
    programs = search.plan.programs
    return search.first(
        {"programs": _with(programs, place, replace(program, client=first))}
        for place, program in enumerate(programs)
        if program.client != first
    )


def _fewer_replicas(search: _Search) -> bool:
    plan = search.plan
    return search.first(
        {
            "n": n,
            "byzantine": tuple((replica, name) for replica, name in plan.byzantine if replica < n),
            "faults": tuple(fault for fault in plan.faults if not _names_beyond(fault, n)),
        }
        for n in range(MIN_REPLICAS, plan.n)
    )


def _names_beyond(fault: Fault, n: int) -> bool:
    return any(isinstance(address, int) and address >= n for address in fault.addresses)


def _simpler_network(search: _Search) -> bool:
    simple = {
        "loss": 0.0,
        "duplicate": 0.0,
        "reorder": 0.0,
        "spread": "even",
        "delay_ms": (1, 1),
        "clock_skew_ms": 0,
        "signatures": "simulated",
        "word_bytes": 16,
    }
    return search.attempt(**simple) or _any(search.attempt(**{name: value}) for name, value in simple.items())


def _usual_settings(search: _Search) -> bool:
    found = False
    for name in ("limits", "settings", "session_settings"):
        settings = getattr(search.plan, name)
        usual = type(settings)()
        if search.attempt(**{name: usual}):
            found = True
            continue
        for each in fields(settings):
            now = getattr(search.plan, name)
            # A change alone may break a rule of the limits, as that the log is twice as long as an interval.
            found = search.attempt(**{name: replace(now, **{each.name: getattr(usual, each.name)})}) or found
    return found


def _shorter_run(search: _Search) -> bool:
    plan = search.plan
    return search.first(
        {
            "heal_ms": heal_ms,
            "faults": tuple(_cut_off(fault, heal_ms) for fault in plan.faults if fault.begin_ms <= heal_ms),
        }
        for heal_ms in _between(1, plan.heal_ms)
    )


def _shorter_faults(search: _Search) -> bool:
    found = False
    for place in range(len(search.plan.faults)):
        faults = search.plan.faults
        fault = faults[place]
        shorter = (_cut_off(fault, end_ms) for end_ms in _between(fault.begin_ms + 1, fault.last_ms))
        found = search.first({"faults": _with(faults, place, each)} for each in shorter) or found
    return found


def _cut_off(fault: Fault, end_ms: int) -> Fault:
    return replace(fault, end_ms=end_ms) if fault.last_ms > max(end_ms, fault.begin_ms) else fault  # type: ignore[call-arg]


def _any(found: Iterable[bool]) -> bool:
    """Say whether any was found, after looking at all of them."""
    return sum(found) > 0


def _between(least: int, now: int) -> Iterator[int]:
    """Yield values below the present one: the least, then ever closer to the present."""
    step = now - least
    while step > 0:
        yield now - step
        step //= 2


def _with(items: Sequence[Item], place: int, item: Item) -> tuple[Item, ...]:
    return (*items[:place], item, *items[place + 1 :])


_STEPS: Final[tuple[Callable[[_Search], bool], ...]] = (
    _fewer_faults,
    _fewer_liars,
    _fewer_programs,
    _simpler_network,
    _fewer_replicas,
    _usual_settings,
    _shorter_run,
    _fewer_clients,
    _shorter_faults,
)
"""In the order in which they are tried, round after round: what makes runs short comes first."""

__all__ = ["MOST_RUNS", "Shrunk", "shrink"]
