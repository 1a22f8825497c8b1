"""Asking every replica how it is, and judging what they say together.

Owns: one round of questions, what stands for a replica that gives no answer, and when reports contradict each other.
Prints nothing and stops nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pbft.group_file import GroupFile
from pbft.node.marks import holder, read_mark

if TYPE_CHECKING:
    from pbft.client import Client

NOT_RUNNING: Final = "not running"
NO_ANSWER: Final = "no answer"
HEALTHY: Final = "ok"

_SHOWN_CHARACTERS: Final = 200


@dataclass(frozen=True)
class Seen:
    """What is known of one replica."""

    replica: int
    pid: int | None
    """Its process: by its own word, or else as this machine knows it."""
    report: Mapping[str, Any] | None
    """Its account of itself, None when it gave none. A faulty replica says what it likes."""
    health: str
    lies: str | None = None
    """How the process in its place misbehaves on purpose, as whoever started it put it: in groups of a lab only."""

    def word(self, field: str, kind: type) -> Any:
        """Return what the report says under a name, None where that is missing or not of its kind."""
        value = (self.report or {}).get(field)
        if type(value) is not kind:
            return None
        return value[:_SHOWN_CHARACTERS] if isinstance(value, str) else value

    def to_json(self) -> dict[str, Any]:
        """Return one entry of `pbft status --json`: always the same first fields, then all else it reported."""
        known = {
            "id": self.replica,
            "pid": self.pid,
            "role": self.word("role", str),
            "view": self.word("view", int),
            "executed": self.word("executed", int),
            "stable_checkpoint": self.word("stable_checkpoint", int),
            "state_digest": self.word("state_digest", str),
            "health": self.health,
            "lies": self.lies,
            "rss_bytes": self.word("rss_bytes", int),
            "ignored": self.word("ignored", dict) or {},
        }
        return known | {name: value for name, value in (self.report or {}).items() if name not in known}


@dataclass(frozen=True)
class Survey:
    """What all replicas of a group said at about the same time."""

    seen: tuple[Seen, ...]
    quorum: int
    weak: int

    @property
    def answering(self) -> tuple[int, ...]:
        """The replicas that answered."""
        return tuple(each.replica for each in self.seen if each.report is not None)

    @property
    def has_quorum(self) -> bool:
        """Whether as many answered as the group needs to go on."""
        return len(self.answering) >= self.quorum

    @property
    def silent_primary(self) -> int | None:
        """The primary of the view that f+1 replicas or more report, if it does not answer: requests replace it."""
        views = [each.word("view", int) for each in self.seen]
        told = [view for view in views if view is not None and views.count(view) >= self.weak]
        primary = max(told) % len(self.seen) if told else None
        return None if primary is None or primary in self.answering else primary

    @property
    def settled(self) -> bool:
        """Whether a quorum answered, nobody who was started is missing, and nobody lags behind."""
        honest = (each for each in self.seen if each.lies is None)
        return self.has_quorum and all(each.health in (HEALTHY, NOT_RUNNING) for each in honest)

    def contradictions(self) -> list[tuple[int, tuple[int, ...], tuple[int, ...]]]:
        """Return (sequence, replicas, other replicas) where both executed it and have different states.

        The first of the two has the larger following. Whoever says so may be lying: at most f replicas are.
        """
        states: dict[int, dict[str, list[int]]] = {}
        for each in self.seen:
            sequence, state = each.word("executed", int), each.word("state_digest", str)
            if sequence is not None and state is not None:
                states.setdefault(sequence, {}).setdefault(state, []).append(each.replica)
        found = []
        for sequence, holders in sorted(states.items()):
            camps = sorted(holders.values(), key=lambda camp: (-len(camp), camp))
            found += [(sequence, tuple(camps[0]), tuple(camp)) for camp in camps[1:]]
        return found


async def survey(client: Client, files: GroupFile, timeout_seconds: float) -> Survey:
    """Ask all replicas at once; whoever has not answered within the time is reported without a word of its own."""
    asked: Sequence[int] = range(files.group.n)
    if files.lab:
        # Nobody needs to wait for one that this machine knows to be gone.
        asked = [replica for replica in asked if holder(files.data(replica)) is not None]
    return judge(files, await client.inspect(*asked, timeout=timeout_seconds) if asked else {})


def judge(files: GroupFile, reports: Mapping[int, Mapping[str, Any] | None]) -> Survey:
    """Return the survey that reports make; None stands for a replica that gave none."""
    seen = []
    for replica in range(files.group.n):
        mark = read_mark(files.data(replica))
        pid, lies = (mark.pid, mark.lies) if mark is not None else (None, None)
        report = reports.get(replica)
        told = Seen(replica, pid, report, "", lies)
        if report is not None:
            health = told.word("health", str) or "answers, but says nothing of its health"
        else:
            # Of a replica on another machine silence says no more than that.
            health = NOT_RUNNING if files.lab and pid is None else NO_ANSWER
        if lies is not None:
            health = f"lies: {lies}" + (f" (and says: {health})" if report is not None else f" ({health})")
        seen.append(replace(told, pid=told.word("pid", int) or pid, health=health))
    return Survey(tuple(seen), files.group.quorums.quorum, files.group.quorums.weak)
