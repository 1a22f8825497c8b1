"""Hypothesis strategies for everything that travels, read off the annotations that the codec compiles."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from pbft.core import messages, receipt
from pbft.core.codec import Within, pack
from pbft.core.envelope import FROM_CLIENTS, SIGNED, WITH_SOMETHING_BESIDE, Envelope, Kind

T = TypeVar("T")

MESSAGES: tuple[type[Any], ...] = tuple(
    sorted(
        (
            each
            for module in (messages, receipt)
            for each in vars(module).values()
            if isinstance(each, type) and is_dataclass(each) and each.__module__ == module.__name__
        ),
        key=lambda each: each.__name__,
    )
)
"""Every dataclass that has a wire form; a new one is tested without being listed."""

SLACK = 24
"""How far beyond its least length a drawn field goes."""

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)
"""Whatever CBOR can say, more or less."""


def of(kind: type[T]) -> st.SearchStrategy[T]:
    """Return a strategy for messages of one kind, edges of their bounds included."""
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{each.name: _field(hints[each.name]) for each in fields(kind)})  # type: ignore[arg-type]


def _field(hint: Any) -> st.SearchStrategy[Any]:
    bounds = Within(0, 2**24)
    if get_origin(hint) is Annotated:
        hint, bounds = get_args(hint)[0], next(each for each in get_args(hint) if isinstance(each, Within))
    high = min(bounds.high, bounds.low + SLACK)
    if get_origin(hint) is tuple:
        return st.lists(_field(get_args(hint)[0]), min_size=bounds.low, max_size=min(high, bounds.low + 3)).map(tuple)
    if is_dataclass(hint):
        return of(hint)  # type: ignore[arg-type]
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(bounds.low, bounds.high) | st.sampled_from([bounds.low, bounds.high])
    if hint is bytes:
        return st.binary(min_size=bounds.low, max_size=high)
    assert hint is str, hint
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=bounds.low, max_size=high)


messages_of_all_kinds = st.sampled_from(MESSAGES).flatmap(of)


@st.composite
def envelopes(draw: st.DrawFn) -> Envelope:
    """Return a strategy for envelopes that are well formed, whatever they say."""
    kind = draw(st.sampled_from(Kind))
    by_client = kind in FROM_CLIENTS
    sender: int | bytes = draw(st.binary(min_size=32, max_size=32)) if by_client else draw(st.integers(0, 2**16 - 1))
    width = 64 if kind in SIGNED else 0
    signature = draw(st.binary(min_size=width, max_size=width))
    beside = draw(st.binary(max_size=80)) if kind in WITH_SOMETHING_BESIDE else b""
    return Envelope(kind, sender, draw(st.binary(max_size=80)), signature, beside)


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Return a strategy for bytes near `data`: some flipped, cut out, doubled, inserted or cut off."""
    damage = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(damage)))
        match draw(st.sampled_from(["flip", "cut", "double", "insert", "truncate"])):
            case "flip" if place < len(damage):
                damage[place] ^= draw(st.integers(1, 255))
            case "cut":
                del damage[place : place + draw(st.integers(1, 8))]
            case "double":
                damage[place:place] = damage[place : place + draw(st.integers(1, 8))]
            case "insert":
                damage[place:place] = draw(st.binary(min_size=1, max_size=9))
            case "truncate":
                del damage[place:]
    return bytes(damage)


@st.composite
def reshaped(draw: st.DrawFn, value: Any) -> Any:
    """Return a strategy for values of nearly the shape of `value`: one part left out, doubled, replaced or wrapped."""
    if isinstance(value, list) and value and draw(st.booleans()):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], draw(reshaped(value[index])), *value[index + 1 :]]
    match draw(st.sampled_from(["replace", "wrap", "omit", "double", "nudge"])):
        case "wrap":
            return [value]
        case "omit" if isinstance(value, list) and value:
            index = draw(st.integers(0, len(value) - 1))
            return [*value[:index], *value[index + 1 :]]
        case "double" if isinstance(value, list) and value:
            return [*value, draw(st.sampled_from(value))]
        case "nudge" if type(value) is int:
            return draw(st.sampled_from([value - 1, value + 1, -value, bool(value), float(value), 2**63, 2**64 - 1]))
        case "nudge" if type(value) is bytes:
            return draw(st.sampled_from([value[:-1], value + b"\0", value.hex(), list(value)]))
    return draw(plain)


def packed(message: object) -> bytes:
    """Return a message's bytes."""
    return pack(message)
