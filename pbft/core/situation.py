"""Why a replica is where it is: what it lacks for its next step, from whom, and what it will do about that, and when.

Owns: the frozen account that `pbft explain`, dashboards and metrics read, and how a blocked sequence is described.
Changes nothing, and a replica that nobody asks spends nothing on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from pbft.core.group import Group, ReplicaId
from pbft.core.log import Slot


class Phase(Enum):
    """What the next sequence to execute lacks (OSDI'99 section 4.2). The value is the word that reports carry."""

    PRE_PREPARE = "pre-prepare"
    """The primary's proposal."""
    BATCH = "batch"
    """What a new view proposes again is known by its digest only."""
    CLOCK = "clock"
    """The proposal's time is too far from this replica's clock: f+1 members must vote for it first (design 4.5)."""
    PREPARE = "prepare"
    COMMIT = "commit"
    EXECUTION = "execution"
    """It has committed, and this replica does not execute: its state is not what a quorum vouches for."""


@dataclass(frozen=True)
class Blocked:
    """The next sequence to execute, and what it waits for."""

    sequence: int
    phase: Phase
    have: tuple[ReplicaId, ...]
    """Who has done their part."""
    needed: int
    """How many of them it takes."""
    for_ms: int | None
    """How long its proposal has been known here; None where there is none."""


@dataclass(frozen=True)
class ViewChangeStanding:
    """A view change under way (OSDI'99 section 4.4)."""

    target: int
    have: tuple[ReplicaId, ...]
    """Whose VIEW-CHANGE for this view, or a later one, is held here."""
    needed: int


@dataclass(frozen=True)
class CheckpointStanding:
    """This replica's own latest checkpoint that is not stable yet (OSDI'99 section 4.3)."""

    sequence: int
    have: tuple[ReplicaId, ...]
    """Who vouches for the same state."""
    needed: int


@dataclass(frozen=True)
class TimerStanding:
    """What this replica does next if nothing comes."""

    what: str
    in_ms: int
    """0 when it is due."""


@dataclass(frozen=True)
class PeerStanding:
    """What another replica told of itself last. It may be old, and a faulty one says what it likes."""

    id: ReplicaId
    executed: int | None
    heard_ms_ago: int | None
    """How long ago anything came from it; None if nothing ever did."""


@dataclass(frozen=True)
class TransferStanding:
    """State that is being fetched."""

    sequence: int
    bytes: int
    """Bytes of keys and values that are here, of this replica's own or from others."""
    of: int


@dataclass(frozen=True)
class Situation:
    """All that explains why a replica does not go on, or goes on slowly. Parts that do not apply are None."""

    blocked: Blocked | None
    view_change: ViewChangeStanding | None
    checkpoint: CheckpointStanding | None
    timer: TimerStanding | None
    peers: tuple[PeerStanding, ...]
    transfer: TransferStanding | None
    oldest_waiting_ms: int | None
    """How long the request that has waited longest has done so, counted from when patience began."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, as reports carry it."""
        return asdict(self, dict_factory=_plain)


def _plain(items: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value.value if isinstance(value, Phase) else value for name, value in items}


def blocked_at(
    group: Group, view: int, sequence: int, slot: Slot | None, *, expected: bool, now_ms: int
) -> Blocked | None:
    """Return what the next sequence to execute waits for, None when nothing is under way.

    `slot` is what is known of it, and `expected` says that a proposal is due: requests wait, or later ones are known.
    """
    quorums = group.quorums
    if slot is None or slot.first is None:
        committed = slot is not None and slot.committed is not None
        if committed:
            return Blocked(sequence, Phase.EXECUTION, (), 0, None)
        return Blocked(sequence, Phase.PRE_PREPARE, (), 1, None) if expected else None
    for_ms = None if slot.proposed_ms is None else now_ms - slot.proposed_ms
    if slot.committed is not None:
        return Blocked(sequence, Phase.EXECUTION, (), 0, for_ms)
    proposal = slot.proposed
    if proposal is None:
        return Blocked(sequence, Phase.BATCH, (), 1, None)
    backers = tuple(member for member, _ in slot.prepares.matching(view, proposal.digest))
    prepared_by = tuple(sorted({group.primary(view), *backers}))
    if slot.proposal is None:
        return Blocked(sequence, Phase.CLOCK, prepared_by, quorums.weak, for_ms)
    if not slot.prepared:
        return Blocked(sequence, Phase.PREPARE, prepared_by, quorums.prepared, for_ms)
    committers = tuple(member for member, _ in slot.commits.matching(view, proposal.digest))
    return Blocked(sequence, Phase.COMMIT, committers, quorums.committed, for_ms)
