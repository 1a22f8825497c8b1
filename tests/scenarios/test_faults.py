"""Up to f replicas fail in ways that no row of wicked ones names; and more than f, when the group must stop."""

from __future__ import annotations

import pytest

from pbft.core.effects import Reason
from pbft.core.envelope import Kind
from pbft.testing import Cluster, NotFinished
from pbft.testing.byzantine import BadSignature, WrongReply
from pbft.testing.byzantine.wrong_reply import LIE
from pbft_apps.counter import Counter
from tests.scenarios.stories import SIZES, backups, faults, primaries, refused, served_ms


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
def test_y1_more_crashes_than_faults_stop_the_group(n: int) -> None:
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
def test_r8_liars_are_outvoted(n: int) -> None:
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
def test_primaries_whose_signatures_are_bad_are_replaced(n: int) -> None:
    """Backups refuse pre-prepares that do not verify: f such primaries order nothing, and each costs its timeout."""
    group = Cluster(Counter, seed=26, n=n, byzantine=primaries(n, BadSignature))
    alice = group.client("alice")

    assert group.gather(alice.call("add", 5), within_ms=served_ms(faults(n))) == [5]

    assert all(count > 0 for count in refused(group, Reason.BAD_SIGNATURE))
    assert group.views() == {faults(n)}
    group.run_until_level()
    assert [batch.view for i in group.correct for batch in group.history(i)] == [faults(n)] * len(group.correct)


@SIZES
def test_crashed_primaries_are_replaced(n: int) -> None:
    """The first f primaries die in the middle of the run, one after the other; calls before and after are answered."""
    group = Cluster(Counter, seed=64, n=n)
    alice = group.client("alice")
    assert group.gather(alice.call("add", 1)) == [1]

    for replica in range(faults(n)):
        group.crash(replica)
        assert group.gather(alice.call("add", 1), within_ms=served_ms(1)) == [replica + 2]

    assert group.views() == {faults(n)}
    group.run_until_level()
    assert group.histories_agree()
