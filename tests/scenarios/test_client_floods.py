"""Clients that flood and repeat themselves (K4, K5), and all that misbehave beside lying replicas."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.core.codec import MAX_UINT
from pbft.core.effects import Reason
from pbft.core.settings import ReplicaSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import Adversary, Equivocator, TwoFaced, WrongReply
from pbft.testing.faulty_clients import (
    FAULTY_CLIENTS,
    FaultyClient,
    HugeRequests,
    OldRequests,
    RequestFlood,
    TimestampJumper,
)
from pbft_apps.counter import Counter
from tests.scenarios.programs import NAMES, PROMPT_MS, THINK_MS, longest_gap_ms, ran
from tests.scenarios.stories import (
    LONGEST_MS,
    SIZES,
    Load,
    faults,
    views_left,
)
from tests.scenarios.test_floods import LITTLE, NARROW
from tests.scenarios.watch import Watch


class FastFlood(RequestFlood):
    """More sessions than it has room for, a hundred times a second."""

    every_ms = 10
    at_once = 6


class FastJumper(TimestampJumper):
    """A hundred jumps a second."""

    every_ms = 10


class FastHuge(HugeRequests):
    """A hundred sizes a second."""

    every_ms = 10


@SIZES
@pytest.mark.parametrize("kind", [FastFlood, FastJumper, FastHuge], ids=["flood", "jumps", "huge"])
def test_k4_floods_jumps_and_huge_requests_leave_others_their_share(n: int, kind: type[FaultyClient]) -> None:
    """Under limits as tight as they may be, a flood fills no more than its room, and others are served at once."""
    group = Cluster(Counter, seed=240, n=n, clients=NAMES, limits=NARROW, settings=LITTLE)
    watch = Watch(group, LITTLE)
    load = Load(group, "alice", "bob", think_ms=THINK_MS)
    mallory = group.let_loose("mallory", kind)

    watch.run(1_000)
    group.stop(mallory)
    group.finish(*load.stop())

    assert watch.excesses == {}
    assert longest_gap_ms(load) <= PROMPT_MS
    assert load.exactly_once()
    assert views_left(group) == [0] * n
    assert len(ran(group, 0, mallory)) >= 10
    if kind is FastJumper:
        assert max(timestamp for (_, timestamp), _ in ran(group, 0, mallory)) == MAX_UINT
        assert all(group.ignored(i)[Reason.STALE] > 0 for i in range(n))
    if kind is FastHuge:
        assert all(group.ignored(i)[Reason.TOO_LARGE] >= mallory.acts * 2 // 5 for i in range(n))


@SIZES
def test_k5_old_requests_run_once_however_often_they_come(n: int) -> None:
    """Old requests come again for ever: the last is answered as it was, older ones are stale, and none runs twice."""
    group = Cluster(Counter, seed=250, n=n, clients=NAMES)
    load = Load(group, "alice", "bob", think_ms=THINK_MS)
    mallory = group.let_loose("mallory", OldRequests, say=lambda _: ("add", (0,)))

    group.run(2_000)
    group.stop(mallory)
    group.run(6 * LONGEST_MS)
    group.finish(*load.stop())

    assert [name for name, _ in ran(group, 0, mallory)] == [
        (mallory.session, timestamp) for timestamp in range(1, mallory.timestamp + 1)
    ]
    assert all(group.ignored(i)[Reason.STALE] >= mallory.acts for i in range(n))
    assert longest_gap_ms(load) <= PROMPT_MS
    assert load.exactly_once()
    assert views_left(group) == [0] * n


def liars(n: int) -> dict[int, type[Adversary]]:
    """Return f liars: the first primary, who tells two stories, and at n=7 a backup whose replies and votes differ."""

    class WrongInAll(WrongReply, TwoFaced):
        """Lies to clients and to replicas."""

    return {0: Equivocator} if faults(n) == 1 else {0: Equivocator, n - 1: WrongInAll}


@SIZES
@pytest.mark.parametrize("name", FAULTY_CLIENTS)
def test_k1_to_k5_each_faulty_client_beside_f_lying_replicas(n: int, name: str) -> None:
    """The first primary equivocates, at n=7 a backup lies as well, and a client misbehaves: correct clients are served.

    Every oracle watches. The faulty client goes on to the end: nothing waits for it.
    """
    settings = ReplicaSettings(view_timeout_ms=200)
    group = Cluster(Counter, seed=260, n=n, clients=NAMES, byzantine=liars(n), settings=settings)
    load = Load(group, "alice", "bob", think_ms=50)
    mallory = group.let_loose("mallory", FAULTY_CLIENTS[name])

    group.run(1_000)

    group.finish(*load.stop())
    assert mallory.acts >= 1_000 // mallory.every_ms
    assert load.exactly_once()
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_k1_to_k5_all_faulty_clients_at_once_beside_f_lying_replicas(n: int, loss: float) -> None:
    """Every faulty client there is, all under one key, while f replicas lie; also where a tenth of all is lost."""
    settings = replace(ReplicaSettings(), view_timeout_ms=200)
    group = Cluster(Counter, seed=261, n=n, clients=NAMES, byzantine=liars(n), settings=settings, loss=loss)
    load = Load(group, "alice", "bob", think_ms=50)
    for kind in FAULTY_CLIENTS.values():
        group.let_loose("mallory", kind)

    group.run(1_000)
    group.heal()

    group.finish(*load.stop())
    assert load.exactly_once()
    assert group.histories_agree()
