"""One canonical way to turn values into bytes, and to name bytes by a digest.

Owns: strict CBOR (integers of 64 bits, text, byte strings, booleans, null, arrays, and maps with text keys) and the
domain-separated digest. Knows nothing of messages or of state machines.

Canonical means that equal values have equal bytes and that only those bytes are accepted: what decodes is encoded
again and compared, which refuses trailing bytes, long forms of short integers and every other second spelling.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, NoReturn

import cbor2

Plain = Any
"""An application's value: see `check_plain` for what it may be made of."""

DIGEST_BYTES: Final = 32
MAX_DEPTH: Final = 16
MAX_INTEGER: Final = 2**64 - 1
MIN_INTEGER: Final = -(2**64)


class EncodingError(ValueError):
    """Bytes that are not canonical, or a value that has no canonical bytes. The message says which and why."""


def _refuse_tag(*_: object) -> NoReturn:
    raise cbor2.CBORDecodeError("tags are refused")


def _refuse_map(*_: object) -> NoReturn:
    raise cbor2.CBORDecodeError("maps are refused")


# A tag hook alone leaves the built-in tags working (regular expressions, shared references: both can hang a decoder
# for seconds), so each of them is overridden by name as well.
_BUILT_IN_TAGS: Final = (*range(6), 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799)
_NO_TAGS: Final = dict.fromkeys(_BUILT_IN_TAGS, _refuse_tag)

# With tags refused no integer beyond 64 bits can come out of the decoder, and no text with surrogates.
_DECODED_SCALARS: Final = frozenset((int, str, bytes, bool, type(None)))


def encode(value: Any) -> bytes:
    """Return the canonical bytes of a value made of the types in `check_plain`, which the caller vouches for."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value that `data` is the canonical encoding of, with tuples for arrays; maps are refused.

    Raises EncodingError for everything else. Floats and CBOR's rarer simple values survive this step; whoever knows
    the expected shape checks exact types (`pbft.core.codec`, `check_plain`).
    """
    return _decode(data, max_depth, maps=False)


def _decode(data: bytes, max_depth: int, *, maps: bool) -> Any:
    try:
        value = cbor2.loads(
            data,
            max_depth=max_depth,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
            immutable=not maps,
            tag_hook=_refuse_tag,
            object_hook=None if maps else _refuse_map,
            semantic_decoders=_NO_TAGS,
        )
        again = cbor2.dumps(value, canonical=True)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise EncodingError(f"not canonical CBOR: {error}") from None
    if again != data:
        raise EncodingError("not canonical CBOR: a second spelling of the same value, or trailing bytes")
    return value


def check_plain(value: Any, depth: int = MAX_DEPTH) -> None:
    """Refuse what has no canonical bytes.

    Allowed are None, bool, int within 64 bits and a sign, str, bytes, and tuples, lists and dicts with str keys of
    these, at most `depth` levels deep. Raises EncodingError with a sentence that names the offender.
    """
    kind = type(value)
    if kind is int:
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise EncodingError("an integer beyond 64 bits cannot be stored; keep amounts within 2**64 - 1")
    elif kind is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise EncodingError("a text with lone surrogates cannot be stored") from None
    elif kind is tuple or kind is list or kind is dict:
        if depth <= 0:
            raise EncodingError(f"values nested more than {MAX_DEPTH} levels deep cannot be stored")
        if kind is dict:
            for key in value:
                if type(key) is not str:
                    raise EncodingError(f"a map's keys must be str, not {type(key).__name__}")
                check_plain(key, depth)
        for item in value.values() if kind is dict else value:
            check_plain(item, depth - 1)
    elif value is not None and kind is not bool and kind is not bytes:
        hint = "; use int in the smallest unit" if kind is float else ""
        raise EncodingError(f"a value of type {kind.__name__} cannot be stored{hint}")


def encode_plain(value: Any) -> bytes:
    """Return the canonical bytes of an application's value. Raises EncodingError as `check_plain` does."""
    check_plain(value)
    return encode(value)


def decode_plain(data: bytes) -> Any:
    """Return an application's value: a fresh copy, with tuples for arrays and dicts for maps.

    Raises EncodingError for bytes that `encode_plain` cannot have made. Decodes into lists and dicts first, since the
    decoder's immutable maps cost several times as much to encode again, which senders could make others pay.
    """
    return _own(_decode(data, MAX_DEPTH + 2, maps=True), MAX_DEPTH)


def _own(value: Any, depth: int) -> Any:
    """Return a decoded value with tuples for lists, refusing what `check_plain` would."""
    kind = type(value)
    if kind in _DECODED_SCALARS:
        return value
    if kind is list and depth > 0:
        return tuple([_own(item, depth - 1) for item in value])
    if kind is dict and depth > 0 and all(type(key) is str for key in value):
        return {key: _own(item, depth - 1) for key, item in value.items()}
    check_plain(value, depth)
    raise EncodingError("the decoder made a value that it should have refused")


def digest(domain: bytes, *parts: bytes) -> bytes:
    """Return the 32-byte BLAKE2b digest of `parts`, under a domain of at most 16 bytes that says what they are.

    Every part is length-prefixed, so that no two lists of parts share a digest.
    """
    state = hashlib.blake2b(digest_size=DIGEST_BYTES, person=domain)
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.digest()
