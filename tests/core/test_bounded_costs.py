"""What one liar can make a correct replica hold, hand on, send or ask for: bounded, however long it goes on (W2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.core.effects import Broadcast, Persist, Reason, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import Limits
from pbft.core.messages import Commit, Prepare, Status, unpack
from pbft.core.settings import ReplicaSettings
from tests.core.builders import WALL_MS, Microscope, Scene, Turn, session_id

MEBIBYTE = bytes(2**20)


def statuses(watched: Microscope, seconds: int) -> list[Status]:
    """Tick every second and return the statuses that were sent."""
    found = []
    for _ in range(seconds):
        watched.ms += 1_000
        found += [unpack(Status, each.body) for each in watched.tick().said(Kind.STATUS)]
    return found


# Beside a vote.


def test_laden_votes_leave_nothing_behind():
    """A vote with a mebibyte beside it is refused before anything of it is kept, at however many sequences."""
    scene = Scene()
    watched = scene.watch(1)
    for sequence in range(1, 101):
        votes = ((Kind.PREPARE, Prepare(0, sequence, bytes(32))), (Kind.COMMIT, Commit(0, sequence, bytes(32))))
        for kind, message in votes:
            assert watched.give(scene.say(3, kind, message, MEBIBYTE)).reasons == [Reason.MALFORMED]
    assert watched.replica.status().in_flight == 0
    assert watched.replica.deadline_ms is None


def test_a_relayer_adds_nothing_to_anothers_vote():
    """What it hangs beside a correct member's vote takes no place; the vote itself counts, and persists as signed."""
    scene = Scene()
    watched = scene.watch(1)
    proposal = scene.pre_prepare(1, scene.request())
    watched.give(proposal)
    vote = scene.prepare(2, proposal)
    assert watched.give(replace(vote, beside=MEBIBYTE), 3).reasons == [Reason.MALFORMED]
    (persisted,) = watched.give(vote, 3).of(Persist)
    assert persisted.basis[0] == proposal
    assert [each.beside for each in persisted.basis[1:]] == [b"", b""]
    assert vote in persisted.basis


# Asking.


@pytest.mark.parametrize("votes", [1, 3])
def test_votes_for_what_nobody_proposed_are_asked_about_for_some_time_only(votes):
    """Sixteen statuses in vain, then silence: one liar's votes far ahead do not keep a replica talking for ever."""
    scene = Scene()
    watched = scene.watch(1)
    for sequence in range(512, 512 - votes, -1):
        watched.give(scene.say(3, Kind.PREPARE, Prepare(0, sequence, bytes(32))))
    told = statuses(watched, 600)
    assert [status.attempt for status in told] == list(range(16))
    assert watched.replica.deadline_ms is None


@pytest.mark.parametrize("late_ms", [0, 60_000])
def test_what_the_primary_proposed_is_asked_about_until_it_executes(late_ms):
    """A proposal, also one held back for its time, is a reason to ask for as long as it takes."""
    scene = Scene()
    watched = scene.watch(1)
    watched.give(scene.pre_prepare(2, time_ms=WALL_MS - late_ms))
    told = statuses(watched, 600)
    assert [status.attempt for status in told] == list(range(len(told)))
    assert len(told) >= 600 * 1_000 // (2 * ReplicaSettings().status_interval_max_ms)
    assert watched.replica.deadline_ms is not None


def test_what_we_proposed_is_asked_about_though_nothing_waits_any_more():
    """A primary's own proposal is begun with its making, also when its request can no longer run and was let go."""
    scene = Scene(limits=Limits(sessions_per_client=1))
    watched = scene.watch(0)
    proposed = []
    for numbers in ((2, 3), (1,)):
        for number in numbers:
            assert watched.give(scene.request(session=session_id(number))).reasons == []
        proposed += watched.tick().said(Kind.PRE_PREPARE)
    watched.prepare(proposed[0])
    watched.commit(proposed[0])
    status = watched.replica.status()
    assert (status.executed, status.in_flight, status.waiting) == (1, 1, 0)
    assert len(statuses(watched, 600)) > 16
    assert watched.replica.deadline_ms is not None


# Answering.


def test_one_peer_draws_batches_at_a_bounded_rate():
    """Asking a hundred times a second for full batches draws what the rate allows, and a burst at the beginning."""
    scene, settings = Scene(), ReplicaSettings(repair_bytes_per_ms=1_024, repair_bytes=256 * 1_024)
    watched = scene.watch(0, settings)
    for sequence in range(1, 9):
        requests = [
            scene.request("alice", 1, (bytes(65_000),) * 3, session_id(10 * sequence + number)) for number in range(5)
        ]
        watched.agree(scene.pre_prepare(sequence, *requests))
    assert watched.executed == 8
    seconds, drawn_bytes = 5, 0
    for _ in range(100 * seconds):
        watched.ms += 10
        drawn_bytes += sum(len(each.beside) for each in watched.give(scene.status(3, 0)).said(Kind.PRE_PREPARE))
    one_answer = settings.repair_bytes + Limits().batch_bytes
    burst = 4 * settings.repair_bytes
    assert drawn_bytes > burst + one_answer
    assert drawn_bytes <= settings.repair_bytes_per_ms * 1_000 * seconds + burst + one_answer


def test_one_liars_vote_does_not_keep_a_group_talking():
    """Statuses of correct replicas are no news to each other: each falls silent after its sixteen."""
    scene = Scene()
    group = [scene.watch(me) for me in range(3)]
    vote = scene.say(3, Kind.PREPARE, Prepare(0, 512, bytes(32)))
    on_the_way: list[tuple[int, int, Envelope]] = []

    def send(me: int, turn: Turn) -> int:
        sent = [(each.to, me, each.envelope) for each in turn.of(Send)]
        sent += [(to, me, each.envelope) for each in turn.of(Broadcast) for to in range(3) if to != me]
        on_the_way.extend(each for each in sent if each[0] < 3)
        return len(turn.said(Kind.STATUS))

    for watched in group:
        watched.give(vote)
    told = 0
    for _ in range(6_000):
        for watched in group:
            watched.ms += 100
            told += send(watched.me, watched.tick())
        while on_the_way:
            to, me, envelope = on_the_way.pop(0)
            told += send(to, group[to].give(envelope, me))
    assert told == 3 * 16
    assert all(watched.replica.deadline_ms is None for watched in group)
