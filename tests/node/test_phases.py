"""Phases and tallies: what counts for which duration, told effect by effect with a clock of the test's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pbft.client import Client
from pbft.core.effects import (
    Cause,
    CommittedLocal,
    Diverged,
    Effect,
    Evidence,
    Executed,
    ExecutedRequest,
    Persist,
    Prepared,
    Proposed,
    StateInstalled,
    ViewChangeStarted,
    ViewEntered,
)
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Prepare, Request, pack
from pbft.core.settings import Now
from pbft.machine import Outcome
from pbft.node.phases import BOUNDS_US, Histogram, Phases
from pbft.node.tallies import Tallies
from tests.node.groups import running, until, write_files

NOW = Now(0, 0)
CLIENT = bytes(32)
SESSION = bytes(16)
DIGEST = bytes(32)


class Watched:
    """Phases whose clock the test turns."""

    def __init__(self) -> None:
        self.now_us = 0
        self.phases = Phases(lambda: self.now_us)

    def see(self, at_us: int, *effects: Effect) -> None:
        self.now_us = at_us
        for effect in effects:
            self.phases.watch(effect, NOW)

    def hear(self, at_us: int, timestamp: int, session: bytes = SESSION, sender: bytes | int = CLIENT) -> None:
        self.now_us = at_us
        body = pack(Request(CLIENT, session, timestamp, (b"op",)))
        self.phases.tap(Envelope(Kind.REQUEST, CLIENT, body, bytes(64)), sender, NOW)


def prepare(view: int, sequence: int) -> Persist:
    return Persist(Envelope(Kind.PREPARE, 1, pack(Prepare(view, sequence, DIGEST)), bytes(64)), ())


def prepared(view: int, sequence: int) -> Prepared:
    return Prepared(view, sequence, DIGEST, ())


def committed(view: int, sequence: int) -> CommittedLocal:
    return CommittedLocal(view, sequence, DIGEST, ())


def executed(sequence: int, *timestamps: int, outcomes: tuple[int, ...] = (0,)) -> Executed:
    requests = tuple(ExecutedRequest(CLIENT, SESSION, each, DIGEST, outcomes) for each in timestamps)
    return Executed(0, sequence, DIGEST, 0, requests)


def seen(histogram: Histogram) -> tuple[int, int]:
    return histogram.count, histogram.sum_us


def test_a_histogram_counts_each_duration_once_in_the_bucket_it_fits():
    """A bound belongs to the bucket below it, what is beyond the last bound to the last; rows count upwards."""
    histogram = Histogram()
    for each in (0, 100, 101, BOUNDS_US[-1], BOUNDS_US[-1] + 1):
        histogram.observe(each)
    assert histogram.counts[:2] == [2, 1]
    assert histogram.counts[-2:] == [1, 1]
    rows = histogram.cumulative()
    assert (rows[0], rows[1], rows[-2], rows[-1]) == (("0.0001", 2), ("0.00025", 3), ("30", 4), ("+Inf", 5))
    assert seen(histogram) == (5, 201 + 2 * BOUNDS_US[-1] + 1)


def test_the_three_phases_follow_each_other():
    """On the primary from its proposal, on a backup from the vote for the pre-prepare it accepted."""
    for begin in (Proposed(0, 1, DIGEST, 1), prepare(0, 1)):
        group = Watched()
        group.see(1_000, begin)
        group.see(3_000, prepared(0, 1))
        group.see(7_000, committed(0, 1))
        group.see(15_000, executed(1))
        phases = group.phases
        assert [seen(each) for each in (phases.prepare, phases.commit, phases.execution)] == [
            (1, 2_000),
            (1, 4_000),
            (1, 8_000),
        ]


def test_a_phase_counts_only_where_both_ends_were_seen_in_one_view():
    """A view change begins the times of a sequence anew, and what came by repair has no beginning."""
    group = Watched()
    group.see(1_000, prepare(0, 1))
    group.see(9_000, prepared(3, 1))
    assert seen(group.phases.prepare) == (0, 0)
    group.see(10_000, committed(3, 1), committed(3, 2))
    assert seen(group.phases.commit) == (1, 1_000)
    group.see(12_000, executed(1), executed(2), executed(3))
    assert seen(group.phases.execution) == (2, 4_000)


def test_states_that_were_fetched_end_what_they_skip():
    """Nothing of a skipped sequence is counted later."""
    group = Watched()
    group.see(0, committed(0, 1), committed(0, 9), StateInstalled(8, DIGEST, 3, 900))
    group.see(5, executed(1), executed(9))
    assert seen(group.phases.execution) == (1, 5)


def test_a_request_counts_from_its_first_arrival_to_its_execution():
    """Sent again it keeps its first time; counted once; what changed nothing, or never came here, is not counted."""
    group = Watched()
    group.hear(1_000, 1)
    group.hear(5_000, 1)
    group.see(9_000, executed(1, 1), executed(2, 1))
    assert seen(group.phases.request) == (1, 8_000)
    group.hear(10_000, 2)
    group.see(11_000, executed(3, 2, outcomes=()))
    group.see(12_000, executed(4, 3))
    assert seen(group.phases.request) == (1, 8_000)


def test_a_request_is_timed_by_its_own_timestamp_alone():
    """An older one that runs late is not measured by the newer one's arrival, which keeps its own."""
    group = Watched()
    group.hear(1_000, 2)
    group.see(2_000, executed(1, 1))
    assert seen(group.phases.request) == (0, 0)
    group.see(4_000, executed(2, 2))
    assert seen(group.phases.request) == (1, 3_000)


def test_only_what_a_client_says_itself_begins_a_request():
    """A request that a replica relays, or one that is no request, starts no clock and breaks nothing."""
    group = Watched()
    group.hear(1_000, 1, sender=2)
    group.phases.tap(Envelope(Kind.REQUEST, CLIENT, b"\xff", bytes(64)), CLIENT, NOW)
    group.phases.watch(Persist(Envelope(Kind.PREPARE, 1, b"\xff", bytes(64)), ()), NOW)
    group.see(2_000, executed(1, 1))
    assert seen(group.phases.request) == (0, 0)


def test_what_is_remembered_is_bounded():
    """Neither sessions that never come to an end nor sequences that never do fill the memory."""
    group = Watched()
    for each in range(10_000):
        group.hear(each, 1, session=each.to_bytes(16, "big"))
        group.see(each, prepare(0, each))
    assert len(group.phases._requests) == 8_192
    assert len(group.phases._slots) == 4_096


def test_tallies_count_by_cause_and_culprit():
    """Every kind is there from the beginning at 0, so that a first occurrence is an increase."""
    tallies = Tallies(4)
    assert (set(tallies.view_changes), set(tallies.evidence), set(tallies.operations)) == (
        set(Cause),
        {0, 1, 2, 3},
        set(Outcome),
    )
    vote = prepare(0, 1).vote
    for effect in (
        executed(1, 1, outcomes=(0, 1, 3)),
        executed(2, 1, outcomes=()),
        ViewChangeStarted(0, 1, Cause.STALLED, 500),
        ViewChangeStarted(1, 2, Cause.JOINED, 500),
        ViewEntered(2, 0, (), ()),
        Evidence(3, vote, vote),
        StateInstalled(8, DIGEST, 5, 700),
        Diverged(8, DIGEST, DIGEST),
        prepared(0, 1),
    ):
        tallies.watch(effect, NOW)
    assert (tallies.batches, tallies.requests, tallies.views_entered, tallies.divergences) == (2, 1, 1, 1)
    assert (tallies.state_transfers, tallies.state_bytes) == (1, 700)
    assert +tallies.operations == {Outcome.OK: 1, Outcome.REJECTED: 1, Outcome.FAILED: 1}
    assert +tallies.view_changes == {Cause.STALLED: 1, Cause.JOINED: 1}
    assert +tallies.evidence == {3: 1}


@pytest.mark.parametrize("replica", [0, 1])
def test_a_running_group_fills_every_phase(tmp_path: Path, replica: int):
    """On the primary and on a backup; the primary heard the requests itself."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        async with running(files) as group, Client.open(files.directory, "alice") as alice:
            phases, tallies = Phases(), Tallies(files.group.n)
            driver = group.drivers[replica]
            driver.watchers += [phases.watch, tallies.watch]
            driver.taps.append(phases.tap)
            for _ in range(5):
                await alice.call("add", 1)
            await until(lambda: tallies.batches == 5)
            assert [each.count for each in (phases.prepare, phases.commit, phases.execution)] == [5, 5, 5]
            assert tallies.operations[Outcome.OK] == 5
            if replica == 0:
                assert phases.request.count == 5
                assert phases.request.sum_us >= phases.prepare.sum_us + phases.commit.sum_us

    asyncio.run(body())
