"""What every adversary is: a correct core inside, and a hand on what goes in and out of it.

Owns: the face that the cluster drives, which is a replica's own, and what an adversary may know and sign with. It holds
its own signer and its colluders', nobody else's: what it forges, it forges badly.

Misbehaviours go together where each calls its `super()` first: `class Both(Censor, TimeLiar)` is as wicked as the two.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pbft.core.effects import Broadcast, Effect, Send
from pbft.core.envelope import Envelope, Kind, Sender, Signer, seal
from pbft.core.group import ClientKey, Group, ReplicaId
from pbft.core.messages import PrePrepare, pack
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.core.situation import Situation
from pbft.core.status import ReplicaStatus


@dataclass(frozen=True)
class Means:
    """What an adversary works with."""

    me: ReplicaId
    group: Group
    signers: dict[ReplicaId, Signer]
    """The keys of this adversary and of its colluders."""
    chance: random.Random
    another: Callable[[], Replica]
    """Makes one more core of this very replica, under the same keys, on a state machine of its own."""
    clients: Mapping[ClientKey, Signer] = field(default_factory=dict)
    """The keys of clients that collude."""

    @property
    def correct(self) -> tuple[ReplicaId, ...]:
        """The replicas that do not collude."""
        return tuple(member.id for member in self.group.members if member.id not in self.signers)

    def in_second_half(self, replica: ReplicaId) -> bool:
        """Say on which side a replica stands, for whoever tells two stories."""
        return replica in self.correct[len(self.correct) // 2 :]

    def support(self, body: PrePrepare) -> list[Envelope]:
        """Return all that those who collude can sign for a proposal. The three phases spell their words alike."""
        words, votes = pack(body), []
        for member, signer in self.signers.items():
            kinds = (Kind.COMMIT,) if member == self.group.primary(body.view) else (Kind.PREPARE, Kind.COMMIT)
            votes += [seal(self.group, signer, kind, member, words) for kind in kinds]
        return votes


class Adversary:
    """A replica that misbehaves. A subclass overrides `twist`, or takes a hand earlier in `receive` or `tick`."""

    def __init__(self, core: Replica, means: Means) -> None:
        self.core, self.means, self.me = core, means, means.me

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

    def situation(self, now_ms: int) -> Situation:
        """Return what the core lacks for its next step."""
        return self.core.situation(now_ms)

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
            single += [Send(to, effect.envelope) for to in self.others] if isinstance(effect, Broadcast) else [effect]
        return single

    def say(self, kind: Kind, body: bytes, beside: bytes = b"") -> Envelope:
        """Return an envelope properly signed in this adversary's name."""
        return seal(self.means.group, self.means.signers[self.me], kind, self.me, body, beside)

    @property
    def is_in_office(self) -> bool:
        """Whether its core is the primary of the view that it is in."""
        status = self.core.status()
        return status.role == "primary" and status.view == status.target
