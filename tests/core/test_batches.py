"""What makes a batch valid: its bytes, the group's clients and its limits, and nothing else (design 4.2; attack P2)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.batches import BatchError, SignedRequest, read_batch, read_request, within_limits, write_batch
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.group import Limits
from pbft.core.messages import NULL_BATCH, Batch, Prepare, Request, batch_digest, pack, request_digest
from pbft.encoding import EncodingError
from tests.core import strategies
from tests.core.builders import WALL_MS, Scene, forged, session_id, signed

SMALL = Limits(
    operation_bytes=100,
    operations_per_request=3,
    request_bytes=700,
    batch_bytes=1_300,
    batch_requests=3,
    batch_operations=6,
)
SCENE = Scene(limits=SMALL)


def verified(request: SignedRequest) -> bool:
    return genuine(SCENE.group, SCENE.verifier, request.envelope)


def read(data: bytes) -> tuple[Batch, tuple[SignedRequest, ...]]:
    return read_batch(data, SCENE.group, verified)


def batch_of(*requests: Envelope, time_ms: int = WALL_MS) -> bytes:
    return write_batch(time_ms, [signed(each) for each in requests])


def raw(*items: bytes) -> bytes:
    return pack(Batch(WALL_MS, items))


# What is valid.


def test_a_batch_survives_the_wire():
    """Time, requests, their order and their exact bytes come back."""
    requests = [SCENE.request("alice"), SCENE.request("bob", 7, (b"one", b"two"))]
    batch, found = read(batch_of(*requests))
    assert batch.time_ms == WALL_MS
    assert [each.envelope for each in found] == requests
    assert [each.data for each in found] == [each.to_bytes() for each in requests]
    assert [each.digest for each in found] == [request_digest(each.body) for each in requests]


def test_the_null_request_is_a_valid_batch():
    """Time 0 and no requests: it changes nothing (OSDI'99 section 4.4)."""
    assert read(NULL_BATCH) == (Batch(0, ()), ())


def test_validity_never_asks_who_ran_what():
    """One request twice, an old timestamp, a session of long ago or of tomorrow: valid; execution judges them."""
    again = SCENE.request("alice")
    ancient, tomorrow = session_id(1, 0), session_id(1, WALL_MS + 86_400_000)
    batch, found = read(batch_of(again, again, SCENE.request("bob", 0, session=ancient)))
    assert len(found) == len(batch.requests) == 3
    assert len(read(batch_of(SCENE.request("bob", session=tomorrow)))[1]) == 1


def test_only_what_is_not_vouched_for_is_verified():
    """Whoever verified a request before says so, and its signature is not checked again."""
    known, new = SCENE.request("alice"), SCENE.request("bob")
    asked: list[SignedRequest] = []

    def judge(request: SignedRequest) -> bool:
        asked.append(request)
        return True

    before = SCENE.verifier.count
    read_batch(batch_of(known, new), SCENE.group, judge)
    assert [each.envelope for each in asked] == [known, new]
    assert SCENE.verifier.count == before


def test_the_limits_themselves_are_inside():
    """As many requests, operations and bytes as the limits say are valid."""
    full = SCENE.request("alice", 1, (bytes(100), bytes(100), bytes(100)))
    assert within_limits(signed(full), SMALL)
    three = [SCENE.request("alice", 1), SCENE.request("alice", 2), SCENE.request("bob", 1)]
    assert len(read(batch_of(*three))[1]) == SMALL.batch_requests
    busy = [SCENE.request("alice", 1, (b"",) * 3), SCENE.request("bob", 1, (b"",) * 3)]
    assert sum(len(each.request.operations) for each in read(batch_of(*busy))[1]) == SMALL.batch_operations
    room = SMALL.batch_bytes - len(batch_of(full, SCENE.request("bob", 1, (b"", bytes(100)))))
    exact = batch_of(full, SCENE.request("bob", 1, (bytes(60), bytes(100))))
    assert room > 60 + 2
    assert len(exact) <= SMALL.batch_bytes
    assert len(read(exact)[1]) == 2


# What is not.


def strange_requests() -> dict[str, bytes]:
    """Return one request for each rule it breaks."""
    fine = SCENE.request("alice")
    prepare = SCENE.say(1, Kind.PREPARE, Prepare(0, 1, bytes(32)))
    for_bob = SCENE.sign_request("alice", pack(Request(SCENE.key("bob"), session_id(), 1, (b"op",))))
    return {
        "without its client's signature": forged(fine).to_bytes(),
        "without its client's signature, changed": replace(fine, body=SCENE.request("alice", 2).body).to_bytes(),
        "of an unknown client": SCENE.request("mallory").to_bytes(),
        "signed by the client it names": for_bob.to_bytes(),
        "nothing goes beside a REQUEST": replace(fine, beside=b"x").to_bytes(),
        "not a request": prepare.to_bytes(),
        "over the limits, bytes of an operation": SCENE.request("alice", 1, (bytes(101),)).to_bytes(),
        "over the limits, operations": SCENE.request("alice", 1, (b"",) * 4).to_bytes(),
        "Request needs an array": SCENE.sign_request("alice", b"\x80").to_bytes(),
        "not canonical CBOR": fine.to_bytes() + b"\0",
        "not canonical CBOR, cut off": fine.to_bytes()[:-1],
        "an envelope is an array": b"\x80",
    }


@pytest.mark.parametrize("rule", strange_requests())
def test_one_bad_request_spoils_the_batch(rule):
    """Whichever rule a single request breaks, the batch is refused with the rule's words."""
    bad = strange_requests()[rule]
    for items in ((bad,), (SCENE.request("bob").to_bytes(), bad), (bad, SCENE.request("bob").to_bytes())):
        with pytest.raises(BatchError, match=rule.partition(",")[0]):
            read(raw(*items))


def test_a_request_that_is_too_large_altogether_spoils_the_batch():
    """The bound on a request's bytes holds beside those on its operations."""
    limits = replace(SMALL, operation_bytes=180, request_bytes=692)
    scene = Scene(limits=limits)
    request = scene.request("alice", 1, (bytes(180), bytes(180), bytes(180)))
    assert len(request.to_bytes()) > limits.request_bytes
    with pytest.raises(BatchError, match="over the limits"):
        read_batch(raw(request.to_bytes()), scene.group, lambda _: True)


def test_too_many_requests_spoil_the_batch():
    """One more than batch_requests is refused."""
    with pytest.raises(BatchError, match="more requests than batch_requests"):
        read(batch_of(*(SCENE.request("alice", timestamp) for timestamp in range(4))))


def test_too_many_operations_spoil_the_batch():
    """Each request within its own limit, one operation too many together: refused before any signature is checked."""
    requests = [SCENE.request("alice", timestamp, (b"",) * count) for timestamp, count in enumerate((3, 3, 1))]
    assert all(within_limits(signed(each), SMALL) for each in requests)
    before = SCENE.verifier.count
    with pytest.raises(BatchError, match="more operations than batch_operations"):
        read(batch_of(*requests))
    assert SCENE.verifier.count == before


def test_too_many_bytes_are_refused_before_anything_is_decoded():
    """One byte more than batch_bytes is refused for that alone, whatever the bytes are."""
    with pytest.raises(BatchError, match="larger than batch_bytes"):
        read(b"\x81" * (SMALL.batch_bytes + 1))


@pytest.mark.parametrize(
    "data", [b"", b"\x80", NULL_BATCH + b"\0", NULL_BATCH[:-1], b"\x82\x20\x80", b"\x82\x00\x81\x01"]
)
def test_bytes_that_are_no_batch_are_refused(data):
    """Not decodable, or not of a batch's shape."""
    with pytest.raises(BatchError):
        read(data)


def test_cheap_rules_are_tried_on_all_requests_before_any_signature():
    """A batch that is over a limit somewhere costs no verification (W2: bounded cost)."""
    before = SCENE.verifier.count
    with pytest.raises(BatchError, match="over the limits"):
        read(batch_of(SCENE.request("alice"), SCENE.request("bob"), SCENE.request("alice", 2, (b"",) * 4)))
    assert SCENE.verifier.count == before


@given(st.data())
def test_damaged_batches_never_raise_anything_else(data):
    """Bytes near a batch are refused with BatchError, or are a batch whose every request verifies."""
    damage = data.draw(strategies.damaged(batch_of(SCENE.request("alice"), SCENE.request("bob"))))
    try:
        batch, requests = read(damage)
    except BatchError:
        return
    assert pack(batch) == damage
    assert all(verified(each) for each in requests)


# Digests and single requests.


def test_the_batch_digest_covers_time_order_requests_and_signatures():
    """Whatever differs between two batches, their digests differ (design 4, wire rules)."""
    alice, bob = SCENE.request("alice"), SCENE.request("bob")
    batches = [
        batch_of(alice, bob),
        batch_of(bob, alice),
        batch_of(alice),
        batch_of(alice, alice),
        batch_of(alice, bob, time_ms=WALL_MS + 1),
        raw(alice.to_bytes(), forged(bob).to_bytes()),
        NULL_BATCH,
    ]
    assert len({batch_digest(each) for each in batches}) == len(batches)


def test_the_request_digest_leaves_the_signature_out():
    """A client may sign one request in many ways; it stays one request."""
    request = SCENE.request("alice")
    assert read_request(forged(request)).digest == read_request(request).digest == request_digest(request.body)
    assert read_request(SCENE.request("alice", 2)).digest != read_request(request).digest


def test_only_requests_are_read_as_requests():
    """Another kind of envelope, or one with something beside it, is refused."""
    for strange in ({"kind": Kind.HELLO, "signature": b""}, {"beside": b"x"}):
        with pytest.raises(EncodingError, match="not a request, or something goes beside it"):
            read_request(replace(SCENE.request("alice"), **strange))
