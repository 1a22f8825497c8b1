"""More faulty replicas than a group can bear (Y1, Y2): it stops, or what nobody promises is seen to break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pbft.core.group import Genesis, Group, GroupError, Quorums
from pbft.testing import Cluster, NotFinished, OracleFailure
from pbft.testing.byzantine import Adversary, BadSignature, Equivocator, Silent, TwoFaced, WrongReply
from pbft_apps.counter import Counter
from tests.scenarios.stories import SIZES, SMALL_LOG, Load, backups, faults

WATCH_MS = 10_000
"""Ten view timeouts: long enough for a group that could go on to show it."""


def cut_off(group: Cluster, replicas: tuple[int, ...]) -> None:
    """Let nothing through to these replicas or from them."""
    for replica in replicas:
        group.network.isolate(replica)


def pause(group: Cluster, replicas: tuple[int, ...]) -> None:
    """Let these replicas stand still."""
    for replica in replicas:
        group.pause(replica)


@SIZES
@pytest.mark.parametrize("lose", [cut_off, pause])
@pytest.mark.parametrize("kind", [Equivocator, TwoFaced, Silent])
def test_y1_more_than_f_out_of_reach_stop_the_group_until_they_are_back(
    n: int, lose: Callable[[Cluster, tuple[int, ...]], None], kind: type[Adversary]
) -> None:
    """f backups lie, and then f+1 correct replicas more are gone: no quorum is left, so that nothing is executed.

    The liars alone can neither make a call succeed nor make the rest execute something. Once the others are back, all
    is answered in time, and once.
    """
    group = Cluster(Counter, seed=120, n=n, byzantine=backups(n, kind), limits=SMALL_LOG)
    load = Load(group, "alice", "bob", think_ms=50)
    group.run(500)
    lose(group, group.correct[: faults(n) + 1])
    group.run(500)
    before = [group.executed(i) for i in group.correct]

    group.run(WATCH_MS)
    assert [group.executed(i) for i in group.correct] == before
    assert load.pending == 2

    group.heal()
    group.finish(*load.stop())
    assert load.exactly_once()
    assert group.histories_agree()


@SIZES
def test_y1_more_than_f_crashed_stop_the_group_for_good(n: int) -> None:
    """f liars, and one correct replica dead: with f+1 gone nothing executes, and clients are told who was silent."""
    group = Cluster(Counter, seed=121, n=n, byzantine=backups(n, Silent))
    alice = group.client("alice")
    assert group.gather(alice.call("add", 5)) == [5]
    group.crash(0)

    with pytest.raises(NotFinished) as stopped:
        group.gather(alice.call("add", 2), within_ms=WATCH_MS)

    assert all(f"r{replica} silent" in str(stopped.value) for replica in (0, *backups(n, Silent)))
    assert [len(group.history(i)) for i in group.correct] == [1] * len(group.correct)
    assert group.histories_agree()


@SIZES
def test_y2_one_equivocator_too_many_breaks_agreement(n: int) -> None:
    """f+1 colluders tell two halves of the rest two orders: each half has a quorum with them, and an oracle says so."""
    group = Cluster(Counter, seed=122, n=n, byzantine=dict.fromkeys(range(faults(n) + 1), Equivocator))
    Load(group, "alice", "bob", think_ms=20)

    with pytest.raises(OracleFailure) as broken:
        group.run(WATCH_MS)

    assert broken.value.oracle == "O1"
    assert "seed 122" in str(broken.value), "it can be played again"


@SIZES
def test_y2_one_liar_too_many_makes_clients_believe_a_lie(n: int) -> None:
    """f+1 colluders tell a client one and the same lie about what its call came to: it has no way to know better."""
    group = Cluster(Counter, seed=123, n=n, byzantine=dict.fromkeys(range(n - faults(n) - 1, n), WrongReply))
    alice = group.client("alice")
    for replica in group.correct:
        group.network.on(dst="alice", src=replica).delay(50)

    with pytest.raises(OracleFailure) as broken:
        group.gather(alice.call("add", 5))

    assert broken.value.oracle in ("O10", "O11")


def three(quorum: int) -> Quorums:
    """Return the counts of a group of three that claims to bear one fault, with this quorum."""
    return replace(
        Quorums.of(4), n=3, quorum=quorum, prepared=quorum, committed=quorum, stable=quorum, view_change=quorum
    )


def test_y2_three_generals_with_quorums_of_two_disagree() -> None:
    """With three there is no quorum that is both safe and live (Lamport, Shostak, Pease 1982, section 3).

    Two of three overlap in one, which may be the liar: the primary tells each of the others another batch, and both
    commit. The oracle of certificates is left out, so that agreement itself is seen to break.
    """
    group = Cluster(Counter, seed=124, n=3, byzantine={0: Equivocator}, quorums=three(2), without_oracles=("O6",))
    Load(group, "alice", "bob", think_ms=20)

    with pytest.raises(OracleFailure) as broken:
        group.run(WATCH_MS)

    assert broken.value.oracle == "O1"


@pytest.mark.parametrize("kind", [BadSignature, Silent])
def test_y2_three_generals_with_quorums_of_three_stall(kind: type[Adversary]) -> None:
    """Where all three must agree, one that does not is enough: nothing breaks, but nothing is executed in any view.

    The oracle of certificates is left out here too: by its own count a group of three bears no fault.
    """
    group = Cluster(Counter, seed=125, n=3, byzantine={0: kind}, quorums=three(3), without_oracles=("O6",))
    load = Load(group, "alice", "bob")

    group.run(WATCH_MS)

    assert load.pending == 2
    assert [group.executed(i) for i in group.correct] == [0, 0]


def test_y2_no_user_can_have_a_group_of_three() -> None:
    """Nothing but counts of a test's own gets three replicas past the rule that four bear one fault."""
    genesis = Cluster(Counter, n=4).group.genesis
    fewer: Genesis = replace(genesis, members=genesis.members[:3])
    with pytest.raises(GroupError, match="at least 4 replicas"):
        Group.of(fewer)
    with pytest.raises(GroupError, match="at least 4 replicas"):
        Cluster(Counter, n=3)
