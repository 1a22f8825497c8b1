"""Playing a plan: the run from its first call to its healed end, and what it came to.

Owns: when faults and calls happen, what every run must come to at its end, and bugs to plant, since a swarm that
catches nothing proves nothing. The oracles judge each step; here only the ends are held together.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pbft.core.effects import BecameStable, StateInstalled, ViewEntered
from pbft.testing.clients import Call, SimulatedClient
from pbft.testing.cluster import Cluster
from pbft.testing.oracles import OracleFailure
from pbft.testing.swarm.draws import ADVERSARIES
from pbft.testing.swarm.faults import Fault
from pbft.testing.swarm.plan import CLIENTS, Plan, Program
from pbft.testing.swarm.workloads import WORKLOADS, Workload

PLANTS: Final = ("prepared", "committed", "stable", "view_change")
"""Bugs that can be planted: that quorum one short."""

Echo = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    n: int
    deliveries: int
    virtual_ms: int
    sequences: int
    calls: int
    view_changes: int
    """Views entered by anybody correct, after the first."""
    checkpoints: int
    """Checkpoints that anybody correct found stable."""
    transfers: int
    """States taken over, by all correct replicas together."""
    trace_digest: str


@dataclass(frozen=True)
class Report:
    """A seed's end, for whoever counts: its outcome, or why it failed."""

    seed: int
    seconds: float
    outcome: Outcome | None
    failure: str
    """Empty when all is well; else what broke, the last lines of the trace, and the command that shows it again."""
    replay: str


def run(seed: int, plant: str | None = None, echo: Echo | None = None, n: int | None = None) -> Outcome:
    """Draw a seed's plan and play it. Raises what `play` raises."""
    return play(Plan.draw(seed, n), plant, echo, replay=command(seed, plant, n))


def report(seed: int, plant: str | None = None, echo: Echo | None = None, n: int | None = None) -> Report:
    """Run a seed and tell its end, whatever that is: a bug that raises is a failed seed, and no end of the swarm."""
    began = time.perf_counter()
    outcome, failure = None, ""
    try:
        outcome = run(seed, plant, echo, n)
    except AssertionError as error:
        failure = str(error)
    except Exception as error:
        failure = "".join(traceback.format_exception(error)).rstrip()
    return Report(seed, time.perf_counter() - began, outcome, failure, command(seed, plant, n))


def command(seed: int, plant: str | None = None, n: int | None = None) -> str:
    """Return the command that shows a seed's run again, line by line."""
    replicas = "" if n is None else f" --replicas {n}"
    return f"pbft sim --seed {seed}{replicas} --trace" + ("" if plant is None else f" --plant {plant}")


def play(
    plan: Plan,
    plant: str | None = None,
    echo: Echo | None = None,
    *,
    workloads: Mapping[str, Workload] = WORKLOADS,
    replay: str | None = None,
) -> Outcome:
    """Play a plan to its end, with one of PLANTS if you like, and every trace line to `echo`.

    Raises AssertionError when anything broke, with the command that shows it again.
    """
    workload = workloads[plan.workload]
    group = Cluster(
        workload.application,
        plan.seed,
        plan.n,
        byzantine={replica: ADVERSARIES[name] for replica, name in plan.byzantine},
        clients=CLIENTS,
        parameters=workload.parameters,
        loss=plan.loss,
        duplicate=plan.duplicate,
        reorder=plan.reorder,
        delay_ms=plan.delay_ms,
        spread=plan.spread,
        signatures=plan.signatures,
        quorums=plan.quorums(plant),
        limits=plan.limits,
        settings=plan.settings,
        session_settings=plan.session_settings,
        invariant=workload.invariant,
        replay=replay,
    )
    group.trace.echo = echo
    sessions = [_Session(group, program, workload, plan) for program in plan.programs]
    for fault in plan.faults:
        _let(group, fault)
    group.run(plan.heal_ms)
    group.heal()
    pending = [call for session in sessions for call in session.calls if not call.done]
    group.finish(*pending, level=False)
    group.finish(*[call for session in sessions for call in session.speak()])
    calls = [call for session in sessions for call in session.calls]
    _check(group, workload, calls)
    return _outcome(group, calls)


class _Session:
    """A program at work: one session, and its calls one after the other."""

    def __init__(self, group: Cluster, program: Program, workload: Workload, plan: Plan) -> None:
        self.calls: list[Call] = []
        self._group = group
        self._program = program
        self._workload = workload
        self._plan = plan
        self._client: SimulatedClient = group.client(program.client)
        self._rounds = 0
        self._waiting = 0
        group.at(program.start_ms, self._next)

    def speak(self) -> list[Call]:
        """Call what is next, all of one request."""
        began = len(self.calls)
        for number in range(began, began + self._program.operations):
            name, args = self._workload.operation(self._client.label, number, self._plan.word_bytes)
            self.calls.append(self._client.call(name, *args))
        return self.calls[began:]

    def _next(self) -> None:
        if self._rounds == self._program.calls or self._group.now_ms >= self._plan.heal_ms:
            return
        self._rounds += 1
        calls = self.speak()
        self._waiting = len(calls)
        for call in calls:
            call.then = self._ended

    def _ended(self) -> None:
        self._waiting -= 1
        if self._waiting == 0:
            self._group.at(self._group.now_ms + self._program.think_ms, self._next)


def _let(group: Cluster, fault: Fault) -> None:
    """Let a fault begin and end at its times."""

    def begin() -> None:
        group.trace.note(group.now_ms, "fault", str(fault))
        undo = fault.begin(group)
        if undo is not None:
            group.at(fault.last_ms, undo)

    group.at(fault.begin_ms, begin)


def _check(group: Cluster, workload: Workload, calls: list[Call]) -> None:
    """Hold the ends together: everything was answered, and correct replicas share one history and one state."""
    refused = next((call for call in calls if call.outcome is None), None)
    if refused is not None:
        raise OracleFailure("end", f"{refused!r} was refused: {refused.refusal}\n{group.story()}")
    if not group.histories_agree():
        raise OracleFailure("end", f"histories differ\n{group.story()}")
    wrong = workload.check(calls)
    if wrong is not None:
        raise OracleFailure("end", f"{wrong}\n{group.story()}")


def _outcome(group: Cluster, calls: list[Call]) -> Outcome:
    correct = group.correct
    views = [step.view for i in correct for step in group.steps(i, ViewEntered)]
    stable = [step.proof.sequence for i in correct for step in group.steps(i, BecameStable)]
    return Outcome(
        n=group.group.n,
        deliveries=group.deliveries,
        virtual_ms=group.now_ms,
        sequences=max(group.executed(i) for i in correct),
        calls=len(calls),
        view_changes=len(dict.fromkeys(views)),
        checkpoints=len(dict.fromkeys(stable)),
        transfers=sum(len(group.steps(i, StateInstalled)) for i in correct),
        trace_digest=group.trace_digest(),
    )
