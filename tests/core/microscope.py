"""One replica under a microscope: envelope in, effects out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pbft.core.effects import Answer, Broadcast, Effect, Ignored, Reason, Send
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.messages import BEGINNING, Checkpoint, CheckpointProof, PreparedCertificate, unpack
from pbft.core.replica import Replica
from pbft.core.settings import Now

if TYPE_CHECKING:
    from tests.core.builders import Recorder, Scene

WALL_MS = 1_750_000_000_000
"""What the wall clock shows when a test's monotonic clock shows 0."""

E = TypeVar("E")


def at(ms: int, wall_offset_ms: int = 0) -> Now:
    """Return the two clocks `ms` after a test's beginning."""
    return Now(ms, WALL_MS + ms + wall_offset_ms)


@dataclass
class Turn:
    """What one turn of a replica came to."""

    effects: list[Effect]

    def of(self, kind: type[E]) -> list[E]:
        """Return the effects of one class, in order."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def reasons(self) -> list[Reason]:
        """Return why anything was refused."""
        return [ignored.reason for ignored in self.of(Ignored)]

    def said(self, kind: Kind) -> list[Envelope]:
        """Return what goes to replicas, of one kind."""
        return [
            each.envelope for each in self.effects if isinstance(each, Broadcast | Send) and each.envelope.kind is kind
        ]

    def answers(self, kind: Kind = Kind.REPLY) -> list[Envelope]:
        """Return what goes to clients, of one kind."""
        return [answer.envelope for answer in self.of(Answer) if answer.envelope.kind is kind]


class Microscope:
    """One replica: envelope in, effects out. Greeted, it knows that nobody is ahead of it, so that it is quiet."""

    def __init__(self, scene: Scene, replica: Replica, application: Recorder, *, greeted: bool) -> None:
        self.scene = scene
        self.replica = replica
        self.application = application
        self.ms = 0
        self.wall_offset_ms = 0
        for peer in self.peers[-scene.group.quorums.weak :] if greeted else []:
            self.give(scene.status(peer, 0))

    @property
    def me(self) -> int:
        return self.replica.me

    @property
    def now(self) -> Now:
        return at(self.ms, self.wall_offset_ms)

    @property
    def executed(self) -> int:
        return self.replica.status().executed

    def give(self, envelope: Envelope, sender: Sender | None = None) -> Turn:
        """Deliver an envelope on its sender's own link, or on the link of whoever relays it."""
        return Turn(self.replica.receive(envelope, envelope.sender if sender is None else sender, self.now))

    def tick(self) -> Turn:
        """Let the replica do what is due."""
        return Turn(self.replica.tick(self.now))

    @property
    def primary(self) -> int:
        """The primary of the view that the replica entered last."""
        return self.scene.group.primary(self.replica.status().view)

    @property
    def peers(self) -> list[int]:
        """All other replicas."""
        return [number for number in range(self.scene.n) if number != self.me]

    def wait(self, ms: int) -> Turn:
        """Let time pass, with a tick whenever one is due, as a driver does."""
        effects: list[Effect] = []
        until_ms = self.ms + ms
        while (due_ms := self.replica.deadline_ms) is not None and due_ms <= until_ms:
            self.ms = max(self.ms, due_ms)
            effects += self.tick().effects
            now_due_ms = self.replica.deadline_ms
            assert now_due_ms is None or now_due_ms > self.ms, "no driver may spin"
        self.ms = until_ms
        return Turn(effects)

    def others(self) -> list[int]:
        """Return the other replicas, this view's primary left out."""
        return [number for number in self.peers if number != self.primary]

    def prepare(self, proposal: Envelope) -> Turn:
        """Deliver the backups' votes for a proposal, as many as make it prepared."""
        missing = self.scene.group.quorums.quorum - (1 if self.me == self.primary else 2)
        effects: list[Effect] = []
        for backup in self.others()[:missing]:
            effects += self.give(self.scene.prepare(backup, proposal)).effects
        return Turn(effects)

    def commit(self, proposal: Envelope) -> Turn:
        """Deliver others' commits for a proposal, as many as make it committed."""
        effects: list[Effect] = []
        for member in self.peers[: self.scene.group.quorums.quorum - 1]:
            effects += self.give(self.scene.commit(member, proposal)).effects
        return Turn(effects)

    def agree(self, proposal: Envelope) -> Turn:
        """Take a proposal through all three phases at this backup."""
        return Turn([*self.give(proposal).effects, *self.prepare(proposal).effects, *self.commit(proposal).effects])

    def run(self, upto: int, client: str = "alice") -> Turn:
        """Execute a batch of one request at each sequence up to one, proposed in the view it is in."""
        effects: list[Effect] = []
        view = self.replica.status().view
        for sequence in range(self.executed + 1, upto + 1):
            request = self.scene.request(client, sequence, (b"op %d" % sequence,))
            effects += self.agree(self.scene.pre_prepare(sequence, request, view=view)).effects
            assert self.executed == sequence
        return Turn(effects)

    def stabilise(self, vote: Envelope) -> Turn:
        """Deliver others' equal votes for a CHECKPOINT of this replica, as many as make it stable."""
        body = unpack(Checkpoint, vote.body)
        effects: list[Effect] = []
        for member in self.peers[: self.scene.group.quorums.stable - 1]:
            effects += self.give(self.scene.checkpoint(member, body.sequence, body.digest)).effects
        assert self.replica.status().stable_checkpoint == body.sequence
        return Turn(effects)

    def votes(
        self, view: int, prepared: Sequence[PreparedCertificate] = (), stable: CheckpointProof = BEGINNING
    ) -> list[Envelope]:
        """Return others' votes for a view, as many as its NEW-VIEW takes: beside our own if it is ours to make."""
        own = self.scene.group.primary(view) == self.me
        voters = self.peers[: self.scene.group.quorums.view_change - own]
        return [self.scene.view_change(each, view, prepared, stable) for each in voters]

    def enter(
        self, view: int, prepared: Sequence[PreparedCertificate] = (), stable: CheckpointProof = BEGINNING
    ) -> Turn:
        """Take the replica into a view, by others' votes, and their NEW-VIEW unless that is for itself to make."""
        votes = self.votes(view, prepared, stable)
        effects = [effect for each in votes for effect in self.give(each).effects]
        if self.scene.group.primary(view) != self.me:
            effects += self.give(self.scene.new_view(view, votes)).effects
        assert self.replica.status().view == view
        return Turn(effects)
