"""Twins by name: a backup's, the primary's, and f of them through views and partitions (T1 to T3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pbft.testing import Cluster
from pbft.testing.byzantine import Twins
from pbft.testing.twins import SPACE, Phase, Scenario, play
from pbft_apps.counter import Counter
from tests.scenarios.stories import SIZES, SMALL_LOG, Load, faults

LONG_MS = 30
"""Time enough for a view to fail, and for the next one to begin where a quorum stands together."""


def primaries(n: int) -> tuple[int, ...]:
    """Let the primaries of views 0 to f-1 be double."""
    return tuple(range(faults(n)))


def backups(n: int) -> tuple[int, ...]:
    """Let the last f replicas be double."""
    return tuple(range(n - faults(n), n))


def names(replicas: tuple[int, ...] | list[int]) -> tuple[str, ...]:
    """Return the names of replicas, or of the first of two cores."""
    return tuple(map(str, replicas))


def seconds(replicas: tuple[int, ...]) -> tuple[str, ...]:
    """Return the names of the other cores."""
    return tuple(f"{replica}'" for replica in replicas)


def done_in_phases(lines: list[str], what: str) -> list[str]:
    """Return who did something before the group was healed."""
    healed = next(i for i, line in enumerate(lines) if line.endswith(" healed"))
    return [line.split()[1] for line in lines[:healed] if line.split()[2] == what]


@SIZES
def test_t1_a_backup_and_its_twin_are_one_member(n: int) -> None:
    """As many cores stand with the primary as make a quorum, but f of them are there twice: it is no quorum.

    Nothing is prepared or committed, and no correct replica follows the two into another view as if they were two.
    """
    twins = backups(n)
    standing = [i for i in range(n - faults(n) - 1) if i not in twins][: n - 2 * faults(n) - 1]
    beyond = [i for i in range(n) if i not in standing and i not in twins]
    together = (*names(standing), *names(twins), *seconds(twins), "alice", "bob")
    phase = Phase(LONG_MS, (together, names(beyond)), ("alice", "bob"))
    lines: list[str] = []

    outcome = play(Scenario(n, twins, (phase,)), echo=lines.append)

    correct = names(standing)
    assert len(together) - 2 >= n - faults(n)
    assert not [who for who in done_in_phases(lines, "prepared") if who.lstrip("r") in correct]
    assert not [who for who in done_in_phases(lines, "committed_local") if who.lstrip("r") in correct]
    assert outcome.sequences >= 1


@SIZES
def test_t1_a_backups_twin_asks_for_a_view_in_two_ways(n: int) -> None:
    """One core has prepared a batch and its twin has not: their VIEW-CHANGEs differ, and prove it to whoever has both.

    What committed in the first view is in the next one all the same.
    """
    twins = backups(n)
    correct = [i for i in range(n) if i not in twins]
    most, last = correct[:-1], correct[-1:]
    first = Phase(6, ((*names(most), *names(twins), "alice", "bob"), (*names(last), *seconds(twins))), ("alice", "bob"))
    # The primary is alone now; all others stand together, both cores of a twin among them, and bob asks them again.
    rest = (*names(most[1:]), *names(last), *names(twins), *seconds(twins), "bob", "alice")
    second = Phase(3 * LONG_MS, (names(most[:1]), rest), ("alice", "bob"))
    lines: list[str] = []

    outcome = play(Scenario(n, twins, (first, second), stays=True), echo=lines.append)

    assert done_in_phases(lines, "executed")
    assert outcome.view_changes >= 1
    assert any("evidence against" in line and "VIEW_CHANGE" in line for line in lines)
    assert outcome.accusers >= 1


@SIZES
def test_t2_the_primarys_twin_proposes_twice(n: int) -> None:
    """Alice's request reaches one core, Bob's the other, and f correct replicas each are proposed other batches.

    Neither side is a quorum; a view change decides, and both requests run once.
    """
    twins = primaries(n)
    correct = [i for i in range(n) if i not in twins]
    one = (*names(twins), *names(correct[: faults(n)]), "alice")
    other = (*seconds(twins), *names(correct[faults(n) : -1]), "bob")
    everybody = (*one, *other, *names(correct[-1:]))
    lines: list[str] = []

    first = Phase(3, (one, other, names(correct[-1:])), ("alice", "bob"))
    outcome = play(Scenario(n, twins, (first, Phase(3 * LONG_MS, (everybody,))), stays=True), echo=lines.append)

    proposed = [line.split("proposed ")[1] for line in lines if " proposed v0 s1 " in line]
    assert len(dict.fromkeys(proposed)) == 2
    assert outcome.view_changes >= 1
    assert outcome.calls == sum("answered" in line for line in lines)


@SIZES
def test_t2_whoever_hears_both_of_the_primarys_cores_has_evidence(n: int) -> None:
    """f correct replicas are proposed Alice's request by one core, and then Bob's at the same sequence by its twin.

    They keep what they heard first, the others prepare and commit what they heard alone, and the twins are found out.
    """
    twins = primaries(n)
    correct = [i for i in range(n) if i not in twins]
    few, most = names(correct[: faults(n)]), names(correct[faults(n) :])
    first = Phase(2, ((*names(twins), *few, "alice"), (*seconds(twins), *most, "bob")), ("alice",))
    second = Phase(LONG_MS, ((*names(twins), "alice"), (*seconds(twins), *few, *most, "bob")), ("bob",))
    lines: list[str] = []

    outcome = play(Scenario(n, twins, (first, second)), echo=lines.append)

    healed = next(i for i, line in enumerate(lines) if line.endswith(" healed"))
    accusers = [line.split()[1] for line in lines[:healed] if "evidence against r0: PRE_PREPARE" in line]
    assert accusers == [f"r{i}" for i in few]
    assert outcome.accusers >= faults(n)
    assert all(f"r{i}" in done_in_phases(lines, "committed_local") for i in most)


@SIZES
def test_t2_the_primarys_twin_commits_in_one_half_at_most(n: int) -> None:
    """A quorum stands with one core, and it alone commits; its twin's batch waits, and comes after in every history."""
    twins = primaries(n)
    correct = [i for i in range(n) if i not in twins]
    one = (*names(twins), *names(correct[:-1]), "alice")
    other = (*seconds(twins), *names(correct[-1:]), "bob")
    lines: list[str] = []

    outcome = play(Scenario(n, twins, (Phase(LONG_MS, (one, other), ("alice", "bob")),)), echo=lines.append)

    committed = dict.fromkeys(done_in_phases(lines, "committed_local"))
    assert f"r{correct[-1]}" not in committed
    assert all(f"r{i}" in committed for i in correct[:-1])
    assert outcome.sequences >= 2


@pytest.mark.parametrize(("n", "many"), [(4, 60), (7, 12)])
def test_t3_twins_through_views_and_partitions(n: int, many: int) -> None:
    """The first of the enumerated scenarios of each size; thousands of others are played beside this one."""
    chosen = [each for each in map(SPACE.scenario, range(400)) if each.n == n][:many]
    assert len(chosen) == many
    assert all(len(each.twins) == faults(n) for each in chosen)
    outcomes = [play(each) for each in chosen]
    assert sum(each.view_changes > 0 for each in outcomes) > many // 2
    assert sum(each.accusers > 0 for each in outcomes) > 0


@SIZES
@pytest.mark.parametrize("wicked", [primaries, backups])
def test_t3_twins_that_take_sides_by_chance(n: int, wicked: Callable[[int], tuple[int, ...]]) -> None:
    """On a whole network, f twins split the others between their cores, now so and now so, while clients call."""
    group = Cluster(Counter, seed=73, n=n, byzantine=dict.fromkeys(wicked(n), Twins), limits=SMALL_LOG)
    load = Load(group, "alice", "bob", think_ms=20)

    group.run(1_500)
    group.finish(*load.stop())

    assert load.exactly_once()
    assert group.histories_agree()
    if wicked is primaries:
        assert any(group.evidence(i) for i in group.correct)
