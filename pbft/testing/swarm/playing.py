"""Playing a plan: the run from its first call to its healed end, and what every run must come to.

Owns: when faults and calls happen, and bugs to plant, since a swarm that catches nothing proves nothing. The oracles
judge each step; here only the ends are held together.
"""

from __future__ import annotations

from collections.abc import Mapping

from pbft.core.messages import RefusalReason
from pbft.core.replica import Replica
from pbft.testing.clients import Call
from pbft.testing.cluster import Cluster
from pbft.testing.linearizability import Undecided
from pbft.testing.mutants import catalogue
from pbft.testing.oracles import OracleFailure
from pbft.testing.rare_paths import RarePaths
from pbft.testing.runs import Echo
from pbft.testing.swarm.faults import Fault
from pbft.testing.swarm.liars import adversary
from pbft.testing.swarm.outcome import Outcome
from pbft.testing.swarm.plan import Plan
from pbft.testing.swarm.programs import CLIENTS
from pbft.testing.swarm.work import Worker
from pbft.testing.swarm.workloads import WORKLOADS, Workload


def play(
    plan: Plan,
    plant: str | None = None,
    echo: Echo | None = None,
    *,
    workloads: Mapping[str, Workload] = WORKLOADS,
    replay: str | None = None,
) -> Outcome:
    """Play a plan to its end, with a mutant planted if you like, and every trace line to `echo`.

    Raises AssertionError when anything broke, with the command that shows it again.
    """
    stage = Stage(plan, plant, echo, workloads=workloads, replay=replay)
    stage.play()
    return stage.outcome()


class Stage:
    """A plan on its stage: play it once, and ask what it came to, also after it broke."""

    def __init__(
        self,
        plan: Plan,
        plant: str | None = None,
        echo: Echo | None = None,
        *,
        workloads: Mapping[str, Workload] = WORKLOADS,
        replay: str | None = None,
    ) -> None:
        """`replay` is the command that shows this run again."""
        self._plan = plan
        self._workload = workload = workloads[plan.workload]
        mutant = None if plant is None else catalogue()[plant]
        self._group = group = Cluster(
            workload.application,
            plan.seed,
            plan.n,
            byzantine={replica: adversary(name) for replica, name in plan.byzantine},
            clients=CLIENTS,
            colluders=plan.colluders,
            parameters=workload.parameters,
            loss=plan.loss,
            duplicate=plan.duplicate,
            reorder=plan.reorder,
            delay_ms=plan.delay_ms,
            spread=plan.spread,
            clock_skew_ms=plan.clock_skew_ms,
            signatures=plan.signatures,
            quorums=None if mutant is None else mutant.quorums(plan.n),
            replica_type=Replica if mutant is None else mutant.replica(),
            limits=plan.limits,
            settings=plan.settings,
            session_settings=plan.session_settings,
            invariant=workload.invariant,
            replay=replay,
        )
        group.trace.echo = echo
        self._rare_paths = group.watch(RarePaths)
        self._undecided = 0
        self._agreed = False
        self._workers = [Worker(group, program, workload, plan) for program in plan.programs]
        for fault in plan.faults:
            _let(group, fault)

    def play(self) -> None:
        """Run until healed, demand answers and progress, and hold the ends together. Raises AssertionError."""
        group, correct = self._group, self._correct
        group.run(self._plan.heal_ms)
        group.heal()
        group.finish(*[call for worker in correct for call in worker.calls if not call.done], level=False)
        # Where no program is promised an answer none need speak, and who was cut off cannot know that it is behind.
        group.finish(*[call for worker in correct for call in worker.speak()], level=bool(correct))
        self._check()

    def outcome(self) -> Outcome:
        """Return what the run has come to so far."""
        calls = sum(len(worker.calls) for worker in self._workers)
        return Outcome.of(
            self._group,
            calls,
            undecided=self._undecided,
            rare_paths=self._rare_paths.told(),
            parting="" if self._agreed else self._group.parting(),
        )

    @property
    def _correct(self) -> list[Worker]:
        """The programs that are promised answers."""
        return [worker for worker in self._workers if worker.program.client not in self._plan.unheard]

    def _check(self) -> None:
        """Hold the ends together: everything was answered, and correct replicas share one history and one state."""
        group, calls = self._group, [call for worker in self._correct for call in worker.calls]
        lost = [call for call in calls if call.outcome is None]
        refused = next((call for call in lost if not self._may_be_lost(call)), None)
        if refused is not None:
            words = refused.refusal.name if refused.refusal is not None else "no reason"
            raise OracleFailure("end", f"{refused!r} was refused: {words}\n{group.story()}")
        if not group.histories_agree():
            raise OracleFailure("end", f"histories differ\n{group.story()}")
        self._agreed = True
        self._undecided += isinstance(group.check_linearizable(self._workload.execute), Undecided)
        wrong = self._workload.check(calls, not lost and not self._plan.meddled)
        if wrong is not None:
            raise OracleFailure("end", f"{wrong}\n{group.story()}")

    def _may_be_lost(self, call: Call) -> bool:
        """Say whether a session had to leave its client's table for others of its client (design 4.2)."""
        client = call.client.partition("/")[0]
        return call.refusal is RefusalReason.UNKNOWN_SESSION and self._plan.shares_table(client)


def _let(group: Cluster, fault: Fault) -> None:
    """Let a fault begin and end at its times."""

    def begin() -> None:
        group.trace.note(group.now_ms, "fault", str(fault))
        undo = fault.begin(group)
        if undo is not None:
            group.at(fault.last_ms, undo)

    group.at(fault.begin_ms, begin)
