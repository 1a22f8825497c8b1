"""Up to f replicas fail, in the ways a group survives without changing its view; and more than f, when it must stop."""

from __future__ import annotations

import pytest

from pbft.core.effects import Reason
from pbft.core.envelope import Kind, seal
from pbft.core.messages import Batch, Prepare, PrePrepare, batch_digest, pack
from pbft.testing import Cluster, NotFinished
from pbft.testing.byzantine import Adversary, BadSignature, Equivocator, Impostor, Silent, WrongReply
from pbft.testing.byzantine.wrong_reply import LIE
from pbft.testing.network import WALL_START_MS
from pbft_apps.counter import Counter

SIZES = pytest.mark.parametrize("n", [4, 7])
DAY_MS = 86_400_000


def backups(n: int, kind: type[Adversary]) -> dict[int, type[Adversary]]:
    """Make the last f replicas of n misbehave in one way."""
    return dict.fromkeys(range(n - (n - 1) // 3, n), kind)


@SIZES
def test_silent_backups_are_not_missed(n: int) -> None:
    """f backups say nothing at all; the rest are a quorum (R1)."""
    group = Cluster(Counter, seed=21, n=n, byzantine=backups(n, Silent))
    alice, bob = group.clients("alice", "bob")

    assert max(group.gather(alice.call("add", 5), bob.call("add", 2))) == 7
    assert group.histories_agree()


@SIZES
def test_crashed_backups_are_not_missed(n: int) -> None:
    """f backups die in the middle of the run; calls before and after are answered."""
    group = Cluster(Counter, seed=22, n=n)
    alice = group.client("alice")
    assert group.gather(alice.call("add", 5)) == [5]

    for replica in range(n - (n - 1) // 3, n):
        group.crash(replica)

    assert group.gather(alice.call("add", 2)) == [7]
    assert group.histories_agree()


@SIZES
def test_more_crashes_than_faults_stop_the_group(n: int) -> None:
    """With f+1 dead no quorum is left: nothing executes, and the report names who was silent (Y1)."""
    group = Cluster(Counter, seed=23, n=n)
    alice = group.client("alice")
    assert group.gather(alice.call("add", 5)) == [5]
    dead = range(n - (n - 1) // 3 - 1, n)
    for replica in dead:
        group.crash(replica)

    with pytest.raises(NotFinished) as stopped:
        group.gather(alice.call("add", 2), within_ms=5_000)

    assert all(f"r{replica} silent" in str(stopped.value) for replica in dead)
    assert [len(group.history(i)) for i in range(n)] == [1] * n
    assert group.histories_agree()


@SIZES
def test_liars_are_outvoted(n: int) -> None:
    """f replicas collude to tell clients one and the same lie; nobody believes f of them (R8)."""
    group = Cluster(Counter, seed=24, n=n, byzantine=backups(n, WrongReply))
    alice = group.client("alice")
    # The truth is late, so that the lies are heard first.
    for replica in range(n - (n - 1) // 3):
        group.network.on(Kind.REPLY, src=replica, dst="alice").delay(50)

    call = alice.call("add", 5)

    assert group.gather(call) == [5] != [LIE]
    assert call.completed is not None
    assert call.completed.differing == tuple(backups(n, WrongReply))
    assert all(replica not in call.completed.differing for replica in call.completed.matching)


@SIZES
def test_bad_signatures_of_backups_count_nothing(n: int) -> None:
    """f backups sign nothing that verifies; quorums form without their prepares, and are the true ones (K2, R2)."""
    group = Cluster(Counter, seed=25, n=n, byzantine=backups(n, BadSignature))
    alice = group.client("alice")
    # Their prepares come first, so that whoever counts them unread is found out by the oracle of certificates.
    for replica in range(1, n - (n - 1) // 3):
        group.network.on(Kind.PREPARE, src=replica).delay(30)

    call = alice.call("add", 5, receipt=True)

    assert group.gather(call) == [5]
    assert group.histories_agree()
    assert call.completed is not None
    assert call.completed.receipt is not None
    proven = call.completed.receipt.verify(group.group, group.verifier)
    assert all(replica not in proven for replica in backups(n, BadSignature))


def test_a_primary_whose_signatures_are_bad_orders_nothing() -> None:
    """Backups refuse pre-prepares that do not verify, and wait; replacing such a primary takes a view change."""
    group = Cluster(Counter, seed=26, byzantine={0: BadSignature})
    alice = group.client("alice")

    alice.call("add", 5)
    group.run(5_000)

    assert all(group.ignored(i)[Reason.BAD_SIGNATURE] > 0 for i in (1, 2, 3))
    assert [len(group.history(i)) for i in range(4)] == [0] * 4


@SIZES
def test_an_equivocating_primary_divides_nobody(n: int) -> None:
    """The primary and its colluders tell half the group one order and half another (P1): one commits at most.

    The half in the minority waits for a primary that is honest: replacing this one takes a view change.
    """
    wicked = {0: Equivocator} if n == 4 else {0: Equivocator, 1: Equivocator}
    group = Cluster(Counter, seed=27, n=n, byzantine=wicked, delay_ms=(5, 5))
    alice, bob = group.clients("alice", "bob")

    alice.call("add", 5)
    bob.call("add", 2)
    group.run(10_000)

    executed = {replica: len(group.history(replica)) for replica in range(n) if replica not in wicked}
    correct = list(executed)
    told_one, told_other = correct[: len(correct) // 2], correct[len(correct) // 2 :]
    assert all(executed[replica] == 0 for replica in told_one)
    assert all(executed[replica] == 1 for replica in told_other)
    assert group.histories_agree()


@SIZES
def test_equivocating_backups_are_counted_once(n: int) -> None:
    """f backups vote for one digest here and for another there (R2); the others' votes are a quorum."""
    group = Cluster(Counter, seed=28, n=n, byzantine=backups(n, Equivocator))
    alice, bob = group.clients("alice", "bob")

    assert max(group.gather(alice.call("add", 5), bob.call("add", 2))) == 7
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("wicked", ["backups", "primary"])
def test_impostors_speak_for_nobody(n: int, wicked: str) -> None:
    """Votes in others' names, a backup's proposals and a primary's prepares all come first, and none counts (R2)."""
    byzantine: dict[int, type[Adversary]] = {0: Impostor} if wicked == "primary" else backups(n, Impostor)
    group = Cluster(Counter, seed=20, n=n, byzantine=byzantine)
    alice, bob = group.clients("alice", "bob")

    assert max(group.gather(alice.call("add", 5), bob.call("add", 2))) == 7

    group.run_until_level()
    assert group.histories_agree()
    for replica in range(n):
        if replica not in byzantine:
            refused = group.ignored(replica)
            assert refused[Reason.BAD_SIGNATURE] > 0
            assert refused[Reason.NOT_BACKUP if wicked == "primary" else Reason.NOT_PRIMARY] > 0


def test_two_votes_of_one_backup_count_once_and_are_kept_as_evidence() -> None:
    """Replica 3 prepares two batches for sequence 1: one counts at most, and both together prove what it is (R2)."""
    group = Cluster(Counter, seed=20, byzantine={3: Silent})
    signer = group.identity("replica 3").signer
    for digest in (bytes(32), b"x" * 32):
        body = pack(Prepare(0, 1, digest))
        group.inject(seal(group.group, signer, Kind.PREPARE, 3, body), to=1)
    alice = group.client("alice")

    assert group.gather(alice.call("add", 5)) == [5]

    assert [each.culprit for each in group.evidence(1)] == [3]
    assert group.ignored(1)[Reason.CONFLICTING] == 1
    assert group.evidence(2) == []


def test_two_proposals_for_one_sequence_are_evidence_against_the_primary() -> None:
    """A backup votes for the first of two batches at (view 0, sequence 1) only, and keeps both as proof (P1).

    The proposal that it alone was told of reaches the others through repair, and commits (P5).
    """
    group = Cluster(Counter, seed=20, byzantine={0: Silent}, delay_ms=(5, 5))
    signer = group.identity("replica 0").signer
    batches = [pack(Batch(WALL_START_MS + milliseconds, ())) for milliseconds in (1, 2)]
    for batch in batches:
        body = pack(PrePrepare(0, 1, batch_digest(batch)))
        group.inject(seal(group.group, signer, Kind.PRE_PREPARE, 0, body, batch), to=1)
    group.run(5_000)

    votes = [(persist.vote.kind, persist.vote.body) for persist in group.durable(1)]
    first = pack(Prepare(0, 1, batch_digest(batches[0])))
    assert votes == [(Kind.PREPARE, first), (Kind.COMMIT, first)]
    assert [group.history(i)[0].digest for i in (1, 2, 3)] == [batch_digest(batches[0])] * 3
    assert group.ignored(1)[Reason.CONFLICTING] == 1
    assert [each.culprit for each in group.evidence(1)] == [0]


@pytest.mark.parametrize("ahead_ms", [DAY_MS, -DAY_MS])
def test_a_backup_whose_clock_is_wrong_follows(ahead_ms: int) -> None:
    """It holds proposals back as out of time, until f+1 members have voted for them; then it votes too (C7)."""
    group = Cluster(Counter, seed=29, wall_ahead_ms={3: ahead_ms})
    alice = group.client("alice")
    group.crash(2)  # now every quorum needs the one with the wrong clock

    assert group.gather(alice.call("add", 5)) == [5]

    assert group.ignored(3)[Reason.CLOCK_DRIFT] > 0
    group.run_until_level()
    assert group.histories_agree()


def test_a_primary_whose_clock_is_wrong_is_not_followed() -> None:
    """Backups vote for no time far from their own clocks, so a day's jump gets no quorum (P8)."""
    group = Cluster(Counter, seed=30, wall_ahead_ms={0: DAY_MS})
    alice = group.client("alice")

    alice.call("add", 5)
    group.run(5_000)

    assert all(group.ignored(i)[Reason.CLOCK_DRIFT] > 0 for i in (1, 2, 3))
    assert [len(group.history(i)) for i in range(4)] == [0] * 4
