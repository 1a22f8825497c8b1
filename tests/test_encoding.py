"""Canonical bytes: one spelling a value, one value a spelling, and nothing hostile gets through (attacks W1, W2)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pbft.encoding import (
    DIGEST_BYTES,
    MAX_DEPTH,
    MAX_INTEGER,
    MIN_INTEGER,
    EncodingError,
    check_plain,
    decode,
    decode_plain,
    digest,
    encode,
    encode_plain,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(MIN_INTEGER, MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.binary(max_size=20)
)
plain_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal down to their types, so that True is not taken for 1."""
    if type(left) is not type(right):
        return False
    if type(left) is tuple:
        return len(left) == len(right) and all(map(same, left, right))
    if type(left) is dict:
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


@given(plain_values)
@example(MAX_INTEGER)
@example(MIN_INTEGER)
@example("")
@example(("x", "é" * 70_000, "a" + "😀" * 40_000))
def test_a_value_comes_back_as_it_went(value: Any) -> None:
    """Round trip, types included, across the sizes at which a decoder reads in pieces."""
    assert same(decode_plain(encode_plain(value)), value)


@given(plain_values, plain_values)
@example(True, 1)
@example("a", b"a")
@example((), {})
@example(0, None)
def test_values_share_bytes_only_when_they_are_the_same(left: Any, right: Any) -> None:
    """Bytes are equal for the same value and differ for different ones."""
    assert (encode_plain(left) == encode_plain(right)) == same(left, right)


def test_lists_and_tuples_have_the_same_bytes_and_come_back_as_tuples() -> None:
    """The wire knows one kind of array."""
    assert encode_plain([1, [2]]) == encode_plain((1, (2,)))
    assert decode_plain(encode_plain([1, [2], {"a": [3]}])) == (1, (2,), {"a": (3,)})


def test_a_maps_bytes_do_not_depend_on_the_order_of_insertion() -> None:
    """Keys are sorted by their encoding: shorter first, then by bytes (RFC 8949, 4.2.3)."""
    assert encode_plain({"bb": 1, "a": 2, "c": 3}) == encode_plain({"c": 3, "a": 2, "bb": 1})
    assert list(decode_plain(encode_plain({"bb": 1, "c": 3, "a": 2}))) == ["a", "c", "bb"]


def test_what_was_decoded_is_a_fresh_copy() -> None:
    """Changing a decoded map changes no other decoding of the same bytes."""
    data = encode_plain({"a": 1})
    first = decode_plain(data)
    first["a"] = 2

    assert decode_plain(data) == {"a": 1}


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (256, "190100"),
        (65536, "1a00010000"),
        (MAX_INTEGER, "1bffffffffffffffff"),
        (-1, "20"),
        (MIN_INTEGER, "3bffffffffffffffff"),
        (b"\x01", "4101"),
        ("ü", "62c3bc"),
        ((), "80"),
        ({}, "a0"),
        (False, "f4"),
        (True, "f5"),
        (None, "f6"),
        ((1, "a", {"b": b""}), "83016161a1616240"),
    ],
)
def test_the_bytes_are_those_of_rfc_8949(value: Any, data: str) -> None:
    """Fixed examples: a change of library that alters them would split a group."""
    assert encode_plain(value).hex() == data
    assert same(decode_plain(bytes.fromhex(data)), value)


HOSTILE = {
    "nothing at all": "",
    "a trailing byte": "0000",
    "a second value": "8000",
    "an integer cut short": "1901",
    "a text cut short": "6261",
    "a byte string cut short": "4201",
    "an array cut short": "8201",
    "a map cut short": "a16161",
    "a map without its last value": "a26161016162",
    "1 in two bytes": "1801",
    "1 in three bytes": "190001",
    "1 in five bytes": "1a00000001",
    "1 in nine bytes": "1b0000000000000001",
    "-1 in two bytes": "3800",
    "a byte string with a long length": "580161",
    "a text with a long length": "780161",
    "an array with a long length": "980100",
    "a map with a long length": "b801616100",
    "an indefinite byte string": "5f4101ff",
    "an indefinite text": "7f6161ff",
    "an indefinite array": "9f00ff",
    "an indefinite map": "bf616100ff",
    "a lone break": "ff",
    "a break inside an array": "81ff",
    "a duplicate key": "a2616101616102",
    "a duplicate key, equal values": "a2616101616101",
    "keys out of order": "a2616201616101",
    "a longer key first": "a262616101616201",
    "an integer key": "a10102",
    "a null key": "a1f602",
    "a boolean key": "a1f502",
    "an array key": "a1810102",
    "a map key": "a1a002",
    "a float key": "a1f93c0002",
    "text that is not UTF-8": "61ff",
    "text with an overlong form": "62c080",
    "text with a surrogate": "63eda080",
    "text that ends inside a character": "61c3",
    "reserved length 28": "1c",
    "reserved length 29": "5d",
    "reserved length 30": "9e",
    "an indefinite integer": "1f",
    "a simple value below 32 in two bytes": "f818",
    "false in two bytes": "f814",
    "1.0 in five bytes": "fa3f800000",
    "1.0 in nine bytes": "fb3ff0000000000000",
    "NaN with a payload": "f97e01",
    "NaN in nine bytes": "fb7ff8000000000000",
    "a negative NaN": "f9fe00",
    "infinity in nine bytes": "fb7ff0000000000000",
    "1,000 arrays deep": "81" * 1_000 + "00",
    "100,000 arrays deep": "81" * 100_000 + "00",
    "100,000 maps deep": "a16161" * 100_000 + "00",
    "100,000 arrays deep, and cut short": "81" * 100_000,
}
HOSTILE |= {
    f"{what} of {length} {'items' if major in (4, 5) else 'bytes'}": f"{major << 5 | 27:02x}{size:016x}"
    for major, what in ((2, "a byte string"), (3, "a text"), (4, "an array"), (5, "a map"))
    for length, size in (("2**31", 2**31), ("2**32", 2**32), ("2**60", 2**60), ("2**63", 2**63), ("2**64-1", 2**64 - 1))
}
"""What neither decoder may accept, by what is wrong with it."""

NOT_PLAIN = {
    "0.0": "f90000",
    "-0.0": "f98000",
    "1.5": "f93e00",
    "NaN": "f97e00",
    "infinity": "f97c00",
    "1.1, which needs nine bytes": "fb3ff199999999999a",
    "undefined": "f7",
    "simple value 0": "e0",
    "simple value 255": "f8ff",
    "a float in an array": "81f93c00",
    "undefined in a map": "a16161f7",
    "a map with a byte string key": "a1416101",
    "one level too deep": "81" * (MAX_DEPTH + 1) + "00",
    "one level too deep in maps": "a16161" * (MAX_DEPTH + 1) + "00",
    "one level too deep with nothing in it": "81" * MAX_DEPTH + "80",
}
"""What is canonical CBOR as far as it goes, and no application's value."""


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_refused(data: str) -> None:
    """Each ends as one EncodingError, alone and inside an array, whoever decodes."""
    for wrapped in (bytes.fromhex(data), b"\x81" + bytes.fromhex(data)):
        for decoder in (decode, decode_plain):
            with pytest.raises(EncodingError):
                decoder(wrapped)


@pytest.mark.parametrize("data", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_an_application_sees_no_value_beyond_the_plain_ones(data: str) -> None:
    """Floats, undefined, simple values, other keys and deeper nesting stop at `decode_plain`."""
    with pytest.raises(EncodingError):
        decode_plain(bytes.fromhex(data))


def test_the_deepest_value_allowed_passes_both_ways() -> None:
    """16 levels of arrays or maps, and not 17."""
    deep: Any = 0
    for level in range(MAX_DEPTH):
        deep = (deep,) if level % 2 else {"a": deep}
    assert decode_plain(encode_plain(deep)) == deep
    with pytest.raises(EncodingError, match="levels deep"):
        encode_plain((deep,))


BODIES = (
    "00",
    "20",
    "40",
    "4101",
    "60",
    "6161",
    "80",
    "820102",
    "8201820304",
    "a0",
    "a1616101",
    "f6",
    "f90000",
    "d81d00",
)


def tagged(tag: int, body: str) -> bytes:
    """Return a tagged item, the tag's number in its shortest form."""
    return bytes([encode(tag)[0] | 0xC0, *encode(tag)[1:]]) + bytes.fromhex(body)


@pytest.mark.parametrize("body", BODIES)
def test_every_tag_is_refused(body: str) -> None:
    """All that a decoder might give a meaning to, on every kind of content and in every place."""
    tags = [*range(1_300), 15_309, 43_000, 43_001, 55_799, 55_800, 65_535, 2**31, 2**32, 2**60, MAX_INTEGER]
    for tag in tags:
        item = tagged(tag, body)
        for data in (item, b"\x81" + item, b"\xa1\x61a" + item, b"\xa1" + item + b"\x00"):
            for decoder in (decode, decode_plain):
                with pytest.raises(EncodingError):
                    decoder(data)


@given(st.integers(0, MAX_INTEGER), st.sampled_from(BODIES))
def test_any_tag_is_refused(tag: int, body: str) -> None:
    """The same for tags nobody has named yet."""
    with pytest.raises(EncodingError):
        decode(tagged(tag, body))


@pytest.mark.parametrize(
    "data",
    [
        tagged(35, "7a" + f"{26_000:08x}" + (b"(a*)*" * 5_200).hex()),
        tagged(28, "81" + "d81d00"),
        tagged(28, "82" + "d81c" * 40 + "80" + "d81d00"),
        tagged(256, "84" + "656161616161" + "d81900" * 3),
        tagged(2, "5a" + f"{60_000:08x}" + "ff" * 60_000),
        tagged(4, "821b7fffffffffffffff01"),
        tagged(0, "6131"),
    ],
    ids=["slow regex", "cycle", "nested sharing", "string references", "bignum", "huge exponent", "date"],
)
def test_tags_that_hang_or_crash_decoders_are_refused_unread(data: bytes) -> None:
    """The known traps among the built-in tags."""
    with pytest.raises(EncodingError):
        decode(data)


@given(st.binary(max_size=64))
def test_random_bytes_are_refused_or_canonical(data: bytes) -> None:
    """Nothing but EncodingError escapes, and what is accepted encodes to the very same bytes."""
    for decoder, encoder in ((decode, encode), (decode_plain, encode_plain)):
        try:
            value = decoder(data)
        except EncodingError:
            continue
        assert encoder(value) == data


@given(plain_values, st.data())
def test_a_changed_byte_is_refused_or_another_value(value: Any, data: st.DataObject) -> None:
    """Structure-aware fuzzing: flip, drop, repeat or insert a byte of good bytes."""
    good = encode_plain(value)
    place = data.draw(st.integers(0, len(good) - 1))
    byte = bytes([data.draw(st.integers(0, 255))])
    head, tail = good[:place], good[place + 1 :]
    for changed in (
        head + byte + tail,
        head + tail,
        head + good[place : place + 1] * 2 + tail,
        head + byte + good[place:],
    ):
        try:
            other = decode_plain(changed)
        except EncodingError:
            continue
        assert encode_plain(other) == changed
        assert same(other, value) == (changed == good)


@given(plain_values)
def test_a_prefix_of_good_bytes_is_never_good(value: Any) -> None:
    """Truncation at every place is refused."""
    good = encode_plain(value)
    for end in range(min(len(good), 200)):
        with pytest.raises(EncodingError):
            decode_plain(good[:end])


class Text(str):
    __slots__ = ()


class Number(int):
    pass


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (1.0, "a value of type float cannot be stored; use int in the smallest unit"),
        (float("nan"), "type float"),
        (2**64, r"beyond 64 bits cannot be stored; keep amounts within 2\*\*64 - 1"),
        (-(2**64) - 1, "beyond 64 bits"),
        ("\ud800", "lone surrogates"),
        ({"\ud800": 1}, "lone surrogates"),
        ({1: 2}, "a map's keys must be str, not int"),
        ({b"a": 2}, "a map's keys must be str, not bytes"),
        ({None: 2}, "a map's keys must be str, not NoneType"),
        ({1, 2}, "a value of type set cannot be stored"),
        (bytearray(b"a"), "type bytearray"),
        (Text("a"), "type Text"),
        (Number(1), "type Number"),
        (object(), "type object"),
        ([(1, {"a": 1.5})], "type float"),
        (range(3), "type range"),
    ],
)
def test_what_has_no_canonical_bytes_is_named(value: Any, sentence: str) -> None:
    """The error's sentence says which type is wrong, and what to use where there is something."""
    with pytest.raises(EncodingError, match=sentence):
        check_plain(value)
    with pytest.raises(EncodingError, match=sentence):
        encode_plain(value)


def test_a_list_that_holds_itself_is_refused() -> None:
    """It would be infinitely deep."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(EncodingError, match="levels deep"):
        encode_plain(loop)


@given(st.lists(st.binary(max_size=8), max_size=5), st.lists(st.binary(max_size=8), max_size=5))
@example([b"ab", b"c"], [b"a", b"bc"])
@example([], [b""])
@example([b"a"], [b"a", b""])
def test_lists_of_parts_share_a_digest_only_when_equal(left: list[bytes], right: list[bytes]) -> None:
    """Parts are length-prefixed, so moving a border gives another digest."""
    assert (digest(b"pbft/test", *left) == digest(b"pbft/test", *right)) == (left == right)


def test_domains_separate_digests() -> None:
    """The same parts under two names have two digests, and the size is fixed."""
    assert len(digest(b"pbft/a", b"x")) == DIGEST_BYTES
    assert digest(b"pbft/a", b"x") != digest(b"pbft/b", b"x")
    with pytest.raises(ValueError, match="person"):
        digest(b"seventeen bytes !", b"x")


def test_bytes_do_not_depend_on_the_process() -> None:
    """Another process under another hash seed encodes a map to the same bytes."""
    value = {f"key{number}": [number, str(number)] for number in range(50)}
    program = (
        "import json, sys; from pbft.encoding import encode_plain; print(encode_plain(json.load(sys.stdin)).hex())"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        ran = subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps(value),
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.strip() == encode_plain(value).hex()
