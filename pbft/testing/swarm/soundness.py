"""What makes a plan impossible, in one sentence.

Owns: the rules that every plan keeps, drawn, cut down or written by hand. Plays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Final

from pbft.core.envelope import Kind
from pbft.core.group import MIN_REPLICAS, GroupError, Quorums
from pbft.testing.faulty_clients import FAULTY_CLIENTS
from pbft.testing.swarm.faults import Delayed, Doubled, Dropped, LetLoose
from pbft.testing.swarm.liars import NoSuchLiar, adversary
from pbft.testing.swarm.programs import CLIENTS
from pbft.wording import quote, suggest

if TYPE_CHECKING:
    from pbft.testing.swarm.plan import Plan

MOST_SIMULATED: Final = 31
"""Simulated at most: the messages of a run grow with the square."""


def wrong_with(plan: Plan) -> str | None:
    """Return why nobody can play a plan, or None."""
    return next((wrong for rule in _RULES for wrong in rule(plan)), None)


def _size(plan: Plan) -> Iterator[str]:
    if not MIN_REPLICAS <= plan.n <= MOST_SIMULATED:
        yield f"a simulated group has {MIN_REPLICAS} to {MOST_SIMULATED} replicas, not {plan.n}"


def _network(plan: Plan) -> Iterator[str]:
    for name in ("loss", "duplicate", "reorder"):
        if not 0 <= getattr(plan, name) < 1:
            yield f"{name} is a share from 0 up to but not including 1, not {getattr(plan, name)}"
    low_ms, high_ms = plan.delay_ms
    if not 1 <= low_ms <= high_ms:
        yield f"delay_ms goes from at least 1 up to no less, not from {low_ms} to {high_ms}"


def _clients(plan: Plan) -> Iterator[str]:
    if not plan.programs:
        yield "a run needs at least one program that calls something"
    loose = [fault.client for fault in plan.faults if isinstance(fault, LetLoose)]
    for client in (*(program.client for program in plan.programs), *plan.colluders, *loose):
        if client not in CLIENTS:
            yield f"a run's clients are {', '.join(CLIENTS)}, and {quote(client)} is none of them"
    for program in plan.programs:
        if min(program.calls, program.operations) < 1:
            yield f"a program calls at least once, one operation at least, unlike {program}"


def _times(plan: Plan) -> Iterator[str]:
    for fault in plan.faults:
        if fault.last_ms > plan.heal_ms:
            yield f"a run heals at {plan.heal_ms} ms, and this would go on: {fault}"
        if not 0 <= fault.begin_ms <= fault.last_ms:
            yield f"a fault begins at 0 ms or later, and ends no sooner than that, unlike {fault}"
    for program in plan.programs:
        if min(program.start_ms, program.think_ms) < 0:
            yield f"no program starts or thinks before time begins, unlike {program}"
    if min(plan.heal_ms, plan.clock_skew_ms, plan.word_bytes, plan.seed) < 0:
        yield "a run's seed, heal_ms, clock_skew_ms and word_bytes are 0 or more"


def _faulty(plan: Plan) -> Iterator[str]:
    named = [*plan.faulty, *(each for fault in plan.faults for each in fault.addresses if isinstance(each, int))]
    for replica in named:
        if not 0 <= replica < plan.n:
            yield f"a group of {plan.n} has no replica {replica}"
    most = Quorums.of(plan.n).faults
    if len(plan.faulty) > most or len(dict(plan.byzantine)) < len(plan.byzantine):
        yield f"in a group of {plan.n} at most {most} may crash for good, lie or have a wrong clock, each liar once"
    try:
        for _, name in plan.byzantine:
            adversary(name)
    except NoSuchLiar as error:
        yield str(error)


def _kinds(plan: Plan) -> Iterator[str]:
    for fault in plan.faults:
        if isinstance(fault, LetLoose) and fault.kind not in FAULTY_CLIENTS:
            yield f"no client misbehaves as {quote(fault.kind)}{suggest(fault.kind, FAULTY_CLIENTS)}"
        if isinstance(fault, Dropped | Delayed | Doubled) and fault.kind not in Kind.__members__:
            yield f"no message is of the kind {quote(fault.kind)}{suggest(fault.kind, Kind.__members__)}"


def _settings(plan: Plan) -> Iterator[str]:
    try:
        plan.limits.check()
    except GroupError as error:
        yield str(error)
    for settings in (plan.settings, plan.session_settings):
        for each in fields(settings):
            if getattr(settings, each.name) is not False and getattr(settings, each.name) < 1:
                yield f"setting {each.name} is at least 1"


_RULES: Final[tuple[Callable[[Plan], Iterator[str]], ...]] = (
    _size,
    _network,
    _clients,
    _times,
    _faulty,
    _kinds,
    _settings,
)
