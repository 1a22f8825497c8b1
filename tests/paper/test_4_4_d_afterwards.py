"""OSDI'99 section 4.4: the protocol is run again between min-s and max-s, and missing state is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pbft.core.effects import Effect, Executed, Proposed, Reason, Send, StateInstalled, ViewEntered
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Checkpoint, CheckpointProof, Commit, Prepare, pack, unpack
from pbft.core.state_messages import TOP, Fetch, Nodes
from pbft.testing import Cluster
from pbft.testing.journal import Journal
from tests.core.builders import Microscope, Scene, Turn
from tests.paper.stage import SIZES, SMALL, agree, digest_of, only, prepares, proposals, told, wait

# Once more, but not twice.


@SIZES
@pytest.mark.parametrize("me", [1, 2], ids=["primary", "backup"])
def test_the_protocol_is_run_again_and_nothing_is_executed_again(n, me):
    """4.4: Replicas redo the protocol for what lies between min-s and max-s, but execute no request again.

    Differs: they know by the number that it ran; the paper, by the last reply to its client, which is looked at as well
    (section 4.2).
    """
    watched = Scene(n, limits=SMALL).watch(me)
    scene = watched.scene
    batch = scene.pre_prepare(1, scene.request())
    assert agree(watched, batch).of(Executed)
    state = watched.replica.state_digest()

    turn = watched.enter(1, [scene.certificate(batch)])
    again = scene.propose(1, batch.beside, view=1)
    assert prepares(turn) == ([Prepare(1, 1, digest_of(batch))] if me == 2 else [])
    turn = watched.prepare(again)
    assert unpack(Commit, only(turn.said(Kind.COMMIT)).body) == Commit(1, 1, digest_of(batch))
    turn = watched.commit(again)

    assert not turn.of(Executed)
    assert not turn.answers()
    assert watched.replica.state_digest() == state
    assert len(watched.application.ran) == 1


@SIZES
def test_who_had_not_executed_it_does_so_now(n):
    """4.4: What is proposed again commits in the new view, and a replica that has not executed it yet does."""
    watched = Scene(n, limits=SMALL).watch(2)
    scene = watched.scene
    batch = scene.pre_prepare(1, scene.request())
    watched.give(batch)
    watched.prepare(batch)
    watched.enter(1, [scene.certificate(batch)])
    executed = only(agree(watched, scene.propose(1, batch.beside, view=1)).of(Executed))
    assert (executed.view, executed.sequence, executed.digest) == (1, 1, digest_of(batch))


def test_new_requests_follow_what_is_proposed_again():
    """4.4: The new primary assigns the numbers after max-s to what it proposes from then on, waiting requests first."""
    watched = Scene(limits=SMALL).watch(1)
    scene = watched.scene
    waiting = scene.request("bob")
    watched.give(waiting)
    batches = proposals(scene, 3)
    watched.enter(1, [scene.certificate(each) for each in batches])
    assert only(watched.tick().of(Proposed)).sequence == 4


@pytest.mark.parametrize(("me", "view"), [(1, 1), (0, 4)], ids=["a backup before", "the primary of both"])
def test_what_did_not_prepare_may_be_proposed_for_another_number(me, view):
    """4.4: What was proposed and did not prepare is not in O: its request waits, and gets a number anew."""
    watched = Scene(limits=SMALL).watch(me)
    scene = watched.scene
    request = scene.request()
    watched.give(request)
    if me == 0:
        assert only(watched.tick().of(Proposed)).sequence == 1
    else:
        watched.give(scene.pre_prepare(2, request))
    watched.enter(view)
    turn = watched.tick()
    assert only(turn.of(Proposed)).view == view
    assert only(turn.of(Proposed)).sequence == 1
    assert request.to_bytes() in only(turn.said(Kind.PRE_PREPARE)).beside


def test_a_request_that_is_proposed_again_is_not_proposed_anew():
    """4.4: A waiting request that O has a number for is not given another one by the new primary."""
    watched = Scene(limits=SMALL).watch(1)
    scene = watched.scene
    request = scene.request()
    batch = scene.pre_prepare(1, request)
    told(watched, request, batch)
    watched.prepare(batch)
    watched.enter(1, [scene.certificate(batch)])
    assert not watched.tick().of(Proposed)


# A missing checkpoint.


def donor(scene: Scene, member: int, last: int = 2) -> tuple[Microscope, CheckpointProof]:
    """Return a replica that executed so far, and the proof of its last checkpoint."""
    watched = scene.watch(member)
    said = unpack(Checkpoint, agree(watched, *proposals(scene, last)).said(Kind.CHECKPOINT)[-1].body)
    return watched, scene.proof(said.sequence, said.digest)


def entered_behind(scene: Scene, shown: CheckpointProof) -> tuple[Microscope, list[Send]]:
    """Bring a backup without any state into view 1, which starts from a checkpoint; return what it asks for."""
    watched = scene.watch(2)
    turn = watched.enter(1, (), shown)
    return watched, [each for each in turn.of(Send) if each.envelope.kind is Kind.FETCH]


def brought(watched: Microscope, source: Microscope, asked: Sequence[Send]) -> Turn:
    """Have whomever a replica asks answer as a correct source does, as long as it asks; return all that came of it."""
    effects: list[Effect] = []
    waiting = list(asked)
    while waiting:
        each = waiting.pop(0)
        for nodes in source.give(each.envelope).said(Kind.NODES):
            turn = watched.give(resent(nodes, each.to))
            effects += turn.effects
            waiting += fetches(turn)
    return Turn(effects)


def fetches(turn: Turn) -> list[Send]:
    """Return what a replica asks others for of their state."""
    return [each for each in turn.of(Send) if each.envelope.kind is Kind.FETCH]


def resent(nodes: Envelope, by: int) -> Envelope:
    """Return nodes as another replica would send them."""
    return replace(nodes, sender=by)


@SIZES
def test_a_replica_without_the_checkpoint_fetches_it(n):
    """4.4: A replica that lacks the state at min-s gets it from another replica, and goes on from there."""
    scene = Scene(n, limits=SMALL)
    _, shown = donor(scene, 1)
    watched, asked = entered_behind(scene, shown)
    source = donor(scene, only(asked).to)[0]
    assert unpack(Fetch, only(asked).envelope.body) == Fetch(2, shown.digest, (TOP,))
    installed = only(brought(watched, source, asked).of(StateInstalled))
    assert (installed.sequence, installed.digest) == (2, shown.digest)
    assert watched.executed == 2
    assert watched.replica.state_digest() == source.replica.state_digest()
    third = scene.pre_prepare(3, scene.request("bob"), view=1)
    assert only(agree(watched, third).of(Executed)).sequence == 3


def test_a_wrong_state_is_not_taken_over():
    """4.4: The certified digest says what the state is: what does not lead to it is refused, and others are asked."""
    scene = Scene(limits=SMALL)
    source, shown = donor(scene, 1)
    watched, asked = entered_behind(scene, shown)
    first = only(asked)
    right = unpack(Nodes, only(source.give(first.envelope).said(Kind.NODES)).body)
    wrong = replace(right.nodes[0], payload=right.nodes[0].payload[:-1] + b"!")
    turn = watched.give(Envelope(Kind.NODES, first.to, pack(replace(right, nodes=(wrong,)))))
    assert turn.reasons == [Reason.WRONG_DIGEST]
    assert watched.executed == 0
    second = only(fetches(turn))
    assert second.to != first.to
    assert brought(watched, source, [second]).of(StateInstalled)
    assert watched.replica.state_digest() == source.replica.state_digest()


@SIZES
def test_a_silent_source_is_passed_over(n):
    """4.4: Of those who certified a checkpoint f+1 are correct, so that asking one after the other gets the state."""
    scene = Scene(n, limits=SMALL)
    source, shown = donor(scene, 1)
    watched, asked = entered_behind(scene, shown)
    everybody = [only(asked).to]
    while len(everybody) <= scene.group.quorums.faults:
        asked = fetches(wait(watched, watched.ms + 500))
        everybody.append(only(asked).to)
    assert len(set(everybody)) == len(everybody) == scene.group.quorums.weak
    assert brought(watched, source, asked).of(StateInstalled)


def test_a_later_checkpoint_does_as_well():
    """4.4: Where the sources have moved on, a replica gets a later stable checkpoint with its proof in place of s."""
    scene = Scene(limits=SMALL)
    early, shown = donor(scene, 1, 2)
    watched, asked = entered_behind(scene, shown)
    source, later = donor(scene, 3, 6)
    source.give(Envelope(Kind.CHECKPOINT_PROOF, 0, pack(scene.proof(4, digest_at(scene, 4)))))
    source.give(Envelope(Kind.CHECKPOINT_PROOF, 0, pack(later)))
    told_instead = only(source.give(only(asked).envelope).said(Kind.CHECKPOINT_PROOF))
    assert unpack(CheckpointProof, told_instead.body).sequence == 6
    watched.give(told_instead)
    moved = [
        each for each in fetches(wait(watched, watched.ms + 5_000)) if unpack(Fetch, each.envelope.body).sequence == 6
    ]
    source.ms = watched.ms
    assert only(brought(watched, source, moved[-1:]).of(StateInstalled)).sequence == 6
    assert early.executed == 2


def digest_at(scene: Scene, sequence: int) -> bytes:
    """Return the digest of the state after a sequence."""
    return donor(scene, 1, sequence)[1].digest


@SIZES
def test_a_group_changes_views_while_one_of_it_is_far_behind(n):
    """4.4: A replica that missed a stable checkpoint takes part in the new view, and comes to the same state."""
    group = Cluster(Journal, seed=47, n=n, limits=SMALL)
    alice = group.client("alice")
    group.network.isolate(n - 1)
    for _ in range(12):
        group.gather(alice.call("write", "before"))
    group.heal()
    group.crash(0)
    assert group.gather(alice.call("write", "after")) == [13]
    group.run_until_level()
    assert group.steps(n - 1, StateInstalled)
    assert group.steps(n - 1, ViewEntered)
    assert group.histories_agree()
