"""OSDI'99 section 4.1: the client, and what replicas owe it."""

from __future__ import annotations

import pytest

from pbft.core.effects import Reason, Send, ViewEntered
from pbft.core.envelope import Kind, genuine
from pbft.core.messages import Request, unpack
from pbft.core.replies import read_reply
from pbft.core.settings import SessionSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import Silent
from pbft_apps.counter import Counter
from tests.core.builders import Scene
from tests.core.desk import Desk, completed, receivers
from tests.paper.stage import SIZES, agree, only

# What a client sends.


def test_a_request_is_signed_and_names_its_operation_timestamp_and_client():
    """4.1: A request holds an operation, a timestamp and the client, under the client's signature.

    Differs: several operations may ride in a request, and it names a session of the client, so that two programs may
    use one key (design 4.2).
    """
    desk = Desk()
    desk.open()
    desk.submit(b"one")
    desk.submit(b"two")
    desk.tick()
    key = desk.scene.key("alice")
    assert unpack(Request, desk.request.body) == Request(key, desk.session.id, 1, (b"one", b"two"))
    assert genuine(desk.scene.group, desk.scene.verifier, desk.request)


def test_later_requests_have_higher_timestamps():
    """4.1: A client's timestamps are ordered as its requests are: later ones have higher ones."""
    desk = Desk()
    found = []
    for sequence in (1, 2, 3):
        desk.ask()
        found.append(unpack(Request, desk.request.body).timestamp)
        for replica in (0, 1):
            desk.reply(replica, sequence=sequence)
    assert found == [1, 2, 3]


def test_a_request_goes_to_the_primary_alone():
    """4.1: A client sends its request to the replica it takes for the primary, and to nobody else."""
    desk = Desk()
    desk.ask()
    assert receivers(desk.sent, Kind.REQUEST) == [0]


@SIZES
def test_replies_tell_the_client_who_is_primary(n):
    """4.1: Replies name the view, by which a client follows the primary.

    Differs: a view counts once f+1 replicas have named it or a later one, so that a liar misleads nobody.
    """
    desk = Desk(Scene(n))
    weak = desk.scene.group.quorums.weak
    desk.ask()
    desk.reply(n - 1, view=3)
    assert desk.session.view_hint == 0
    for replica in range(weak):
        desk.reply(replica, view=2)
    assert desk.session.view_hint == 2
    desk.sent.clear()
    desk.ask()
    assert receivers(desk.sent, Kind.REQUEST) == [2]


def test_one_request_is_in_flight():
    """4.1: A client waits for the answer to one request before it sends the next.

    Differs: this holds for each session; a client has as many as it has programs (design 4.2).
    """
    desk = Desk()
    desk.ask(b"one")
    desk.submit(b"two")
    desk.tick()
    assert receivers(desk.sent, Kind.REQUEST) == [0]
    for replica in (0, 1):
        desk.reply(replica)
    desk.tick()
    assert receivers(desk.sent, Kind.REQUEST) == [0, 0]
    assert desk.operations == (b"two",)


def test_a_late_answer_makes_the_client_ask_all_replicas():
    """4.1: A client that is not answered soon enough sends its request, the same bytes, to every replica."""
    desk = Desk(settings=SessionSettings(retransmit_ms=150))
    desk.ask()
    first = desk.request
    desk.sent.clear()
    desk.tick(149)
    assert receivers(desk.sent, Kind.REQUEST) == []
    desk.tick(150)
    assert receivers(desk.sent, Kind.REQUEST) == [0, 1, 2, 3]
    assert desk.request == first


# What a client believes.


@SIZES
def test_f_plus_1_equal_replies_are_believed(n):
    """4.1: A client accepts a result once f+1 replicas gave it, since one of them is correct; f are too few."""
    desk = Desk(Scene(n))
    weak = desk.scene.group.quorums.weak
    desk.ask()
    for replica in range(weak - 1):
        assert not completed(desk.reply(replica))
    answer = only(completed(desk.reply(weak - 1)))
    assert answer.matching == tuple(range(weak))


@SIZES
def test_replies_must_be_of_different_replicas(n):
    """4.1: The f+1 replies are of different replicas: one that repeats itself counts once."""
    desk = Desk(Scene(n))
    weak = desk.scene.group.quorums.weak
    desk.ask()
    for _ in range(weak + 1):
        assert not completed(desk.reply(0))
    for replica in range(1, weak - 1):
        desk.reply(replica)
    assert completed(desk.reply(weak - 1))


def test_replies_must_name_the_request():
    """4.1: The f+1 replies have the timestamp of the request: what answered an earlier one answers nothing now.

    Differs: a reply names the digest of the request as well, and that is what must be equal.
    """
    desk = Desk()
    desk.ask(b"one")
    earlier = desk.request
    for replica in (0, 1):
        desk.reply(replica)
    desk.ask(b"two")
    for replica in (2, 3):
        assert not desk.reply(replica, request=earlier)
    desk.reply(2)
    assert completed(desk.reply(3))


@SIZES
def test_replies_must_have_one_result(n):
    """4.1: The f+1 replies have one result: f lies, alike as they may be, are never accepted."""
    desk = Desk(Scene(n))
    counts = desk.scene.group.quorums
    desk.ask()
    for liar in range(counts.faults):
        assert not completed(desk.reply(liar, [b"lie"]))
    for replica in range(counts.faults, 2 * counts.faults):
        assert not completed(desk.reply(replica))
    answer = only(completed(desk.reply(2 * counts.faults)))
    assert answer.result.value == b"done"
    assert answer.differing == tuple(range(counts.faults))


def test_replies_whose_signatures_are_bad_prove_nothing():
    """4.1: The f+1 replies carry valid signatures.

    Differs: a reply counts on its replica's own link, so that signatures are checked only where a receipt is wanted,
    which somebody else can check as well (design 4.4).
    """
    desk = Desk()
    desk.ask(receipt=True)
    desk.reply(0, bad=True)
    assert not completed(desk.reply(1))
    assert completed(desk.reply(2))
    relayed = Desk()
    relayed.ask()
    relayed.reply(0)
    assert not relayed.reply(1, sender=2), "what comes over another's link is not looked at"


# What replicas do for a client.


@pytest.mark.parametrize("me", [0, 1])
@pytest.mark.parametrize("view", [0, 4])
def test_a_reply_goes_straight_to_the_client(me, view):
    """4.1: Each replica replies to the client itself: the view, the request's timestamp, its own number, the result.

    Differs: one signature covers the replies of a whole batch, by a Merkle root; the view is not covered (design 4.4).
    """
    scene = Scene()
    watched = scene.watch(me)
    if view:
        watched.enter(view)
    request = scene.request(timestamp=7)
    if me == 0:
        watched.give(request)
        proposal = only(watched.tick().said(Kind.PRE_PREPARE))
    else:
        proposal = scene.pre_prepare(1, request, view=view)
    answers = agree(watched, proposal).answers()
    reply = only(answers)
    read = read_reply(reply)
    assert (reply.sender, read.sequence, read.detail.view, read.detail.timestamp) == (me, 1, view, 7)
    assert read.results[0].value == (1, b"op")
    assert genuine(scene.group, scene.verifier, reply)


def test_a_request_that_ran_is_answered_again():
    """4.1: Replicas remember the last reply to each client, and send it again when its request comes again.

    Differs: the last reply to each session, and not more often than `reply_gap_ms` allows.
    """
    watched = Scene().watch(1)
    request = watched.scene.request()
    first = only(agree(watched, watched.scene.pre_prepare(1, request)).answers())
    turn = watched.give(request)
    assert turn.answers() == [first]
    assert turn.reasons == [Reason.DUPLICATE]
    assert len(watched.application.ran) == 1


def test_a_backup_relays_what_it_has_not_executed():
    """4.1: A backup that hears of a request not executed yet passes it on to the primary."""
    watched = Scene().watch(1)
    request = watched.scene.request()
    assert watched.give(request).said(Kind.REQUEST) == [request]
    watched.enter(2)
    newer = watched.scene.request("bob")
    sent = only(watched.give(newer).of(Send))
    assert (sent.to, sent.envelope) == (2, newer), "the primary of the view that it is in now"


@SIZES
def test_a_primary_that_orders_nothing_is_replaced(n):
    """4.1: A primary that does not pass a request on is in the end suspected by enough replicas to be replaced."""
    group = Cluster(Counter, seed=41, n=n, byzantine={0: Silent})
    alice = group.client("alice")
    assert group.gather(alice.call("add", 5)) == [5]
    assert group.views() == {1}
    assert all(group.steps(replica, ViewEntered) for replica in group.living)


@SIZES
def test_a_request_takes_effect_exactly_once(n):
    """4.1: Timestamps make every request take effect once, however often it is sent, delivered or ordered."""
    group = Cluster(Counter, seed=42, n=n, duplicate=0.5, loss=0.1, session_settings=SessionSettings(retransmit_ms=20))
    alice, bob = group.clients("alice", "bob")
    calls = [client.call("add", 1) for client in (alice, bob) for _ in range(5)]
    group.gather(*calls)
    assert group.gather(alice.call("add", 1)) == [11]
    group.run_until_level()
    for replica in range(n):
        ran = [
            (one.client, one.session, one.timestamp)
            for batch in group.history(replica)
            for one in batch.requests
            if one.outcomes
        ]
        assert len(ran) == len(set(ran))
