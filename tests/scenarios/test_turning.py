"""Replicas that turn while a run goes on, and replicas that start again: who counts, and what stays judged."""

from __future__ import annotations

import pytest

from pbft.core.effects import Evidence, ViewEntered
from pbft.core.group import Limits
from pbft.testing import Cluster, OracleFailure
from pbft.testing.byzantine import (
    ADVERSARIES,
    Adversary,
    Amnesiac,
    Equivocator,
    ForgingPrimary,
    Silent,
    TwoFaced,
    WrongReply,
)
from pbft.testing.linearizability import Linearizable
from pbft_apps.counter import Counter

SMALL_LOG = Limits(checkpoint_interval=4, log_size=8)


def count_up(group: Cluster, *rounds: int) -> list[int]:
    """Let two clients add to the counter at once, and return every answer they got."""
    alice, bob = group.clients("alice", "bob")
    answers: list[int] = []
    for amount in rounds:
        answers += group.gather(alice.call("add", amount), bob.call("add", amount))
    return answers


def settle(group: Cluster) -> None:
    """Heal the group, let it come level with one call more, and hold all that it did against every oracle."""
    group.heal()
    group.finish(group.client("alice").call("add", 1))
    assert group.histories_agree()
    assert isinstance(group.check_linearizable(), Linearizable)


@pytest.mark.parametrize("kind", ADVERSARIES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("turns", [0, 2], ids=["primary", "backup"])
def test_a_replica_of_four_may_turn_in_any_way_in_the_middle(turns: int, kind: type[Adversary]) -> None:
    """Correct at first, among them the primary; then every misbehaviour there is. All oracles judge on."""
    group = Cluster(Counter, seed=turns, limits=SMALL_LOG)
    assert sorted(count_up(group, 1, 1, 1)) == [1, 2, 3, 4, 5, 6]
    group.make_byzantine(turns, kind)
    assert turns not in group.correct
    assert sorted(count_up(group, 1, 1, 1)) == [7, 8, 9, 10, 11, 12]
    settle(group)


def test_a_primary_that_turns_with_batches_under_way_is_replaced() -> None:
    """What it proposed rightly and what it forges later are told apart: nothing is answered twice or lost."""
    group = Cluster(Counter, seed=5, limits=SMALL_LOG)
    alice, bob = group.clients("alice", "bob")
    calls = [client.call("add", 1) for client in (alice, bob) for _ in range(4)]
    group.at(6, lambda: group.make_byzantine(0, ForgingPrimary))
    assert sorted(group.gather(*calls)) == list(range(1, 9))
    calls = [client.call("add", 1) for client in (alice, bob) for _ in range(4)]
    assert sorted(group.gather(*calls)) == list(range(9, 17))
    assert any(group.steps(i, ViewEntered) for i in group.correct)
    settle(group)


def test_two_of_seven_turn_one_after_the_other_and_collude() -> None:
    """The second to turn is in league with the first, which holds its key from then on; a third would be too many."""
    group = Cluster(Counter, seed=3, n=7, limits=SMALL_LOG)
    count_up(group, 1, 1)
    group.make_byzantine(0, Equivocator)
    count_up(group, 1, 1)
    group.make_byzantine(1, Equivocator)
    first, second = group.replica(0), group.replica(1)
    assert isinstance(first, Adversary)
    assert isinstance(second, Adversary)
    assert sorted(first.means.signers) == sorted(second.means.signers) == [0, 1]
    assert sorted(count_up(group, 1, 1)) == [9, 10, 11, 12]
    assert group.correct == (2, 3, 4, 5, 6)
    with pytest.raises(ValueError, match="7 replicas survive 2 faulty ones, and 0, 1 already count: replica 2"):
        group.make_byzantine(2, Silent)
    settle(group)


def test_who_turns_is_blamed_for_what_it_said_since() -> None:
    """Evidence against a replica that was correct once is honest, and O16 knows from when on it may be held."""
    group = Cluster(Counter, seed=1, limits=SMALL_LOG)
    count_up(group, 1)
    group.make_byzantine(3, TwoFaced)
    count_up(group, 1, 1)
    found: list[Evidence] = [each for i in group.correct for each in group.evidence(i)]
    assert {each.culprit for each in found} == {3}
    settle(group)


def test_what_a_replica_did_before_it_turned_stays_judged() -> None:
    """A batch that only the turncoat executed is what all others must execute there."""
    group = Cluster(Counter, seed=2, limits=SMALL_LOG)
    alice = group.client("alice")
    group.gather(alice.call("add", 1))
    # Commits reach replica 3 alone, which executes; only then does it turn.
    rules = [group.network.let(f"commits to {i}: drop") for i in (0, 1, 2)]
    call = alice.call("add", 1)
    group.run_until(lambda: group.executed(3) == 2)
    assert [group.executed(i) for i in (0, 1, 2)] == [1, 1, 1]
    group.make_byzantine(3, WrongReply)
    for rule in rules:
        rule.stop()
    assert group.gather(call) == [2]
    group.run_until(lambda: min(map(group.executed, range(4))) == 2)
    digests = {group.history(i)[1].digest for i in range(4)}
    assert len(digests) == 1
    settle(group)


def test_beyond_f_only_on_purpose() -> None:
    """With two of four lying nothing is promised, and the oracles still say what breaks."""
    group = Cluster(Counter, seed=0)
    group.make_byzantine(3, WrongReply)
    with pytest.raises(ValueError, match="one too many; take more replicas, or say make_byzantine"):
        group.make_byzantine(2, WrongReply)
    assert [i in group.correct for i in range(4)] == [True, True, True, False]
    group.make_byzantine(2, WrongReply, beyond=True)
    assert [i in group.correct for i in range(4)] == [True, True, False, False]
    # Two lies agree, and now and then they are there before two answers.
    with pytest.raises(OracleFailure, match=r"alice was told"):
        count_up(group, *[1] * 20)


def test_who_is_dead_or_lies_cannot_turn() -> None:
    """One sentence each, that says why."""
    group = Cluster(Counter, byzantine={2: Silent})
    with pytest.raises(ValueError, match=r"replica 2 is byzantine already \(Silent\)"):
        group.make_byzantine(2, Equivocator)
    group.crash(1)
    with pytest.raises(ValueError, match="replica 1 has crashed and lies no more; restart it first"):
        group.make_byzantine(1, Equivocator)
    with pytest.raises(ValueError, match="replica 0 runs already"):
        group.restart(0)


@pytest.mark.parametrize("seed", range(3))
def test_a_crashed_replica_starts_again_and_catches_up(seed: int) -> None:
    """It knows nothing at first, fetches the state or the batches, and is level; it counts as faulty all the same."""
    group = Cluster(Counter, seed=seed, limits=SMALL_LOG)
    count_up(group, 1, 1)
    group.crash(seed)
    count_up(group, *[1] * 8)
    group.restart(seed)
    assert group.executed(seed) == 0
    assert seed not in group.correct
    with pytest.raises(ValueError, match="one too many"):
        group.make_byzantine((seed + 1) % 4, Silent)
    calls = count_up(group, *[1] * 4)
    assert max(calls) == 28
    group.run_until(lambda: group.executed(seed) == max(map(group.executed, group.correct)))
    assert group.replica(seed).state_digest() == group.replica((seed + 1) % 4).state_digest()
    settle(group)


def test_who_started_again_may_turn() -> None:
    """It counts already: turning adds nothing to what the group survives."""
    group = Cluster(Counter, seed=4, limits=SMALL_LOG)
    count_up(group, 1)
    group.crash(3)
    group.restart(3)
    group.make_byzantine(3, Amnesiac)
    count_up(group, 1, 1)
    settle(group)


def test_a_run_with_a_turn_repeats_itself() -> None:
    """The same seed and the same turn, and every line of the trace is the same."""

    def trace() -> str:
        group = Cluster(Counter, seed=8, n=7, loss=0.1, limits=SMALL_LOG)
        count_up(group, 1)
        group.make_byzantine(0, Equivocator)
        group.crash(4)
        group.restart(4)
        count_up(group, 1, 1)
        return group.trace_digest()

    assert trace() == trace()
