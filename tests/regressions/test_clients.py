"""Published defects around clients: rooms that leaked, patience that was played with, reads that hung."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pbft.core.batches import read_request
from pbft.core.client_table import Fate
from pbft.core.effects import Answer, Effect, Reason, Send, ViewEntered
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.execution import Ran
from pbft.core.outbox import Outbox
from pbft.core.repair import Repair
from pbft.core.replica import Replica
from pbft.core.replies import ReadReply, write_replies
from pbft.core.requests import Waiting, WaitingRequests
from pbft.core.service import Service
from pbft.core.session import Session, SessionEffect
from pbft.core.settings import Now, ReplicaSettings
from pbft.core.timers import Timers
from pbft.machine import encode_operation
from pbft.testing import Cluster, NotFinished
from pbft.testing.byzantine import Adversary
from pbft_apps.counter import Counter
from tests.core.builders import session_id
from tests.regressions.plant import Change, both, request


def test_smartbft_470_places_in_the_pool_were_never_given_back() -> None:
    """Whatever leaves the room for requests gives back what it took.

    A request handed to a leader that took nothing was never removed from the pool, each kept one place of a counted
    number, and when none was left no request got in any more. Ours has one way out for every request that waits,
    whether it ran here, ran elsewhere, or gave way to another.

    Planted: a request that leaves keeps its bytes.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=1, settings=ReplicaSettings(waiting_bytes=1024))
        alice = group.client("alice")
        for total in range(1, 41):
            assert group.gather(alice.call("add", 1)) == [total]
        group.run_until_level()
        for i in group.correct:
            core = group.replica(i)
            assert isinstance(core, Replica)
            usage = core.usage()
            assert (usage["waiting"], usage["waiting_bytes"]) == (0, 0)

    forget = WaitingRequests._forget

    def leaking(self: WaitingRequests, waiting: Waiting) -> None:
        held_bytes = self._bytes
        forget(self, waiting)
        self._bytes = held_bytes

    both(scenario, (WaitingRequests, "_forget", leaking), fails=NotFinished, words="no answer to alice.add")


def test_smartbft_476_patience_went_on_from_one_leader_to_the_next() -> None:
    """Every wait begins anew with the primary of a view.

    When the leader rotated, requests went on waiting from when the one before had begun to fail, so the next was blamed
    for what it had had no time to do.

    Planted: entering a view leaves the waits as they are.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=2)
        alice = group.client("alice")
        group.gather(alice.call("add", 1))
        group.crash(0)
        group.gather(alice.call("add", 1))
        entered = [each.view for each in group.steps(2, ViewEntered)]
        assert entered == [1], "a primary was replaced for what the one before it had not done"

    entered = Timers.entered

    def going_on(self: Timers, now_ms: int) -> None:
        since_ms = self._entered_ms
        entered(self, now_ms)
        self._entered_ms = since_ms

    both(
        scenario,
        (Timers, "entered", going_on),
        fails=AssertionError,
        words="a primary was replaced for what the one before it had not done",
    )


def leaves_the_primary_out() -> None:
    """A faulty client sends its request to the backups alone."""
    group = Cluster(Counter, seed=3)
    alice = group.client("alice")
    group.network.cut("bob", 0)
    bob = group.client("bob")
    group.gather(bob.call("add", 5))
    group.run(5_000)
    assert group.gather(alice.call("add", 2)) == [7]
    assert group.views() == {0}, "a client had a correct primary replaced"


def tells_each_replica_another_story() -> None:
    """A faulty client signs a different request for each replica, all under one timestamp."""
    group = Cluster(Counter, seed=4)
    alice = group.client("alice")
    for i in range(4):
        group.inject(request(group, "bob", session_id(), 1, "add", i), to=i)
    group.run(5_000)
    assert group.gather(alice.call("value")) in ([0], [1], [2], [3])
    assert group.views() == {0}, "a client had a correct primary replaced"


def has_not_signed() -> None:
    """Somebody sends requests in a client's name, under signatures that nobody made."""
    group = Cluster(Counter, seed=5)
    alice = group.client("alice")
    forged = replace(request(group, "bob", session_id(), 1, "add", 5), signature=bytes(64))
    for i in range(4):
        group.inject(forged, to=i)
    group.run(5_000)
    assert [group.ignored(i)[Reason.BAD_SIGNATURE] for i in range(4)] == [1] * 4
    assert group.gather(alice.call("add", 2)) == [2]
    assert group.views() == {0}, "a client had a correct primary replaced"


_on_executed = Service.on_executed
_earliest_ms = vars(WaitingRequests)["earliest_ms"].fget
_on_request = Service.on_request
_unsigned: dict[WaitingRequests, int] = {}


def waits_for_its_own(self: Service, view: int, sequence: int, ran: list[Ran]) -> None:
    """Keep waiting for the request that was heard here, though its session ran another of that timestamp."""
    held = [self._waiting.held(each.signed.request.client, each.signed.request.session) for each in ran]
    _on_executed(self, view, sequence, ran)
    for mine, each in zip(held, ran, strict=True):
        if mine is not None and mine.digest != each.signed.digest:
            self._hold(mine)


def waits_before_it_looks(self: Service, envelope: Envelope, sender: Sender, primary: int | None) -> None:
    """Begin to be impatient when a request arrives, and look at its signature then."""
    if not self._out.genuine(envelope):
        _unsigned.setdefault(self._waiting, self._out.now.monotonic_ms)
    _on_request(self, envelope, sender, primary)


def earliest_of_all(self: WaitingRequests) -> int | None:
    """Count what was not signed, too."""
    waits: list[int | None] = [_earliest_ms(self), _unsigned.get(self)]
    return min((each for each in waits if each is not None), default=None)


@pytest.mark.parametrize(
    ("scenario", "defect"),
    [
        (
            leaves_the_primary_out,
            [(Service, "_relay", lambda *_: None), (Service, "relay_waiting", lambda *_: None)],
        ),
        (tells_each_replica_another_story, [(Service, "on_executed", waits_for_its_own)]),
        (
            has_not_signed,
            [
                (Service, "on_request", waits_before_it_looks),
                (WaitingRequests, "earliest_ms", property(earliest_of_all)),
            ],
        ),
    ],
    ids=["leaves the primary out", "tells each replica another story", "has not signed"],
)
def test_minbft_5_a_faulty_client_forced_view_changes(scenario: Callable[[], None], defect: list[Change]) -> None:
    """No client has a correct primary replaced.

    A client that left the primary out, or signed conflicting requests for different replicas, let the request timers of
    correct backups expire. Ours relays what the primary may not have got, stops waiting when a session runs another
    request of that timestamp or a later one, and never waits for what a registered client has not signed.

    Planted, one for each: no relay; a backup waits until exactly its own request runs; patience begins before the
    signature is looked at.
    """
    both(scenario, *defect, fails=AssertionError, words="a client had a correct primary replaced")


def test_aardvark_an_authenticator_that_only_the_primary_could_verify() -> None:
    """What one correct replica finds genuine, all do.

    Requests carried a vector of message authentication codes, one for each replica, and a client could make one right
    for the primary and wrong for the others: they rejected the batch, and nothing after it could execute until they had
    replaced that primary (NSDI'09). Ours has clients sign.

    Planted: a request counts wherever its own code in the vector is right.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=6)
        alice = group.client("alice")
        codes = b"MACs" + bytes((1, 0, 0, 0)) + bytes(56)
        group.inject(replace(request(group, "bob", session_id(), 1, "add", 5), signature=codes), to=0)
        assert group.gather(alice.call("add", 2), within_ms=900) == [2]
        assert group.ignored(0)[Reason.BAD_SIGNATURE] == 1

    genuine = Outbox.genuine

    def by_my_code(self: Outbox, envelope: Envelope) -> bool:
        if envelope.kind is Kind.REQUEST and envelope.signature.startswith(b"MACs"):
            return envelope.signature[4 + self.me] == 1
        return genuine(self, envelope)

    both(scenario, (Outbox, "genuine", by_my_code), fails=NotFinished, words="no answer to alice.add")


class Selective(Adversary):
    """As primary, orders what it must with just a quorum, leaves one backup out, and answers no client."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Tell replica 3 of no batch, and clients of nothing."""
        return [effect for effect in effects if not self._withheld(effect)]

    def _withheld(self, effect: Effect) -> bool:
        if isinstance(effect, Send):
            return effect.to == 3 and effect.envelope.kind in (Kind.PRE_PREPARE, Kind.COMMITTED)
        return isinstance(effect, Answer) and effect.envelope.kind is Kind.REPLY


READ = encode_operation("value", ())


def test_berger_2021_the_read_only_optimisation_lost_liveness() -> None:
    """Reads are ordered, and f+1 equal answers are enough.

    Berger, Reiser and Bessani (arXiv 2107.11144): a read that replicas answer at once, each from its own state, needs a
    quorum of equal answers. A faulty primary orders with a quorum that leaves f correct replicas behind; with the
    faulty ones silent, too few are left that answer alike, and since a read is never ordered nobody's patience ends. In
    ours a read has a sequence of its own, like a write.

    Planted: queries are answered unordered and believed from a quorum, and nothing forwards what was decided.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=7, byzantine={0: Selective})
        alice = group.client("alice")
        assert group.gather(alice.call("add", 5)) == [5]
        group.run(5_000)
        read = alice.call("value")
        assert group.gather(read) == [5]
        assert read.completed is not None
        assert (read.completed.sequence, read.completed.needed) == (2, 2)

    def unordered(self: Service, envelope: Envelope, sender: Sender, primary: int | None) -> None:
        signed = read_request(envelope)
        if signed.request.operations != (READ,):
            return _on_request(self, envelope, sender, primary)
        execution = self._execution
        result = execution._application.execute(READ, execution._context(signed, 0, 1_000))
        ran = [Ran(signed, Fate.FRESH, (result,))]
        (reply,) = write_replies(self._out.group, self._out.signer, self._out.me, 0, 0, ran)
        self._out.answer(signed.request.client, signed.request.session, reply)

    on_reply = Session._on_reply

    def of_a_quorum(self: Session, reply: ReadReply, sender: int) -> list[SessionEffect]:
        flight = self._in_flight
        if flight is None or reply.sequence > 0 or reply.detail.request_digest != flight.digest:
            return on_reply(self, reply, sender)
        alike = [who for who, each in flight.replies.items() if each.results == reply.results and who != sender]
        if len(alike) + 1 >= self._group.quorums.quorum:
            return on_reply(self, reply, sender)
        flight.replies[sender] = reply
        return []

    both(
        scenario,
        (Service, "on_request", unordered),
        (Session, "_on_reply", of_a_quorum),
        (Repair, "answer", lambda *_: 0),
        fails=NotFinished,
        words="no answer to alice.value",
    )
