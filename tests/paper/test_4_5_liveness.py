"""OSDI'99 section 4.5.2: how replicas come to be in one view for long enough."""

from __future__ import annotations

from itertools import combinations

import pytest

from pbft.core.effects import Cause, Executed, ViewChangeStarted, ViewEntered
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import NULL_BATCH
from pbft.core.settings import ReplicaSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import Silent
from pbft_apps.counter import Counter
from tests.core.builders import Microscope, Scene, forged
from tests.paper.stage import SIZES, T, agree, asked, is_silent, join, only, told, wait


def first_batch(watched: Microscope) -> Envelope:
    """Return what these groups order at sequence 1."""
    return watched.scene.pre_prepare(1, watched.scene.request())


def left_alone(n: int) -> Microscope:
    """Return a backup that executed one request and waits for another: alone so far, it asks for view 1."""
    watched = Scene(n).watch(n - 1)
    agree(watched, first_batch(watched))
    watched.give(watched.scene.request("bob"))
    assert asked(wait(watched, T)) == [1]
    return watched


def ask_with(watched: Microscope, view: int) -> None:
    """Have others ask for a view, so that a quorum does together with this replica."""
    told(watched, *watched.votes(view)[: watched.scene.group.quorums.quorum - 1])


# Not too soon.


@SIZES
def test_the_timer_of_a_view_change_starts_with_a_quorum(n):
    """4.5.2: Who asks for a view waits for VIEW-CHANGEs of 2f+1 replicas, its own among them; then its timer starts."""
    watched = left_alone(n)
    *first, last = watched.peers[: watched.scene.group.quorums.quorum - 1]
    for member in first:
        watched.give(watched.scene.view_change(member, 1))
        assert asked(wait(watched, watched.ms + 20 * T)) == []
    watched.give(watched.scene.view_change(last, 1))
    quorum_ms = watched.ms
    assert asked(wait(watched, quorum_ms + T - 1)) == []
    assert asked(wait(watched, quorum_ms + T)) == [2]


def test_whoever_asks_for_a_later_view_counts_for_the_timer():
    """4.5.2: The timer starts with VIEW-CHANGEs for the view that this replica asks for.

    Differs: for that or a later one. Whoever asks for a later view has left this one too; if only equal ones counted, a
    lost message could leave a group of just a quorum in two parts, neither of which starts a timer (design 4.8).
    """
    watched = left_alone(4)
    told(watched, watched.scene.view_change(0, 1), watched.scene.view_change(1, 5))
    assert asked(wait(watched, watched.ms + T)) == [2]


@SIZES
def test_without_a_new_view_in_time_the_next_view_is_asked_for(n):
    """4.5.2: If no valid NEW-VIEW has come when the timer expires, the next view is asked for."""
    watched = left_alone(n)
    ask_with(watched, 1)
    votes = [watched.scene.view_change(each, 1) for each in watched.peers[: watched.scene.group.quorums.quorum]]
    told(watched, forged(watched.scene.new_view(1, votes)), watched.scene.new_view(1, votes[:-1]))
    turn = wait(watched, watched.ms + T)
    assert asked(turn) == [2]
    assert only(turn.of(ViewChangeStarted)).cause is Cause.NO_NEW_VIEW


@SIZES
def test_without_a_new_request_executed_in_time_the_next_view_is_asked_for(n):
    """4.5.2: If the new view executes no request that had not been executed before, the next view is asked for.

    Executing what had run before, or null requests, does not count.

    Differs: one wait lasts until the NEW-VIEW is there, and another one, as long, from then until a request has
    executed; the paper has one timer for both.
    """
    watched = left_alone(n)
    scene = watched.scene
    again = first_batch(watched)
    watched.enter(1, [scene.certificate(again), scene.certificate(scene.propose(2, NULL_BATCH))])
    entered_ms = watched.ms
    assert asked(wait(watched, entered_ms + T // 2)) == []
    agree(watched, scene.propose(1, again.beside, view=1))
    assert agree(watched, scene.propose(2, NULL_BATCH, view=1)).of(Executed)
    assert asked(wait(watched, entered_ms + T - 1)) == []
    turn = wait(watched, entered_ms + T)
    assert asked(turn) == [2]
    assert only(turn.of(ViewChangeStarted)).cause is Cause.NO_PROGRESS


@SIZES
def test_a_new_request_executed_ends_the_wait(n):
    """4.5.2: When the new view has executed a request that had not run before, the view stays."""
    watched = left_alone(n)
    scene = watched.scene
    watched.enter(1, [scene.certificate(first_batch(watched))])
    wait(watched, watched.ms + T - 1)
    assert agree(watched, scene.pre_prepare(2, scene.request("bob"), view=1)).of(Executed)
    assert asked(wait(watched, watched.ms + 10 * T)) == []


# Longer each time.


def test_each_view_that_fails_doubles_the_wait():
    """4.5.2: After T for view v+1 a replica waits 2T for view v+2, then 4T, and so on.

    Differs: there is no greatest wait, which could lie below what messages really take; and it shrinks again while
    requests execute quickly (design 4.8).
    """
    watched = left_alone(7)
    waits = []
    for view in (1, 2, 3, 4, 5):
        ask_with(watched, view)
        began_ms = watched.ms
        turn = wait(watched, began_ms + T)
        while not asked(turn):
            turn = wait(watched, watched.ms + T)
        assert asked(turn) == [view + 1]
        waits.append(watched.ms - began_ms)
    assert waits == [T, 2 * T, 4 * T, 8 * T, 16 * T]


def test_a_view_that_executes_nothing_doubles_the_wait_too():
    """4.5.2: The wait doubles as well where a view was entered and came to nothing.

    Differs: the first view change already waits 2T where the view that was left had executed nothing: it came to
    nothing just like those after it.
    """
    watched = left_alone(4)
    watched.enter(1, [watched.scene.certificate(first_batch(watched))])
    assert asked(wait(watched, watched.ms + T)) == [2]
    assert watched.replica.status().timeout_ms == 2 * T
    idle = Scene().watch(3)
    idle.give(idle.scene.request())
    assert asked(wait(idle, T)) == [1]
    assert idle.replica.status().timeout_ms == 2 * T


@SIZES
def test_where_messages_are_slower_than_timers_a_request_executes_in_the_end(n):
    """4.5.2: Since waits grow, a quorum is in one view for long enough in the end, unless delays grow for ever too."""
    settings = ReplicaSettings(view_timeout_ms=100)
    group = Cluster(Counter, seed=49, n=n, delay_ms=(300, 400), settings=settings)
    alice = group.client("alice")
    assert group.gather(alice.call("add", 5), within_ms=600_000) == [5]
    for replica in group.living:
        waits = [each.timeout_ms for each in group.steps(replica, ViewChangeStarted)]
        assert waits, "the first waits were too short"
        assert waits == sorted(waits)
        assert waits[-1] >= 400
    group.run_until_level()
    assert group.histories_agree()


# Not too late.


@SIZES
def test_f_plus_1_others_are_joined_without_waiting(n):
    """4.5.2: Who hears f+1 valid VIEW-CHANGEs of others for later views sends its own, though its timer runs not."""
    watched = Scene(n).watch(n - 1)
    *first, last = watched.peers[: watched.scene.group.quorums.weak]
    for member in first:
        assert is_silent(watched.give(watched.scene.view_change(member, 1)))
    assert is_silent(watched.give(forged(watched.scene.view_change(last, 1)))), "an invalid one does not count"
    turn = watched.give(watched.scene.view_change(last, 1))
    assert asked(turn) == [1]
    assert only(turn.of(ViewChangeStarted)).cause is Cause.JOINED


@SIZES
@pytest.mark.parametrize("start", [0, 1])
def test_the_smallest_of_their_views_is_joined(n, start):
    """4.5.2: The view that it asks for then is the smallest of those f+1, which may be several beyond its own.

    Differs: where more than f+1 are known, it is the smallest of the f+1 greatest: some correct replica asks for as
    much, and views behind which so many have gone need not be tried.
    """
    watched = Scene(n).watch(n - 1)
    if start:
        watched.enter(start)
    scene = watched.scene
    weak = scene.group.quorums.weak
    peers, views = watched.peers[:weak], range(start + 3, start + 3 + weak)
    votes = [scene.view_change(each, view) for each, view in zip(peers, reversed(views), strict=True)]
    assert asked(told(watched, *votes)) == [start + 3]
    further = [scene.view_change(each, start + 20) for each in watched.peers[weak : 2 * weak - 1]]
    assert asked(told(watched, *further)) == ([start + 4] if n == 4 else [start + 4, start + 5])


def test_who_asks_for_a_view_already_joins_only_later_ones():
    """4.5.2: Only VIEW-CHANGEs for later views than its own make a replica ask again."""
    watched = Scene(7).watch(6)
    assert asked(join(watched, 2)) == [2]
    assert asked(told(watched, *(watched.scene.view_change(each, 1) for each in (3, 4, 5)))) == []
    assert watched.replica.status().target == 2


# Not because of liars.


@SIZES
def test_f_liars_cannot_force_a_view_change(n):
    """4.5.2: f faulty replicas cause no view change by asking for one, however often and for whichever views."""
    watched = Scene(n).watch(n - 1)
    liars = range(watched.scene.group.quorums.faults)
    for view in (1, 2, 3, 10, 10**6, 2**40):
        for liar in liars:
            assert is_silent(watched.give(watched.scene.view_change(liar, view)))
    assert watched.replica.status().target == 0
    assert asked(wait(watched, 10 * T)) == []


@SIZES
def test_no_more_than_f_views_in_a_row_have_faulty_primaries(n):
    """4.5.2: Since views take their primaries by turns, at most f views in a row have a faulty one."""
    group = Scene(n).group
    faults = group.quorums.faults
    for faulty in combinations(range(n), faults):
        for view in range(3 * n):
            primaries = [group.primary(view + offset) for offset in range(faults + 1)]
            assert any(primary not in faulty for primary in primaries)


@SIZES
def test_f_faulty_primaries_in_a_row_are_survived(n):
    """4.5.2: A primary that is faulty can cause a view change, and f of them one after the other no more than f."""
    faults = (n - 1) // 3
    group = Cluster(Counter, seed=50, n=n, byzantine=dict.fromkeys(range(faults), Silent))
    alice = group.client("alice")
    assert group.gather(alice.call("add", 5)) == [5]
    assert group.views() == {faults}
    assert group.gather(*(alice.call("add", 1) for _ in range(5)))[-1] == 10
    assert group.views() == {faults}
    assert all(group.steps(replica, ViewEntered)[-1].view == faults for replica in group.correct)


@SIZES
def test_a_request_executes_wherever_a_quorum_can_talk(n):
    """4.5.2: Replicas move to new views until one of them executes what waits; then they stay."""
    group = Cluster(Counter, seed=51, n=n)
    alice = group.client("alice")
    rule = group.network.on(Kind.PRE_PREPARE, src=(0, 1)).drop()
    assert group.gather(alice.call("add", 5)) == [5]
    assert min(group.views()) >= 2
    rule.stop()
    group.run_until_level()
    views = group.views()
    group.gather(alice.call("add", 1))
    group.run(20 * T)
    assert group.views() == views
