"""The network loses, doubles, delays and cuts (N1 to N4): what matters arrives in the end, nothing happens twice."""

from __future__ import annotations

import pytest

from pbft.core.effects import StateInstalled
from pbft.core.envelope import Kind
from pbft.core.group import Limits
from pbft.core.settings import ReplicaSettings
from pbft.testing import Cluster, NotFinished
from pbft.testing.journal import Journal
from pbft_apps.counter import Counter
from tests.scenarios.stories import SIZES, SMALL_LOG, Load, faults, served_ms, views_entered, views_left


@SIZES
@pytest.mark.parametrize(("loss", "duplicate"), [(0.0, 0.5), (0.1, 0.2), (0.3, 0.5)])
def test_n1_loss_duplication_and_reordering_change_nothing(n: int, loss: float, duplicate: float) -> None:
    """Up to three in ten lost, half doubled, a fifth out of order, a few very late: every word gets one place.

    Whatever was not answered by then is answered once the network has healed.
    """
    group = Cluster(
        Journal,
        seed=31,
        n=n,
        loss=loss,
        duplicate=duplicate,
        reorder=0.2,
        delay_ms=(1, 40),
        spread="exponential",
        limits=SMALL_LOG,
    )
    alice, bob = group.clients("alice", "bob")
    calls = []
    for i in range(5):
        calls += [client.call("write", f"{i}") for client in (alice, bob)]
        group.run(400)

    group.heal()
    group.finish(*calls)

    assert sorted(call.value() for call in calls) == list(range(1, 11))
    assert group.histories_agree()


@SIZES
def test_n2_a_backup_that_nobody_hears_follows(n: int) -> None:
    """A backup hears everybody and nobody hears it: the rest go on, and it follows."""
    group = Cluster(Counter, seed=36, n=n)
    alice = group.client("alice")
    for other in (*range(n - 1), "alice"):
        group.network.cut_one_way(n - 1, other)

    for total in range(1, 6):
        assert group.gather(alice.call("add", 1)) == [total]

    group.run_until_level(within_ms=5_000)
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("primary", ["nobody hears", "hears nobody", "is cut off"])
def test_n2_a_primary_behind_a_cut_is_replaced(n: int, primary: str) -> None:
    """The primary is cut off in one direction or in both: the others change their view once, and serve.

    When the cut ends, it comes to the new view and to all that it missed, and no view changes for its sake.
    """
    group = Cluster(Counter, seed=44, n=n)
    alice = group.client("alice")
    assert group.gather(alice.call("add", 1)) == [1]
    for other in (*range(1, n), "alice"):
        if primary != "hears nobody":
            group.network.cut_one_way(0, other)
        if primary != "nobody hears":
            group.network.cut_one_way(other, 0)

    assert group.gather(alice.call("add", 1), within_ms=served_ms(1)) == [2]
    for total in range(3, 6):
        assert group.gather(alice.call("add", 1), within_ms=served_ms(0)) == [total]

    group.heal()
    group.finish(alice.call("add", 1))
    assert views_entered(group) == [[1]] * n
    assert group.histories_agree()


@SIZES
def test_n2_a_backup_isolated_for_long_catches_up_through_repair(n: int) -> None:
    """Thirty sequences pass it by; once it is back and hears of the next, peers send it what it lacks (design 4.9)."""
    group = Cluster(Counter, seed=33, n=n)
    alice = group.client("alice")
    group.network.isolate(n - 1)
    for total in range(1, 31):
        assert group.gather(alice.call("add", 1)) == [total]
    assert group.history(n - 1) == []

    group.network.heal()
    assert group.gather(alice.call("add", 1)) == [31]
    group.run_until_level(within_ms=5_000)

    assert len(group.history(n - 1)) == 31
    assert views_left(group) == [0] * n
    assert group.histories_agree()


@SIZES
def test_n2_a_backup_isolated_beyond_the_log_catches_up_by_state(n: int) -> None:
    """More passes it by than the others keep: it takes over the state of a stable checkpoint (OSDI'99 section 4.6)."""
    group = Cluster(Counter, seed=45, n=n, limits=SMALL_LOG)
    alice = group.client("alice")
    group.network.isolate(n - 1)
    for total in range(1, 31):
        assert group.gather(alice.call("add", 1)) == [total]

    group.network.heal()
    assert group.gather(alice.call("add", 1)) == [31]
    group.run_until_level(within_ms=5_000)

    assert group.steps(n - 1, StateInstalled)
    assert len(group.history(n - 1)) < 31
    assert views_left(group) == [0] * n
    assert group.histories_agree()


@SIZES
def test_n2_each_replica_cut_off_in_turn(n: int) -> None:
    """A quorum is always connected, and its members change: every call is answered, the primary's absence included.

    Who came back after missing a whole view waits twice as long for the next one, so two timeouts may pass.
    """
    group = Cluster(Counter, seed=39, n=n)
    alice = group.client("alice")
    assert group.gather(alice.call("add", 1)) == [1]
    for total, away in enumerate(range(n), start=2):
        group.network.heal()
        group.network.isolate(away)
        assert group.gather(alice.call("add", 1), within_ms=served_ms(2)) == [total]

    group.network.heal()
    assert group.gather(alice.call("add", 1)) == [n + 2]
    group.run_until_level(within_ms=10_000)
    assert group.histories_agree()


@SIZES
def test_n2_a_ring_of_majorities_stays_safe_and_goes_on_when_it_heals(n: int) -> None:
    """Each replica reaches a quorum with itself, and no two the same one: f on the far side do not hear it."""
    group = Cluster(Counter, seed=46, n=n)
    for one in range(n):
        for far in range(faults(n)):
            other = (one + n // 2 + far) % n
            group.network.cut_one_way(one, other)
    load = Load(group, "alice", "bob", think_ms=20)
    group.run(4_000)

    group.heal()
    group.finish(*load.stop())

    assert load.exactly_once()
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("end", [0, 1], ids=["primary", "backup"])
def test_n2_flapping_links_of_one_replica_delay_nobody_for_long(n: int, end: int) -> None:
    """Every link of one replica comes and goes each 150 ms: a quorum of the others is connected all the time.

    A call takes no longer than it takes to replace a primary; the one that flaps is level once its links stay.
    """
    group = Cluster(Counter, seed=47, n=n)
    alice = group.client("alice")
    for begin_ms in range(0, 6_000, 300):
        group.at(begin_ms, lambda: group.network.isolate(end))
        group.at(begin_ms + 150, lambda: group.network.rejoin(end))

    total = 0
    while group.now_ms < 6_000:
        total += 1
        assert group.gather(alice.call("add", 1), within_ms=served_ms(1)) == [total]
        group.run(40)

    assert total > 20
    group.finish(alice.call("add", 1))
    assert group.histories_agree()


@SIZES
def test_n3_a_split_without_quorum_stops_and_goes_on_when_it_heals(n: int) -> None:
    """Halves of the group cannot decide alone; what was asked meanwhile is answered after the heal."""
    group = Cluster(Counter, seed=35, n=n)
    alice, bob = group.clients("alice", "bob")
    assert group.gather(alice.call("add", 1)) == [1]
    half = tuple(range((n + 1) // 2))
    group.network.split((*half, "alice"), (*range((n + 1) // 2, n), "bob"))

    calls = (alice.call("add", 1), bob.call("add", 1))
    with pytest.raises(NotFinished):
        group.gather(*calls, within_ms=5_000)
    assert [len(group.history(i)) for i in range(n)] == [1] * n

    group.heal()
    group.finish(*calls)
    assert max(call.value() for call in calls) == 3
    assert group.histories_agree()


LAST = -1
N4_LINKS = {
    Kind.PRE_PREPARE: (0, LAST),
    Kind.PREPARE: (2, LAST),
    Kind.COMMIT: (2, LAST),
    Kind.CHECKPOINT: (2, LAST),
    Kind.VIEW_CHANGE: (2, LAST),
    Kind.NEW_VIEW: (1, LAST),
    Kind.STATUS: (LAST, 2),
    Kind.CHECKPOINT_PROOF: (0, LAST),
    Kind.FETCH: (LAST, 0),
    Kind.NODES: (0, LAST),
    Kind.COMMITTED: (1, LAST),
}
"""For each kind that replicas send each other a link on which it matters: to the last replica, or from it."""


@SIZES
@pytest.mark.parametrize("kind", N4_LINKS, ids=lambda kind: kind.name.lower())
def test_n4_one_kind_of_message_never_passes_one_link(n: int, kind: Kind) -> None:
    """A kind of message is lost on one link for ever: the replica at its end catches up all the same.

    Meanwhile there is all that happens: checkpoints, a backup that misses a little, and one that misses more than the
    log; a view whose primary is heard no more, and a new one.
    """
    group = Cluster(Counter, seed=48, n=n, limits=SMALL_LOG, settings=ReplicaSettings(view_timeout_ms=300))
    alice = group.client("alice")
    src, dst = (end % n for end in N4_LINKS[kind])
    lost = group.network.on(kind, src=src, dst=dst).drop()
    total = 0
    for phase in ("together", "apart for a moment", "together", "apart for long", "with a new primary"):
        if phase == "with a new primary":
            group.network.let("pre-prepares from 0: drop")
        if phase.startswith("apart"):
            group.network.isolate(n - 1)
        for _ in range(3 if phase == "apart for a moment" else 13):
            total += 1
            assert group.gather(alice.call("add", 1), within_ms=5_000) == [total]
        if phase.startswith("apart"):
            group.network.rejoin(n - 1)
    group.run_until_level(within_ms=5_000)
    group.run_until(lambda: group.views() == {1}, within_ms=5_000)

    assert lost.met > 0
    assert group.steps(n - 1, StateInstalled)
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("kind", ["pre-prepares", "prepares", "commits"])
def test_n4_a_backup_that_never_gets_one_kind_of_message_catches_up(n: int, kind: str) -> None:
    """None of one kind comes to the last backup: its statuses bring what it missed."""
    group = Cluster(Counter, seed=32, n=n)
    alice = group.client("alice")
    missed = group.network.let(f"{kind} to {n - 1}: drop")

    for total in range(1, 4):
        assert group.gather(alice.call("add", 1)) == [total]
    group.run_until_level(within_ms=20_000)

    assert missed.met >= n - 2
    assert [len(group.history(i)) for i in range(n)] == [3] * n
    assert group.histories_agree()


def test_a_slow_backup_follows_at_its_own_pace() -> None:
    """One backup is half a second away from everybody; calls do not wait for it, and it ends where they do."""
    group = Cluster(Counter, seed=34)
    alice = group.client("alice")
    for other in (0, 1, 2):
        group.network.slow(other, 3, (500, 600))
        group.network.slow(3, other, (500, 600))

    for total in range(1, 6):
        assert group.gather(alice.call("add", 1), within_ms=400) == [total]

    group.run_until_level(within_ms=5_000)
    assert group.histories_agree()


def test_a_client_that_cannot_reach_the_primary_is_served() -> None:
    """When its request is late a client tells every replica, and a backup passes it on (OSDI'99 section 4.1; K3)."""
    group = Cluster(Counter, seed=37)
    alice = group.client("alice")
    group.network.cut_one_way("alice", 0)

    assert group.gather(alice.call("add", 5), within_ms=10_000) == [5]


def test_one_backup_alone_is_asked() -> None:
    """A client whose datagrams reach a single backup still gets its answer (K3)."""
    group = Cluster(Counter, seed=38)
    alice = group.client("alice")
    group.gather(alice.call("add", 5))
    for other in (0, 1, 2):
        group.network.cut_one_way("alice", other)

    assert group.gather(alice.call("add", 2), within_ms=10_000) == [7]


def test_a_relay_that_is_lost_is_repeated_without_its_client() -> None:
    """A backup that holds a request keeps passing it on, though its client has gone and asks no more (K3)."""
    group = Cluster(Counter, seed=43)
    alice = group.client("alice")
    group.gather(alice.call("add", 5))
    for other in (0, 1, 2):
        group.network.cut_one_way("alice", other)
    lost = group.network.let("the first 2 requests from 3 to 0: drop")
    alice.call("add", 2)
    group.run_until(lambda: group.replica(3).status().waiting == 1, within_ms=5_000)

    alice.session.abandon(2)
    group.run_until(lambda: group.replica(3).status().waiting == 0, within_ms=10_000)
    group.run_until_level()

    assert lost.met == 2
    assert [group.replica(i).status().executed for i in range(4)] == [2] * 4
    assert [group.replica(i).status().waiting for i in range(4)] == [0] * 4


@SIZES
@pytest.mark.parametrize("words", [16, 17, 18, 19])
def test_who_slept_through_more_than_two_logs_asks(n: int, words: int) -> None:
    """All that it hears when it is back lies beyond what it may keep; f+1 who vote so far ahead are reason to ask."""
    group = Cluster(Counter, seed=1, n=n, limits=Limits(checkpoint_interval=4, log_size=8))
    alice = group.client("alice")
    group.run(500)
    group.network.isolate(n - 1)
    for _ in range(words):
        group.gather(alice.call("add", 1))
    group.run(3_000)
    group.heal()
    group.finish(alice.call("add", 1))
    assert group.executed(n - 1) == words + 1
