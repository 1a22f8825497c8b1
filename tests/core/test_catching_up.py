"""A few replicas that talk to each other until all is quiet: whoever missed something has it then (design 4.9)."""

from __future__ import annotations

import pytest

from pbft.core.envelope import Envelope, Kind
from tests.core.builders import WALL_MS, Microscope, Scene
from tests.core.chamber import exchange, executed, pass_time


def proposals(scene: Scene, count: int) -> list[Envelope]:
    return [scene.pre_prepare(number, scene.request("alice", number)) for number in range(1, count + 1)]


def watch(scene: Scene, me: int, agreed: list[Envelope]) -> Microscope:
    """Return a replica that has executed these proposals."""
    watched = scene.watch(me)
    for proposal in agreed:
        for vote in watched.agree(proposal).said(Kind.CHECKPOINT):
            watched.stabilise(vote)
    assert watched.executed == len(agreed)
    watched.ms = 1_000
    return watched


@pytest.mark.parametrize("n", [4, 7])
@pytest.mark.parametrize("laggard", [0, 2])
def test_a_replica_that_missed_everything_catches_up(n, laggard):
    """The others went on without it; long after it asks, and gets batch after batch, a null request among them."""
    scene = Scene(n)
    agreed = [*proposals(scene, 39), scene.propose(40, b"\x82\x00\x80")]
    group = [watch(scene, me, [] if me == laggard else agreed) for me in range(n)]
    late = group[laggard]
    late.wall_offset_ms = 86_400_000
    for each in group:
        each.ms = 1_000
    effects = exchange(group, [(me, laggard, scene.status(laggard, 0)) for me in range(n) if me != laggard])
    for _ in range(100):
        effects += pass_time(group, 50)
    assert executed(effects) == list(range(1, 41))
    assert len({each.replica.state_digest() for each in group}) == 1
    assert len({each.replica.status().agreed_time_ms for each in group}) == 1
    assert late.replica.status().agreed_time_ms == WALL_MS


def test_two_statuses_do_not_chase_each_other():
    """An answer to a status may itself be a status; the exchange ends there."""
    scene = Scene()
    group = [watch(scene, me, proposals(scene, 2) if me else []) for me in range(4)]
    exchange(group, [(1, 0, scene.status(0, 0)), (0, 1, scene.status(1, 2))])
