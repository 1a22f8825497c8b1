"""The network loses, doubles, delays and cuts; what matters arrives in the end, and nothing happens twice."""

from __future__ import annotations

import pytest

from pbft.core.envelope import Kind
from pbft.testing import Cluster, NotFinished
from pbft.testing.journal import Journal
from pbft_apps.counter import Counter

SIZES = pytest.mark.parametrize("n", [4, 7])


@SIZES
def test_loss_duplication_and_reordering_change_nothing(n: int) -> None:
    """Under a fifth lost, a third doubled and a fifth out of order, every word gets one place of its own (N1)."""
    group = Cluster(Journal, seed=31, n=n, loss=0.2, duplicate=0.3, reorder=0.2)
    alice, bob = group.clients("alice", "bob")

    places = group.gather(*[client.call("write", f"{i}") for i in range(5) for client in (alice, bob)])

    assert sorted(places) == list(range(1, 11))
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("kind", [Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT])
def test_a_backup_that_misses_one_kind_of_message_catches_up(n: int, kind: Kind) -> None:
    """For pre-prepares (prepares, commits) to the last backup: drop. Its statuses bring what it missed (N4)."""
    group = Cluster(Counter, seed=32, n=n)
    alice = group.client("alice")
    missed = group.network.on(kind, dst=n - 1).drop(first=n)

    assert group.gather(alice.call("add", 1)) == [1]
    group.run_until_level(within_ms=20_000)

    assert missed.met == n
    assert [len(group.history(i)) for i in range(n)] == [1] * n
    assert group.histories_agree()


@SIZES
def test_a_backup_cut_off_for_long_catches_up_through_repair(n: int) -> None:
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


@SIZES
def test_a_split_without_quorum_stops_and_goes_on_when_it_heals(n: int) -> None:
    """Halves of the group cannot decide alone; what was asked meanwhile is answered after the heal (N3)."""
    group = Cluster(Counter, seed=35, n=n)
    alice = group.client("alice")
    assert group.gather(alice.call("add", 1)) == [1]
    half = tuple(range((n + 1) // 2))
    group.network.split(half, tuple(range((n + 1) // 2, n)))

    call = alice.call("add", 1)
    with pytest.raises(NotFinished):
        group.gather(call, within_ms=3_000)
    assert [len(group.history(i)) for i in range(n)] == [1] * n

    group.network.heal()
    assert group.gather(call, within_ms=10_000) == [2]
    group.run_until_level()
    assert group.histories_agree()


def test_a_one_way_cut_is_survived() -> None:
    """A backup hears everybody and nobody hears it: the rest go on, and it follows (N2)."""
    group = Cluster(Counter, seed=36)
    alice = group.client("alice")
    for other in (0, 1, 2, "alice"):
        group.network.cut_one_way(3, other)

    for total in range(1, 6):
        assert group.gather(alice.call("add", 1)) == [total]

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
    lost = group.network.on(Kind.REQUEST, src=3, dst=0).drop(first=2)
    alice.call("add", 2)
    group.run_until(lambda: group.replica(3).status().waiting == 1, within_ms=5_000)

    alice.session.abandon(2)
    group.run_until(lambda: group.replica(3).status().waiting == 0, within_ms=10_000)
    group.run_until_level()

    assert lost.met == 2
    assert [group.replica(i).status().executed for i in range(4)] == [2] * 4
    assert [group.replica(i).status().waiting for i in range(4)] == [0] * 4


@SIZES
def test_a_ring_of_quorums_keeps_going(n: int) -> None:
    """Each backup is cut off in turn while the rest work; no cut lasts, and all end alike (N2)."""
    group = Cluster(Counter, seed=39, n=n)
    alice = group.client("alice")
    for total, away in enumerate(range(1, n), start=1):
        group.network.heal()
        group.network.isolate(away)
        assert group.gather(alice.call("add", 1)) == [total]

    group.network.heal()
    assert group.gather(alice.call("add", 1)) == [n]
    group.run_until_level(within_ms=10_000)
    assert group.histories_agree()
