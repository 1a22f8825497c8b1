"""O10: clients' histories, judged by the sequences that clients were told and by a search that believes none.

Bugs are planted in all replicas alike, with every other oracle left out: this one sees nothing but what clients see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from pbft.core.client_table import ClientTable, Fate
from pbft.core.group import ClientKey
from pbft.core.replica import Replica
from pbft.machine import Application, Context, Outcome, Result
from pbft.operations import decode_operation
from pbft.testing import Cluster, OracleFailure, swarm
from pbft.testing.clients import Call
from pbft.testing.faulty_clients import TwoTongues
from pbft.testing.linearizability import Linearizable, NotLinearizable, Operation, check, find_flaw
from pbft.testing.oracles import ORACLES
from pbft.testing.oracles.linearizable import LINEARIZABLE, History
from pbft.testing.swarm import Plan
from pbft_apps.counter import Counter
from tests.scenarios.stories import SIZES, Load

ALL_OTHERS = tuple(oracle.id for oracle in ORACLES)


def history(group: Cluster) -> History:
    """What O10 makes of a run."""
    return History(group.group, group._facts.record, group._engine.clients.values())


def search(group: Cluster) -> Any:
    """The search alone, over the calls alone."""
    return check(history(group).operations, group._facts.application)


def judged(group: Cluster, words: str) -> None:
    """Assert that O10 fires, and tells the run."""
    with pytest.raises(OracleFailure, match=words) as failure:
        group.check_linearizable()
    assert failure.value.oracle == LINEARIZABLE
    assert f"seed {group.seed}, at {group.now_ms} ms" in str(failure.value)


# Runs in which nothing is wrong.


@SIZES
def test_a_correct_run_is_linearizable(n: int) -> None:
    """Four sessions of two clients under loss: every answer is in the order that is found."""
    group = Cluster(Counter, seed=3, n=n, loss=0.05)
    load = Load(group, "alice", "bob", "alice", "bob")
    group.run(1_500)
    group.finish(*load.stop())
    verdict = group.check_linearizable()
    assert isinstance(verdict, Linearizable)
    assert [each.value for each in verdict.order] == list(range(1, len(load.calls) + 1))
    assert "alice/2, " in "".join(each.remark for each in verdict.order)


def test_a_millisecond_holds_an_answer_and_the_next_call() -> None:
    """Real time is exact: whoever calls when an answer has come is later than that answer, though no clock moved."""
    group = Cluster(Counter, seed=1)
    alice, bob = group.clients("alice", "bob")
    followers: list[Call] = []
    first = alice.call("add", 1)
    first.then = lambda: followers.append(bob.call("value"))
    group.settle(first)
    group.settle(*followers)
    assert first.ended_ms == followers[0].called_ms
    assert first.called_event < (first.ended_event or 0) < followers[0].called_event < (followers[0].ended_event or 0)
    (follower,) = followers
    assert follower.completed is not None
    follower.completed = replace(follower.completed, result=Result.of(Outcome.OK, 0))
    assert isinstance(search(group), NotLinearizable)


def test_a_call_without_an_answer_may_have_run() -> None:
    """Alice is cut off before her second addition leaves, and Bob before he hears of his: one ran, one did not."""
    group = Cluster(Counter, seed=2)
    alice, bob, elsewhere = group.clients("alice", "bob", "alice")
    group.gather(alice.call("add", 1), bob.call("add", 2))
    for i in range(4):
        group.network.cut("alice", i)
        group.network.cut_one_way(i, "bob")
    lost, ran = alice.call("add", 10), bob.call("add", 20)
    group.run(1_000)
    assert group.gather(elsewhere.call("value")) == [23]
    assert not lost.done
    assert not ran.done
    verdict = group.check_linearizable()
    assert isinstance(verdict, Linearizable)
    assert [each.args for each in verdict.order if not each.answered] == [(20,)]
    assert len(history(group).operations) == 5


def test_what_a_faulty_client_got_executed_is_in_the_history() -> None:
    """Bob says two things under one timestamp; whichever of them runs changes what Alice reads."""
    group = Cluster(Counter, seed=4)
    faulty = group.let_loose("bob", TwoTongues, lambda number: ("add", (number + 1,)))
    (alice,) = group.clients("alice")
    values = [group.gather(alice.call("value"))[0]]
    for _ in range(5):
        group.run(300)
        values += group.gather(alice.call("value"))
    group.stop(faulty)
    assert values[-1] > values[0]
    assert isinstance(group.check_linearizable(), Linearizable)
    liars = [each for each in history(group).operations if each.remark == "no call of a correct client"]
    assert [each.name for each in liars] == ["add"] * len(liars)
    group._facts.record.replayed.clear()
    judged(group, "no correct replica executed it")


# Planted: what the search sees.


class Stale:
    """A counter whose queries are answered from the state of the beginning, and so at once."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._beginning = Counter.create({})

    def execute(self, operation: bytes, context: Context) -> Result:
        """Execute what writes; answer what reads from old times."""
        stale = decode_operation(operation).name == "value"
        return (self._beginning if stale else self._application).execute(operation, context)

    def digest(self) -> bytes:
        """Return the true state's digest."""
        return self._application.digest()

    def snapshot(self) -> Iterable[bytes]:
        """Return the true state."""
        return self._application.snapshot()

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Take a state over."""
        self._application.restore(pieces)


class StaleReader(Replica):
    """Executes everything in order, and reads from a state of long ago."""

    def __init__(self, me: int, group: Any, application: Application, *rest: Any) -> None:
        super().__init__(me, group, Stale(application), *rest)


class ForgetfulTable(ClientTable):
    """Takes what a session executed last for something new."""

    def judge(self, client: ClientKey, session: bytes, timestamp: int, agreed_ms: int) -> Fate:
        """Judge as it should, but for the timestamp."""
        fate = super().judge(client, session, timestamp, agreed_ms)
        return Fate.FRESH if fate is Fate.STALE else fate


class Forgetful(Replica):
    """Executes a request again when it is ordered again."""

    def __init__(self, me: int, group: Any, *rest: Any) -> None:
        super().__init__(me, group, *rest)
        self._execution.clients = ForgetfulTable(group.limits)


class Losing:
    """A counter that drops every third addition, and answers as if it had not."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._told = 0

    def execute(self, operation: bytes, context: Context) -> Result:
        """Execute, or only say so."""
        self._told += 1
        before = list(self._application.snapshot())
        result = self._application.execute(operation, context)
        if self._told % 3 == 0:
            self._application.restore(before)
        return result

    digest = Stale.digest
    snapshot = Stale.snapshot
    restore = Stale.restore


class Loser(Replica):
    """Loses updates."""

    def __init__(self, me: int, group: Any, application: Application, *rest: Any) -> None:
        super().__init__(me, group, Losing(application), *rest)


def one_after_the_other(group: Cluster) -> None:
    """Alice adds and Bob reads, in turn."""
    alice, bob = group.clients("alice", "bob")
    for _ in range(3):
        group.gather(alice.call("add", 1))
        group.gather(bob.call("value"))


def with_an_echo(group: Cluster) -> None:
    """Alice adds, her request comes to everybody once more when she was answered, and Bob reads."""
    alice, bob = group.clients("alice", "bob")
    group.gather(alice.call("value"))
    call = alice.call("add", 1)
    group.run(1)
    assert alice.session._in_flight is not None
    request = alice.session._in_flight.envelope
    group.gather(call)
    for i in range(group.group.n):
        group.inject(request, to=i)
    group.run(500)
    group.gather(bob.call("value"))


def all_at_once(group: Cluster) -> None:
    """Four sessions add without a pause."""
    load = Load(group, "alice", "bob", "alice", "bob")
    group.run(300)
    group.settle(*load.stop())


@SIZES
@pytest.mark.parametrize(
    ("planted", "work"),
    [
        (StaleReader, one_after_the_other),
        (Loser, one_after_the_other),
        (Loser, all_at_once),
        (Forgetful, with_an_echo),
    ],
)
def test_o10_sees_bugs_from_outside(planted: type[Replica], work: Callable[[Cluster], None], n: int) -> None:
    """Stale reads, lost updates, effects that come twice: refused by the told order, and by the search alone."""
    group = Cluster(Counter, seed=5, n=n, replica_type=planted, without_oracles=ALL_OTHERS)
    work(group)
    judged(group, "the model says")
    verdict = search(group)
    assert isinstance(verdict, NotLinearizable), str(verdict)
    assert verdict.culprit.client in ("alice", "bob")


# Planted: what only the told order shows.


def test_o10_an_answer_told_at_another_sequence() -> None:
    """The answers are right, so some order explains them; not the one that the client was told."""
    group = Cluster(Counter, seed=6)
    one_after_the_other(group)
    call = group._engine.clients["bob"].calls[1]
    assert call.completed is not None
    call.completed = replace(call.completed, sequence=call.completed.sequence - 1)
    assert search(group).holds
    judged(group, r"in the order that clients were told, bob.value\(\) -> 2 .* at sequence 3, and was executed at seq")


def test_o10_an_order_against_real_time() -> None:
    """Two additions of nothing: either order explains the answers, and only one is that of their calls."""
    group = Cluster(Counter, seed=7)
    alice, bob = group.clients("alice", "bob")
    group.gather(alice.call("add", 0))
    group.gather(bob.call("add", 0))
    told = history(group)
    assert find_flaw(told.order, Counter) is None
    flaw = find_flaw(told.order[::-1], Counter)
    assert flaw is not None
    assert "alice.add(0) -> 0" in flaw
    assert "had ended before bob.add(0) -> 0" in flaw


# In the swarm.


def test_the_swarm_judges_every_history() -> None:
    """A model that answers otherwise than the group makes O10 fire at the end of a run; the right one decides it."""

    def contradict(application: Application, operation: Operation) -> Result:
        del application, operation
        return Result.of(Outcome.OK, "otherwise")

    plan = replace(Plan.draw(10), faults=(), byzantine=())
    assert swarm.play(plan).undecided == 0
    otherwise = {plan.workload: replace(swarm.WORKLOADS[plan.workload], execute=contradict)}
    with pytest.raises(OracleFailure, match="where the model says 'otherwise'") as failure:
        swarm.play(plan, workloads=otherwise)
    assert failure.value.oracle == LINEARIZABLE
