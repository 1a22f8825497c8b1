"""Whom a transfer asks, over time: no source is passed over for good, no network is too slow, no liar sets the pace."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from pbft.core.settings import ReplicaSettings
from tests.core.builders import Scene
from tests.core.states import snapshot_of
from tests.core.test_transfer import LIMITS, SETTINGS, Asked, Rig, numbered

LIAR = 0
TIMEOUT_MS = SETTINGS.transfer_timeout_ms


def drive(rig: Rig, begun: Iterable[Asked], latency: Callable[[int], int | None], within_ms: int) -> dict[int, int]:
    """Let sources answer, each after its latency or never, until all is here; return how often each was asked."""
    under_way: list[tuple[int, int, Asked]] = []
    times = dict.fromkeys((0, 1, 2), 0)
    end_ms = rig.ms + within_ms

    def send(asks: Iterable[Asked]) -> None:
        for ask in asks:
            times[ask[0]] += 1
            late_ms = latency(ask[0])
            if late_ms is not None:
                heapq.heappush(under_way, (rig.ms + late_ms, sum(times.values()), ask))

    send(begun)
    while not rig.transfer.complete and rig.ms < end_ms:
        deadline_ms = rig.transfer.deadline_ms
        assert deadline_ms is not None
        if under_way and under_way[0][0] <= max(deadline_ms, rig.ms):
            due_ms, _, (by, addresses) = heapq.heappop(under_way)
            send(rig.wait(max(0, due_ms - rig.ms)))
            send(rig.answer(by, addresses))
        else:
            send(rig.wait(max(0, deadline_ms - rig.ms)))
    return times


def rig_for(entries: int, settings: ReplicaSettings = SETTINGS) -> Rig:
    return Rig(Scene(limits=LIMITS), snapshot_of(numbered(entries, b"v" * 60)), settings)


@pytest.mark.parametrize("seed", range(5))
def test_who_was_slow_once_is_asked_again_when_a_silent_source_fails(seed: int):
    """Over a bad network honest sources fail often, and a liar never answers: soon after it has healed all is here."""
    chance = random.Random(seed)
    rig = rig_for(4_000)

    def bad(source: int) -> int | None:
        return None if source == LIAR or chance.random() < 0.3 else chance.randrange(300, 1_500)

    for _ in range(5):
        drive(rig, rig.begin(), bad, 20_000)
        rig.transfer.stop()
    before_ms = rig.ms
    drive(rig, rig.begin(), lambda source: None if source == LIAR else 20, 60_000)
    assert rig.transfer.complete
    assert rig.ms - before_ms <= 16 * TIMEOUT_MS


@pytest.mark.parametrize("times_the_timeout", [1.04, 1.4, 3.0])
def test_a_network_slower_than_the_timeout_is_waited_for(times_the_timeout: float):
    """All answers come later than sources are given at first: they get more time, and the state comes."""
    rig = rig_for(4_000)
    drive(rig, rig.begin(), lambda _: int(times_the_timeout * TIMEOUT_MS), 200 * TIMEOUT_MS)
    assert rig.transfer.complete


def test_a_source_that_answers_ever_later_has_no_more_than_so_much_time():
    """However late it was before, it is given sixteen times the usual time at most."""
    rig = rig_for(4_000)
    longest_ms, late_ms = 0, TIMEOUT_MS

    def later(_: int) -> int:
        nonlocal longest_ms, late_ms
        assert rig.transfer.deadline_ms is not None
        longest_ms, late_ms = max(longest_ms, rig.transfer.deadline_ms - rig.ms), late_ms + TIMEOUT_MS
        return late_ms

    drive(rig, rig.begin(), later, 400 * TIMEOUT_MS)
    assert 2 * TIMEOUT_MS <= longest_ms <= 16 * TIMEOUT_MS


def test_a_goal_that_others_may_have_dropped_has_its_time():
    """One source goes on giving a state of long ago, just in time: after twenty timeouts a later one is the goal."""
    rig = rig_for(40_000, replace(SETTINGS, transfer_bytes=1))
    later = rig.goal.sequence + 1
    seen = []

    def just_in_time(source: int) -> int | None:
        seen.append((rig.ms, rig.transfer.outlived(later), rig.transfer.outlived(later - 1)))
        return TIMEOUT_MS - 10 if source == LIAR else None

    drive(rig, rig.begin(), just_in_time, 22 * TIMEOUT_MS)
    assert not rig.transfer.complete
    assert {outlived for ms, outlived, _ in seen if ms < 20 * TIMEOUT_MS} == {False}
    assert {outlived for ms, outlived, _ in seen if ms >= 20 * TIMEOUT_MS} == {True}
    assert not any(outlived for *_, outlived in seen)


@pytest.mark.parametrize("wrong", [True, False])
def test_where_all_failed_as_often_as_counts_a_liar_is_not_the_only_one_asked(wrong: bool):
    """Honest sources were cut off for long; the liar gives a wrong node for the topmost one at once, or none (R7).

    Found by the swarm: `pbft sim --plan tests/corpus/seed-882-O15-sources.json`.
    """
    rig = rig_for(40)
    drive(rig, rig.begin(), lambda _: None, 100 * TIMEOUT_MS)
    asks = rig.wait(60 * TIMEOUT_MS)
    for _ in range(40):
        following: list[Asked] = []
        for by, addresses in asks:
            if by == LIAR:
                following += rig.lie(by, addresses) if wrong else rig.wait(60 * TIMEOUT_MS)
            else:
                following += rig.answer(by, addresses)
        asks = following
    assert rig.transfer.complete
