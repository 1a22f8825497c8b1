"""Messages to bytes and back, and nothing else accepted (design 4, wire rules; attacks W1, W2)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.codec import MAX_UINT, Opaque, Small, Uint, Within, pack, unpack
from pbft.core.messages import NULL_BATCH, Batch, Hello, OperationResult, Prepare, ReplyDetail, Report, Request, Status
from pbft.encoding import EncodingError
from tests.core import strategies

DIGEST = bytes(range(32))
PREPARE = Prepare(3, 7, DIGEST)
FIELDS: list[Any] = [3, 7, DIGEST]


def cbor(value: Any) -> bytes:
    return cbor2.dumps(value, canonical=True)


# Round trips.


@given(strategies.messages_of_all_kinds)
def test_every_message_survives_the_wire(message):
    """What is packed is unpacked as an equal message, and packs to the same bytes again."""
    data = pack(message)
    assert unpack(type(message), data) == message
    assert pack(unpack(type(message), data)) == data


def test_the_wire_form_is_an_array_in_the_order_of_the_fields():
    """Arrays, not maps: the bytes are written down here, so that they cannot change unnoticed."""
    assert pack(PREPARE) == bytes.fromhex("83 03 07 58 20") + DIGEST
    assert pack(Batch(5, (b"one", b"two"))) == bytes.fromhex("82 05 82 43") + b"one" + b"\x43" + b"two"
    assert pack(ReplyDetail(0, bytes(16), 1, DIGEST, (OperationResult(0, b"r"),), 0, 1, ()))[-9:] == bytes.fromhex(
        "81 82 00 41 72 00 01 80"
    ).rjust(9, DIGEST[-1:])
    assert bytes.fromhex("82 00 80") == NULL_BATCH


# W1.


HOSTILE = {
    "nothing": b"",
    "a trailing byte": pack(PREPARE) + b"\0",
    "two messages": pack(PREPARE) * 2,
    "an indefinite array": b"\x9f" + pack(PREPARE)[1:] + b"\xff",
    "an indefinite byte string": b"\x83\x03\x07\x5f\x58\x20" + DIGEST + b"\xff",
    "a long form of a short integer": b"\x83\x18\x03\x07\x58\x20" + DIGEST,
    "a long form of a length": b"\x83\x03\x07\x59\x00\x20" + DIGEST,
    "a tag": b"\xc1" + pack(PREPARE),
    "a tag within": b"\x83\xc1\x03\x07\x58\x20" + DIGEST,
    "a bignum": b"\x83\xc2\x41\x03\x07\x58\x20" + DIGEST,
    "a shared reference": b"\x83\xd8\x1c\x03\xd8\x1d\x00\x58\x20" + DIGEST,
    "a regular expression": b"\xd8\x23\x66(a+)+$",
    "deep arrays": b"\x81" * 100_000,
    "deep maps": b"\xa1\x60" * 100_000,
    "an array of 2^60 items": b"\x9b\x10\x00\x00\x00\x00\x00\x00\x00",
    "a byte string of 2^60 bytes": b"\x83\x03\x07\x5b\x10\x00\x00\x00\x00\x00\x00\x00",
    "a text of 2^60 bytes": b"\x7b\x10\x00\x00\x00\x00\x00\x00\x00",
    "a map of 2^60 pairs": b"\xbb\x10\x00\x00\x00\x00\x00\x00\x00",
    "a duplicate key": b"\xa2\x61a\x01\x61a\x02",
    "an unsorted map": b"\xa2\x61b\x01\x61a\x02",
    "broken UTF-8": b"\x62\xff\xfe",
    "a lone surrogate": b"\x63\xed\xa0\x80",
    "a lone break": b"\xff",
    "a reserved length": b"\x1c",
    "NaN": b"\xf9\x7e\x00",
    "NaN for a view": cbor([float("nan"), 7, DIGEST]),
    "a float for a view": cbor([3.0, 7, DIGEST]),
    "True for a view": cbor([True, 7, DIGEST]),
    "null for a view": cbor([None, 7, DIGEST]),
    "undefined for a view": cbor([cbor2.undefined, 7, DIGEST]),
    "a simple value for a view": cbor([cbor2.CBORSimpleValue(99), 7, DIGEST]),
    "text for a view": cbor(["3", 7, DIGEST]),
    "a negative view": cbor([-1, 7, DIGEST]),
    "a view of 64 bits": cbor([MAX_UINT + 1, 7, DIGEST]),
    "a view beyond 64 bits": cbor([2**64, 7, DIGEST]),
    "a short digest": cbor([3, 7, DIGEST[1:]]),
    "a long digest": cbor([3, 7, DIGEST + b"\0"]),
    "text for a digest": cbor([3, 7, "a" * 32]),
    "an array for a digest": cbor([3, 7, list(DIGEST)]),
    "a field too few": cbor(FIELDS[:2]),
    "a field too many": cbor([*FIELDS, 0]),
    "no field at all": cbor([]),
    "fields in another order": cbor([DIGEST, 3, 7]),
    "a map": cbor({"view": 3, "sequence": 7, "digest": DIGEST}),
    "one field bare": cbor(DIGEST),
    "one level too many": cbor([FIELDS]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_bytes_are_refused(what):
    """Each spelling of W1 raises EncodingError, and nothing else."""
    with pytest.raises(EncodingError):
        unpack(Prepare, HOSTILE[what])


def test_every_truncation_is_refused():
    """No prefix of a message is a message."""
    data = pack(Request(DIGEST, bytes(16), 1, (b"one", b"two")))
    for length in range(len(data)):
        with pytest.raises(EncodingError):
            unpack(Request, data[:length])


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Request, [DIGEST, bytes(16), 1, []]),
        (Request, [DIGEST, bytes(15), 1, [b""]]),
        (Request, [DIGEST, bytes(16), 1, [[b""]]]),
        (Request, [DIGEST, bytes(16), 1, [b""] * (2**16 + 1)]),
        (Batch, [0, [1]]),
        (Batch, [0, b""]),
        (OperationResult, [4, b""]),
        (OperationResult, [-1, b""]),
        (OperationResult, [False, b""]),
        (OperationResult, [0, bytes(2**24 + 1)]),
        (ReplyDetail, [0, bytes(16), 1, DIGEST, [], 0, 1, []]),
        (ReplyDetail, [0, bytes(16), 1, DIGEST, [[0, b""]], 0, 1, [DIGEST] * 17]),
        (ReplyDetail, [0, bytes(16), 1, DIGEST, [[0, b""]], 2**16, 1, []]),
        (ReplyDetail, [0, bytes(16), 1, DIGEST, [[0]], 0, 1, []]),
        (ReplyDetail, [0, bytes(16), 1, DIGEST, [0], 0, 1, []]),
        (Status, [0, 0, 0, bytes(1025)]),
        (Hello, [bytes(16), bytes(65), b""]),
        (Report, [bytes(16), 0, b"{}"]),
    ],
)
def test_bounds_of_nested_and_sized_fields_hold(kind, values):
    """Each message's own bounds are enforced: counts, lengths, ranges, also within what it nests."""
    with pytest.raises(EncodingError, match=rf"{kind.__name__}|OperationResult"):
        unpack(kind, cbor(values))


def test_the_sentence_names_the_field():
    """Whoever debugs a foreign implementation reads which field of which message was wrong."""
    with pytest.raises(EncodingError, match=r"Prepare\.digest is not bytes within 32 to 32"):
        unpack(Prepare, cbor([3, 7, b""]))


# W2.


@given(st.data())
def test_damaged_bytes_never_raise_anything_else(data):
    """Bytes near a message either are refused with EncodingError, or spell a message in its only spelling."""
    kind = data.draw(st.sampled_from(strategies.MESSAGES))
    damage = data.draw(strategies.damaged(pack(data.draw(strategies.of(kind)))))
    expect_one_spelling(kind, damage)


@given(st.sampled_from(strategies.MESSAGES), st.binary(max_size=200))
def test_random_bytes_never_raise_anything_else(kind, data):
    """Bytes from nowhere are refused with EncodingError as well."""
    expect_one_spelling(kind, data)


@given(st.data())
def test_messages_of_nearly_the_right_shape_never_raise_anything_else(data):
    """A part left out, doubled, replaced, wrapped or off by one is refused, unless the fields still fit."""
    kind = data.draw(st.sampled_from(strategies.MESSAGES))
    shape = cbor2.loads(pack(data.draw(strategies.of(kind))))
    expect_one_spelling(kind, cbor(data.draw(strategies.reshaped(shape))))


@given(st.data())
def test_no_message_is_taken_for_one_of_other_fields(data):
    """A message decodes as another kind only where both have the very same fields."""
    message = data.draw(strategies.messages_of_all_kinds)
    other = data.draw(st.sampled_from(strategies.MESSAGES))
    expect_one_spelling(other, pack(message))
    if len(fields(other)) != len(fields(message)):
        with pytest.raises(EncodingError):
            unpack(other, pack(message))


def expect_one_spelling(kind: type[Any], data: bytes) -> None:
    try:
        message = unpack(kind, data)
    except EncodingError:
        return
    assert pack(message) == data


# What the codec can be told.


@dataclass(frozen=True)
class Everything:
    flag: bool
    label: Annotated[str, Within(1, 3)]
    pair: tuple[Small, Opaque]
    many: Annotated[tuple[Uint, ...], Within(0, 2)]
    loose: int


def test_every_annotation_the_codec_knows():
    """Flags, texts, fixed pairs, bounded lists and bare types are packed and checked."""
    fine: list[Any] = [True, "abc", [1, b"x"], [5, 6], 9]
    assert unpack(Everything, cbor(fine)) == Everything(True, "abc", (1, b"x"), (5, 6), 9)
    for index, bad in [
        (0, 1),
        (0, 0),
        (1, ""),
        (1, "abcd"),
        (1, b"abc"),
        (2, [1]),
        (2, [1, b"x", b"y"]),
        (2, [b"x", 1]),
        (3, [1, 2, 3]),
        (3, 1),
        (4, True),
        (4, -1),
    ]:
        with pytest.raises(EncodingError, match="Everything"):
            unpack(Everything, cbor([*fine[:index], bad, *fine[index + 1 :]]))


def test_a_type_without_a_wire_form_is_the_programmers_mistake():
    """A field of a type that the wire does not know fails at once, in words for who wrote it."""

    @dataclass(frozen=True)
    class Wrong:
        amount: float

    with pytest.raises(TypeError, match=r"Wrong\.amount.*float.*no field type of the wire"):
        unpack(Wrong, cbor([1]))
