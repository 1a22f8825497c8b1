"""Receipts: f+1 replicas' word, checked offline by anybody with the group's public part (design 4.4, 4.11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbft.core.client_table import Fate
from pbft.core.envelope import Envelope
from pbft.core.execution import Ran
from pbft.core.messages import OperationResult
from pbft.core.receipt import Attestation, Receipt, ReceiptError
from pbft.core.replies import read_reply, write_replies
from pbft.machine import Outcome, Result
from pbft.testing.signers import Scheme
from tests.core import strategies
from tests.core.builders import Scene, session_id, signed

SEQUENCE = 41
RESULTS = (Result(Outcome.OK, b"\x18\x2a"), Result(Outcome.REJECTED, b"\x62no"))


class Case:
    """A request that ran as the second of three in a batch, and who attests to it."""

    def __init__(self, n: int = 7, scheme: Scheme = "simulated") -> None:
        self.scene = Scene(n, scheme=scheme)
        self.request = self.scene.request("alice", 2, (b"one", b"two"), session_id(2))

    def reply(self, replica: int, sequence: int = SEQUENCE, results: tuple[Result, ...] = RESULTS) -> Envelope:
        requests = [self.scene.request("alice"), self.request, self.scene.request("bob")]
        ran = [Ran(signed(each), Fate.FRESH, results) for each in requests]
        return write_replies(self.scene.group, self.scene.signers[replica], replica, 0, sequence, ran)[1]

    def receipt(self, *replicas: int, sequence: int = SEQUENCE, results: tuple[Result, ...] = RESULTS) -> Receipt:
        replies = [read_reply(self.reply(replica, sequence, results)) for replica in replicas]
        return Receipt.of(self.scene.group, self.request.to_bytes(), replies)

    def verify(self, receipt: Receipt) -> tuple[int, ...]:
        return receipt.verify(self.scene.group, self.scene.keyring.verifier)


CASE = Case()


@pytest.mark.parametrize("scheme", ["simulated", "ed25519"])
@pytest.mark.parametrize(("n", "replicas"), [(4, (3, 1)), (7, (6, 2, 5)), (7, (0, 1, 2, 3, 4))])
def test_the_word_of_one_more_than_f_is_a_receipt(scheme, n, replicas):
    """f+1 distinct members suffice; the receipt survives its file and says who attested and what came of it."""
    case = Case(n, scheme)
    receipt = Receipt.from_bytes(case.receipt(*replicas).to_bytes())
    assert case.verify(receipt) == tuple(sorted(replicas))
    assert receipt.sequence == SEQUENCE
    assert receipt.outcomes() == RESULTS
    assert receipt.request().request.operations == (b"one", b"two")


@pytest.mark.parametrize("replicas", [(), (1,), (1, 2)])
def test_f_members_prove_nothing(replicas):
    """At n = 7 two replicas may lie together."""
    with pytest.raises(ReceiptError, match=f"only {len(replicas)} of the 3"):
        CASE.verify(replace(CASE.receipt(1, 2, 3), attestations=CASE.receipt(1, 2, 3).attestations[: len(replicas)]))


def test_a_replica_counts_once_however_often_it_signs():
    """The same attestation twice, or two attestations of one replica, are one word."""
    receipt = CASE.receipt(1, 2, 2)
    with pytest.raises(ReceiptError, match="only 2 of the 3"):
        CASE.verify(receipt)
    one = receipt.attestations[0]
    with pytest.raises(ReceiptError, match="only 1 of the 3"):
        CASE.verify(replace(receipt, attestations=(one, one, one)))


def test_one_signature_under_three_names_is_one_word():
    """Whoever relabels an attestation has forged it."""
    receipt = CASE.receipt(1, 2, 3)
    relabelled = tuple(replace(receipt.attestations[0], replica=replica) for replica in (1, 2, 3))
    with pytest.raises(ReceiptError, match="only 1 of the 3"):
        CASE.verify(replace(receipt, attestations=relabelled))


def test_a_bad_attestation_neither_helps_nor_harms():
    """Forged, unknown and misplaced attestations are passed over; the good ones still make the receipt."""
    receipt = CASE.receipt(1, 2, 3)
    good = receipt.attestations[0]
    bad = (
        replace(good, replica=4, signature=bytes(64)),
        replace(good, replica=7),
        replace(good, replica=2**16 - 1),
        replace(good, replica=5, leaf=2),
        replace(good, replica=6, path=()),
    )
    assert CASE.verify(replace(receipt, attestations=(*bad, *receipt.attestations))) == (1, 2, 3)
    with pytest.raises(ReceiptError, match="only 2 of the 3"):
        CASE.verify(replace(receipt, attestations=(*bad, *receipt.attestations[1:])))


def _first(receipt: Receipt, **changes: object) -> Receipt:
    first: Attestation = replace(receipt.attestations[0], **changes)  # type: ignore[arg-type]
    return replace(receipt, attestations=(first, *receipt.attestations[1:]))


FORGERIES: dict[str, Callable[[Receipt], Receipt]] = {
    "another sequence": lambda receipt: replace(receipt, sequence=SEQUENCE + 1),
    "another value": lambda receipt: replace(receipt, results=(OperationResult(0, b"\x18\x2b"), receipt.results[1])),
    "another outcome": lambda receipt: replace(receipt, results=(OperationResult(1, b"\x18\x2a"), receipt.results[1])),
    "results in another order": lambda receipt: replace(receipt, results=receipt.results[::-1]),
    "another request of the client": lambda receipt: replace(
        receipt,
        request_envelope=CASE.scene.request("alice", 2, (b"one", b"three"), session_id(2)).to_bytes(),
    ),
    "another request of that batch": lambda receipt: replace(
        receipt, request_envelope=CASE.scene.request("alice", 1, (b"op", b"op")).to_bytes()
    ),
    "another timestamp": lambda receipt: replace(
        receipt,
        request_envelope=CASE.scene.request("alice", 3, (b"one", b"two"), session_id(2)).to_bytes(),
    ),
    "another place": lambda receipt: _first(receipt, leaf=0),
    "a tree of another size": lambda receipt: _first(receipt, leaves=4),
    "a forged signature": lambda receipt: _first(receipt, signature=bytes(64)),
    "a path through elsewhere": lambda receipt: _first(receipt, path=(bytes(32), bytes(32))),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_an_altered_receipt_proves_nothing(forgery):
    """Result, sequence, operation, place and signature: whichever is altered, f+1 words are no longer there."""
    with pytest.raises(ReceiptError, match="of the 3 replicas"):
        CASE.verify(FORGERIES[forgery](CASE.receipt(1, 2, 3)))


def test_a_receipt_without_a_result_for_each_operation_proves_nothing():
    """Even signed by f+1, results must match the operations in number."""
    with pytest.raises(ReceiptError, match="do not match its operations"):
        CASE.verify(CASE.receipt(1, 2, 3, results=RESULTS[:1]))


def test_a_receipt_of_another_group_proves_nothing():
    """Neither as it is, nor relabelled: signatures cover the group id."""
    other = Case()
    other.scene = Scene(7, seed=2)
    receipt = CASE.receipt(1, 2, 3)
    with pytest.raises(ReceiptError, match="another group"):
        other.verify(receipt)
    with pytest.raises(ReceiptError, match="not signed by a client of this group"):
        other.verify(replace(receipt, group=other.scene.group.id))


def test_a_request_nobody_signed_proves_nothing():
    """A stranger's request, or one with a forged signature, has no receipt."""
    receipt = CASE.receipt(1, 2, 3)
    stranger = CASE.scene.request("mallory", 2, (b"one", b"two"), session_id(2))
    unsigned = replace(CASE.request, signature=bytes(64))
    for request in (stranger, unsigned):
        with pytest.raises(ReceiptError, match="not signed by a client"):
            CASE.verify(replace(receipt, request_envelope=request.to_bytes()))


@pytest.mark.parametrize("data", [b"", b"\x80", b"not a receipt", CASE.receipt(1, 2, 3).to_bytes()[:-1]])
def test_bytes_that_are_no_receipt_are_refused_in_words(data):
    """A wrong file gets one sentence."""
    with pytest.raises(ReceiptError, match="this is not a receipt"):
        Receipt.from_bytes(data)


def test_a_receipt_about_something_else_is_refused_in_words():
    """What should be a request is not one."""
    for envelope in (b"", b"\x80", CASE.reply(1).to_bytes()):
        with pytest.raises(ReceiptError, match="request is malformed"):
            CASE.verify(replace(CASE.receipt(1, 2, 3), request_envelope=envelope))


@settings(max_examples=200)
@given(st.data())
def test_no_damaged_receipt_proves_anything_different(data):
    """Whatever is done to a receipt's bytes: an error in words, or the same request, place and results."""
    receipt = CASE.receipt(1, 2, 3, 4)
    damage = data.draw(strategies.damaged(receipt.to_bytes()))
    try:
        read = Receipt.from_bytes(damage)
        CASE.verify(read)
    except ReceiptError:
        return
    assert (read.sequence, read.results) == (receipt.sequence, receipt.results)
    assert read.request().digest == receipt.request().digest
