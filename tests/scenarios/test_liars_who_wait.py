"""Liars who keep something back for later, and would keep correct replicas waiting for ever with it."""

from __future__ import annotations

from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.messages import (
    BEGINNING,
    Batch,
    Commit,
    PreparedCertificate,
    PrePrepare,
    Share,
    Status,
    ViewChange,
    batch_digest,
    pack,
    unpack,
)
from pbft.testing import Cluster
from pbft.testing.byzantine import Silent
from pbft.testing.network import WALL_START_MS
from pbft_apps.counter import Counter

LIAR = 0
CORRECT = (1, 2, 3)


def said(group: Cluster, kind: Kind, body: object, beside: bytes = b"") -> Envelope:
    """Return what the liar signs; its core is silent, so the test speaks for it."""
    return seal(group.group, group.identity(f"replica {LIAR}").signer, kind, LIAR, pack(body), beside)


def to_correct(group: Cluster, envelope: Envelope, *replicas: int) -> None:
    for replica in replicas or CORRECT:
        group.inject(envelope, replica)


def is_of_view_1(envelope: Envelope) -> bool:
    return unpack(PrePrepare, envelope.body).view == 1


def test_a_certificate_kept_back_stops_no_view():
    """A liar alone holds a prepared certificate, and shows it whenever a view begins: its batch is still to be had.

    f+1 correct replicas voted for that batch. If they forgot it with the view in which they did, every correct primary
    would have to propose again what nobody has (OSDI'99 section 4.4; TOCS'02 section 4.5.2, condition A3).
    """
    group = Cluster(Counter, seed=1, byzantine={LIAR: Silent})
    call = group.client("alice").call("add", 5)
    group.network.on(Kind.PREPARE, src=1, dst=2).drop()
    group.network.on(Kind.PREPARE, src=2, dst=1).drop()
    group.network.on(Kind.PRE_PREPARE, src=1).drop()
    group.run(1_100)
    batch = pack(Batch(WALL_START_MS, ()))
    proposal = said(group, Kind.PRE_PREPARE, PrePrepare(0, 1, batch_digest(batch)), batch)
    to_correct(group, proposal, 1, 2)
    group.run(30)
    votes = [next(each.vote for each in group.durable(i) if each.vote.kind is Kind.PREPARE) for i in (1, 2)]
    shares = tuple(Share(int(vote.sender), vote.signature) for vote in votes)
    certificate = PreparedCertificate(0, 1, batch_digest(batch), proposal.signature, shares)
    group.run_until(lambda: group.views() == {1})
    group.run(500)
    group.heal()
    group.network.on(Kind.PRE_PREPARE, src=1, where=is_of_view_1).drop()
    asked = 1
    end_ms = group.now_ms + 20_000
    while not call.done and group.now_ms < end_ms:
        stands = [group.replica(i).status() for i in CORRECT]
        top = max(each.target for each in stands)
        entered = any(each.view == top for each in stands)
        wanted = top + 1 if entered or group.group.primary(top) == LIAR else top
        if wanted > asked:
            asked = wanted
            to_correct(group, said(group, Kind.VIEW_CHANGE, ViewChange(wanted, BEGINNING, (certificate,))))
        group.run(50)
    assert call.value() == 5


def test_claims_that_rise_and_fall_buy_no_time():
    """A liar says again and again that it has just come further: the others lose patience all the same.

    It showed one replica a commit that counts on its link and is signed by nobody, so that the other two are one
    sequence behind, and with its word f+1 seem to go on whenever it says so (design 4.9, 4.10).
    """
    group = Cluster(Counter, seed=1, byzantine={LIAR: Silent})
    call = group.client("alice").call("add", 5)
    one, other = (pack(Batch(WALL_START_MS + extra, ())) for extra in (0, 1))
    for to, batch in ((1, one), (2, one), (3, other)):
        to_correct(group, said(group, Kind.PRE_PREPARE, PrePrepare(0, 1, batch_digest(batch)), batch), to)
    commit = said(group, Kind.COMMIT, Commit(0, 1, batch_digest(one)))
    to_correct(group, Envelope(Kind.COMMIT, LIAR, commit.body, bytes(64)), 1)
    claim = 0
    while not call.done and group.now_ms < 20_000:
        group.run(100)
        claim = 1 - claim
        status = Status(0, 0, 0, claim, 0, False, b"", (), ())
        to_correct(group, Envelope(Kind.STATUS, LIAR, pack(status)), 2, 3)
    assert call.value() == 5
    assert group.histories_agree()
