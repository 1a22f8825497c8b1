"""What seeds draw, and that a plan is all there is to a run."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import fields, replace

import pytest

from pbft.core.group import Limits
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.testing import OracleFailure, swarm
from pbft.testing.byzantine.naming import MISBEHAVIOURS
from pbft.testing.faulty_clients import FAULTY_CLIENTS
from pbft.testing.swarm import faults, staged
from pbft.testing.swarm.liars import parts
from pbft.testing.swarm.plan import Plan
from pbft.testing.swarm.plan_file import FAULTS
from pbft.testing.swarm.programs import Program, session_labels

PLANS = [Plan.draw(seed) for seed in range(800)]
QUIET = replace(
    Plan.draw(4),
    loss=0.0,
    duplicate=0.0,
    reorder=0.0,
    delay_ms=(1, 5),
    byzantine=(),
    colluders=(),
    faults=(),
    limits=Limits(),
    settings=ReplicaSettings(),
    session_settings=SessionSettings(),
)
"""A plan in which nothing goes wrong."""

BUSY = (Program("alice", 0, 1_000, 1, 10),)
"""A program that always has something on its way."""


def seen(values: list[object]) -> list[object]:
    """Return each value once, sorted by how it is spelled."""
    return sorted(dict.fromkeys(values), key=str)


def test_the_swarm_draws_all_there_is() -> None:
    """Over eight hundred seeds every size, setting, workload, kind of fault, liar and faulty client comes up."""
    assert seen([plan.n for plan in PLANS]) == [4, 5, 6, 7]
    assert seen([plan.settings.window for plan in PLANS]) == [1, 16, 2, 4]
    assert seen([plan.workload for plan in PLANS]) == ["journal", "scroll", "shelf", "warehouse"]
    assert seen([plan.signatures for plan in PLANS]) == ["ed25519", "simulated"]
    assert seen([plan.spread for plan in PLANS]) == ["even", "exponential"]
    assert seen([plan.loss for plan in PLANS]) == [0.0, 0.02, 0.05, 0.1, 0.3]
    assert seen([plan.limits.log_size // plan.limits.checkpoint_interval for plan in PLANS]) == [2, 3, 4]
    assert any(len(plan.programs) > len(dict.fromkeys(each.client for each in plan.programs)) for plan in PLANS)
    kinds = {type(fault).__name__ for plan in PLANS for fault in plan.faults}
    assert kinds == set(FAULTS)
    assert {kind for plan in PLANS for _, name in plan.byzantine for kind in parts(name)} == set(MISBEHAVIOURS)
    loose = [fault for plan in PLANS for fault in plan.faults if isinstance(fault, faults.LetLoose)]
    assert {fault.kind for fault in loose} == set(FAULTY_CLIENTS)
    assert {fault.stays for fault in loose} == {True, False}


def test_liars_collude_and_go_together() -> None:
    """Liars with two misbehaviours, with clients' keys, and beside clients that misbehave, under shared names too."""
    assert any(len(parts(name)) == 2 for plan in PLANS for _, name in plan.byzantine)
    assert any(plan.colluders for plan in PLANS)
    assert all(plan.byzantine for plan in PLANS if plan.colluders)
    shared = {
        fault.client in [program.client for program in plan.programs]
        for plan in PLANS
        for fault in plan.faults
        if isinstance(fault, faults.LetLoose)
    }
    assert shared == {True, False}
    heard = [plan for plan in PLANS if any(program.client not in plan.unheard for program in plan.programs)]
    assert len(heard) > 0.98 * len(PLANS), "hardly any run promises nobody anything"


def test_rooms_are_small_now_and_then() -> None:
    """Client tables that evict, batches of one request, rooms that fill, sources that are given up soon."""
    assert seen([plan.limits.sessions_per_client for plan in PLANS]) == [1, 2, 64]
    assert 1 in seen([plan.limits.batch_requests for plan in PLANS])
    assert 1 in seen([plan.settings.waiting_requests_per_client for plan in PLANS])
    assert len(seen([plan.settings.unexecuted_bytes for plan in PLANS])) == 2
    assert len(seen([plan.settings.transfer_timeout_ms for plan in PLANS])) == 2
    assert len(seen([plan.limits.operation_bytes for plan in PLANS])) == 2
    assert 4_000 in seen([plan.clock_skew_ms for plan in PLANS])


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


def test_a_plan_is_told_a_line_each() -> None:
    """People read numbers in one line, then every program, liar and fault in a line of its own."""
    plan = next(plan for plan in PLANS if plan.byzantine and plan.faults)
    told = plan.told()
    assert f"n={plan.n}" in told[0]
    assert len(told) == 2 + len(plan.programs) + len(plan.byzantine) + len(plan.colluders) + len(plan.faults)
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
        QUIET, faults=(faults.Paused(500, 900, 2), faults.Cut(600, 700, 0, 1, both=True)), programs=BUSY, heal_ms=2_000
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
    plan = replace(QUIET, faults=(faults.Flapping(300, 800, 0, 1, 200),), programs=BUSY, heal_ms=2_000)
    swarm.play(plan, echo=lines.append)
    lost = [int(line.split()[0]) for line in lines if " r0 -> r1 " in line or " r1 -> r0 " in line]
    assert lost
    assert all(300 <= moment < 800 and (moment - 300) % 200 <= 100 for moment in lost)


def test_a_program_goes_on_until_the_run_heals() -> None:
    """A session calls again when it is answered and has thought about it, so many times, and once more at the end."""
    plan = replace(
        QUIET,
        programs=(Program("alice", 100, 5, 2, 50), Program("bob", 0, 1_000, 1, 0)),
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


def test_messages_are_copied_and_held_up() -> None:
    """Every PREPARE of one link arrives three times, and every COMMIT of another much later, while that lasts."""
    lines: list[str] = []
    both = (faults.Doubled(200, 400, "PREPARE", 2, 1, 3), faults.Delayed(200, 400, "COMMIT", 3, 1, 150))
    swarm.play(replace(QUIET, n=4, faults=both, programs=BUSY, heal_ms=1_000), echo=lines.append)
    copies = Counter(line.split("r1 <- r2")[1] for line in lines if "r1 <- r2 " in line and " PREPARE v0 " in line)
    assert set(copies.values()) == {1, 3}
    arrived = {
        sequence: int(line.split()[0])
        for line in lines
        if "r1 <- r3 " in line and " COMMIT v0 " in line
        for sequence in [line.split(" v0 ")[1].split()[0]]
    }
    executed = {
        line.split(" executed v0 ")[1].split()[0]: int(line.split()[0])
        for line in lines
        if " r1 " in line and " executed v0 " in line
    }
    late = [sequence for sequence, at_ms in arrived.items() if at_ms > executed[sequence] + 100]
    assert late
    assert len(late) < len(arrived)


def test_a_client_let_loose_is_promised_nothing_if_it_stays() -> None:
    """Who shares its key goes unanswered at will, and so do clients whose keys liars hold; others do not."""
    programs = tuple(Program(client, 0, 2, 1, 0) for client in ("alice", "bob", "carol"))
    for stays, unheard in ((True, ("alice", "bob")), (False, ("bob",))):
        loose = faults.LetLoose(100, 400, "alice", "TwoTongues", stays)
        plan = replace(QUIET, faults=(loose,), programs=programs, colluders=("bob",), byzantine=((0, "Censor"),))
        assert plan.unheard == unheard
        assert plan.meddled
        assert plan.shares_table("alice")
        assert not plan.shares_table("carol")
    lines: list[str] = []
    swarm.play(replace(QUIET, faults=(faults.LetLoose(100, 400, "dave", "OneBackup", stays=False),)), echo=lines.append)
    told = [
        line.split()[0] for line in lines if "dave~OneBackup " in line and ("let loose" in line or "stopped" in line)
    ]
    assert told == ["100", "400"]


def test_two_misbehaviours_go_together() -> None:
    """One liar does what both do: it passes a client over, and the times that it proposes are wrong."""
    kind = swarm.adversary("Censor+TimeLiar")
    assert issubclass(kind, MISBEHAVIOURS["Censor"])
    assert issubclass(kind, MISBEHAVIOURS["TimeLiar"])
    assert swarm.adversary("Censor+TimeLiar") is kind
    for name in ("Censor+Censor", "Silent+Censor", "Censor+Nobody"):
        with pytest.raises(ValueError, match="no liar"):
            swarm.adversary(name)


def test_a_session_may_have_to_leave_its_table_for_others_of_its_client() -> None:
    """With room for one session a client, two programs of one key drive each other out: that is no failure.

    With room for both, a request that is refused would be.
    """
    programs = (Program("alice", 0, 10, 1, 0), Program("alice", 0, 10, 1, 0), Program("bob", 0, 10, 1, 0))
    plan = replace(QUIET, programs=programs, limits=Limits(sessions_per_client=1), workload="journal")
    assert plan.shares_table("alice")
    assert not plan.shares_table("bob")
    outcome = swarm.play(plan)
    assert outcome.rare_paths["session evicted"] > 0
    assert outcome.rare_paths["request of an evicted session refused"] > 0
    with pytest.raises(OracleFailure, match="was refused: UNKNOWN_SESSION"):
        swarm.play(Forgetful(**{each.name: getattr(plan, each.name) for each in fields(plan)}))


class Forgetful(Plan):
    """A plan that takes every refusal for a failure."""

    def shares_table(self, client: str) -> bool:
        """Say no."""
        return False


def test_liars_stand_where_their_lies_count() -> None:
    """Some runs are staged: primary after one that fails, source for who must catch up, primary of busy clients."""
    chance = random.Random(1)
    drawn = [staged.draw_staged(chance, n, 3_000) for n in (4, 7) for _ in range(1_000)]
    found = [each for each in drawn if each is not None]
    assert 0.1 < len(found) / len(drawn) < 0.2
    names = {kind for each in found for _, name in each.byzantine for kind in parts(name)}
    assert {"BogusNewView", "NodeForger", "Censor"} < names <= set(MISBEHAVIOURS)
    assert {replica for each in found for replica, _ in each.byzantine} == {0, 1}


@pytest.mark.parametrize("name", staged.STAGES)
def test_every_stage_can_be_asked_for(name: str) -> None:
    """Whatever chance says, the plan is staged so, and its seed alone draws it; the command that replays it says so."""
    for seed in range(30):
        plan = Plan.draw(seed, staged=name)
        assert plan == Plan.draw(seed, staged=name)
        assert plan.byzantine or plan.faults
        assert Plan.draw(seed, 7, name).n == 7
    assert swarm.command(3, staged=name) == f"pbft sim --seed 3 --staged {name} --trace"


def test_who_is_staged_to_take_over_a_state_misses_more_than_a_log() -> None:
    """Small logs, large states, clients that go on, and the last replica cut off for a while."""
    plans = [Plan.draw(seed, staged="states") for seed in range(100)]
    assert {plan.limits.log_size for plan in plans} == {8}
    assert {plan.workload for plan in plans} == {"warehouse", "shelf", "scroll"}
    assert {plan.settings.checkpoint_nodes for plan in plans} > {1, 2}
    for plan in plans:
        cut_off = [fault.address for fault in plan.faults if isinstance(fault, faults.Isolated)]
        assert plan.n - 1 in cut_off
