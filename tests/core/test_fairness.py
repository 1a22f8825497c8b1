"""A primary that passes somebody over is found out, and no other (Aardvark, NSDI'09; design 4.10; attack P6)."""

from __future__ import annotations

import pytest

from pbft.core.effects import Cause
from pbft.core.group import Limits
from pbft.core.settings import ReplicaSettings
from tests.core.builders import Scene
from tests.core.patience import Backup, T

SHARE = Limits().sessions_per_client
LATEST_MS = T + T // 8
"""When a replica looks at the latest after somebody has waited for a timeout."""


def busy(backup: Backup, until_ms: int, *others: str, every_ms: int = 20) -> Cause | None:
    """Let a batch run every so often, for one of the others after the other, until then or until it gives up.

    Each batch is proposed when the one before ran.
    """
    turn = 0
    for now_ms in range(backup.now_ms + 1, until_ms + 1):
        if now_ms % every_ms == 0:
            backup.timers.begun(now_ms, backup.executed + 1)
            backup.run(now_ms, *(others[turn % len(others)],) if others else ())
            backup.timers.idle()
            turn += 1
        if backup.timers.deadline_ms is not None and now_ms >= backup.timers.deadline_ms:
            cause = backup.at(now_ms)
            if cause is not None:
                return cause
    backup.now_ms = until_ms
    return None


# To a client.


@pytest.mark.parametrize("colluders", [("bob",), ("bob", "carol", "dave")])
def test_a_censored_client_is_spoken_for_after_a_timeout(colluders):
    """However much the primary does for others, and by turns: not before a timeout, and at the next look after."""
    backup = Backup()
    backup.hear("alice", 100)
    assert busy(backup, 100 + T - 1, *colluders) is None
    assert busy(backup, 100 + LATEST_MS, *colluders) is Cause.UNFAIR


def test_after_an_unfair_view_the_next_primary_is_given_twice_the_time():
    """If relays and proposals take too long to judge by, they do so no more after a few views, and nobody is blamed.

    Asked twice at one time, the replica says the same.
    """
    backup = Backup()
    backup.hear("alice", 0)
    assert busy(backup, LATEST_MS, "bob") is Cause.UNFAIR
    assert backup.at(backup.now_ms) is Cause.UNFAIR
    backup.leave()
    assert backup.timers.timeout_ms == 2 * T
    backup.timers.entered(backup.now_ms)
    assert backup.at(backup.now_ms) is None


def test_a_slow_trickle_for_others_hides_a_censored_client_for_two_batches_only():
    """Each a little before the others' patience ends: two beyond half of the timeout, and the next look finds out."""
    backup = Backup()
    backup.hear("alice", 0)
    every_ms = T * 9 // 10
    assert busy(backup, 2 * every_ms - 1, "bob", every_ms=every_ms) is None
    assert busy(backup, 2 * every_ms + T // 8, "bob", every_ms=every_ms) is Cause.UNFAIR


def test_who_serves_nobody_twice_is_not_unfair():
    """Hundreds of others may be before a client in the queue, each for once."""
    names = tuple(f"client {number}" for number in range(300))
    backup = Backup(scene=Scene(clients=("alice", *names)))
    backup.hear("alice", 0)
    assert busy(backup, 299 * 20, *names) is None
    backup.run(backup.now_ms, "alice")
    assert backup.timers.deadline_ms is None


def test_serving_hundreds_by_turns_hides_a_censored_client_for_one_round_only():
    """The first one served again beyond the mark gives it away."""
    names = tuple(f"client {number}" for number in range(100))
    backup = Backup(scene=Scene(clients=("alice", *names)))
    backup.hear("alice", 0)
    marked_ms = T // 2 + T // 8
    assert busy(backup, T // 2 + 100 * 20, *names) is None
    assert busy(backup, marked_ms + 100 * 20 + T // 8 + 20, *names) is Cause.UNFAIR


def test_twice_in_one_batch_is_one_turn():
    """Batches formed while few wait carry many requests of one client; it takes another batch to show the order."""
    backup = Backup()
    backup.hear("alice", 0)
    assert busy(backup, 900) is None
    backup.run(900, "bob", "bob", "bob")
    assert busy(backup, 900 + T - 1) is None
    backup.run(900 + T - 1, "bob")
    assert busy(backup, 900 + T + T // 8) is Cause.UNFAIR


def test_batches_of_nothing_serve_nobody():
    """Null and replayed requests show neither that others are served nor that this client is."""
    backup = Backup()
    backup.hear("alice", 0)
    assert busy(backup, 700, "bob") is None
    assert busy(backup, 700 + 400) is Cause.UNFAIR


def test_what_was_proposed_before_the_primary_had_the_request_says_nothing():
    """A deep pipeline may serve one client in every batch, and take longer to run than the timeout."""
    backup = Backup()
    backup.hear("alice", 0)
    backup.timers.begun(0, 16)
    for now_ms in range(600, 600 + 16 * 100, 100):
        assert backup.at(now_ms) is None
        backup.run(now_ms, "bob")
    for now_ms in (2_200, 2_300):
        assert backup.at(now_ms) is None
        backup.timers.begun(now_ms, backup.executed + 1)
        backup.run(now_ms, "bob")
    assert backup.at(2_400) is Cause.UNFAIR


def test_a_request_that_the_primary_was_not_told_of_accuses_nobody():
    """Only what this replica relayed counts, and from then on: others' clients may have told it alone."""
    backup = Backup()
    each = backup.hear("alice", 0, relayed=False)
    assert busy(backup, 5 * T, "bob") is None
    assert backup.waiting.relay_due(each, 5 * T)
    assert busy(backup, 6 * T - 1, "bob") is None
    assert busy(backup, 5 * T + LATEST_MS, "bob") is Cause.UNFAIR


def test_a_relay_before_its_session_had_begun_does_not_count():
    """The primary may have refused it rightly; a relay after that tells it."""
    backup = Backup()
    each = backup.hear("alice", 0, starts_ms=2 * T)
    assert busy(backup, 6 * T, "bob") is None
    assert backup.waiting.relay_due(each, 6 * T)
    assert busy(backup, 7 * T - 1, "bob") is None
    assert busy(backup, 6 * T + LATEST_MS, "bob") is Cause.UNFAIR


def test_a_client_cannot_accuse_a_primary_whose_room_it_filled():
    """It floods the primary with other sessions so that the one that backups relayed is refused there (minbft #5).

    Whenever it is served, the primary has to be told once more before it can be to blame, and then has room.
    """
    backup = Backup()
    each = backup.hear("alice", 0)
    assert busy(backup, 300, "bob") is None
    backup.run(300, "alice")
    again = backup.hear("alice", 301, timestamp=2, relayed=False)
    assert backup.waiting.relay_due(again, 300 + T // 8 - 1)
    assert busy(backup, 5 * T, "bob") is None
    assert each.request.session == again.request.session
    assert backup.waiting.relay_due(again, 5 * T)
    assert busy(backup, 6 * T - 1, "bob") is None
    assert busy(backup, 5 * T + LATEST_MS, "bob") is Cause.UNFAIR


def test_who_asks_anew_is_waited_for_anew():
    """The request that took its place is another one: the primary has to be told of that."""
    backup = Backup()
    backup.hear("alice", 0)
    assert busy(backup, 900, "bob") is None
    again = backup.hear("alice", 900, timestamp=2, relayed=False)
    assert busy(backup, 5 * T, "bob") is None
    assert backup.waiting.relay_due(again, 5 * T)
    assert busy(backup, 6 * T - 1, "bob") is None
    assert busy(backup, 5 * T + LATEST_MS, "bob") is Cause.UNFAIR


def test_a_client_that_is_served_is_not_passed_over():
    """Any of its sessions will do: it had its turn, and the next one is counted from there."""
    backup = Backup()
    each = backup.hear("alice", 0, session=2)
    assert busy(backup, 900, "bob", "alice") is None
    assert backup.waiting.relay_due(each, 900 + T // 8)
    assert busy(backup, 900 + T // 8 + T - 1, "bob") is None
    assert busy(backup, 900 + T // 8 + LATEST_MS, "bob") is Cause.UNFAIR


def test_after_state_was_taken_over_watching_starts_anew():
    """Whom the sequences in between served is not known."""
    backup = Backup()
    each = backup.hear("alice", 0)
    assert busy(backup, 900, "bob") is None
    backup.run(900, "bob", sequence=backup.executed + 50)
    assert busy(backup, 900 + 3 * T, "bob") is None
    assert backup.waiting.relay_due(each, 900 + 3 * T)
    assert busy(backup, 900 + 3 * T + LATEST_MS, "bob") is Cause.UNFAIR


def test_a_new_primary_has_to_be_told_anew():
    """What was relayed to the one before says nothing about this one; nor does whom that one served."""
    backup = Backup()
    each = backup.hear("alice", 0)
    assert busy(backup, 900, "bob") is None
    backup.leave()
    backup.waiting.unpropose()
    backup.timers.entered(1_000)
    backup.now_ms = 1_000
    assert busy(backup, 5 * T, "bob") is None
    assert backup.waiting.relay_due(each, 5 * T)
    assert busy(backup, 5 * T + LATEST_MS, "bob") is Cause.UNFAIR


def test_nobody_is_watched_out_of_a_view():
    """What runs there was proposed by a primary that is gone."""
    backup = Backup()
    backup.hear("alice", 0)
    backup.leave()
    assert busy(backup, 5 * T, "bob") is None


# To one request of a client that is served.


def passed_over(backup: Backup, session: int, begin_ms: int, times: int, every_ms: int) -> tuple[int, Cause | None]:
    """Serve other sessions of alice so many times; return when the replica gives up, if it does."""
    assert backup.waiting.relay_due(backup.hear("alice", begin_ms, session=session, relayed=False), begin_ms)
    for step in range(1, times + 1):
        now_ms = begin_ms + step * every_ms
        backup.run(now_ms, "alice")
        cause = backup.at(now_ms)
        if cause is not None:
            return now_ms, cause
    return 0, None


def test_a_session_is_spoken_for_though_its_client_is_served():
    """Once more of its client's requests ran since the primary surely had it than can have been before it."""
    backup = Backup()
    now_ms, cause = passed_over(backup, 2, 0, 1_000, 20)
    assert cause is Cause.UNFAIR
    marked_ms = T // 2 + T // 8
    assert marked_ms - T // 8 + SHARE * 20 < now_ms <= marked_ms + (SHARE + 1) * 20 + T // 8


def test_a_session_waits_while_what_may_have_come_before_it_runs():
    """As many as a client may have waiting at once, and a timeout in any case."""
    backup = Backup()
    backup.hear("alice", 0, session=2)
    assert busy(backup, T - 1) is None
    for _ in range(SHARE):
        backup.run(T - 1, "alice")
    assert backup.at(3 * T // 2) is None
    backup.run(3 * T // 2, "alice")
    assert backup.at(2 * T) is Cause.UNFAIR
    now_ms, cause = passed_over(Backup(), 2, 0, 1_000, 5)
    assert cause is Cause.UNFAIR
    assert now_ms >= T


def test_a_larger_share_of_room_is_reckoned_with():
    """A replica that lets a client have more waiting here takes a primary for one that does, too."""
    backup = Backup(ReplicaSettings(view_timeout_ms=T, waiting_requests_per_client=2 * SHARE))
    now_ms, cause = passed_over(backup, 2, 0, 1_000, 20)
    assert cause is Cause.UNFAIR
    assert now_ms > T // 2 + 2 * SHARE * 20


def test_each_time_a_session_is_spoken_for_its_clients_patience_doubles():
    """A client can play this rule false, so no client may make the others change views all the time (K1).

    Long afterwards it is forgiven; another client's patience is its own.
    """
    backup = Backup()
    waits = []
    begin_ms = 0
    for session in range(2, 6):
        now_ms, cause = passed_over(backup, session, begin_ms, 100_000, 10)
        assert cause is Cause.UNFAIR
        waits.append(now_ms - begin_ms)
        backup.settle("alice", session)
        backup.timers.entered(now_ms)
        begin_ms = now_ms
    for level, waited_ms in enumerate(waits):
        assert (T << level) <= waited_ms <= max(T << level, T // 2 + SHARE * 10) + T // 4 + 20
    begin_ms += 100 * (T << 4)
    now_ms, cause = passed_over(backup, 9, begin_ms, 1_000, 10)
    assert cause is Cause.UNFAIR
    assert now_ms - begin_ms <= T // 2 + SHARE * 10 + T // 4 + 20
