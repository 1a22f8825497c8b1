"""What every adversary is: a correct core inside, and a hand on what goes in and out of it.

Owns: the face that the cluster drives, which is a replica's own, and what an adversary may know and sign with. It holds
its own signer and its colluders', nobody else's: what it forges, it forges badly.

Misbehaviours go together where each calls its `super()` first: `class Both(Censor, TimeLiar)` is as wicked as the two.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from pbft.core.effects import Broadcast, Effect, Send
from pbft.core.envelope import Envelope, Kind, Sender, Signer, seal
from pbft.core.group import Group, ReplicaId
from pbft.core.messages import Commit, Prepare, PrePrepare, pack
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.core.status import ReplicaStatus


@dataclass(frozen=True)
class Means:
    """What an adversary works with."""

    me: ReplicaId
    group: Group
    signers: dict[ReplicaId, Signer]
    """The keys of this adversary and of its colluders."""
    chance: random.Random

    @property
    def correct(self) -> tuple[ReplicaId, ...]:
        """The replicas that do not collude."""
        return tuple(member.id for member in self.group.members if member.id not in self.signers)

    def in_second_half(self, replica: ReplicaId) -> bool:
        """Say on which side a replica stands, for whoever tells two stories."""
        return replica in self.correct[len(self.correct) // 2 :]


class Adversary:
    """A replica that misbehaves. A subclass overrides `twist`, or takes a hand earlier in `receive` or `tick`."""

    def __init__(self, core: Replica, means: Means) -> None:
        self.core = core
        self.means = means
        self.me = means.me

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Return what is done in place of what a correct replica would do. Broadcasts come as single Sends."""
        return effects

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Let the core receive, and twist what it wants done."""
        return self.twist(self.singly(self.core.receive(envelope, sender, now)), now)

    def tick(self, now: Now) -> list[Effect]:
        """Let the core tick, and twist what it wants done."""
        return self.twist(self.singly(self.core.tick(now)), now)

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is next due."""
        return self.core.deadline_ms

    def status(self) -> ReplicaStatus:
        """Return the core's account of itself."""
        return self.core.status()

    def state_digest(self) -> bytes:
        """Return the digest of the core's state."""
        return self.core.state_digest()

    @property
    def others(self) -> list[ReplicaId]:
        """Every other replica."""
        return [member.id for member in self.means.group.members if member.id != self.me]

    def singly(self, effects: list[Effect]) -> list[Effect]:
        """Return the effects with each Broadcast as a Send to every other replica."""
        single: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Broadcast):
                single.extend(Send(to, effect.envelope) for to in self.others)
            else:
                single.append(effect)
        return single

    def say(self, kind: Kind, body: bytes, beside: bytes = b"") -> Envelope:
        """Return an envelope properly signed in this adversary's name."""
        return seal(self.means.group, self.means.signers[self.me], kind, self.me, body, beside)

    def support(self, body: PrePrepare) -> list[Envelope]:
        """Return the votes of all who collude for a proposal: every prepare and commit that they can sign."""
        group = self.means.group
        prepare = pack(Prepare(body.view, body.sequence, body.digest))
        commit = pack(Commit(body.view, body.sequence, body.digest))
        votes = []
        for member, signer in self.means.signers.items():
            if member != group.primary(body.view):
                votes.append(seal(group, signer, Kind.PREPARE, member, prepare))
            votes.append(seal(group, signer, Kind.COMMIT, member, commit))
        return votes
