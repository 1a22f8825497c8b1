"""What seeds draw, and that a plan is all there is to a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.testing import swarm
from pbft.testing.swarm import faults
from pbft.testing.swarm.plan import Plan, Program, session_labels

PLANS = [Plan.draw(seed) for seed in range(500)]

NAMES = {name: getattr(faults, name) for name in dir(faults)} | {"Plan": Plan, "Program": Program}


def seen(values: list[object]) -> list[object]:
    """Return each value once, sorted by how it is spelled."""
    return sorted(dict.fromkeys(values), key=str)


def test_the_swarm_draws_all_there_is() -> None:
    """Over five hundred seeds every size, setting, workload, kind of fault and liar comes up."""
    assert seen([plan.n for plan in PLANS]) == [4, 5, 6, 7]
    assert seen([plan.window for plan in PLANS]) == [1, 16, 2, 4]
    assert seen([plan.workload for plan in PLANS]) == ["journal", "shelf"]
    assert seen([plan.signatures for plan in PLANS]) == ["ed25519", "simulated"]
    assert seen([plan.spread for plan in PLANS]) == ["even", "exponential"]
    assert seen([plan.loss for plan in PLANS]) == [0.0, 0.02, 0.05, 0.1, 0.3]
    assert seen([plan.log_size // plan.checkpoint_interval for plan in PLANS]) == [2, 3, 4]
    assert any(len(plan.programs) > len(dict.fromkeys(each.client for each in plan.programs)) for plan in PLANS)
    kinds = {type(fault).__name__ for plan in PLANS for fault in plan.faults}
    assert kinds == {"Crashed", "Cut", "Dropped", "Flapping", "Isolated", "Paused", "Slow", "Split", "WrongClock"}
    assert {name for plan in PLANS for _, name in plan.byzantine} == set(swarm.ADVERSARIES)


def test_faulty_replicas_stay_within_f() -> None:
    """Crashed, lying and wrongly timed replicas are f at most together, and primaries are among them."""
    first_primary = {"crashed": 0, "lying": 0}
    for plan in PLANS:
        crashed = [fault.replica for fault in plan.faults if isinstance(fault, faults.Crashed)]
        wrong = [fault.replica for fault in plan.faults if isinstance(fault, faults.WrongClock)]
        lying = [replica for replica, _ in plan.byzantine]
        faulty = [*crashed, *wrong, *lying]
        assert len(faulty) == len(dict.fromkeys(faulty)) <= (plan.n - 1) // 3
        first_primary["crashed"] += 0 in crashed
        first_primary["lying"] += 0 in lying
    assert first_primary["crashed"] > 50
    assert first_primary["lying"] > 50
    both = [
        fault for plan in PLANS for fault in plan.faults if isinstance(fault, faults.Crashed) and fault.replica == 1
    ]
    assert both, "the second primary dies too, now and then after the first"


def test_faults_begin_and_end_before_the_run_heals() -> None:
    for plan in PLANS:
        begins = [fault.begin_ms for fault in plan.faults]
        assert begins == sorted(begins)
        assert all(0 <= fault.begin_ms <= fault.last_ms <= plan.heal_ms for fault in plan.faults)


def test_a_plan_that_never_heals_is_refused() -> None:
    plan = Plan.draw(1)
    with pytest.raises(ValueError, match=f"a run heals at {plan.heal_ms} ms, and this would go on: Isolated"):
        replace(plan, faults=(faults.Isolated(0, plan.heal_ms + 1, 2),))


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_is_all_there_is_to_a_run(seed: int) -> None:
    """A plan spells itself out: what is read back from its words is equal, and its run is the seed's run."""
    plan = Plan.draw(seed)
    again = eval(repr(plan), NAMES)
    assert again == plan
    if seed < 3:
        assert swarm.play(again) == swarm.run(seed)


def test_a_plan_is_told_a_line_each() -> None:
    """People read numbers in one line, then every program, liar and fault in a line of its own."""
    plan = next(plan for plan in PLANS if plan.byzantine and plan.faults)
    told = plan.told()
    assert f"n={plan.n}" in told[0]
    assert len(told) == 2 + len(plan.programs) + len(plan.byzantine) + len(plan.faults)
    assert f"replica {plan.byzantine[0][0]} is {plan.byzantine[0][1]}" in told
    assert told[-1] == f"healed from {plan.heal_ms} ms on"


def test_labels_are_those_of_the_cluster() -> None:
    """A fault that names a session names it as the cluster does."""
    programs = tuple(Program(client, 0, 1, 1, 0) for client in ("bob", "alice", "bob", "bob"))
    assert session_labels(programs) == ["bob", "alice", "bob/2", "bob/3"]


def test_a_fault_happens_between_its_times() -> None:
    """A quiet plan with one pause and one cut: the trace shows both, begun and ended on time."""
    lines: list[str] = []
    plan = replace(
        Plan.draw(4),
        faults=(faults.Paused(500, 900, 2), faults.Cut(600, 700, 0, 1, both=True)),
        byzantine=(),
        loss=0.0,
    )
    swarm.play(plan, echo=lines.append)
    told = [line for line in lines if "paused" in line or "resumed" in line or " fault " in line]
    assert [line.split()[0] for line in told] == ["500", "500", "600", "900"]
    lost = [int(line.split()[0]) for line in lines if " r0 -> r1 " in line or " r1 -> r0 " in line]
    assert lost
    assert all(600 <= moment <= 700 for moment in lost)


def test_a_link_that_flaps_is_up_between_and_after() -> None:
    """It is down for the first half of each period, and stays up once the fault has ended."""
    lines: list[str] = []
    plan = replace(Plan.draw(4), faults=(faults.Flapping(300, 800, 0, 1, 200),), byzantine=(), loss=0.0, heal_ms=2_000)
    swarm.play(plan, echo=lines.append)
    lost = [int(line.split()[0]) for line in lines if " r0 -> r1 " in line or " r1 -> r0 " in line]
    assert lost
    assert all(300 <= moment < 800 and (moment - 300) % 200 <= 100 for moment in lost)


def test_a_program_goes_on_until_the_run_heals() -> None:
    """A session calls again when it is answered and has thought about it, so many times, and once more at the end."""
    plan = replace(
        Plan.draw(4),
        programs=(Program("alice", 100, 5, 2, 50), Program("bob", 0, 1_000, 1, 0)),
        faults=(),
        byzantine=(),
        workload="journal",
        heal_ms=1_500,
    )
    outcome = swarm.play(plan)
    assert outcome.calls > 2 * 6 + 10
    lines: list[str] = []
    swarm.play(plan, echo=lines.append)
    answered = [line for line in lines if " alice " in line and "answered" in line]
    assert len(answered) == 2 * 6
    assert int(answered[0].split()[0]) > 100
