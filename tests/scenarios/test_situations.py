"""What a replica tells of its situation: the quorum that lacks votes, the timer that runs, and who is behind."""

from __future__ import annotations

from pbft.core.envelope import Envelope, Kind
from pbft.core.group import Limits, Quorums
from pbft.core.log import Proposal, Slot
from pbft.core.situation import Blocked, Phase, TimerStanding, blocked_at
from pbft.testing import Cluster
from pbft.testing.clients import SimulatedClient
from pbft_apps.counter import Counter
from tests.scenarios.stories import SIZES, SMALL_LOG, faults


def a_group(n: int, limits: Limits | None = None) -> tuple[Cluster, SimulatedClient]:
    """Return a group at rest, whose first call is answered, and its client."""
    group = Cluster(Counter, seed=5, n=n, limits=limits)
    (alice,) = group.clients("alice")
    group.gather(alice.call("add", 1))
    group.run(10_000)
    return group, alice


@SIZES
def test_nothing_is_to_be_told_of_a_group_at_rest(n: int):
    """No sequence is blocked, no timer runs, and each peer has been heard."""
    group, _ = a_group(n)
    told = group.situation(1)
    assert (told.blocked, told.view_change, told.checkpoint, told.timer, told.transfer) == (None,) * 5
    assert told.oldest_waiting_ms is None
    assert [peer.id for peer in told.peers] == [i for i in range(n) if i != 1]
    assert all(peer.heard_ms_ago is not None and peer.heard_ms_ago > 0 for peer in told.peers)


@SIZES
def test_a_quorum_that_lacks_prepares(n: int):
    """With f+1 backups dead a proposal gathers too few prepares, and who has voted is named."""
    group, alice = a_group(n)
    dead = range(n - faults(n) - 1, n)
    for each in dead:
        group.crash(each)
    alice.call("add", 1)
    group.run(400)
    alive = tuple(i for i in range(n) if i not in dead)
    blocked = group.situation(1).blocked
    assert blocked is not None
    assert (blocked.sequence, blocked.phase, blocked.have) == (2, Phase.PREPARE, alive)
    assert blocked.needed == Quorums.of(n).prepared > len(alive)
    assert blocked.for_ms in range(1, 401)
    timer = group.situation(1).timer
    assert timer is not None
    assert timer.what == "leave the view"
    assert timer.in_ms in range(1, 1_001)
    assert group.situation(0).timer is None, "a primary is not impatient with itself"


@SIZES
def test_a_quorum_that_lacks_commits(n: int):
    """Who hears no commits but its own and the primary's says so."""
    group, alice = a_group(n)
    others = [i for i in range(n) if i > 1]
    for each in others:
        group.network.let(f"commits and commit-certificates from {each} to 1: drop")
    group.network.let("commit-certificates from 0 to 1: drop")
    group.settle(alice.call("add", 1))
    group.run(200)
    blocked = group.situation(1).blocked
    assert blocked is not None
    assert (blocked.sequence, blocked.phase, blocked.have) == (2, Phase.COMMIT, (0, 1))
    assert blocked.needed == Quorums.of(n).committed
    executed = {peer.id: peer.executed for peer in group.situation(1).peers}
    assert set(executed.values()) >= {2}, "its peers told it that they are ahead"


@SIZES
def test_a_primary_that_proposes_nothing(n: int):
    """A request waits for its proposal; then the view change counts who has left, and the next timer runs."""
    group, alice = a_group(n)
    group.network.let("pre-prepares from 0: drop")
    group.network.let("new-views: drop")
    alice.call("add", 1)
    group.run(500)
    told = group.situation(1)
    assert told.blocked is not None
    assert (told.blocked.phase, told.blocked.have, told.blocked.needed) == (Phase.PRE_PREPARE, (), 1)
    assert told.oldest_waiting_ms in range(1, 501)
    assert told.view_change is None
    group.run(1_500)
    told = group.situation(2)
    assert told.view_change is not None
    assert told.view_change.target == 1
    assert set(told.view_change.have) == set(range(n))
    assert told.view_change.needed == Quorums.of(n).view_change
    assert told.timer is not None
    assert told.timer.what == "ask for the next view"


def test_a_checkpoint_that_nobody_else_vouches_for():
    """Its own vote is counted, and how many it takes."""
    group, alice = a_group(4, limits=SMALL_LOG)
    group.network.let("checkpoints and checkpoint-proofs to 1: drop")
    for _ in range(4):
        group.gather(alice.call("add", 1))
    told = group.situation(1).checkpoint
    assert told is not None
    assert (told.sequence, told.have, told.needed) == (4, (1,), 3)


def test_a_state_that_is_being_fetched():
    """How many of its bytes are here: unknown until its top has come. f+1 peers are known to be ahead."""
    group, alice = a_group(4, limits=SMALL_LOG)
    group.network.isolate(3)
    for _ in range(20):
        group.gather(alice.call("add", 1))
    group.network.heal()
    group.network.let("nodes to 3: drop")
    group.gather(alice.call("add", 1))
    group.run(5_000)
    told = group.situation(3)
    assert told.transfer is not None
    assert (told.transfer.sequence, told.transfer.bytes, told.transfer.of) == (20, 0, 0)
    assert sorted(peer.executed or 0 for peer in told.peers)[-2] >= 20
    assert told.to_json()["transfer"] == {"sequence": 20, "bytes": 0, "of": 0}


def test_what_a_slot_lacks():
    """The cases that a run comes to seldom: a time too far off, a batch known by digest only, a state out-voted."""
    group = Cluster(Counter, seed=1, n=4).group
    envelope = Envelope(Kind.PRE_PREPARE, 0, b"", b"", b"")
    proposal = Proposal(0, bytes(32), envelope, 0, ())

    def told(slot: Slot | None, expected: bool = False) -> Blocked | None:
        return blocked_at(group, 0, 7, slot, expected=expected, now_ms=50)

    assert told(None) is None
    assert told(Slot(7)) is None
    assert told(Slot(7), expected=True) == Blocked(7, Phase.PRE_PREPARE, (), 1, None)
    assert told(Slot(7, held_back=proposal)) == Blocked(7, Phase.CLOCK, (0,), 2, None)
    assert told(Slot(7, renewal=envelope)) == Blocked(7, Phase.BATCH, (), 1, None)
    assert told(Slot(7, proposal=proposal, proposed_ms=20)) == Blocked(7, Phase.PREPARE, (0,), 3, 30)
    assert told(Slot(7, committed=proposal)) == Blocked(7, Phase.EXECUTION, (), 0, None)
    assert told(Slot(7, proposal=proposal, committed=proposal, proposed_ms=20)) == Blocked(
        7, Phase.EXECUTION, (), 0, 30
    )


def test_it_goes_into_reports_as_plain_values():
    """Phases become words, and nothing else is left that JSON does not know."""
    group, alice = a_group(4)
    for each in (2, 3):
        group.crash(each)
    alice.call("add", 1)
    group.run(400)
    told = group.situation(1).to_json()
    assert told["blocked"]["phase"] == "prepare"
    assert told["timer"] == TimerStanding("leave the view", told["timer"]["in_ms"]).__dict__
    assert told["peers"][0]["id"] == 0
