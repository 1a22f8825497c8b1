"""When a replica gives up on a primary, and when not (OSDI'99 sections 4.4, 4.5.2; design 4.8, 4.10; attack R5)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pbft.core.effects import Cause
from pbft.core.settings import ReplicaSettings
from tests.core.patience import Backup, T

# What is waited for, and since when.


def test_nothing_to_wait_for_is_no_reason_to_leave():
    """An idle replica needs no tick and blames nobody, however much time passes."""
    backup = Backup()
    assert backup.timers.deadline_ms is None
    assert backup.at(1_000_000) is None


def test_a_request_is_waited_for_to_the_millisecond():
    """The tick at the deadline gives up; the one before does not."""
    backup = Backup()
    backup.hear("alice", 70)
    assert backup.at(70 + T - 1) is None
    assert backup.deadline == 70 + T
    assert backup.at(70 + T) is Cause.STALLED


def test_the_earliest_of_all_that_waits_counts():
    """Later requests do not put off what the first one is owed, nor does the wait begin before something waits."""
    backup = Backup()
    backup.hear("alice", 500)
    backup.hear("bob", 900)
    assert backup.wait() == (500 + T, Cause.STALLED)
    backup.settle("alice")
    assert backup.wait() == (900 + T, Cause.STALLED)
    backup.settle("bob")
    assert backup.timers.deadline_ms is None


def test_requests_and_proposals_are_waited_for_alike():
    """Whichever came first."""
    for first, second in (("alice", "proposal"), ("proposal", "alice")):
        backup = Backup()
        for now_ms, what in ((100, first), (600, second)):
            if what == "alice":
                backup.hear("alice", now_ms)
            else:
                backup.timers.begun(now_ms, 1)
        assert backup.wait() == (100 + T, Cause.STALLED)


def test_a_proposal_under_way_is_waited_for_though_no_request_waits_here():
    """From when it was accepted, told once or many times."""
    backup = Backup()
    backup.timers.begun(40, 1)
    backup.timers.begun(700, 3)
    assert backup.deadline == 40 + T
    assert backup.at(40 + T - 1) is None
    assert backup.at(40 + T) is Cause.STALLED


def test_no_proposal_under_way_is_nothing_to_wait_for():
    """The next one is waited for from its own beginning."""
    backup = Backup()
    backup.timers.begun(40, 1)
    backup.timers.idle()
    assert backup.timers.deadline_ms is None
    backup.timers.begun(5_000, 1)
    assert backup.wait() == (5_000 + T, Cause.STALLED)


@pytest.mark.parametrize("step", ["executed", "progressed", "entered"])
def test_every_step_forward_starts_the_wait_anew(step):
    """A fresh execution, others that are seen to go on, a view that was entered."""
    backup = Backup()
    backup.hear("alice", 10)
    if step == "executed":
        backup.run(600, "bob")
    elif step == "progressed":
        backup.timers.progressed(600)
    else:
        backup.leave()
        backup.timers.entered(600)
    timeout_ms = backup.timers.timeout_ms
    assert backup.at(600 + timeout_ms - 1) is None
    assert backup.at(600 + timeout_ms) is (Cause.NO_PROGRESS if step == "entered" else Cause.STALLED)


def test_null_and_replayed_requests_are_no_progress_for_what_waits():
    """A faulty primary can make batches of nothing for ever; they keep nobody waiting."""
    backup = Backup()
    backup.hear("alice", 0)
    for now_ms in range(100, T, 100):
        backup.timers.begun(now_ms, backup.executed + 1)
        backup.run(now_ms)
    assert backup.wait() == (T, Cause.STALLED)


def test_null_requests_are_progress_where_only_proposals_are_waited_for():
    """A new view fills gaps with them, and that takes its time."""
    backup = Backup()
    backup.timers.begun(0, 1)
    backup.run(900)
    assert backup.timers.deadline_ms == 900 + T


def test_a_session_of_the_future_is_waited_for_when_its_time_has_come():
    """A client whose clock is fast cannot depose a primary that may rightly refuse it until then (minbft #5)."""
    backup = Backup()
    backup.hear("alice", 0, starts_ms=8_000)
    assert backup.wait() == (8_000 + T, Cause.STALLED)


def test_a_late_tick_judges_by_what_was_heard_meanwhile():
    """A replica that was stopped for a minute drains its inbox first, and then waits as if it had just begun (C6)."""
    backup = Backup()
    backup.hear("alice", 0)
    backup.run(60_000, "bob")
    assert backup.at(60_000) is None
    assert backup.wait() == (60_000 + T, Cause.STALLED)


def test_the_deadline_is_always_ahead_of_a_tick_that_found_nothing():
    """No driver spins: what is looked at now is looked at again an eighth of a timeout later, or when patience ends."""
    backup = Backup()
    backup.hear("alice", 3)
    ticks = []
    while (cause := backup.at(backup.deadline)) is None:
        ticks.append(backup.now_ms)
        assert backup.deadline > backup.now_ms
    assert cause is Cause.STALLED
    assert ticks == [3 + T // 8 * step for step in range(1, 8)]
    assert backup.now_ms == 3 + T


def test_a_tiny_timeout_does_not_make_a_driver_spin():
    """Also below eight milliseconds the next look lies ahead."""
    backup = Backup(ReplicaSettings(view_timeout_ms=1))
    backup.hear("alice", 5)
    assert backup.timers.deadline_ms == 6
    assert backup.at(6) is Cause.STALLED


# Leaving, and waiting for the new view.


def test_who_left_alone_waits_for_ever():
    """Without a quorum for the view no timer runs, whatever waits: nobody runs on through views (sawtooth PR 133)."""
    backup = Backup()
    backup.hear("alice", 0)
    backup.timers.begun(0, 1)
    backup.leave()
    backup.hear("bob", 2 * T)
    assert backup.timers.deadline_ms is None
    assert backup.at(1_000_000) is None


def test_the_new_view_is_waited_for_from_a_quorum_on():
    """To the millisecond; each further message that shows the quorum again puts nothing off (OSDI'99 section 4.5.2)."""
    backup = Backup()
    backup.run(5, "alice")
    backup.leave()
    for now_ms in (3 * T, 3 * T + 1, 3 * T + 500):
        backup.timers.quorum(now_ms)
    assert backup.timers.timeout_ms == T
    assert backup.timers.deadline_ms == 4 * T
    assert backup.at(4 * T - 1) is None
    assert backup.at(4 * T) is Cause.NO_NEW_VIEW


def test_each_view_asked_for_needs_a_quorum_of_its_own():
    """The next wait begins with the next quorum, not with the last one."""
    backup = Backup()
    backup.leave()
    backup.timers.quorum(10)
    backup.leave()
    assert backup.timers.deadline_ms is None
    backup.timers.quorum(90_000)
    assert backup.timers.deadline_ms == 90_000 + 4 * T


def test_others_that_go_on_and_state_that_arrives_excuse_the_new_primary():
    """Who catches up meanwhile has not yet heard what the others have."""
    backup = Backup()
    backup.run(5, "alice")
    backup.leave()
    backup.timers.progressed(150)
    assert backup.timers.deadline_ms is None
    backup.timers.quorum(200)
    backup.timers.progressed(900)
    assert backup.timers.deadline_ms == 900 + T


def test_a_quorum_seen_in_a_view_starts_nothing():
    """Votes for the view that was entered may come late."""
    backup = Backup()
    backup.timers.quorum(10)
    assert backup.timers.deadline_ms is None
    backup.leave()
    assert backup.timers.deadline_ms is None


def test_a_view_that_executed_something_and_stops_has_stalled():
    """The words tell apart a primary that never worked from one that works no more."""
    backup = Backup()
    backup.leave()
    backup.timers.entered(100)
    backup.hear("bob", 200)
    backup.run(300)
    assert backup.at(200 + 2 * T) is Cause.NO_PROGRESS
    backup.run(300 + T, "alice")
    assert backup.at(300 + 3 * T) is Cause.STALLED


# How the timeout grows.


def test_the_timeout_doubles_with_every_view_that_comes_to_nothing_and_has_no_cap():
    """Never entered, or entered in vain: a cap could lie below what messages really take (OSDI'99 section 4.5.2)."""
    backup = Backup()
    for level in range(1, 60):
        backup.leave()
        assert backup.timers.timeout_ms == T << level
        if level % 2:
            backup.timers.entered(level)


def test_a_view_that_executed_something_fresh_leaves_the_timeout_as_it_is():
    """Its primary failed later, which says nothing about the delays; null requests are nothing fresh."""
    backup = Backup()
    backup.run(10)
    backup.run(20, "alice")
    backup.leave()
    assert backup.timers.timeout_ms == T
    backup.leave()
    assert backup.timers.timeout_ms == 2 * T
    backup.timers.entered(50)
    backup.run(60)
    backup.leave()
    assert backup.timers.timeout_ms == 4 * T


def test_what_runs_after_leaving_does_not_count_for_the_view_asked_for():
    """A replica executes what quorums commit in the view it left; the next one has yet to show something."""
    backup = Backup()
    backup.leave()
    backup.run(50, "alice")
    backup.leave()
    backup.timers.entered(150)
    backup.leave()
    assert backup.timers.timeout_ms == 8 * T


# How it shrinks.


def grown(levels: int) -> Backup:
    """Return a replica that has just entered a view after so many that failed."""
    backup = Backup()
    for _ in range(levels):
        backup.leave()
    backup.timers.entered(0)
    return backup


def test_quick_service_halves_the_timeout_once_a_timeout_down_to_the_setting():
    """It takes as long as the timeout itself to prove it too long, and something has to run."""
    backup = grown(3)
    seen = []
    for now_ms in range(0, 20 * T, 100):
        backup.hear("alice", now_ms)
        backup.run(now_ms + 50, "alice")
        seen.append((now_ms + 50, backup.timers.timeout_ms))
    changes = [later for earlier, later in pairwise(seen) if earlier[1] != later[1]]
    assert changes == [(8_050, 4 * T), (12_050, 2 * T), (14_050, T)]


def test_an_idle_view_proves_nothing():
    """What ran once, after a long silence, halves the timeout once."""
    backup = grown(3)
    assert backup.at(1_000_000) is None
    assert backup.timers.timeout_ms == 8 * T
    backup.run(1_000_000, "alice")
    assert backup.timers.timeout_ms == 4 * T


@pytest.mark.parametrize(("waited_ms", "timeout_ms"), [(2 * T, 4 * T), (2 * T + 1, 8 * T)])
def test_a_request_that_waited_longer_than_a_quarter_of_it_keeps_the_timeout(waited_ms, timeout_ms):
    """To the millisecond; then a whole timeout has to pass anew."""
    backup = grown(3)
    backup.hear("alice", 10 * T - waited_ms)
    backup.run(10 * T, "alice")
    assert backup.timers.timeout_ms == timeout_ms
    if timeout_ms == 8 * T:
        backup.run(18 * T - 1, "bob")
        assert backup.timers.timeout_ms == 8 * T
        backup.run(18 * T, "bob")
        assert backup.timers.timeout_ms == 4 * T


@pytest.mark.parametrize(("waited_ms", "timeout_ms"), [(2 * T, 4 * T), (2 * T + 1, 8 * T)])
def test_a_proposal_that_took_longer_than_a_quarter_of_it_keeps_the_timeout(waited_ms, timeout_ms):
    """Where clients reach the primary no request waits here: what is seen is how long agreement takes."""
    backup = grown(3)
    backup.timers.begun(10 * T - waited_ms, 1)
    backup.run(10 * T, "alice")
    assert backup.timers.timeout_ms == timeout_ms


def test_a_full_pipeline_is_measured_from_one_execution_to_the_next():
    """Something is always under way there, and that is not slow."""
    backup = grown(1)
    backup.timers.begun(0, 1)
    for now_ms in range(100, 2 * T + 1, 100):
        backup.run(now_ms, "alice")
    assert backup.timers.timeout_ms == T


def test_what_waited_through_a_view_change_waits_from_the_entry():
    """How long the views before took says nothing about this one."""
    backup = Backup()
    backup.hear("alice", 0)
    backup.timers.begun(0, 1)
    backup.leave()
    backup.timers.entered(50 * T)
    backup.run(50 * T + 100, "alice")
    backup.timers.idle()
    backup.run(52 * T, "bob")
    assert backup.timers.timeout_ms == T


def test_a_view_just_entered_has_proven_nothing_yet():
    """However long ago the last slow one was: the timeout is as long as it is because the views before failed."""
    backup = Backup()
    backup.leave()
    backup.timers.entered(101 * T)
    backup.run(101 * T + 10, "alice")
    assert backup.timers.timeout_ms == 2 * T


def test_nothing_shrinks_out_of_a_view():
    """What commits there was proposed by a primary that is gone."""
    backup = Backup()
    backup.leave()
    for now_ms in range(100, 5 * T, 100):
        backup.run(now_ms, "alice")
    assert backup.timers.timeout_ms == 2 * T
