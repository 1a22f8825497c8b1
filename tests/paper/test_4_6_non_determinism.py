"""OSDI'99 section 4.6: values that no two replicas would choose alike; here, the time."""

from __future__ import annotations

import pytest

from pbft.core.effects import Evidence, Executed, Reason
from pbft.core.envelope import Kind
from pbft.core.messages import Batch, PrePrepare, batch_digest, unpack
from pbft.machine import Context, StateMachine, operation
from pbft.testing import Cluster
from tests.core.builders import WALL_MS, Scene, session_id
from tests.paper.stage import SIZES, Panel, agree, digest_of, divided, is_silent, lie, only, prepares

DAY_MS = 86_400_000


class Diary(StateMachine):
    """Notes when each page was written, as a file server notes when a file was last modified."""

    written: tuple[int, ...] = ()

    @operation
    def write(self, context: Context) -> int:
        """Add a page and return its time."""
        self.written = (*self.written, context.time_ms)
        return context.time_ms


@SIZES
def test_replicas_whose_clocks_differ_store_one_time(n):
    """4.6: What replicas would each choose differently, such as the time, is chosen once: so their states agree."""
    group = Cluster(Diary, seed=52, n=n, clock_skew_ms=2_000)
    alice, bob = group.clients("alice", "bob")
    times = group.gather(*(client.call("write") for _ in range(3) for client in (alice, bob)))
    assert all(type(each) is int for each in times)
    group.run_until_level()
    assert len({group.replica(replica).state_digest() for replica in range(n)}) == 1
    assert len({tuple(batch.time_ms for batch in group.history(replica)) for replica in range(n)}) == 1


def test_the_primary_chooses():
    """4.6: The primary selects the value by itself: of its clock it takes the time that a batch is proposed for."""
    watched = Scene().watch(0)
    watched.ms, watched.wall_offset_ms = 500, 7
    watched.give(watched.scene.request())
    proposal = only(watched.tick().said(Kind.PRE_PREPARE))
    assert unpack(Batch, proposal.beside).time_ms == WALL_MS + 507


def test_the_value_is_agreed_on_with_the_request():
    """4.6: The value is joined to the request, and the three phases agree on a number for both."""
    watched = Scene().watch(1)
    request = watched.scene.request()
    proposal = watched.scene.pre_prepare(1, request, time_ms=WALL_MS + 5)
    batch = unpack(Batch, proposal.beside)
    assert (batch.time_ms, batch.requests) == (WALL_MS + 5, (request.to_bytes(),))
    assert digest_of(proposal) == batch_digest(proposal.beside)
    assert digest_of(proposal) != digest_of(watched.scene.pre_prepare(1, request, time_ms=WALL_MS + 6))
    agree(watched, proposal)
    _, context = only(watched.application.ran)
    assert context.time_ms == WALL_MS + 5


@SIZES
def test_different_values_for_different_replicas_divide_nobody(n):
    """4.6: A faulty primary that gives replicas different values cannot make their states differ."""
    scene = Scene(n)
    request = scene.request()
    times = [scene.pre_prepare(1, request, time_ms=WALL_MS + offset) for offset in (0, 1)]
    for stories in divided(n):
        panel = lie(scene, times, stories)
        panel.pass_on()
        executed = [only(turn.of(Executed)) for turn in map(panel.turn, panel.watched) if turn.of(Executed)]
        assert len({each.time_ms for each in executed}) <= 1


def test_two_values_for_one_number_are_evidence():
    """4.6: A replica accepts one value for a view and a number; a second one shows what its primary is."""
    watched = Scene().watch(1)
    request = watched.scene.request()
    first, second = (watched.scene.pre_prepare(1, request, time_ms=WALL_MS + offset) for offset in (0, 1))
    assert prepares(watched.give(first))
    turn = watched.give(second)
    assert is_silent(turn)
    assert turn.of(Evidence) == [Evidence(0, first, second)]


@pytest.mark.parametrize("ahead_ms", [-DAY_MS, -10_001, -10_000, 0, 10_000, 10_001, DAY_MS])
def test_an_incorrect_value_is_not_accepted(ahead_ms):
    """4.6: Replicas decide whether the value, the same wrong one for all perhaps, is correct, and what to do if not.

    Differs: the paper has them judge by the state of the service alone, all alike. Here each compares the time with its
    own clock, within a limit that the group shares, and holds back a pre-prepare that is too far off (design 4.5).
    """
    watched = Scene().watch(1)
    turn = watched.give(watched.scene.pre_prepare(1, watched.scene.request(), time_ms=WALL_MS + ahead_ms))
    accepted = abs(ahead_ms) <= watched.scene.group.limits.clock_drift_ms
    assert bool(prepares(turn)) == accepted
    assert turn.reasons == ([] if accepted else [Reason.CLOCK_DRIFT])


@SIZES
def test_replicas_that_judge_differently_still_agree(n):
    """4.6: The decision is the same at all correct replicas.

    Differs: it need not be, since it is a vote: a value that f+1 members voted for, a correct one among them, is taken
    by the others too, whatever their clocks say. A replica with a wrong clock follows in place of standing apart.
    """
    watched = Scene(n).watch(1)
    watched.wall_offset_ms = DAY_MS
    scene = watched.scene
    proposal = scene.pre_prepare(1, scene.request())
    assert is_silent(watched.give(proposal))
    *first, last = range(2, 2 + scene.group.quorums.faults)
    for member in first:
        assert is_silent(watched.give(scene.prepare(member, proposal)))
    assert prepares(watched.give(scene.prepare(last, proposal)))


def test_the_value_is_not_judged_again():
    """4.6: A value that was agreed on stays as it is, whenever and in whichever view it comes to be executed.

    Differs: the paper says nothing of views here. A batch that a new view proposes again keeps its time, which no
    clock judges any more: it may have committed (design 4.5).
    """
    watched = Scene().watch(2)
    scene = watched.scene
    batch = scene.pre_prepare(1, scene.request())
    watched.give(batch)
    watched.prepare(batch)
    watched.ms = DAY_MS
    assert prepares(watched.enter(1, [scene.certificate(batch)]))
    executed = only(agree(watched, scene.propose(1, batch.beside, view=1)).of(Executed))
    assert executed.time_ms == WALL_MS


def test_the_value_is_made_right_by_the_state_alone():
    """4.6: What is done with a value depends on the state alone: where it would turn time back, time stands still.

    So every replica comes to the same, whatever its primary proposed.
    """
    watched = Scene().watch(1)
    scene = watched.scene
    times = [WALL_MS, WALL_MS + 300, WALL_MS + 100, WALL_MS + 400]
    seen = []
    for sequence, time_ms in enumerate(times, start=1):
        batch = scene.pre_prepare(sequence, scene.request(session=session_id(sequence)), time_ms=time_ms)
        seen.append(only(agree(watched, batch).of(Executed)).time_ms)
    assert seen == [WALL_MS, WALL_MS + 300, WALL_MS + 300, WALL_MS + 400]
    assert [context.time_ms for _, context in watched.application.ran] == seen


def test_clocks_that_agree_need_no_further_phase():
    """4.6: Where a value close to everybody's will do, replicas whose clocks nearly agree need no phase to choose it.

    Between the request and its execution there are a pre-prepare, prepares and commits, and nothing else.
    """
    scene = Scene()
    panel = Panel(scene, range(4))
    for member, offset in enumerate((0, -900, 900, 100)):
        panel.watched[member].wall_offset_ms = offset
    panel.tell(0, scene.request())
    proposal = only(panel.tick(0).said(Kind.PRE_PREPARE))
    panel.pass_on()
    said = {kind for kind in Kind for member in range(4) if panel.turn(member).said(kind)}
    assert said == {Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT}
    assert all(panel.turn(member).of(Executed) for member in range(4))
    assert unpack(PrePrepare, proposal.body).sequence == 1


@SIZES
def test_what_operations_draw_by_chance_is_the_same_everywhere(n):
    """4.6: Every other value that an operation may use comes from what was agreed on.

    Differs: the paper leaves it to the service. Here an operation is shown a seed made of the number and the request.
    """
    scene = Scene(n)
    panel = Panel(scene, range(n))
    panel.tell(0, scene.request())
    panel.tick(0)
    panel.pass_on()
    seeds = {context.seed for watched in panel.watched.values() for _, context in watched.application.ran}
    assert len(seeds) == 1
