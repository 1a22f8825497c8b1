"""What is found where a replica's state is not the others': the first operation that differs, and the keys that do.

Owns: the shape of such a finding, bounded however long keys and values are. Finds nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from pbft.core.codec import Uint, Within
from pbft.encoding import DIGEST_BYTES, digest

EXCERPT_BYTES: Final = 1_024
"""How much of a key, a value or a result is told; of what is longer, its length and digest besides."""

MOST_KEYS: Final = 100
"""Keys of the state that differ are named as far as this many, by section and key."""

MOST_WRITES: Final = 64
"""Writes of one operation are told as far as this many, by section and key."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Bytes, or the beginning of them with their length and digest."""

    shown: Annotated[bytes, Within(0, EXCERPT_BYTES)]
    size: Uint
    digest: Annotated[bytes, Within(0, DIGEST_BYTES)] = b""
    """Empty where all of it is shown."""

    @classmethod
    def of(cls, data: bytes) -> Excerpt:
        """Return as much of these bytes as is told."""
        if len(data) <= EXCERPT_BYTES:
            return cls(data, len(data))
        return cls(data[:EXCERPT_BYTES], len(data), digest(b"pbft/excerpt", data))


@dataclass(frozen=True, slots=True)
class Written:
    """One write: the number of a section of the application's state, a key, and its value, None where removed."""

    section: int
    key: Excerpt
    value: Excerpt | None


@dataclass(frozen=True, slots=True)
class Did:
    """What one operation came to on a replica. `outcome` is None where it was passed over, as what ran before is."""

    outcome: int | None
    payload: Excerpt
    writes: tuple[Written, ...]
    """The first of them."""
    total_writes: int


@dataclass(frozen=True, slots=True)
class Recollected:
    """What some other replicas recall alike of the operation."""

    replicas: tuple[int, ...]
    did: Did


@dataclass(frozen=True, slots=True)
class Ordered:
    """The operation as a client asked for it."""

    client: str
    timestamp: int
    operation: Excerpt


@dataclass(frozen=True, slots=True)
class DifferingKey:
    """A key of the state that differs: its section's name, and what it holds; None where there is none."""

    section: str
    key: Excerpt
    own: Excerpt | None
    right: Excerpt | None


@dataclass(frozen=True, slots=True)
class DivergenceExplained:
    """Where this replica's state parted from the others', as far as it could find out by itself.

    Told once for each divergence, when nothing more is to be learnt.
    """

    sequence: int
    """The checkpoint at which it showed."""
    own: bytes
    proven: bytes | None
    """What a quorum vouches for; None where the replicas are of so many minds that no quorum can be."""
    equal_upto: int
    """The last sequence at which this replica's state is known to have been the group's."""
    compared_from: int
    """The first sequence whose operations could be compared: what was done before is remembered no more."""
    differs_at: int | None = None
    """The first sequence that differs, of those that could be compared."""
    operation: int | None = None
    """The position of the first operation there that differs."""
    unknown: str = ""
    """Why the place is not known, or not wholly; empty where it is."""
    ordered: Ordered | None = None
    did: Did | None = None
    others_did: tuple[Recollected, ...] = ()
    """Of a replica that is out-voted what f+1 others recall alike; else what each recalls."""
    sections: tuple[str, ...] = ()
    """What the sections of the application's state are called."""
    keys: tuple[DifferingKey, ...] = ()
    """The first keys of the whole state that differ."""
    total_keys: int | None = None
    """How many there are; None where the right state was not there to compare."""
    rejoined_at: int | None = None
    """The sequence whose proven state took the place of this replica's; None where none did so far."""
