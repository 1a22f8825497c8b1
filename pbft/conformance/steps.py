"""One operation of a sequence that is tried: who sends it, when, and its bytes.

Owns: what a sequence is made of, the context in which its operations run, and their words. Knows nothing of processes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pbft.application import Outcome, Result
from pbft.encoding import Plain, digest
from pbft.operations import ArgumentError, Context, decode_operation, encode_operation
from pbft.wording import shorten

_SHOWN_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Step:
    """One operation: the client who sends it, the agreed time in milliseconds, and its bytes."""

    client: str
    time_ms: int
    data: bytes

    @classmethod
    def call(
        cls,
        client: str,
        time_ms: int,
        name: str,
        args: Sequence[Plain] = (),
        kwargs: Mapping[str, Plain] | None = None,
    ) -> Step:
        """Return the step that calls a StateMachine's operation. Raises EncodingError for what cannot be sent."""
        return cls(client, time_ms, encode_operation(name, args, kwargs))

    @property
    def told(self) -> str:
        """The operation in words: `bid("lamp", 5)`, or `bytes 83…` where it is no call."""
        try:
            call = decode_operation(self.data)
        except ArgumentError:
            shown = self.data[:_SHOWN_BYTES].hex() + ("…" if len(self.data) > _SHOWN_BYTES else "")
            return f"bytes {shown or '(none)'}"
        words = [tell_value(each) for each in call.args]
        words += [f"{name}={tell_value(value)}" for name, value in call.kwargs.items()]
        name = call.name if call.name.isidentifier() else tell_value(call.name)
        return f"{name}({', '.join(words)})"

    def context(self, place: int) -> Context:
        """Return the context in which it runs as the operation at this place, counted from 0."""
        seed = digest(b"pbft/check/seed", place.to_bytes(8, "big"))
        return Context(time_ms=self.time_ms, client=self.client, sequence=place + 1, seed=seed)


def tell_value(value: Plain) -> str:
    """Return an application's value as a person would write it in Python; bytes as hex digits."""
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, bytes):
        return f'bytes.fromhex("{value.hex()}")' if value else 'b""'
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=not value.isprintable())
    if isinstance(value, tuple | list):
        inner = ", ".join(tell_value(each) for each in value)
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{tell_value(key)}: {tell_value(each)}" for key, each in value.items()) + "}"
    return repr(value)


def tell_short(value: Plain) -> str:
    """Return the same, cut where it is long."""
    return shorten(tell_value(value))


def tell_answer(here: Result, there: Result) -> tuple[str, str, str]:
    """Return two different answers in words, and before them which part of both is told, as in `["total"]`."""
    if here.outcome is not there.outcome:
        return "", _tell_result(here), _tell_result(there)
    own, other, part = here.value, there.value, ""
    while (inner := _first_part(own, other)) is not None:
        own, other = own[inner], other[inner]
        part += f"[{tell_value(inner)}]"
    return part, tell_short(own), tell_short(other)


def _tell_result(result: Result) -> str:
    if result.outcome is Outcome.OK:
        return tell_short(result.value)
    return f"{result.outcome.name} with {tell_short(result.value)}"


def _first_part(here: Plain, there: Plain) -> int | str | None:
    """Return the index or key of the first part in which two values differ, None where they differ as a whole."""
    if type(here) is dict and type(there) is dict and here.keys() == there.keys():
        return next((key for key in here if here[key] != there[key]), None)
    if type(here) is tuple and type(there) is tuple and len(here) == len(there):
        return next((at for at, (own, other) in enumerate(zip(here, there, strict=True)) if own != other), None)
    return None
