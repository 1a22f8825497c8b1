"""When a primary is slow, and how often it may be called so (design 4.14; attack P7)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pbft.core.effects import Cause
from pbft.core.group import Quorums
from pbft.core.pace import Pace
from pbft.core.settings import ReplicaSettings
from tests.core.builders import Scene
from tests.core.patience import Backup, T

ALICE, BOB = b"alice", b"bob"


def pace(n: int = 4, *, on: bool = True) -> Pace:
    """Return how primaries of a group are judged, from the beginning on."""
    return Pace(ReplicaSettings(view_timeout_ms=T, replace_slow_primary=on), Quorums.of(n), 0)


def serve(judged: Pace, delay_ms: int, times: int = 4, client: bytes = ALICE) -> None:
    """Let requests of a client lie for so long each."""
    for _ in range(times):
        judged.served({client: delay_ms})


@pytest.mark.parametrize(("delay_ms", "slow"), [(T // 4, False), (3 * T // 8, True), (9 * T // 10, True)])
def test_who_lets_requests_lie_for_more_than_a_quarter_of_the_timeout_is_slow(delay_ms, slow):
    judged = pace()
    serve(judged, delay_ms)
    assert judged.is_slow(0, T) is slow


def test_three_requests_say_nothing():
    judged = pace()
    serve(judged, T, times=3)
    assert not judged.is_slow(0, T)
    serve(judged, T, times=1)
    assert judged.is_slow(0, T)


def test_who_serves_one_client_well_is_slow_to_another():
    """However much is done for others: no colluding client can hide what one client suffers."""
    judged = pace()
    serve(judged, 0, times=1_000, client=BOB)
    serve(judged, T // 2)
    assert judged.is_slow(0, T)


def test_who_is_late_every_other_time_is_slow_and_now_and_then_is_not():
    judged = pace()
    for _ in range(8):
        serve(judged, 9 * T // 10, times=1)
        serve(judged, 0, times=1)
    assert judged.is_slow(0, T)
    serve(judged, 0, times=7)
    serve(judged, 3 * T // 4, times=1)
    assert not judged.is_slow(0, T)


def test_it_can_be_switched_off():
    judged = pace(on=False)
    serve(judged, T)
    assert not judged.is_slow(0, T)


def test_a_group_that_needs_long_to_agree_blames_nobody():
    """Under load all takes longer: eight times as long as a batch needs is allowed."""
    judged = pace()
    for _ in range(16):
        judged.agreed(T // 20)
    serve(judged, 3 * T // 8)
    assert 3 * T // 8 <= judged.expected_ms(T) <= 8 * T // 20
    assert not judged.is_slow(0, T)


def test_what_agreement_excuses_has_an_end():
    """A primary that tells some backups late lengthens what the others time: half of the timeout, and no more."""
    judged = pace()
    for _ in range(16):
        judged.agreed(T // 2)
    assert judged.expected_ms(T) == T // 2
    serve(judged, 9 * T // 10)
    assert judged.is_slow(0, T)


def test_many_clients_that_ask_little_are_heard_together():
    judged = pace()
    for number in range(4):
        serve(judged, 9 * T // 10, times=1, client=b"client %d" % number)
    assert judged.is_slow(0, T)


def test_a_primary_of_whom_little_is_known_is_no_measure():
    judged = pace()
    for _ in range(4):
        serve(judged, 0, times=3)
        judged.restart()
    assert judged.expected_ms(T) == T // 4
    serve(judged, T // 2)
    judged.restart()
    serve(judged, T // 2)
    judged.restart()
    assert judged.expected_ms(T) > T // 2


def test_who_is_no_slower_than_those_before_is_not_to_blame():
    """Once f+1 primaries were seen, at least one of which was correct, what they all needed is allowed twice over."""
    judged = pace()
    serve(judged, T // 2)
    judged.restart()
    serve(judged, T // 2)
    assert judged.is_slow(0, T), "the one before may have been the liar"
    judged.restart()
    serve(judged, 9 * T // 10)
    assert judged.expected_ms(T) >= 2 * T // 3
    serve(judged, T // 2)
    assert not judged.is_slow(0, T)


def test_one_quick_primary_among_those_before_is_what_others_are_held_against():
    judged = pace(7)
    for delay_ms in (T, T, 0):
        serve(judged, delay_ms)
        judged.restart()
    assert judged.expected_ms(T) == T // 4


def test_a_primary_that_served_nobody_is_no_measure():
    judged = pace()
    for _ in range(5):
        judged.restart()
    serve(judged, T // 2)
    assert judged.is_slow(0, T)


def test_calls_become_rare():
    """Eight timeouts of rest after the first, and twice as many after each: 12 calls in ten hours, if all errs."""
    judged = pace()
    serve(judged, T)
    calls = []
    for now_ms in range(0, 36_000 * T, T // 8):
        if judged.is_slow(now_ms, T):
            calls.append(now_ms)
            judged.called(now_ms)
    rests = [later - earlier for earlier, later in pairwise(calls)]
    assert rests == [8 * T << i for i in range(len(rests))]
    assert len(calls) == 13


def test_a_liar_who_waits_until_its_calls_are_forgotten_gains_nothing():
    """After n hundred rests all is forgotten: the n replicas together call once in eight hundred timeouts."""
    judged = pace()
    for first_ms in (0, 3_200 * T, 6_400 * T):
        serve(judged, T)
        assert judged.is_slow(first_ms, T)
        judged.called(first_ms)
        assert not judged.is_slow(first_ms + 8 * T - 1, T)
        assert judged.is_slow(first_ms + 8 * T, T)


def test_who_follows_others_out_of_a_view_rests_as_well():
    judged = pace()
    serve(judged, T)
    judged.joined(0)
    assert not judged.is_slow(8 * T - 1, T)
    assert judged.is_slow(8 * T, T)


# With the timers around it.


def late(backup: Backup, delay_ms: int, times: int) -> Cause | None:
    """Let the primary serve alice's request, and again, each so long after the backup relayed it."""
    for timestamp in range(1, times + 1):
        begun_ms = backup.now_ms + T // 8
        backup.hear("alice", begun_ms, timestamp=timestamp)
        while backup.deadline <= begun_ms + delay_ms:
            if (cause := backup.at(backup.deadline)) is not None:
                return cause
        backup.settle("alice", timestamp=timestamp)
        ran_ms = begun_ms + delay_ms
        backup.timers.executed(backup.executed + 1, [backup.scene.key("alice")], ran_ms, 10)
        backup.executed += 1
        backup.now_ms = ran_ms
    return None


def test_a_backup_leaves_a_slow_primary_while_something_waits():
    """After four late answers, at the first look at the fifth request; before, each answer came in time."""
    backup = Backup()
    assert late(backup, 9 * T // 10, 4) is None
    assert backup.timers.deadline_ms is None, "nothing waits, so nobody is judged"
    assert late(backup, 9 * T // 10, 1) is Cause.SLOW


def test_leaving_a_slow_primary_does_not_lengthen_the_timeout():
    backup = Backup()
    late(backup, 9 * T // 10, 5)
    backup.leave(Cause.SLOW)
    assert backup.timers.timeout_ms == T


def test_each_primary_is_judged_by_what_it_does_itself():
    backup = Backup()
    late(backup, 9 * T // 10, 4)
    backup.timers.entered(backup.now_ms)
    assert late(backup, 9 * T // 10, 3) is None


def test_prompt_answers_are_no_reason_to_leave():
    assert late(Backup(), T // 10, 50) is None


def test_who_serves_a_clients_sessions_one_by_one_is_slow_to_each():
    """The client is served all the time, and each of its requests lies for long: it is these that count."""
    backup = Backup()
    for session in range(1, 11):
        backup.hear("alice", 0, session)
    for turn in range(1, 11):
        ran_ms = turn * 3 * T // 10
        while backup.deadline <= ran_ms:
            if (cause := backup.at(backup.deadline)) is not None:
                assert cause is Cause.SLOW
                assert backup.now_ms < 6 * T
                return
        backup.settle("alice", turn)
        backup.timers.executed(turn, [backup.scene.key("alice")], ran_ms, 10)
    raise AssertionError("nobody found out")


def test_a_batch_that_waits_for_the_one_before_it_did_not_take_long_to_agree_on():
    """A primary that proposes the next batch at once and this one late lengthens nothing but its own delay."""
    scene = Scene()
    watched = scene.watch(1)
    early, late = (scene.pre_prepare(sequence, scene.request("alice", 3 - sequence)) for sequence in (2, 1))
    watched.agree(early)
    assert watched.executed == 0
    watched.wait(9 * T // 10)
    watched.agree(late)
    assert watched.executed == 2
    assert watched.replica._timers._pace.expected_ms(T) == T // 4
