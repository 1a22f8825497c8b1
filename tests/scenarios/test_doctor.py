"""A replica whose state is not the group's finds out by itself which operation it was, and rejoins meanwhile."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from pbft.core.effects import Diverged, StateInstalled
from pbft.core.envelope import Kind
from pbft.core.findings import DivergenceExplained
from pbft.encoding import decode_plain
from pbft.machine import Outcome
from pbft.operations import decode_operation
from pbft.testing import Cluster
from pbft.testing.byzantine import Adversary
from tests.scenarios.hosts import Book, Hosted, RecallLiar, Unsound
from tests.scenarios.stories import SIZES, SMALL_LOG

ODD = 3
"""The replica on whose host some operations do something else."""


def cluster(n: int = 4, liars: Mapping[int, type[Adversary]] | None = None, loss: float = 0.0) -> Cluster:
    """Return a group of which one replica's host is odd."""
    byzantine: dict[int, type[Adversary]] = {ODD: Unsound, **(liars or {})}
    return Cluster(Book, seed=170, n=n, byzantine=byzantine, limits=SMALL_LOG, loss=loss, replica_type=Hosted)


def play(group: Cluster, *calls: tuple[Any, ...]) -> None:
    """Make calls, each in a batch of its own."""
    alice = group.client("alice")
    for name, *args in calls:
        group.settle(alice.call(name, *args))


def explained(group: Cluster, replica: int = ODD) -> DivergenceExplained:
    """Return what a replica found out, once: the first time that it is to be told."""
    group.run_until(lambda: bool(group.steps(replica, DivergenceExplained)))
    return group.steps(replica, DivergenceExplained)[0]


def operation_of(found: DivergenceExplained) -> tuple[str, tuple[Any, ...]]:
    """Return the operation that a finding names."""
    assert found.ordered is not None
    call = decode_operation(found.ordered.operation.shown)
    return call.name, call.args


def keys_of(found: DivergenceExplained) -> list[tuple[str, Any, Any, Any]]:
    """Return the keys of the application's state that a finding names, with own and right values."""

    def plain(excerpt: Any) -> Any:
        return None if excerpt is None else decode_plain(excerpt.shown)

    def name(section: str, key: bytes) -> Any:
        return decode_plain(key) if section else key.decode()

    return [
        (each.section, name(each.section, each.key.shown), plain(each.own), plain(each.right))
        for each in found.keys
        if each.section != "client table"
    ]


def goes_on(group: Cluster) -> None:
    """Assert that the replica has rejoined, and stays equal through the next checkpoints."""
    play(group, *[("put", "sound", 1)] * 9)
    group.run(1_000)
    assert group.executed(ODD) == group.executed(0)
    assert group.replica(ODD).state_digest() == group.replica(0).state_digest()
    assert len(group.steps(ODD, Diverged)) == 1
    assert len(group.steps(ODD, DivergenceExplained)) == 1


@SIZES
def test_the_operation_and_the_key_of_a_table_are_named(n: int) -> None:
    """Though later operations on the same key differ, too: the first of them is told, with what it wrote."""
    group = cluster(n)
    play(group, *[("put", "sound", 1)] * 5, ("put", "odd one", 10), ("put", "odd one", 5), ("put", "sound", 1))

    found = explained(group)
    assert (found.sequence, found.equal_upto, found.differs_at, found.operation) == (8, 4, 6, 0)
    assert found.unknown == ""
    assert operation_of(found) == ("put", ("odd one", 10))
    assert found.ordered is not None
    assert found.ordered.client == "alice"
    assert keys_of(found) == [("amounts", "odd one", 17, 15)]
    assert found.did is not None
    (others,) = found.others_did
    assert len(others.replicas) >= (n - 1) // 3 + 1
    for did, amount in ((found.did, 11), (others.did, 10)):
        (write,) = did.writes
        assert write.value is not None
        assert (found.sections[write.section], decode_plain(write.key.shown)) == ("amounts", "odd one")
        assert decode_plain(write.value.shown) == amount
    assert found.rejoined_at == 8
    goes_on(group)


@SIZES
def test_a_scalar_is_named(n: int) -> None:
    """Its section has no name, and its key is the field's."""
    group = cluster(n)
    play(group, ("put", "sound", 1), ("count", "odd", 4), ("count", "even", 4), ("put", "sound", 1))
    found = explained(group)
    assert (found.equal_upto, found.differs_at) == (0, 2)
    assert operation_of(found) == ("count", ("odd", 4))
    assert keys_of(found) == [("", "total", 9, 8)]
    goes_on(group)


@SIZES
def test_a_result_alone_is_named(n: int) -> None:
    """What clients are told is part of the state: a retransmission is answered from it."""
    group = cluster(n)
    play(group, ("put", "sound", 1), ("put", "sound", 1), ("put", "sound", 1), ("tell", "odd"))
    found = explained(group)
    assert found.differs_at == 4
    assert operation_of(found) == ("tell", ("odd",))
    assert found.did is not None
    assert decode_plain(found.did.payload.shown) == 1
    assert [decode_plain(each.did.payload.shown) for each in found.others_did] == [0]
    assert [each.section for each in found.keys] == ["client table"] * len(found.keys)
    assert keys_of(found) == []
    goes_on(group)


@SIZES
def test_an_operation_that_raises_on_one_host_is_named(n: int) -> None:
    """It changed nothing there, and wrote something everywhere else."""
    group = cluster(n)
    play(group, ("insist", "odd name"), *[("put", "sound", 1)] * 3)
    found = explained(group)
    assert (found.differs_at, operation_of(found)) == (1, ("insist", ("odd name",)))
    assert found.did is not None
    assert (found.did.outcome, found.did.total_writes) == (Outcome.FAILED, 0)
    assert [(each.did.outcome, each.did.total_writes) for each in found.others_did] == [(Outcome.OK, 1)]
    assert keys_of(found) == [("amounts", "odd name", None, 1)]
    goes_on(group)


@SIZES
def test_a_key_that_should_be_gone_is_named(n: int) -> None:
    """One that others removed has no right value."""
    group = cluster(n)
    play(group, ("insist", "even name"), ("put", "sound", 1), ("put", "oddity", 1), ("drop", "oddity"))
    found = explained(group)
    assert operation_of(found) == ("put", ("oddity", 1))
    assert keys_of(found) == [("amounts", "oddity", 2, None)]


@SIZES
def test_the_position_within_a_batch_is_told(n: int) -> None:
    """Calls made together ride in one request: the third of them is the one."""
    group = cluster(n)
    alice = group.client("alice")
    play(group, *[("put", "sound", 1)] * 2)
    group.settle(*[alice.call("put", name, 7) for name in ("a", "b", "odd c", "d")])
    play(group, ("put", "sound", 1))
    found = explained(group)
    assert found.ordered is not None
    assert found.operation is not None
    assert found.did is not None
    assert operation_of(found) == ("put", ("odd c", 7))
    batch = next(each for each in group.history(0) if each.sequence == found.differs_at)
    assert found.operation < sum(len(each.outcomes) for each in batch.requests)


@pytest.mark.parametrize(
    ("n", "liars"), [(4, {2: RecallLiar}), (7, {5: RecallLiar, 6: RecallLiar})], ids=["one of 4", "two of 7"]
)
def test_liars_among_those_who_answer_change_nothing(n: int, liars: dict[int, type[Adversary]]) -> None:
    """f of them tell nonsense at every level: what f+1 others recall alike is believed."""
    group = cluster(n, liars)
    play(group, *[("put", "sound", 1)] * 2, ("put", "odd one", 10), ("put", "odd one", 5))
    found = explained(group)
    assert (found.differs_at, found.operation, found.unknown) == (3, 0, "")
    assert operation_of(found) == ("put", ("odd one", 10))
    (others,) = found.others_did
    assert not set(others.replicas) & set(liars)
    assert keys_of(found) == [("amounts", "odd one", 17, 15)]
    goes_on(group)


@SIZES
def test_lost_questions_and_answers_are_asked_for_again(n: int) -> None:
    """A third of them is lost."""
    group = cluster(n)
    chance = random.Random(172)
    recalling = (Kind.RECALL, Kind.RECALLED)
    group.network.lose(lambda _, __, envelope: envelope.kind in recalling and chance.random() < 0.34)
    play(group, ("put", "odd one", 10), *[("put", "sound", 1)] * 3)
    found = explained(group)
    assert (operation_of(found), found.unknown) == (("put", ("odd one", 10)), "")
    goes_on(group)


@SIZES
def test_where_nobody_answers_the_replica_rejoins_all_the_same(n: int) -> None:
    """It never waits for what others remember: it tells in the end which keys differ, and that nobody answered."""
    group = cluster(n)
    group.network.on(Kind.RECALLED).drop()
    play(group, ("put", "odd one", 10), *[("put", "sound", 1)] * 3)
    begun_ms = group.now_ms
    group.run_until(lambda: bool(group.steps(ODD, StateInstalled)))
    assert group.now_ms - begun_ms < 500
    assert group.steps(ODD, DivergenceExplained) == []
    found = explained(group)
    assert (found.differs_at, found.unknown) == (None, "too few of the others answered in time")
    assert keys_of(found) == [("amounts", "odd one", 11, 10)]
    goes_on(group)


@SIZES
def test_who_asks_too_late_is_told_that_it_is_forgotten(n: int) -> None:
    """Two stable checkpoints later the others remember nothing of it: the finding says so."""
    group = cluster(n)
    held = group.network.on(Kind.RECALL).delay(1_000)
    play(group, ("put", "odd one", 10), *[("put", "sound", 1)] * 12)
    held.stop()
    found = explained(group)
    assert (found.differs_at, found.unknown) == (None, "the others no longer remember")
    assert keys_of(found) == [("amounts", "odd one", 11, 10)]


@SIZES
def test_a_state_that_moved_on_before_it_came_names_no_keys(n: int) -> None:
    """What differs then is what happened since, too: the operation is told all the same."""
    group = cluster(n)
    held = group.network.on(Kind.NODES).drop()
    play(group, ("put", "odd one", 10), *[("put", "sound", 1)] * 11)
    group.run(3_000)
    held.stop()
    found = explained(group)
    assert (found.sequence, operation_of(found)) == (4, ("put", ("odd one", 10)))
    assert found.rejoined_at is not None
    assert found.rejoined_at > 4
    assert (found.keys, found.total_keys) == ((), None)
    goes_on(group)


@SIZES
def test_an_operation_that_is_always_wrong_is_found_each_time(n: int) -> None:
    """Every divergence is looked into, and told of once."""
    group = cluster(n)
    for number in range(1, 4):
        play(group, ("put", f"odd {number}", 10), *[("put", "sound", 1)] * 3)
        group.run(2_000)
        assert len(group.steps(ODD, DivergenceExplained)) == number
    told = group.steps(ODD, DivergenceExplained)
    assert [each.sequence for each in told] == [each.sequence for each in group.steps(ODD, Diverged)] == [4, 8, 12]
    assert [operation_of(each)[1][0] for each in told] == ["odd 1", "odd 2", "odd 3"]


@SIZES
def test_when_each_replica_has_its_own_state_the_place_is_found_though_none_is_right(n: int) -> None:
    """As when an order of a set decides: no checkpoint is stable, and everybody can tell where that began."""
    group = Cluster(
        Book,
        seed=171,
        n=n,
        limits=SMALL_LOG,
        replica_type=Hosted,
        without_oracles=("O8", "O11", "O12"),
    )
    names = [f"name {number}" for number in range(n + 1)]
    play(group, ("put", "sound", 1), ("scatter", names), ("put", "sound", 1), ("put", "sound", 1))
    for replica in range(n):
        found = explained(group, replica)
        assert (found.sequence, found.proven, found.differs_at, found.operation) == (4, None, 2, 0)
        assert operation_of(found) == ("scatter", (tuple(names),))
        assert found.did is not None
        told = [found.did, *(each.did for each in found.others_did)]
        assert len({each.writes for each in told}) == len(told) > 1
        assert (found.total_keys, found.rejoined_at) == (None, None)
    group.run(30_000)
    assert [len(group.steps(replica, DivergenceExplained)) for replica in range(n)] == [1] * n
