"""A few replicas whose primary fails them: they agree on the next one, and nothing that committed is lost.

Stories in little, without loss; the simulator tells the long ones. Each replica here hears all that is said to it at
once, but for those left out of the group.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pbft.core.effects import Effect, Executed, StateInstalled, ViewEntered
from pbft.core.envelope import Envelope
from pbft.core.group import Limits
from tests.core.builders import Microscope, Scene, session_id
from tests.core.chamber import exchange, executed, outgoing, pass_time

SIZES = [4, 7]
LIMITS = Limits(checkpoint_interval=4, log_size=8)


def group_of(scene: Scene, *without: int) -> list[Microscope]:
    return [scene.watch(me) for me in range(scene.n) if me not in without]


def ask(group: Sequence[Microscope], request: Envelope) -> list[Effect]:
    """Send a request to every replica, as an impatient client does."""
    effects: list[Effect] = []
    for each in group:
        turn = each.give(request)
        effects += [*turn.effects, *exchange(group, outgoing(group, each.me, turn))]
    return effects


def settle(group: Sequence[Microscope], seconds: int) -> list[Effect]:
    """Let time pass in small steps."""
    return [effect for _ in range(20 * seconds) for effect in pass_time(group, 50)]


def views(group: Sequence[Microscope]) -> list[int]:
    return [each.replica.status().view for each in group]


def digests(group: Sequence[Microscope]) -> set[bytes]:
    return {each.replica.state_digest() for each in group}


@pytest.mark.parametrize("n", SIZES)
def test_a_silent_primary_is_replaced(n):
    """A request that it never proposes runs in view 1, once at each replica, and then the group is idle again."""
    group = group_of(Scene(n), 0)
    effects = ask(group, group[0].scene.request())
    effects += settle(group, 10)
    assert views(group) == [1] * len(group)
    assert executed(effects) == [1] * len(group)
    assert len(digests(group)) == 1
    assert [each.replica.deadline_ms for each in group] == [None] * len(group)


def test_as_many_silent_primaries_as_may_be_faulty_are_passed_over():
    """View 1's is silent, too: after twice the time the group is in view 2."""
    group = group_of(Scene(7), 0, 1)
    effects = ask(group, group[0].scene.request())
    effects += settle(group, 15)
    assert views(group) == [2] * 5
    assert executed(effects) == [1] * 5


@pytest.mark.parametrize("n", SIZES)
def test_what_one_replica_executed_all_execute(n):
    """A batch committed at one replica, and then its primary fell silent: view 1 proposes just that batch again."""
    scene = Scene(n)
    group = group_of(scene, 0)
    proposal = scene.pre_prepare(1, scene.request())
    for each in group:
        each.give(proposal)
        each.prepare(proposal)
    group[-1].commit(proposal)
    assert [each.executed for each in group] == [0] * (len(group) - 1) + [1]
    effects = ask(group, scene.request("bob"))
    effects += settle(group, 10)
    assert min(views(group)) >= 1
    assert [each.executed for each in group] == [2] * len(group)
    assert len(digests(group)) == 1
    firsts = {each.digest for each in effects if isinstance(each, Executed) and each.sequence == 1}
    assert len(firsts) == 1
    assert [operation for operation, _ in group[0].application.ran] == [b"op", b"op"]


@pytest.mark.parametrize("n", SIZES)
def test_a_new_primary_without_the_batch_gets_it(n):
    """It knows from another's certificate what prepared, and takes the batch from whoever has it."""
    scene = Scene(n)
    group = group_of(scene, 0)
    proposal = scene.pre_prepare(1, scene.request())
    for each in group[1:]:
        each.give(proposal)
        each.prepare(proposal)
    effects = ask(group, scene.request("bob"))
    effects += settle(group, 10)
    assert [each.executed for each in group] == [2] * len(group)
    assert len(digests(group)) == 1


def test_a_primary_that_proposed_two_batches_gets_neither_through():
    """No quorum prepares one of them; in view 1 each request runs once (P1)."""
    scene = Scene()
    group = group_of(scene, 0)
    one, two = scene.pre_prepare(1, scene.request("alice")), scene.pre_prepare(1, scene.request("bob"))
    effects: list[Effect] = []
    for each, proposal in zip(group, (one, one, two), strict=True):
        turn = each.give(proposal, 0)
        effects += [*turn.effects, *exchange(group, outgoing(group, each.me, turn))]
    for client in ("alice", "bob"):
        effects += ask(group, scene.request(client))
    effects += settle(group, 10)
    assert min(views(group)) >= 1
    assert len(digests(group)) == 1
    for each in group:
        assert len(each.application.ran) == 2


@pytest.mark.parametrize("batches", [3, 20])
@pytest.mark.parametrize("n", SIZES)
def test_a_primary_that_comes_back_follows(n, batches):
    """The group went on without it, in view 1 and perhaps past its log: it learns of the view and catches up."""
    scene = Scene(n, limits=LIMITS)
    group = group_of(scene, 0)
    effects: list[Effect] = []
    for number in range(batches):
        effects += ask(group, scene.request("alice", 1, (b"%d" % number,), session_id(number)))
        effects += settle(group, 4 if number == 0 else 1)
    assert [each.executed for each in group] == [batches] * (n - 1)
    returned = scene.watch(0, greeted=False)
    returned.ms = group[0].ms
    everybody = [returned, *group]
    effects = settle(everybody, 10)
    assert [each.view for each in effects if isinstance(each, ViewEntered)] == [1]
    assert returned.executed == batches
    assert len(digests(everybody)) == 1
    assert bool([each for each in effects if isinstance(each, StateInstalled)]) is (batches == 20)
    assert [each.replica.deadline_ms for each in everybody] == [None] * n


@pytest.mark.parametrize("n", SIZES)
def test_a_replica_that_went_ahead_alone_comes_back_to_the_group(n):
    """It lost patience by itself; the others, who had none to lose, go on without its vote and take it along."""
    scene = Scene(n, limits=LIMITS)
    group = group_of(scene)
    lonely = group[-1]
    lonely.give(scene.request("bob"))
    lonely.wait(2_000)
    assert lonely.replica.status().target == 1
    for each in group:
        each.ms = lonely.ms
    effects: list[Effect] = []
    for number in range(6):
        effects += ask(group, scene.request("alice", 1, (b"%d" % number,), session_id(number)))
        effects += settle(group, 1)
    assert [each.executed for each in group] == [group[0].executed] * n
    assert group[0].executed >= 6
    assert len(digests(group)) == 1
