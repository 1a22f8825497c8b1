"""Rare paths: a run that goes one is seen to, and a quiet run goes none."""

from __future__ import annotations

from pbft.core.effects import Reason
from pbft.core.envelope import Kind
from pbft.core.group import Limits
from pbft.core.settings import ReplicaSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import CheckpointLiar, DripSource, Equivocator, TimeLiar
from pbft.testing.journal import Journal
from pbft.testing.oracles.base import Oracle
from pbft.testing.rare_paths import RarePath, RarePaths
from pbft.testing.warehouse import Warehouse

SOON = ReplicaSettings(view_timeout_ms=200)
SHORT = Limits(checkpoint_interval=4, log_size=8)


def went(paths: RarePaths, path: RarePath) -> int:
    """Return how often a way was gone."""
    return paths.told().get(path.value, 0)


def test_a_quiet_run_goes_none() -> None:
    group = Cluster(Journal, seed=1)
    paths = group.watch(RarePaths)
    (alice,) = group.clients("alice")
    group.gather(*(alice.call("write", f"{number}") for number in range(20)))
    assert paths.told() == {}


def test_a_watcher_sees_what_oracles_see() -> None:
    """Whatever a watcher asks for of correct replicas' effects, from when it was added."""

    class Counting(Oracle):
        id = "counting"
        watches = RarePaths.watches
        seen = 0

        def observe(self, *_: object) -> None:
            """Count."""
            self.seen += 1

    group = Cluster(Journal, seed=1)
    counting = group.watch(Counting)
    (alice,) = group.clients("alice")
    group.gather(alice.call("write", "once"))
    assert counting.seen > 10


def test_a_view_change_joined_by_others() -> None:
    """The primary dies while two wait for it: the third, which knows of no request, joins them."""
    group = Cluster(Journal, seed=3, settings=SOON)
    paths = group.watch(RarePaths)
    (alice,) = group.clients("alice")
    group.gather(alice.call("write", "before"))
    group.run_until_level()
    group.network.cut("alice", 3)
    group.crash(0)
    group.gather(alice.call("write", "after"))
    assert went(paths, RarePath.JOINED) == 1


def test_a_view_that_never_comes() -> None:
    """Two primaries in a row are dead: the second one's view is given up, and skipped by all."""
    group = Cluster(Journal, seed=3, n=7, settings=SOON)
    paths = group.watch(RarePaths)
    (alice,) = group.clients("alice")
    group.gather(alice.call("write", "before"))
    group.crash(0)
    group.crash(1)
    group.gather(alice.call("write", "after"))
    assert group.views() == {2}
    assert went(paths, RarePath.NO_NEW_VIEW) >= 1
    assert went(paths, RarePath.VIEW_SKIPPED) == 5


def test_timers_that_double_thrice() -> None:
    """Five primaries in a row are cut off from each other: views come and go, each waited for twice as long."""
    group = Cluster(Journal, seed=3, settings=SOON)
    paths = group.watch(RarePaths)
    (alice,) = group.clients("alice")
    group.gather(*(alice.call("write", f"{number}") for number in range(30)))
    group.network.on(Kind.NEW_VIEW).drop()
    group.network.on(Kind.PRE_PREPARE).drop()
    call = alice.call("write", "late")
    group.run(5_000)
    group.heal()
    group.gather(call)
    assert went(paths, RarePath.TIMER_DOUBLED_THRICE) >= 1


def test_second_votes_and_evidence() -> None:
    """A primary tells two stories: whoever hears both refuses the second and can prove it."""
    group = Cluster(Journal, seed=5, settings=SOON, byzantine={0: Equivocator})
    paths = group.watch(RarePaths)
    (alice,) = group.clients("alice")
    group.gather(*(alice.call("write", f"{number}") for number in range(5)))
    refused = sum(group.ignored(i)[Reason.CONFLICTING] for i in group.correct)
    seconds = (RarePath.SECOND_PRE_PREPARE, RarePath.SECOND_VOTE, RarePath.SECOND_NEW_VIEW, RarePath.SECOND_VIEW_CHANGE)
    assert sum(went(paths, path) for path in seconds) == refused
    assert went(paths, RarePath.EVIDENCE) == sum(len(group.evidence(i)) for i in group.correct)


def test_second_checkpoint_votes() -> None:
    group = Cluster(Journal, seed=5, limits=SHORT, byzantine={3: CheckpointLiar})
    paths = group.watch(RarePaths)
    (alice,) = group.clients("alice")
    for number in range(12):
        group.gather(alice.call("write", f"{number}"))
    group.run(1_000)
    refused = sum(group.ignored(i)[Reason.CONFLICTING] for i in group.correct)
    assert went(paths, RarePath.SECOND_CHECKPOINT) == refused


def test_a_proposal_is_held_back_for_its_time() -> None:
    """A correct replica whose clock is off by more than the drift follows f+1 others that found the time right."""
    group = Cluster(Journal, seed=2, wall_ahead_ms={3: 60_000})
    paths = group.watch(RarePaths)
    (alice,) = group.clients("alice")
    for number in range(5):
        group.gather(alice.call("write", f"{number}"))
    group.run_until_level()
    assert went(paths, RarePath.HELD_BACK) == group.ignored(3)[Reason.CLOCK_DRIFT] > 0
    assert 0 < went(paths, RarePath.HELD_BACK_ACCEPTED) <= went(paths, RarePath.HELD_BACK)


def test_a_proposal_whose_time_is_a_lie_is_never_accepted() -> None:
    group = Cluster(Journal, seed=2, settings=SOON, byzantine={0: TimeLiar})
    paths = group.watch(RarePaths)
    (alice,) = group.clients("alice")
    group.gather(alice.call("write", "once"))
    assert went(paths, RarePath.HELD_BACK) > 0
    assert went(paths, RarePath.HELD_BACK_ACCEPTED) == 0


def test_a_state_is_taken_over() -> None:
    """Who slept through many checkpoints takes over a state, and learns what is stable from a proof."""
    group = Cluster(Journal, seed=4, limits=SHORT)
    paths = group.watch(RarePaths)
    (alice,) = group.clients("alice")
    group.network.isolate(3)
    for number in range(20):
        group.gather(alice.call("write", f"{number}"))
    assert went(paths, RarePath.TRANSFER) == 0
    group.network.rejoin(3)
    group.gather(alice.call("write", "last"))
    group.run_until_level()
    assert went(paths, RarePath.TRANSFER) + went(paths, RarePath.TRANSFER_IN_VIEW_CHANGE) == 1
    assert went(paths, RarePath.STABLE_BY_PROOF) >= 1


def test_sources_that_are_passed_over() -> None:
    """The first that is asked for a state does not answer, so another is."""
    settings = ReplicaSettings(transfer_timeout_ms=100, transfer_bytes=1)
    group = Cluster(Journal, seed=4, limits=SHORT, settings=settings)
    paths = group.watch(RarePaths)
    (alice,) = group.clients("alice")
    group.network.isolate(3)
    for number in range(20):
        group.gather(alice.call("write", f"{number}"))
    group.network.on(Kind.NODES, src=0).drop()
    group.network.rejoin(3)
    group.gather(alice.call("write", "last"))
    group.run_until_level()
    assert went(paths, RarePath.SOURCE_PASSED_OVER) >= 1


def test_little_of_a_large_state_is_moved() -> None:
    """Of six hundred items a few differ, and nothing comes in parts or for another state before."""
    group = Cluster(Warehouse, seed=4, parameters={"items": 600}, limits=SHORT)
    paths = group.watch(RarePaths)
    (alice,) = group.clients("alice")
    group.network.isolate(3)
    for number in range(20):
        group.gather(alice.call("deliver", number % 4, 1, "new"))
    group.network.rejoin(3)
    group.finish(alice.call("deliver", 0, 1, "last"))
    assert went(paths, RarePath.LITTLE_MOVED) == 1
    assert went(paths, RarePath.STAGED_NODES_USED) == went(paths, RarePath.PARTLY_ANSWERED) == 0


def test_a_checkpoint_whose_digest_takes_longer_than_a_batch() -> None:
    """Digests are made a node at a time, while more is executed: the votes come later than the checkpoint."""
    settings = ReplicaSettings(checkpoint_nodes=1)
    group = Cluster(Warehouse, seed=4, parameters={"items": 600}, limits=SHORT, settings=settings)
    paths = group.watch(RarePaths)
    group.gather(*(client.call("deliver", 7, 60, "new") for client in group.clients("alice", "bob") for _ in range(9)))
    clients = group.clients("alice", "bob", "alice", "bob")
    for _ in range(9):
        group.gather(*(client.call("deliver", 7, 60, "new") for client in clients))
    assert went(paths, RarePath.CHECKPOINT_LATE) >= 1


def test_a_source_that_gives_a_part_of_what_it_was_asked_for() -> None:
    group = Cluster(Warehouse, seed=4, parameters={"items": 600}, limits=SHORT, byzantine={0: DripSource})
    paths = group.watch(RarePaths)
    (alice,) = group.clients("alice")
    group.network.isolate(3)
    for number in range(20):
        group.gather(alice.call("deliver", 7 * number, 1, "new"))
    group.network.rejoin(3)
    group.finish(alice.call("deliver", 0, 1, "last"))
    assert went(paths, RarePath.PARTLY_ANSWERED) >= 1


def test_sessions_that_leave_their_table() -> None:
    """With room for one, the second session of a client evicts the first, whose next request is refused."""
    group = Cluster(Journal, seed=6, limits=Limits(sessions_per_client=1))
    paths = group.watch(RarePaths)
    one, other = group.clients("alice", "alice")
    group.gather(one.call("write", "one"))
    assert went(paths, RarePath.SESSION_EVICTED) == 0
    group.gather(other.call("write", "other"))
    assert went(paths, RarePath.SESSION_EVICTED) == 1
    group.settle(one.call("write", "again"))
    assert went(paths, RarePath.SESSION_REFUSED) >= 2


def test_a_room_that_is_full() -> None:
    """A second session of a client finds its share of the room taken, and asks again."""
    group = Cluster(Journal, seed=6, settings=ReplicaSettings(waiting_requests_per_client=1))
    paths = group.watch(RarePaths)
    calls = [client.call("write", client.label) for client in group.clients("alice", "alice", "alice")]
    group.gather(*calls)
    refused = sum(group.ignored(i)[Reason.BUSY] for i in group.correct)
    assert went(paths, RarePath.BUSY) == refused > 0
