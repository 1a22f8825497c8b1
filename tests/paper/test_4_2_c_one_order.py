"""OSDI'99 section 4.2: what the three phases come to: one order, executed once, at every correct replica."""

from __future__ import annotations

import pytest

from pbft.core.effects import Answer, CommittedLocal, Executed, Prepared, Reason
from pbft.core.envelope import Envelope, Kind
from pbft.testing import Cluster
from pbft_apps.counter import Counter
from tests.core.builders import Scene
from tests.paper.stage import SIZES, agree, digest_of, divided, lie, only, proposals, told


def stories(scene: Scene) -> list[Envelope]:
    """Return two batches for sequence 1."""
    return [scene.pre_prepare(1, scene.request()), scene.pre_prepare(1, scene.request("bob"))]


@SIZES
def test_no_two_digests_are_prepared_for_one_view_and_number(n):
    """4.2: If one correct replica is prepared for a batch, none is for another with the same view and number.

    The primary and its f-1 accomplices tell and vote as they like, in every way there is.
    """
    scene = Scene(n)
    reached = 0
    for told_which in divided(n):
        panel = lie(scene, stories(scene), told_which)
        panel.pass_on()
        found = {each.digest for member in panel.watched for each in panel.turn(member).of(Prepared)}
        assert len(found) <= 1
        assert {each.digest for member in panel.watched for each in panel.turn(member).of(Executed)} <= found
        reached += len(found)
    assert reached >= 2, "where all are told one story, they prepare it"


@SIZES
def test_what_is_committed_local_is_committed(n):
    """4.2: Where one correct replica is committed-local, f+1 correct ones at least are prepared for the same.

    It holds at every moment, though f liars commit to whatever they are asked for.
    """
    scene = Scene(n)
    needed = scene.group.quorums.weak
    seen = 0
    for told_which in divided(n):
        panel = lie(scene, stories(scene), told_which)
        while panel.step():
            turns = [panel.turn(member) for member in panel.watched]
            for each in (one for turn in turns for one in turn.of(CommittedLocal)):
                place = (each.view, each.sequence, each.digest)
                assert sum(1 for turn in turns if place in places(turn.of(Prepared))) >= needed
                seen += 1
    assert seen


def places(found: list[Prepared]) -> list[tuple[int, int, bytes]]:
    """Return what was prepared: view, number, digest."""
    return [(each.view, each.sequence, each.digest) for each in found]


@SIZES
def test_who_commits_in_different_views_commits_the_same(n):
    """4.2: Correct replicas agree on the numbers of what commits locally, though it commits in different views.

    The last replica alone sees view 0 commit; the primary dies, and the others commit it in view 1.
    """
    group = Cluster(Counter, seed=43, n=n)
    alice = group.client("alice")
    rules = [group.network.on(kind, dst=range(n - 1)).drop() for kind in (Kind.COMMIT, Kind.COMMITTED)]
    call = alice.call("add", 5)
    group.run_until(lambda: bool(group.history(n - 1)))
    group.crash(0)
    group.run_until(lambda: group.views() == {1})
    rules[0].stop()
    assert group.gather(call) == [5]
    group.run_until_level()

    ran = [group.history(replica)[0] for replica in range(1, n)]
    assert [each.view for each in ran] == [1] * (n - 2) + [0]
    assert len({(each.sequence, each.digest) for each in ran}) == 1
    assert group.histories_agree()


@SIZES
def test_what_one_replica_committed_is_not_lost(n):
    """4.2: What commits locally at one correct replica commits at f+1 or more of them in the end.

    The primary alone sees it commit, executes it, and dies.
    """
    group = Cluster(Counter, seed=44, n=n)
    alice = group.client("alice")
    rule = group.network.on(Kind.COMMIT, dst=range(1, n)).drop()
    alice.call("add", 5)
    group.run_until(lambda: bool(group.history(0)))
    group.crash(0)
    rule.stop()
    group.run_until(lambda: all(group.history(replica) for replica in group.living))

    digests = {group.history(replica)[0].digest for replica in range(n)}
    assert len(digests) == 1
    assert len(group.living) >= (n - 1) // 3 + 1
    assert group.histories_agree()


@pytest.mark.parametrize(("order", "reached"), [((3, 2, 1), [0, 0, 3]), ((2, 3, 1), [0, 0, 3]), ((1, 3, 2), [1, 1, 3])])
def test_execution_goes_by_sequence(order, reached):
    """4.2: A request is executed when it is committed-local and everything with a lower number has been executed."""
    watched = Scene().watch(1)
    batches = proposals(watched.scene, 3)
    done: list[int] = []
    for sequence, executed in zip(order, reached, strict=True):
        turn = agree(watched, batches[sequence - 1])
        assert [each.sequence for each in turn.of(CommittedLocal)] == [sequence]
        done += [each.sequence for each in turn.of(Executed)]
        assert watched.executed == executed
    assert done == [1, 2, 3]
    assert [context.sequence for _, context in watched.application.ran] == [1, 2, 3]


def test_what_commits_out_of_order_stays_in_the_log():
    """4.2: Messages may bring numbers to commit out of order: their messages are logged until they can be executed."""
    watched = Scene().watch(1)
    first, second = proposals(watched.scene, 2)
    assert agree(watched, second).of(CommittedLocal)
    held = watched.replica.usage()
    assert (watched.executed, held["slots"]) == (0, 1)
    assert held["votes"] >= 2 * 3 - 1, "its prepares and commits"
    executed = agree(watched, first).of(Executed)
    assert [each.digest for each in executed] == [digest_of(first), digest_of(second)]


@SIZES
def test_replicas_reply_once_they_have_executed(n):
    """4.2: After it has executed a request, and not before, each replica replies to its client."""
    watched = Scene(n).watch(1)
    proposal = watched.scene.pre_prepare(1, watched.scene.request())
    assert not watched.give(proposal).of(Answer)
    assert not watched.prepare(proposal).of(Answer)
    turn = watched.commit(proposal)
    answer = only(turn.of(Answer))
    assert answer.client == watched.scene.key("alice")
    assert turn.effects.index(only(turn.of(Executed))) < turn.effects.index(answer)


def test_requests_with_lower_timestamps_are_discarded():
    """4.2: A request whose timestamp is lower than that of the last reply to its client is discarded.

    It is refused when it arrives; ordered all the same, it changes nothing.

    Differs: the timestamps compared are those of its session (design 4.2).
    """
    watched = Scene().watch(1)
    scene = watched.scene
    later, lower = scene.request(timestamp=5), scene.request(timestamp=4, operations=[b"late"])
    agree(watched, scene.pre_prepare(1, later))
    assert watched.give(lower).reasons == [Reason.STALE]
    assert watched.replica.status().waiting == 0
    turn = agree(watched, scene.pre_prepare(2, lower))
    assert only(only(turn.of(Executed)).requests).outcomes == ()
    assert not turn.answers()
    assert len(watched.application.ran) == 1


def test_a_request_ordered_twice_takes_effect_once():
    """4.2: A request that is ordered again, or twice in one batch, is executed once."""
    watched = Scene().watch(1)
    request = watched.scene.request()
    turn = agree(watched, watched.scene.pre_prepare(1, request, request), watched.scene.pre_prepare(2, request))
    assert [len([one for one in each.requests if one.outcomes]) for each in turn.of(Executed)] == [1, 0]
    assert len(watched.application.ran) == 1


def test_a_replicas_state_is_its_service_its_log_and_its_view():
    """4.2: A replica holds the state of the service, the messages it accepted, and the number of its view."""
    watched = Scene().watch(1)
    scene = watched.scene
    status, before = watched.replica.status(), watched.replica.state_digest()
    assert (status.view, watched.replica.usage()["votes"]) == (0, 0)
    proposal = scene.pre_prepare(1, scene.request())
    told(watched, proposal, scene.prepare(2, proposal), scene.commit(2, proposal))
    usage = watched.replica.usage()
    assert (usage["slots"], usage["votes"]) == (1, 4), "two prepares and two commits, its own among them"
    assert usage["batch_bytes"] == len(proposal.beside)
    assert watched.replica.state_digest() == before
    watched.give(scene.commit(3, proposal))
    assert watched.replica.state_digest() != before
