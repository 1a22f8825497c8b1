"""What each replica does after what: no gaps, no steps back, no vote in a view it is not in (O4).

Owns: the oracle that follows every correct replica's course, from its own effects alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pbft.core.effects import (
    BecameStable,
    Broadcast,
    Effect,
    Executed,
    Persist,
    Send,
    StateInstalled,
    ViewEntered,
)
from pbft.core.envelope import Kind
from pbft.core.group import ReplicaId
from pbft.core.messages import Status, unpack
from pbft.testing.oracles.base import Facts, Oracle
from pbft.testing.oracles.votes import Vote, read_vote, renewed

_OF_A_VIEW = (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT)


@dataclass(slots=True)
class _Course:
    """How far one replica has come."""

    executed: int = 0
    time_ms: int = 0
    view: int = 0
    """The view it entered last."""
    asked: int = 0
    """The highest view that it made a VIEW-CHANGE for."""
    checkpoint: int = 0
    """The sequence of its last CHECKPOINT vote."""
    stable: int = 0
    """The sequence of the last checkpoint that it found stable."""
    proven: dict[tuple[int, bytes], None] = field(default_factory=dict)
    renewed: dict[Vote, None] = field(default_factory=dict)
    """The pre-prepares that its NEW-VIEWs hold: given with those, though a batch may join one later."""
    told: tuple[int, int, int, int] = (0, 0, 0, 0)
    """View, target, stable and executed, as it said last."""


class Order(Oracle):
    """O4: sequence, view and agreed time of a replica never move back, and it votes in no view but its own.

    It executes without gaps, except where it takes over a state that it knows a quorum vouches for. It votes in a view
    only after it entered it, and never once it made a VIEW-CHANGE for a higher one: it may still enter that view later,
    to execute what others commit there.
    """

    id = "O4"
    watches = (Executed, StateInstalled, BecameStable, ViewEntered, Persist, Send, Broadcast)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._courses = {replica: _Course() for replica in facts.correct}
        self._interval = facts.group.genesis.limits.checkpoint_interval

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Hold each step against the one before it."""
        course = self._courses[replica]
        match effect:
            case Executed(_, sequence, _, time_ms):
                self._execute(replica, course, sequence, time_ms)
            case StateInstalled(sequence, digest):
                self._install(replica, course, sequence, digest)
            case BecameStable(proof):
                if proof.sequence <= course.stable:
                    self.fail(f"replica {replica} found s{proof.sequence} stable after s{course.stable}")
                course.stable = proof.sequence
                course.proven[proof.sequence, proof.digest] = None
            case ViewEntered(view):
                if view <= course.view:
                    self.fail(f"replica {replica} entered view {view} after view {course.view}")
                course.view = view
            case Persist(envelope) if envelope.sender == replica:
                course.renewed.update(dict.fromkeys(renewed(envelope)))
                vote = read_vote(envelope)
                if vote is not None:
                    self._vote(replica, course, vote)
            case Send(_, envelope) | Broadcast(envelope) if envelope.kind is Kind.STATUS:
                self._say(replica, course, unpack(Status, envelope.body))
            case _:
                pass

    def _execute(self, replica: ReplicaId, course: _Course, sequence: int, time_ms: int) -> None:
        if sequence != course.executed + 1:
            self.fail(f"replica {replica} executed sequence {sequence} after {course.executed}")
        if time_ms < course.time_ms:
            self.fail(f"agreed time moved back on replica {replica}, from {course.time_ms} to {time_ms}")
        course.executed, course.time_ms = sequence, time_ms

    def _install(self, replica: ReplicaId, course: _Course, sequence: int, digest: bytes) -> None:
        if sequence <= course.executed:
            self.fail(f"replica {replica} took over the state of sequence {sequence} after {course.executed}")
        if (sequence, digest) not in course.proven:
            self.fail(f"replica {replica} took over a state of sequence {sequence} that it has no proof for")
        course.executed = sequence

    def _vote(self, replica: ReplicaId, course: _Course, vote: Vote) -> None:
        if vote.kind in _OF_A_VIEW:
            if vote in course.renewed:
                return
            if vote.view != course.view:
                self.fail(f"replica {replica} voted {vote} while in view {course.view}")
            if course.asked > course.view:
                self.fail(f"replica {replica} voted {vote} after it asked for view {course.asked}")
        elif vote.kind is Kind.VIEW_CHANGE and vote.view is not None:
            if vote.view <= max(course.asked, course.view):
                self.fail(f"replica {replica} asked for view {vote.view} after {max(course.asked, course.view)}")
            course.asked = vote.view
        elif vote.kind is Kind.NEW_VIEW and vote.view is not None:
            if vote.view < max(course.asked, course.view):
                self.fail(f"replica {replica} began view {vote.view} after {max(course.asked, course.view)}")
            if vote.view % len(self.facts.group.genesis.members) != replica:
                self.fail(f"replica {replica} began view {vote.view}, which is not its own")
        elif vote.kind is Kind.CHECKPOINT and vote.sequence is not None:
            if not course.checkpoint < vote.sequence <= course.executed or vote.sequence % self._interval:
                self.fail(
                    f"replica {replica}, which executed {course.executed} and makes a checkpoint each "
                    f"{self._interval}, voted {vote} after s{course.checkpoint}"
                )
            course.checkpoint = vote.sequence

    def _say(self, replica: ReplicaId, course: _Course, status: Status) -> None:
        said = (status.view, status.target, status.stable, status.executed)
        is_so = (course.view, max(course.view, course.asked), course.stable, course.executed)
        for what, before, now, true in zip(
            ("in view", "asking for view", "stable at", "at sequence"), course.told, said, is_so, strict=True
        ):
            if now < before:
                self.fail(f"replica {replica} says it is {what} {now}, after {before}")
            if now > true:
                self.fail(f"replica {replica} says it is {what} {now}, and it is {what} {true}")
        course.told = said


__all__ = ["Order"]
