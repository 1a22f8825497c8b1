"""The least sequence that still shows a finding, and what it takes to show it.

Owns: taking steps out one at a time until none can go, then making what is left plainer; and which single difference
between processes suffices. Draws nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from pbft.conformance.aspects import Aspect
from pbft.conformance.findings import Attempt, Finding, Rule
from pbft.conformance.steps import Step
from pbft.conformance.subject import Subject
from pbft.conformance.vocabulary import scalars
from pbft.conformance.worlds import Worlds
from pbft.encoding import Plain
from pbft.operations import ArgumentError, Call, decode_operation, encode_operation

_ONE_FAULT = (Rule.ANSWER_DIFFERS, Rule.STATE_DIFFERS)
"""What differs shows in whichever comes first, an answer or the state: for a search they are the same."""


_PLAIN: Final[Mapping[type, tuple[Any, ...]]] = {int: (0, 1, 2, 3), str: ("a", "b"), bytes: (b"", b"a")}
"""What a shrunk argument may be, the plainest first."""


_MOST_SUBSETS: Final = 250
"""So many selections of a sequence's steps are tried: all there are of seven, and the small ones of more."""


_LIKELY: Final = (
    Aspect.HASH_SEED,
    Aspect.CLOCK,
    Aspect.RANDOM,
    Aspect.COMPANY,
    Aspect.FRESH,
    Aspect.TIME_ZONE,
    Aspect.PLACE,
)
"""The order in which single differences are tried, since each costs the start of some processes."""


@dataclass(frozen=True)
class Case:
    """A sequence, where its state is taken over (each the number of operations before), and what it shows."""

    steps: tuple[Step, ...]
    restores: tuple[int, ...]
    finding: Finding

    @property
    def cut(self) -> Case:
        """This without what comes after the step that shows it."""
        end = self.finding.place + 1
        return replace(self, steps=self.steps[:end], restores=tuple(each for each in self.restores if each <= end))


Try = Callable[[Sequence[Step], Sequence[int]], Attempt | None]
"""Tries a sequence; None where there were enough tries."""


def same_fault(one: Finding, other: Finding) -> bool:
    """Say whether `one` is of the fault that `other` shows, as far as a search can tell."""
    if one.rule is Rule.OUTSIDE_CHANGED and any(one.where.partition("[")[0] in cause for cause in other.causes):
        # What made the difference, without the luck that it takes for one to show.
        return True
    return one.rule is other.rule or (one.rule in _ONE_FAULT and other.rule in _ONE_FAULT)


Orders = Mapping[str, Sequence[str]]
"""The names of arguments in their order, by operation."""


def smallest(case: Case, attempt: Try, orders: Orders = MappingProxyType({})) -> Case:
    """Return a case from which no single step and no take-over can go, made plainer where that shows the same.

    Of a few steps no two or more can go together either.
    """
    case = _shortened(case, attempt)
    size = len(case.steps) // 2
    while size > 1:
        case = _first_that_holds(case, _without(case, size), attempt) or case
        size = min(size // 2, len(case.steps) // 2)
    while smaller := (
        _first_that_holds(case, _simpler(case, orders), attempt) or _first_that_holds(case, _fewest(case), attempt)
    ):
        case = smaller
    return case


def _first_that_holds(case: Case, candidates: Iterator[Case], attempt: Try) -> Case | None:
    for candidate in candidates:
        if candidate == case:
            continue
        came = attempt(candidate.steps, candidate.restores)
        if came is None:
            return None
        if came.finding is not None and same_fault(came.finding, case.finding):
            return _shortened(replace(candidate, finding=came.finding), attempt)
    return None


def _shortened(case: Case, attempt: Try) -> Case:
    """Return a case without what comes after the step that shows it, where nothing of that is needed.

    Another machine may have executed all of it before, and what it left behind may be what shows.
    """
    cut = case.cut
    came = attempt(cut.steps, cut.restores) if cut.steps != case.steps else None
    if came is None or came.finding is None or not same_fault(came.finding, case.finding):
        return case
    return replace(cut, finding=came.finding).cut


def _without(case: Case, size: int) -> Iterator[Case]:
    """Yield the case without so many steps in a row, the latest first."""
    for start in range(len(case.steps) - size, -1, -size):
        kept = case.steps[:start] + case.steps[start + size :]
        restores = dict.fromkeys(each if each <= start else max(start, each - size) for each in case.restores)
        yield replace(case, steps=kept, restores=tuple(restores))


def _fewest(case: Case) -> Iterator[Case]:
    """Yield the case with two steps less or more, those with the fewest first, as far as there are not too many.

    A step that cannot go alone may go together with another: what each draws by chance follows from its place.
    """
    places = range(len(case.steps))
    kept = (each for size in range(1, len(places) - 1) for each in itertools.combinations(places, size))
    for each in itertools.islice(kept, _MOST_SUBSETS):
        restores = dict.fromkeys(sum(place < before for place in each) for before in case.restores)
        yield replace(case, steps=tuple(case.steps[place] for place in each), restores=tuple(restores))


def _simpler(case: Case, orders: Orders) -> Iterator[Case]:
    """Yield what is one step, or one take-over, or one oddity less."""
    yield from _without(case, 1)
    for place in case.restores:
        yield replace(case, restores=tuple(each for each in case.restores if each != place))
    first = case.steps[0].client if case.steps else ""
    alike = tuple(replace(each, client=first) for each in case.steps)
    calm = tuple(replace(each, time_ms=1_001 + place) for place, each in enumerate(case.steps))
    for steps in (calm, alike):
        if steps != case.steps:
            yield replace(case, steps=steps)
    calls = [_call(each.data) for each in case.steps]
    placed = {place: _placed(call, orders.get(call.name, ())) for place, call in enumerate(calls) if call}
    yield _with_calls(case, placed)
    yield from _renamed(case, calls)
    for place, call in enumerate(calls):
        if call is not None:
            for args, kwargs in _variants((call.args, call.kwargs)):
                yield _with_calls(case, {place: Call(call.name, args, kwargs)})


def _renamed(case: Case, calls: Sequence[Call | None]) -> Iterator[Case]:
    """Yield the case with one value in place of another in all arguments, since keys must go on to meet."""
    given = [(call.args, tuple(call.kwargs.values())) for call in calls if call]
    met = dict.fromkeys((type(each), each) for each in scalars(tuple(given)))
    for kind, value in met:
        for plain in _PLAIN.get(kind, ()):
            if value == plain:
                break
            if (kind, plain) not in met:
                yield _with_calls(
                    case,
                    {
                        place: Call(call.name, *_swapped((call.args, call.kwargs), value, plain))
                        for place, call in enumerate(calls)
                        if call
                    },
                )
                break


def _variants(value: Any) -> Iterator[Any]:
    """Yield a value with one thing in it plainer: a small number, a short word, an item or a named argument less."""
    if type(value) is tuple:
        for place, item in enumerate(value):
            for variant in _variants(item):
                yield (*value[:place], variant, *value[place + 1 :])
            if type(item) is tuple:
                for gone in range(len(item)):
                    yield (*value[:place], item[:gone] + item[gone + 1 :], *value[place + 1 :])
    elif type(value) is dict:
        for name in value:
            yield {key: each for key, each in value.items() if key != name}
            yield from ({**value, name: variant} for variant in _variants(value[name]))
    else:
        yield from itertools.takewhile(lambda plain: plain != value, _PLAIN.get(type(value), ()))
        if type(value) in (str, bytes) and len(value) > 1:
            yield value[: len(value) // 2]
        elif type(value) is int and abs(value) > max(_PLAIN[int]):
            yield value // 2


def _placed(call: Call, order: Sequence[str]) -> Call:
    """Return a call with its arguments by place, as far as none is left out before them."""
    args, kwargs = list(call.args), dict(call.kwargs)
    for name in order[len(args) :]:
        if name not in kwargs:
            break
        args.append(kwargs.pop(name))
    return Call(call.name, tuple(args), kwargs)


def _swapped(value: Any, old: Plain, new: Plain) -> Any:
    if type(value) is tuple:
        return tuple(_swapped(each, old, new) for each in value)
    if type(value) is dict:
        return {name: _swapped(each, old, new) for name, each in value.items()}
    return new if type(value) is type(old) and value == old else value


def _call(data: bytes) -> Call | None:
    try:
        return decode_operation(data)
    except ArgumentError:
        return None


def _with_calls(case: Case, calls: Mapping[int, Call]) -> Case:
    steps = list(case.steps)
    for place, call in calls.items():
        steps[place] = replace(steps[place], data=encode_operation(call.name, call.args, call.kwargs))
    return replace(case, steps=tuple(steps))


def sufficient(subject: Subject, seed: int, case: Case, patience_s: float) -> tuple[Aspect, ...] | None:
    """Return the first difference between processes that shows the case by itself, if any; None where it takes none."""

    def shows(*aspects: Aspect) -> bool:
        with Worlds(subject, aspects, seed, patience_s=patience_s) as worlds:
            finding = worlds.attempt(case.steps, case.restores).finding
        return finding is not None and same_fault(finding, case.finding)

    return None if shows() else tuple(itertools.islice((each for each in _LIKELY if shows(each)), 1))
