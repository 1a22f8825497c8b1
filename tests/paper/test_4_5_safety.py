"""OSDI'99 section 4.5.1: why correct replicas agree, within a view and across views."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import combinations

import pytest

from pbft.core.effects import Reason
from pbft.core.envelope import Kind
from pbft.core.group import Quorums
from pbft.core.messages import (
    BEGINNING,
    NULL_BATCH,
    NULL_DIGEST,
    CheckpointProof,
    Prepare,
    PreparedCertificate,
    ViewChange,
)
from pbft.core.reproposal import repropose
from pbft.testing import Cluster
from pbft.testing.journal import Journal
from tests.core.builders import Scene
from tests.paper.stage import SIZES, SMALL, agree, digest_of, join, prepares, proposals, stabilise, told

RIGHT, WRONG = b"r" * 32, b"w" * 32


def test_a_replica_prepares_one_digest_for_a_view_and_number():
    """4.5.1: A correct replica casts one prepare for a view and a number, so no two digests get a quorum of them.

    Whatever comes in whichever order: the other batch again, votes for it, a view change and back, the first again.
    """
    watched = Scene().watch(2)
    scene = watched.scene
    first, second = scene.pre_prepare(1, scene.request()), scene.pre_prepare(1, scene.request("bob"))
    cast = prepares(told(watched, first, second, scene.prepare(1, second), scene.prepare(3, second), second))
    cast += prepares(join(watched))
    cast += prepares(told(watched, second, first))
    assert cast == [Prepare(0, 1, digest_of(first))]


@SIZES
def test_nothing_is_accepted_in_a_view_before_its_new_view(n):
    """4.5.1: A correct replica accepts no pre-prepare of a later view before that view's NEW-VIEW has come.

    Not by itself, not while it asks for that view, and not with a quorum's votes for it at hand.
    """
    watched = Scene(n).watch(2)
    scene = watched.scene
    proposal = scene.pre_prepare(1, scene.request(), view=1)
    votes = watched.votes(1)
    for turn in (watched.give(proposal), told(watched, *votes), watched.give(proposal)):
        assert not prepares(turn)
    assert watched.replica.status().view == 0
    assert prepares(watched.give(scene.new_view(1, votes))) == [Prepare(1, 1, digest_of(proposal))]


def shown(digest: bytes, view: int = 0) -> PreparedCertificate:
    """Return a prepared certificate for sequence 3; these tests take every certificate for valid."""
    return PreparedCertificate(view, 3, digest, b"", ())


def survivors(votes: list[ViewChange]) -> list[bytes]:
    """Return what a new view proposes for the sequences after its checkpoint."""
    return list(repropose(votes, 8, lambda _: True, lambda _: True).digests)


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_every_new_view_shows_what_committed(n):
    """4.5.1: V has a VIEW-CHANGE of a correct replica that was prepared for what committed: so O proposes it again.

    Tried for all choices of the f liars, of the f+1 correct replicas that were prepared, which is the least there can
    be, and of the quorum whose votes are V. Liars hide it, and show what prepared in a view before.
    """
    counts = Quorums.of(n)
    for liars in combinations(range(n), counts.faults):
        correct = [each for each in range(n) if each not in liars]
        # A quorum's commits are f of liars and the others of correct replicas.
        for holders in combinations(correct, counts.quorum - counts.faults):
            for voters in combinations(range(n), counts.quorum):
                votes = [
                    ViewChange(
                        2,
                        BEGINNING,
                        (shown(RIGHT, 1),) if each in holders else (shown(WRONG, 0),) if each in liars else (),
                    )
                    for each in voters
                ]
                assert survivors(votes) == [NULL_DIGEST, NULL_DIGEST, RIGHT]


def test_with_smaller_quorums_what_committed_could_be_lost():
    """4.5.1: It rests on quorums that share a correct replica.

    Differs: with the 2f+1 of the paper at n = 6, a size that it leaves out, two quorums may have nobody in common, and
    V may not show what committed. Hence ceil((n+f+1)/2) (design 4).
    """
    committed, asking = (0, 1, 2), (3, 4, 5)
    assert not set(committed) & set(asking)
    assert survivors([ViewChange(1, BEGINNING, (shown(RIGHT),) if each in committed else ()) for each in asking]) == []
    assert Quorums.of(6).quorum == 4


@SIZES
def test_a_checkpoint_stands_for_what_committed(n):
    """4.5.1: Or else V has a stable checkpoint at or above its number: then nobody accepts anything for it any more."""
    proof = CheckpointProof(4, b"s" * 32, ())
    votes = [ViewChange(1, proof if each == 0 else BEGINNING, (shown(RIGHT),)) for each in range(n)]
    assert survivors(votes) == []

    watched = Scene(n, limits=SMALL).watch(2)
    scene = watched.scene
    stabilise(watched, agree(watched, *proposals(scene, 4)))
    watched.enter(1)
    for sequence in (1, 4):
        turn = watched.give(scene.propose(sequence, NULL_BATCH, view=1))
        assert turn.reasons == [Reason.OUTSIDE_WATERMARKS]
        assert not prepares(turn)


@SIZES
def test_one_order_through_many_views(n):
    """4.5.1: However many views it takes, correct replicas agree on the request that commits at each number.

    In every view the primary alone sees its last requests commit, executes them, and is cut off; the others, who had
    prepared them, commit them in the next view.
    """
    group = Cluster(Journal, seed=48, n=n, clients=("alice", "bob", "carol"))
    sessions = group.clients("alice", "bob", "carol")
    for view in range(5):
        primary = view % n
        deaf = [replica for replica in range(n) if replica != primary]
        group.network.let(f"commits of view {view} to {', '.join(map(str, deaf))}: drop")
        certificates = group.network.on(Kind.COMMITTED, dst=deaf).drop()
        calls = [session.call("write", f"{session.label} {view}") for session in sessions]
        group.run_until(partial(have_executed, group, [primary], 3 * (view + 1)))
        assert not have_executed(group, deaf, 3 * (view + 1))
        group.network.isolate(primary)
        group.run_until(partial(have_left, group, deaf, view))
        group.gather(*calls)
        certificates.stop()
        group.network.rejoin(primary)
        group.run_until_level()
        assert have_executed(group, range(n), 3 * (view + 1))
        assert group.history(primary)[-1].view == view
        assert {group.history(each)[-1].view for each in deaf} == {view + 1}
        assert group.histories_agree()


def have_executed(group: Cluster, replicas: Iterable[int], requests: int) -> bool:
    """Say whether each of these replicas has executed so many requests."""
    return all(sum(len(batch.requests) for batch in group.history(each)) >= requests for each in replicas)


def have_left(group: Cluster, replicas: Iterable[int], view: int) -> bool:
    """Say whether each of these replicas has entered a later view."""
    return all(group.replica(each).status().view > view for each in replicas)
