"""Clients that lie, flood and forge (K1 to K3): nothing runs twice, nobody is locked out, no view is left for it."""

from __future__ import annotations

from collections import Counter as Tally

import pytest

from pbft.core.effects import Cause, Reason, ViewChangeStarted
from pbft.core.envelope import Envelope
from pbft.core.group import Limits
from pbft.core.messages import RefusalReason, Request, request_digest, unpack
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.operations import decode_operation
from pbft.testing import Cluster
from pbft.testing.faulty_clients import (
    AllButPrimary,
    FalseReplica,
    FaultyClient,
    GarbageSigner,
    ManyTongues,
    OddSessions,
    OneBackup,
    RoomFiller,
    SessionFlood,
    Stranger,
    TwoTongues,
)
from pbft.testing.signers import Scheme
from pbft_apps.counter import Counter
from tests.scenarios.programs import NAMES, PROMPT_MS, THINK_MS, longest_gap_ms, ran
from tests.scenarios.stories import (
    LONGEST_MS,
    ROUND_MS,
    SIZES,
    Load,
    core,
    effective,
    faults,
    served_ms,
    views_entered,
    views_left,
)


class Signed:
    """A mixin that remembers every request it signs, by digest."""

    def request(self, session: bytes, timestamp: int, *operations: bytes) -> Envelope:
        envelope: Envelope = super().request(session, timestamp, *operations)  # type: ignore[misc]
        self.__dict__.setdefault("signed", {})[request_digest(envelope.body)] = unpack(Request, envelope.body)
        return envelope


class FastTwoTongues(Signed, TwoTongues):
    """Asks again before it can have been answered."""

    every_ms = 10


class FastManyTongues(Signed, ManyTongues):
    """Asks again before it can have been answered."""

    every_ms = 10


@SIZES
@pytest.mark.parametrize("kind", [FastTwoTongues, FastManyTongues], ids=["two", "many"])
def test_k1_one_timestamp_for_several_operations_runs_one_everywhere(n: int, kind: type[TwoTongues]) -> None:
    """Each replica is told another operation under one timestamp, by a client that keeps on telling them.

    One runs for each timestamp, the same everywhere, and the application counted just those. No backup takes the
    primary that ordered another operation than the one it holds for a censor: no view is left. What was not chosen
    is held by nobody afterwards, and others are served as if nothing were wrong.
    """
    group = Cluster(Counter, seed=210, n=n, clients=NAMES)
    load = Load(group, "alice", "bob", think_ms=THINK_MS)
    mallory = group.let_loose("mallory", kind, say=lambda number: ("add", (1_000 + number,)))

    group.run(2 * ReplicaSettings().view_timeout_ms)
    mallory.stop()
    group.finish(*load.stop())
    group.run(ReplicaSettings().view_timeout_ms)

    chosen = ran(group, 0, mallory)
    assert [name for name, _ in chosen] == [(mallory.session, each) for each in range(1, mallory.timestamp + 1)]
    assert len(chosen) >= 20
    assert [ran(group, i, mallory) for i in range(n)] == [chosen] * n
    assert [account[0] for name, _ in chosen for account in mallory.accepted(name)] == [digest for _, digest in chosen]
    signed: dict[bytes, Request] = vars(mallory)["signed"]
    amounts = [decode_operation(signed[digest].operations[0]).args[0] for _, digest in chosen]
    assert group.gather(group.client("alice").call("value")) == [len(load.calls) + sum(amounts)]
    assert len(signed) >= 2 * len(chosen)
    assert views_left(group) == [0] * n
    assert [group.replica(i).status().waiting for i in range(n)] == [0] * n
    assert longest_gap_ms(load) <= PROMPT_MS


@SIZES
@pytest.mark.parametrize("kind", [FastTwoTongues, FastManyTongues], ids=["two", "many"])
def test_k1_one_timestamp_for_several_operations_costs_a_new_view_nothing(n: int, kind: type[TwoTongues]) -> None:
    """The primary is gone while replicas hold different operations under one timestamp.

    They leave that view and no other: what the next primary orders is for all of them what they waited for.
    """
    group = Cluster(Counter, seed=214, n=n, clients=NAMES)
    load = Load(group, "alice", "bob", think_ms=THINK_MS)
    mallory = group.let_loose("mallory", kind)
    group.run(500)
    group.crash(0)

    group.run(served_ms(1) + 2 * ReplicaSettings().view_timeout_ms)
    mallory.stop()
    group.run(6 * LONGEST_MS)
    group.finish(*load.stop())

    assert [len(group.steps(i, ViewChangeStarted)) for i in range(1, n)] == [1] * (n - 1)
    assert group.views() == {1}
    assert longest_gap_ms(load) <= THINK_MS + served_ms(1)
    assert load.exactly_once()
    names = [name for name, _ in ran(group, 1, mallory)]
    assert names == [(mallory.session, timestamp) for timestamp in range(1, mallory.timestamp + 1)]


class Thousand(SessionFlood):
    """Opens five hundred sessions a second, nearly as many at once as the group remembers."""

    every_ms = 100
    at_once = 50


@SIZES
def test_k1_a_thousand_sessions_lock_out_no_session_that_is_alive(n: int) -> None:
    """A client opens sessions by the thousand, sixteen times as many as the group remembers of it.

    A session of somebody else is served as ever. So is one of the same client that is in use, and none of its calls is
    lost; one that was idle meanwhile is told that it is unknown, so that nothing of it runs twice, and opens anew. The
    table keeps to its bound, and no view is left.
    """
    group = Cluster(Counter, seed=211, n=n, clients=NAMES)
    idle = group.client("mallory")
    group.gather(idle.call("add", 0))
    load = Load(group, "bob", "mallory", think_ms=THINK_MS)
    mallory = group.let_loose("mallory", Thousand)

    group.run(2_000)
    group.stop(mallory)

    group.finish(*load.stop())
    assert load.exactly_once(), "each call of the live sessions was answered, once"
    assert longest_gap_ms(load) <= PROMPT_MS
    assert len(ran(group, 0, mallory)) >= 1_000
    assert core(group, 0).usage()["sessions"] == Limits().sessions_per_client + 1
    assert views_left(group) == [0] * n
    lost = idle.call("add", 1_000)
    group.settle(lost)
    assert lost.refusal is RefusalReason.UNKNOWN_SESSION
    total = len(load.calls)
    assert group.gather(idle.call("add", 1)) == [total + 1]
    assert group.gather(group.client("mallory").call("add", 1), within_ms=PROMPT_MS) == [total + 2]


class FastOddSessions(OddSessions):
    """Opens fifty a second."""

    every_ms = 20


@SIZES
def test_k1_sessions_of_the_future_and_the_past_harm_their_own_client_only(n: int) -> None:
    """Sessions claim to be opened tomorrow, at the end of time, just within the drift and long ago.

    What lies beyond the drift is refused. What lies within pushes up the floor of this client's own table, as far as
    the drift: a new session of the same client waits for no longer, and one of another client not at all.
    """
    limits = Limits(clock_drift_ms=2_000, sessions_per_client=8)
    group = Cluster(Counter, seed=212, n=n, clients=NAMES, limits=limits)
    load = Load(group, "bob", think_ms=THINK_MS)
    mallory = group.let_loose("mallory", FastOddSessions)

    group.run(1_500)
    group.stop(mallory)

    assert group.gather(group.client("alice").call("add", 0), within_ms=PROMPT_MS)
    late = group.client("mallory").call("add", 0)
    group.gather(late, within_ms=limits.clock_drift_ms + SessionSettings().retransmit_max_ms + PROMPT_MS)
    group.finish(*load.stop())
    times_ms = [int.from_bytes(session[:8], "big") for (session, _), _ in ran(group, 0, mallory)]
    assert max(times_ms) <= mallory.wall_ms + limits.clock_drift_ms
    assert all(group.ignored(i)[Reason.SESSION_IN_FUTURE] > 0 for i in range(n))
    assert all(group.ignored(i)[Reason.UNKNOWN_SESSION] > 0 for i in range(n))
    assert longest_gap_ms(load) <= PROMPT_MS
    assert views_left(group) == [0] * n


class FullRoom(RoomFiller):
    """Fills a room for two before anything in it can have run."""

    every_ms = 20
    at_once = 2


@SIZES
def test_k1_a_client_that_fills_its_own_room_cannot_change_views_for_ever(n: int) -> None:
    """A client's room at the primary is always full, so that what its backups relay finds none: as if it were censored.

    Each backup may take the primary for unfair, with twice the patience each time: within D that is at most k times,
    where T + 2T + 4T ... k times is no more than D. It takes f+1 of them to leave a view. All the while others are
    served, each time within the rounds that a view change between correct primaries takes.
    """
    timeout_ms, lasts_ms = 100, 3_200
    settings = ReplicaSettings(waiting_requests_per_client=2, view_timeout_ms=timeout_ms)
    limits = Limits(checkpoint_interval=8, log_size=16, sessions_per_client=4)
    group = Cluster(Counter, seed=213, n=n, clients=NAMES, limits=limits, settings=settings)
    load = Load(group, "alice", "bob", think_ms=THINK_MS)
    mallory = group.let_loose("mallory", FullRoom)

    group.run(lasts_ms)
    group.stop(mallory)
    group.finish(*load.stop())

    most = (lasts_ms // timeout_ms + 1).bit_length() - 1
    left = [Tally(step.cause for step in group.steps(i, ViewChangeStarted)) for i in range(n)]
    assert all(causes.keys() <= {Cause.UNFAIR, Cause.JOINED} for causes in left)
    assert max(causes[Cause.UNFAIR] for causes in left) <= most
    assert 1 <= max(group.views()) <= n * most // (faults(n) + 1)
    # A request of theirs may meet a view change, and the wait of its client until it is sent to all.
    assert longest_gap_ms(load) <= THINK_MS + SessionSettings().retransmit_ms + 8 * ROUND_MS
    assert load.exactly_once()


FORGERS = {
    GarbageSigner: {Reason.BAD_SIGNATURE: 2, Reason.WRONG_SENDER: 1},
    Stranger: {Reason.UNKNOWN_CLIENT: 2},
    FalseReplica: {Reason.WRONG_SENDER: 5},
}
"""What each forger is refused at each of its acts."""


@SIZES
@pytest.mark.parametrize("signatures", ["simulated", "ed25519"])
@pytest.mark.parametrize("kind", FORGERS, ids=lambda kind: kind.__name__)
def test_k2_garbage_and_unknown_keys_are_dropped(n: int, kind: type[FaultyClient], signatures: Scheme) -> None:
    """Bad signatures, keys that nobody registered, and votes that come from a client: each refused, for its reason.

    Nothing is held, relayed or executed, nobody is answered, and no replica leaves its view, however long it goes on.
    A correct client is served meanwhile as ever.
    """
    group = Cluster(Counter, seed=220, n=n, clients=NAMES, signatures=signatures)
    mallory = group.let_loose("mallory", kind)
    group.run(3 * ReplicaSettings().view_timeout_ms)
    group.stop(mallory)
    group.run(LONGEST_MS)

    expected = {reason: count * mallory.acts for reason, count in FORGERS[kind].items()}
    assert mallory.acts == 3 * ReplicaSettings().view_timeout_ms // mallory.every_ms + 1
    assert [dict(group.ignored(i)) for i in range(n)] == [expected] * n
    assert [group.executed(i) for i in range(n)] == [0] * n
    assert [group.replica(i).status().waiting for i in range(n)] == [0] * n
    assert mallory.replies == {}

    load = Load(group, "alice", "bob", think_ms=THINK_MS)
    group.let_loose("mallory", kind)
    group.run(1_000)
    group.finish(*load.stop())
    assert longest_gap_ms(load) <= PROMPT_MS
    assert load.exactly_once()
    assert views_left(group) == [0] * n


@SIZES
def test_k2_garbage_hides_no_good_request(n: int) -> None:
    """After bad signatures under a name, the good request of that very name is taken, and runs."""
    group = Cluster(Counter, seed=221, n=n, clients=NAMES)
    mallory = group.let_loose("mallory", GarbageSigner, say=lambda _: ("add", (7,)))
    group.run(500)

    good = mallory.request(mallory.session, 1)
    for replica in range(n):
        group.inject(good, to=replica)
    group.run(500)

    assert [ran(group, i, mallory) for i in range(n)] == [[((mallory.session, 1), request_digest(good.body))]] * n
    assert views_left(group) == [0] * n


@SIZES
def test_k3_requests_to_one_backup_are_relayed_and_served(n: int) -> None:
    """A client asks one backup and nobody else: each request is ordered within a relay more than ever."""
    group = Cluster(Counter, seed=230, n=n, clients=NAMES)
    mallory = group.let_loose("mallory", OneBackup)

    group.run(3_000)
    group.stop(mallory)
    group.run(6 * LONGEST_MS)

    # A request is sent, relayed, ordered in three phases and replied to: six messages. Then its next act asks anew.
    assert mallory.answered >= 3_000 // (6 * LONGEST_MS + mallory.every_ms)
    assert [effective(group, i) for i in range(n)] == [mallory.timestamp] * n
    assert views_left(group) == [0] * n


@SIZES
def test_k3_one_backups_impatience_alone_changes_no_view(n: int) -> None:
    """The primary is gone, and a client tells one backup only: it alone gives up on the primary, and no view begins.

    As soon as a correct client asks, which tells everybody, it is answered within the time that one bad primary costs,
    and the odd client is served after it.
    """
    group = Cluster(Counter, seed=231, n=n, clients=NAMES)
    alice = group.client("alice")
    mallory = group.let_loose("mallory", OneBackup)
    mallory.backup = 1
    group.run(500)
    group.crash(0)

    group.run(4 * ReplicaSettings().view_timeout_ms)

    assert [len(group.steps(i, ViewChangeStarted)) for i in range(1, n)] == [1] + [0] * (n - 2)
    assert views_entered(group) == [[]] * n
    answered = mallory.answered
    group.gather(alice.call("add", 1), within_ms=served_ms(1))
    group.run(500)
    assert mallory.answered > answered
    assert group.views() == {1}


@SIZES
def test_k3_a_client_that_passes_over_every_primary_is_served(n: int) -> None:
    """Requests reach all but the primary: all relay them. When the primary is gone, that is enough to replace it."""
    group = Cluster(Counter, seed=232, n=n, clients=NAMES)
    mallory = group.let_loose("mallory", AllButPrimary)
    group.run(2_000)
    assert mallory.answered >= 2_000 // (6 * LONGEST_MS + mallory.every_ms)
    assert views_left(group) == [0] * n
    group.crash(0)
    answered = mallory.answered

    group.run(served_ms(1) + mallory.every_ms)

    assert mallory.answered > answered
    assert group.views() == {1}
