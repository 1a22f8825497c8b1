"""Replicas whose processes stand still for a minute (C6), and whose wall clocks are moved by a day (C7)."""

from __future__ import annotations

import pytest

from pbft.core.effects import Reason
from pbft.core.group import Limits
from pbft.machine import Context, StateMachine, operation
from pbft.testing import Cluster
from pbft.testing.network import WALL_START_MS
from pbft_apps.counter import Counter
from tests.scenarios.stories import DAY_MS, ROUND_MS, SIZES, Load, faults, refused, served_ms, views_entered, views_left

MINUTE_MS = 60_000


class Clock(StateMachine):
    """Tells what time operations are told it is."""

    @operation
    def now(self, context: Context) -> int:
        """Return agreed time."""
        return context.time_ms


@SIZES
@pytest.mark.parametrize("log_size", [512, 8], ids=["by repair", "by state"])
def test_c6_backups_that_stood_still_for_a_minute_rejoin_without_a_view_change(n: int, log_size: int) -> None:
    """f backups are stopped and go on a minute later: the others did not miss them, and no view changes then either.

    What came meanwhile waited for them; they read it before they judge by the clock that anybody was late.
    """
    limits = Limits(checkpoint_interval=min(128, log_size // 2), log_size=log_size)
    group = Cluster(Counter, seed=101, n=n, limits=limits)
    load = Load(group, "alice", "bob", think_ms=1_000)
    stopped = range(n - faults(n), n)
    group.run(500)
    for replica in stopped:
        group.pause(replica)
    group.run(MINUTE_MS)
    before = max(group.executed(i) for i in group.living)
    assert all(group.executed(replica) < 5 < before for replica in stopped)

    for replica in stopped:
        group.resume(replica)
    group.run(2_000)

    assert all(group.executed(replica) >= before for replica in stopped)
    assert views_left(group) == [0] * n
    group.finish(*load.stop())
    assert load.exactly_once()
    assert group.histories_agree()


@SIZES
def test_c6_a_primary_that_stood_still_for_a_minute_comes_back_as_a_backup(n: int) -> None:
    """The primary is stopped: one view change, and the group goes on. Once it is back, it enters that view too."""
    group = Cluster(Counter, seed=102, n=n)
    load = Load(group, "alice", "bob", think_ms=1_000)
    group.run(500)
    group.pause(0)
    group.run(MINUTE_MS)
    assert [group.replica(i).status().view for i in range(n)] == [0] + [1] * (n - 1)
    before = group.executed(1)
    assert before > 50

    group.resume(0)
    group.run(2_000)

    assert group.executed(0) >= before
    group.run(10_000)
    assert views_entered(group) == [[1]] * n
    group.finish(*load.stop())
    assert load.exactly_once()
    assert group.histories_agree()


@SIZES
def test_c6_a_whole_group_that_stood_still_goes_on_where_it_was(n: int) -> None:
    """Every replica is stopped for a minute, in the midst of work: afterwards what waited is answered, in view 0."""
    group = Cluster(Counter, seed=103, n=n)
    load = Load(group, "alice", "bob")
    group.run(200)
    for replica in range(n):
        group.pause(replica)
    answered = len(load.answered_ms)
    group.run(MINUTE_MS)
    assert len(load.answered_ms) <= answered + 2

    for replica in range(n):
        group.resume(replica)
    group.finish(*load.stop())

    assert views_entered(group) == [[]] * n
    assert load.exactly_once()
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("ahead_ms", [DAY_MS, -DAY_MS])
def test_c7_backups_whose_clocks_are_wrong_follow(n: int, ahead_ms: int) -> None:
    """f backups' clocks jump by a day: they hold proposals back, until f+1 members voted for them, and vote too.

    Every quorum needs them, since as many others have died; nobody's timers notice, and no view changes.
    """
    group = Cluster(Counter, seed=29, n=n)
    alice = group.client("alice")
    assert group.gather(alice.call("add", 1)) == [1]
    for replica in range(n - faults(n), n):
        group.set_wall_clock(replica, ahead_ms)
    for replica in range(1, faults(n) + 1):
        group.crash(replica)

    for total in range(2, 7):
        assert group.gather(alice.call("add", 1), within_ms=4 * ROUND_MS) == [total]

    assert all(group.ignored(replica)[Reason.CLOCK_DRIFT] > 0 for replica in range(n - faults(n), n))
    assert views_left(group) == [0] * n
    group.run_until_level()
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("ahead_ms", [DAY_MS, -DAY_MS])
def test_c7_primaries_whose_clocks_jump_are_replaced(n: int, ahead_ms: int) -> None:
    """The first f primaries' clocks jump by a day: nobody votes for their times, and each is left after its timeout.

    Agreed time goes on as if nothing had happened, and as backups they follow: they count as faulty for time alone.
    """
    group = Cluster(Clock, seed=30, n=n)
    alice = group.client("alice")
    before = group.gather(alice.call("now"))[0]
    for replica in range(faults(n)):
        group.set_wall_clock(replica, ahead_ms)

    after = group.gather(alice.call("now"), within_ms=served_ms(faults(n)))[0]

    assert before <= after
    assert abs(after - WALL_START_MS - group.now_ms) < 1_000
    assert group.views() == {faults(n)}
    assert refused(group, Reason.CLOCK_DRIFT)[-1] > 0
    group.run_until_level()
    assert group.histories_agree()


@SIZES
def test_c7_a_clock_set_back_moves_no_time_back(n: int) -> None:
    """The primary's clock is set back by less than the drift: agreed time stands still until it has caught up."""
    group = Cluster(Clock, seed=5, n=n, clock_skew_ms=0)
    alice = group.client("alice")
    before = group.gather(alice.call("now"))[0]

    group.set_wall_clock(0, -5_000)

    assert group.gather(alice.call("now")) == [before]
    group.set_wall_clock(0, 0)
    assert group.gather(alice.call("now"))[0] > before
    assert views_left(group) == [0] * n
