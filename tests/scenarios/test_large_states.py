"""Catching up with a state of thousands of items while clients go on writing, from sources that lie (R6, R7)."""

from __future__ import annotations

import pytest

from pbft.core.effects import BecameStable, Reason, StateInstalled
from pbft.core.envelope import Kind
from pbft.core.settings import ReplicaSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import (
    Adversary,
    BadState,
    Braggart,
    CheckpointLiar,
    DripSource,
    NodeForger,
    OtherState,
    SilentSource,
    SlowSource,
)
from pbft.testing.clients import Call, SimulatedClient
from pbft.testing.rare_paths import RarePath, RarePaths
from pbft.testing.warehouse import Warehouse
from tests.scenarios.stories import SIZES, SMALL_LOG, backups, core

ITEMS = 3_000
ITEM_BYTES = 100
LARGE = {"items": ITEMS, "item_bytes": ITEM_BYTES}
"""So many that a leaf lies below two other nodes."""


THINK_MS = 100
"""How long a writer waits between an answer and its next call."""


class BadStateInDetail(BadState, NodeForger):
    """What `byzantine I bad-state` stands for: it vouches for another state, and serves one that nobody has."""


class OtherStateInDrips(OtherState, DripSource):
    """Gives a state that nobody has, and that slowly."""


class Writer:
    """A program that has one row of items after the other delivered anew, until it is stopped."""

    def __init__(self, group: Cluster, client: SimulatedClient, row: int = 1) -> None:
        self.calls: list[Call] = []
        self._group = group
        self._client = client
        self._row = row
        self._running = True
        self._next()

    def stop(self) -> list[Call]:
        """Call nothing more; return what is not answered yet."""
        self._running = False
        return [call for call in self.calls if not call.done]

    def _next(self) -> None:
        if self._running:
            first = len(self.calls) * 127 % ITEMS
            content = f"new {len(self.calls)}".ljust(ITEM_BYTES, ".")
            call = self._client.call("deliver", first, self._row, content)
            self.calls.append(call)
            call.then = lambda: self._group.at(self._group.now_ms + THINK_MS, self._next)


def state_bytes(group: Cluster, replica: int) -> int:
    """Return how many bytes all keys and values of a replica's state have."""
    return core(group, replica)._execution.snapshot().size


def level_again(group: Cluster, late: int, *writers: Writer) -> StateInstalled:
    """Let who is late catch up while the writers go on; return how the state came that it took over first."""
    group.run_until(lambda: bool(group.steps(late, StateInstalled)), 15_000, lambda: "state")
    pending = [call for writer in writers for call in writer.stop()]
    group.finish(*pending, group.client("bob").call("count"))
    assert group.executed(late) == max(group.executed(i) for i in group.correct)
    assert group.histories_agree()
    return group.steps(late, StateInstalled)[0]


def behind(
    n: int, byzantine: dict[int, type[Adversary]], row: int = 1, settings: ReplicaSettings | None = None
) -> tuple[Cluster, int, Writer]:
    """Let a correct replica miss more than a log, next to liars; return it with the group and who goes on writing."""
    group = Cluster(Warehouse, 160, n, byzantine=byzantine, parameters=LARGE, limits=SMALL_LOG, settings=settings)
    late = group.correct[-1]
    writer = Writer(group, group.client("alice"), row)
    group.network.isolate(late)
    group.run_until(lambda: group.executed(0) >= 24, waiting_for=lambda: "work done")
    group.heal()
    return group, late, writer


LIARS = (
    NodeForger,
    OtherState,
    SilentSource,
    SlowSource,
    DripSource,
    OtherStateInDrips,
    Braggart,
    CheckpointLiar,
    BadStateInDetail,
)


@SIZES
@pytest.mark.parametrize("kind", LIARS, ids=lambda kind: kind.__name__)
def test_r7_what_differs_is_moved_and_no_more(n: int, kind: type[Adversary]) -> None:
    """Of a large state little differs: not half of its bytes is moved, whatever f sources do."""
    group, late, writer = behind(n, backups(n, kind))
    installed = level_again(group, late, writer)
    assert installed.bytes < state_bytes(group, late) // 2
    assert installed.nodes > 24
    if issubclass(kind, NodeForger | OtherState):
        assert group.ignored(late)[Reason.WRONG_DIGEST] > 0


def test_r7_two_liars_of_different_kinds() -> None:
    """One gives wrong nodes, the other none at all: the rest is enough, and neither is asked for much."""
    for pair in ((NodeForger, SilentSource), (OtherState, DripSource), (SlowSource, OtherState), (BadState, Braggart)):
        group, late, writer = behind(7, {5: pair[0], 6: pair[1]})
        assert level_again(group, late, writer).bytes < state_bytes(group, late) // 2


@SIZES
@pytest.mark.parametrize("kind", [NodeForger, OtherState, SilentSource, DripSource])
def test_r7_a_state_of_which_all_differs(n: int, kind: type[Adversary]) -> None:
    """Everywhere items are other ones: all of the state comes, each part once, and clients are served meanwhile."""
    group, late, writer = behind(n, backups(n, kind), row=50)
    answered = len(writer.calls)
    installed = level_again(group, late, writer)
    assert ITEMS * ITEM_BYTES // 2 < installed.bytes < 1.5 * state_bytes(group, late)
    assert len(writer.calls) > answered


@SIZES
def test_r7_the_goal_moves_and_what_came_is_not_fetched_again(n: int) -> None:
    """Half of a state has come when nothing more does: another is stable by then, and only what differs is fetched."""
    settings = ReplicaSettings(transfer_bytes=1)
    group, late, writer = behind(n, backups(n, SilentSource), row=50, settings=settings)
    paths = group.watch(RarePaths)
    pending = writer.stop()
    writer = Writer(group, group.client("bob"))

    def half_is_here() -> bool:
        transfer = group.situation(late).transfer
        return transfer is not None and transfer.of > 0 and transfer.bytes > transfer.of // 2

    group.run_until(half_is_here)
    stable = group.steps(0, BecameStable)[-1].proof.sequence
    nothing = group.network.on(Kind.NODES, dst=late).drop()
    group.run(4_000)
    nothing.stop()

    installed = level_again(group, late, writer)
    group.finish(*pending)
    assert installed.sequence > stable
    assert paths.told()[RarePath.TARGET_MOVED.value] > 0
    assert paths.told()[RarePath.STAGED_NODES_USED.value] > 0
    assert installed.bytes < 1.5 * state_bytes(group, late)


@SIZES
@pytest.mark.parametrize("kind", [CheckpointLiar, BadState], ids=lambda kind: kind.__name__)
def test_r6_bogus_checkpoints_start_no_transfer(n: int, kind: type[Adversary]) -> None:
    """What f vouch for at sequences near and far is stable nowhere: nobody fetches a state, and no log is cut there."""
    group = Cluster(Warehouse, 161, n, byzantine=backups(n, kind), parameters=LARGE, limits=SMALL_LOG)
    asked = group.network.on(Kind.FETCH, src=group.correct).delay(0)
    writer = Writer(group, group.client("alice"))
    group.run_until(lambda: group.executed(0) >= 20)
    group.finish(*writer.stop())
    assert asked.met == 0
    for replica in group.correct:
        sequences = [step.proof.sequence for step in group.steps(replica, BecameStable)]
        assert sequences == list(range(4, sequences[-1] + 1, 4))
        assert group.steps(replica, StateInstalled) == []
    assert group.histories_agree()
