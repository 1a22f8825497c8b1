"""What operations did, as one replica tells it to another: digests, or one's result and writes, as items of bytes.

Owns: these items, bounded, and their strict reading. Nobody's word is believed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pbft.core.codec import Small, Uint, Within, pack, unpack
from pbft.core.deeds import Deed, Deeds, digest_of, place_of, size_of
from pbft.core.findings import EXCERPT_BYTES, MOST_WRITES, Did, Excerpt, Written
from pbft.core.state_messages import BATCHES, MOST_RECALLED, OPERATIONS, Recall
from pbft.encoding import EncodingError

_WORK_BYTES: Final = 512 * 1024
"""What is digested for one answer; it ends with the item that passes this, and whoever asks goes on from there."""


ACCOUNT_BYTES: Final = (1 + MOST_WRITES) * 3 * EXCERPT_BYTES
"""More than the account of one operation takes."""


@dataclass(frozen=True, slots=True)
class _Result:
    """The first item. No outcome where the operation was passed over."""

    outcome: Annotated[tuple[Small, ...], Within(0, 1)]
    payload: Excerpt
    writes: Uint


@dataclass(frozen=True, slots=True)
class _Write:
    """Each further item. No value where the key was removed."""

    section: Small
    key: Excerpt
    value: Annotated[tuple[Excerpt, ...], Within(0, 1)]


def tell(deed: Deed | None) -> Did:
    """Return what an operation came to, as far as it is told."""
    if deed is None:
        return Did(None, Excerpt.of(b""), (), 0)
    result, writes = deed
    first = sorted(writes, key=place_of)[:MOST_WRITES]
    told = (Written(n, Excerpt.of(key), None if value is None else Excerpt.of(value)) for n, key, value in first)
    return Did(int(result.outcome), Excerpt.of(result.payload), tuple(told), len(writes))


def write_did(did: Did) -> tuple[bytes, ...]:
    """Return the items of an account."""
    head = _Result(() if did.outcome is None else (did.outcome,), did.payload, did.total_writes)
    writes = (_Write(each.section, each.key, () if each.value is None else (each.value,)) for each in did.writes)
    return pack(head), *map(pack, writes)


def read_did(items: Sequence[bytes]) -> Did:
    """Return the account that items spell. Raises EncodingError for what `write_did` cannot have made."""
    if not 1 <= len(items) <= 1 + MOST_WRITES:
        raise EncodingError("an account of an operation has an item for its result, and one for each write")
    head = unpack(_Result, items[0])
    writes = [unpack(_Write, item) for item in items[1:]]
    told = (Written(each.section, each.key, each.value[0] if each.value else None) for each in writes)
    return Did(head.outcome[0] if head.outcome else None, head.payload, tuple(told), head.writes)


def recollect(deeds: Deeds, upto: int, recall: Recall) -> tuple[list[bytes], int]:
    """Return what is remembered, as the items of an answer, and how many bytes were digested for it.

    Of batches beyond `upto` nothing is told. An empty item, or none at all of a single sequence, says that it is
    forgotten.
    """
    if recall.level == BATCHES:
        items: list[bytes] = []
        work = 0
        for sequence in range(recall.first, upto + 1):
            item, cost = deeds.digest(sequence)
            items.append(item)
            work += cost
            if work > _WORK_BYTES:
                break
        return items, work
    past = deeds.of(recall.first)
    if past is None:
        return [], 0
    if recall.level == OPERATIONS:
        told = past[:MOST_RECALLED]
        return [digest_of(deed) for deed in told], sum(map(size_of, told))
    if recall.operation >= len(past):
        return [], 0
    deed = past[recall.operation]
    return list(write_did(tell(deed))), size_of(deed)
