"""What clients may do, on purpose or not: sessions, repetitions, stale and forged requests (OSDI'99 section 4.1)."""

from __future__ import annotations

import pytest

from pbft.core.effects import Reason
from pbft.core.envelope import MAGIC, Envelope, Kind, seal
from pbft.core.group import Limits
from pbft.core.messages import RefusalReason, Request, pack
from pbft.machine import encode_operation
from pbft.testing import CallFailed, Cluster, SimulatedClient
from pbft.testing.signers import Identity
from pbft_apps.counter import Counter

DAY_MS = 86_400_000


def sent_requests(group: Cluster, client: SimulatedClient) -> list[Envelope]:
    """Collect, from now on, every request envelope that a client sends; each is delivered as ever."""
    sent: list[Envelope] = []

    def note(envelope: Envelope) -> bool:
        sent.append(envelope)
        return False

    group.network.on(Kind.REQUEST, src=client.label, where=note).drop()
    return sent


def request(client: bytes, session: bytes, timestamp: int, amount: int) -> bytes:
    """Return the body of a request to add an amount."""
    return pack(Request(client, session, timestamp, (encode_operation("add", (amount,)),)))


def effective(group: Cluster, replica: int) -> int:
    """How many requests took effect on a replica."""
    return sum(1 for batch in group.history(replica) for one in batch.requests if one.outcomes)


@pytest.mark.parametrize("n", [4, 7])
def test_two_programs_share_one_key(n: int) -> None:
    """Two sessions of one client both get their own answers, though their timestamps are the same (design 4.2)."""
    group = Cluster(Counter, seed=11, n=n)
    dashboard, command = group.clients("alice", "alice")

    first, second = dashboard.call("add", 5), command.call("add", 2)

    assert sorted(group.gather(first, second))[-1] == 7
    assert dashboard.session.id != command.session.id
    assert first.completed is not None
    assert second.completed is not None
    assert first.completed.timestamp == second.completed.timestamp == 1


def test_a_lost_reply_is_sent_again_and_nothing_runs_twice() -> None:
    """All first replies are lost; the retransmitted request is recognised, and answered as it was the first time."""
    group = Cluster(Counter, seed=12)
    alice = group.client("alice")
    sent = sent_requests(group, alice)
    lost = group.network.on(Kind.REPLY, dst="alice").drop(first=4)

    call = alice.call("add", 5)

    assert group.gather(call) == [5]
    assert lost.met == 4
    assert len(sent) > 4
    assert len(dict.fromkeys(sent)) == 1, "every retransmission is the same, byte for byte"
    assert sum(group.ignored(i)[Reason.DUPLICATE] for i in range(4)) >= 2
    assert [effective(group, i) for i in range(4)] == [1] * 4
    assert call.completed is not None
    assert call.completed.sequence == 1


def test_a_stale_timestamp_is_ignored() -> None:
    """A request that its session has passed is neither executed nor answered, whoever replays it."""
    group = Cluster(Counter, seed=13)
    alice = group.client("alice")
    sent = sent_requests(group, alice)
    assert group.gather(alice.call("add", 5)) == [5]
    assert group.gather(alice.call("add", 2)) == [7]
    group.run_until_level()
    answers = group.network.on(Kind.REPLY, dst="alice").duplicate(1)

    for replica in range(4):
        group.inject(sent[0], to=replica)
    group.run(2_000)

    assert [group.ignored(i)[Reason.STALE] for i in range(4)] == [1] * 4
    assert answers.met == 0
    assert [effective(group, i) for i in range(4)] == [2] * 4


def test_a_stranger_is_not_served() -> None:
    """A request of a key that the group does not know is refused, however well it is signed."""
    group = Cluster(Counter, seed=14)
    mallory = group.identity("mallory")
    body = request(mallory.public_key, bytes(16), 1, 1_000_000)
    signed = MAGIC + group.group.id + bytes((Kind.REQUEST,)) + b"c" + mallory.public_key + body
    envelope = Envelope(Kind.REQUEST, mallory.public_key, body, mallory.signer.sign(signed))

    for replica in range(4):
        group.inject(envelope, to=replica)
    group.run(2_000)

    assert [group.ignored(i)[Reason.UNKNOWN_CLIENT] for i in range(4)] == [1] * 4
    assert [len(group.history(i)) for i in range(4)] == [0] * 4


def test_nobody_speaks_for_another_client() -> None:
    """Bob signs a request in Alice's name, and sends one of Alice's own over his link: neither is taken."""
    group = Cluster(Counter, seed=15)
    alice, bob = group.identity("client alice"), group.identity("client bob")

    def in_her_name(signer: Identity) -> Envelope:
        body = request(alice.public_key, bytes(15) + b"1", 1, 1_000_000)
        return seal(group.group, signer.signer, Kind.REQUEST, alice.public_key, body)

    for replica in range(4):
        group.inject(in_her_name(bob), to=replica)
        group.inject(in_her_name(alice), to=replica, sender=bob.public_key)
    group.run(2_000)

    for replica in range(4):
        assert group.ignored(replica) == {Reason.BAD_SIGNATURE: 1, Reason.WRONG_SENDER: 1}
        assert group.history(replica) == []


def test_one_timestamp_for_two_operations_runs_once() -> None:
    """A faulty client tells replicas two things under one name; one of them runs, everywhere the same one (K1)."""
    group = Cluster(Counter, seed=16)
    key, bob = group.identity("client alice"), group.client("bob")
    session = group.client("alice").session.id
    for replica, amount in ((0, 5), (1, 7), (2, 5), (3, 7)):
        body = request(key.public_key, session, 1, amount)
        group.inject(seal(group.group, key.signer, Kind.REQUEST, key.public_key, body), to=replica)
    group.run(1_000)

    assert group.gather(bob.call("add", 100)) in ([105], [107])
    group.run_until_level()
    assert [effective(group, i) for i in range(4)] == [2] * 4
    assert group.histories_agree()


def test_an_evicted_session_learns_that_it_is_unknown_and_opens_anew() -> None:
    """A full client table lets go the session executed longest ago; its next request is refused, never run."""
    group = Cluster(Counter, seed=17, limits=Limits(sessions_per_client=2))
    sessions = []
    for total in (1, 2, 3):  # one after the other, so that the first to run is also the first to have opened
        sessions.append(group.client("alice"))
        group.run(10)
        assert group.gather(sessions[-1].call("add", 1)) == [total]
    first, second, _ = sessions
    group.run_until_level()

    lost = first.call("add", 1_000)
    group.settle(lost)

    assert lost.refusal is RefusalReason.UNKNOWN_SESSION
    with pytest.raises(CallFailed, match="UNKNOWN_SESSION"):
        lost.value()
    assert group.gather(second.call("add", 1)) == [4], "a session that is alive is not locked out"
    assert group.gather(first.call("add", 1)) == [5]


@pytest.mark.parametrize("ahead_ms", [DAY_MS, -DAY_MS])
def test_a_client_whose_clock_is_wrong_is_served(ahead_ms: int) -> None:
    """A session's id starts from a time; a day's error is set right while it opens, from what replicas tell."""
    group = Cluster(Counter, seed=18)
    alice = group.client("alice", wall_ahead_ms=ahead_ms)

    assert group.gather(alice.call("add", 5), within_ms=5_000) == [5]


def test_an_abandoned_call_blocks_nothing() -> None:
    """A caller who stops waiting may call again; the later request takes the next timestamp (design 4.2)."""
    group = Cluster(Counter, seed=19)
    alice = group.client("alice")
    silence = group.network.on(Kind.REPLY, dst="alice").drop()
    alice.call("add", 5)
    group.run(400)

    alice.session.abandon(1)
    silence.stop()

    assert group.gather(alice.call("add", 2)) == [7]


def test_a_request_that_can_no_longer_run_is_not_waited_for() -> None:
    """Backups hold a request while the client's table fills past its session: they let it go when it does.

    Kept, it would never execute, and backups would take the primary for one that censors it.
    """
    group = Cluster(Counter, seed=41, limits=Limits(sessions_per_client=1))
    first = group.client("alice")
    group.run(50)
    group.network.cut_one_way("alice", 0)
    group.network.on(Kind.REQUEST, src=(1, 2, 3), dst=0).drop()
    lost = first.call("add", 1_000)
    group.run(200)
    assert [group.replica(i).status().waiting for i in range(4)] == [0, 1, 1, 1]
    for session in group.clients("alice", "alice"):
        group.gather(session.call("add", 1))
    group.run_until_level()

    assert [group.replica(i).status().waiting for i in range(4)] == [0] * 4
    group.settle(lost)
    assert lost.refusal is RefusalReason.UNKNOWN_SESSION
