"""What the tests of the paper say in replicas' names, and how they bring replicas to where a rule applies."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import product
from typing import TypeVar

import pytest

from pbft.core.effects import Broadcast, Effect, Persist, Send
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.group import Limits
from pbft.core.messages import (
    Prepare,
    PrePrepare,
    ViewChange,
    pack,
    unpack,
)
from pbft.core.state_messages import TOP, Fetch
from tests.core.builders import Microscope, Scene, Turn

SIZES = pytest.mark.parametrize("n", [4, 7])
"""One fault and two: where counts matter, a rule is shown at both."""

SMALL = Limits(checkpoint_interval=2, log_size=8)
"""K and L that a test reaches in a few steps."""

T = 1_000
"""The default view timeout, in ms."""

E = TypeVar("E")


# What replicas say.


def plain(by: int, kind: Kind, message: object) -> Envelope:
    """Return a message of a kind that its link alone authenticates."""
    return Envelope(kind, by, pack(message))


def fetch(by: int, sequence: int, digest: bytes) -> Envelope:
    """Return a replica's question for the top of a state."""
    return plain(by, Kind.FETCH, Fetch(sequence, digest, (TOP,)))


def digest_of(proposal: Envelope) -> bytes:
    """Return the digest that a proposal signs."""
    return unpack(PrePrepare, proposal.body).digest


def proposals(scene: Scene, last: int, view: int = 0) -> list[Envelope]:
    """Return proposals for the sequences 1 to `last`, each with a request of alice's of its own."""
    return [
        scene.pre_prepare(sequence, scene.request(timestamp=sequence), view=view) for sequence in range(1, last + 1)
    ]


# What one replica is told.


def agree(watched: Microscope, *batches: Envelope) -> Turn:
    """Take proposals through all three phases; of its own, a primary hears a second time."""
    return Turn([effect for each in batches for effect in watched.agree(each).effects])


def stabilise(watched: Microscope, turn: Turn) -> Turn:
    """Have other replicas say what this one said in its last CHECKPOINT, as many as make it stable."""
    return watched.stabilise(turn.said(Kind.CHECKPOINT)[-1])


def join(watched: Microscope, view: int = 1) -> Turn:
    """Have f+1 others ask for a view, so that this replica does too."""
    peers = watched.peers[: watched.scene.group.quorums.weak]
    return told(watched, *(watched.scene.view_change(each, view) for each in peers))


def told(watched: Microscope, *envelopes: Envelope, sender: Sender | None = None) -> Turn:
    """Deliver several envelopes, and return what all of them came to."""
    return Turn([effect for each in envelopes for effect in watched.give(each, sender).effects])


def wait(watched: Microscope, until_ms: int) -> Turn:
    """Let time pass up to a moment, with a tick at every deadline, as drivers do."""
    effects: list[Effect] = []
    while (due_ms := watched.replica.deadline_ms) is not None and due_ms <= until_ms:
        watched.ms = max(watched.ms, due_ms)
        effects += watched.tick().effects
    watched.ms = until_ms
    return Turn([*effects, *watched.tick().effects])


# What came of it.


def is_silent(turn: Turn) -> bool:
    """Say whether nothing was made durable and nothing said."""
    return not turn.of(Persist) and not turn.of(Broadcast) and not turn.of(Send)


def only(found: Sequence[E]) -> E:
    """Return the one thing there is."""
    assert len(found) == 1, f"one is expected, and there are {len(found)}"
    return found[0]


def asked(turn: Turn) -> list[int]:
    """Return the views that a replica asked for, in order."""
    return [unpack(ViewChange, each.body).view for each in turn.said(Kind.VIEW_CHANGE)]


def prepares(turn: Turn) -> list[Prepare]:
    """Return the prepares that a replica cast."""
    return [unpack(Prepare, each.body) for each in turn.said(Kind.PREPARE)]


class Panel:
    """Correct replicas side by side, each under a microscope. The test is the network, the clients and all liars."""

    def __init__(self, scene: Scene, members: Sequence[int]) -> None:
        self.scene = scene
        self.watched = {each: scene.watch(each) for each in members}
        self.effects: dict[int, list[Effect]] = {each: [] for each in members}
        self._said: deque[tuple[int, Envelope]] = deque()

    def tell(self, to: int, *envelopes: Envelope) -> None:
        """Deliver to one replica; what it says waits to be passed on."""
        for each in envelopes:
            self._note(to, self.watched[to].give(each).effects)

    def tick(self, member: int) -> Turn:
        """Let one replica do what is due."""
        turn = self.watched[member].tick()
        self._note(member, turn.effects)
        return turn

    def pass_on(self) -> None:
        """Deliver what replicas said, and what they say to that, until everybody is silent."""
        while self.step():
            pass

    def step(self) -> bool:
        """Deliver one message; say whether there was one."""
        if not self._said:
            return False
        to, envelope = self._said.popleft()
        self._note(to, self.watched[to].give(envelope).effects)
        return True

    def turn(self, member: int) -> Turn:
        """Return all that a replica did so far."""
        return Turn(self.effects[member])

    def _note(self, member: int, effects: list[Effect]) -> None:
        self.effects[member] += effects
        for each in effects:
            if isinstance(each, Broadcast):
                self._said += [(other, each.envelope) for other in self.watched if other != member]
            elif isinstance(each, Send) and each.to in self.watched:
                self._said.append((each.to, each.envelope))


def divided(n: int) -> list[tuple[int, ...]]:
    """Return every way in which f liars, the primary among them, may tell each correct replica one of two stories."""
    return list(product((0, 1), repeat=n - (n - 1) // 3))


def lie(scene: Scene, stories: Sequence[Envelope], told_which: Sequence[int]) -> Panel:
    """Have the liars 0 to f-1 propose to each correct replica one of two batches, and vote for it there."""
    liars = range(scene.group.quorums.faults)
    panel = Panel(scene, range(len(liars), scene.n))
    for member, which in zip(panel.watched, told_which, strict=True):
        panel.tell(member, stories[which])
        panel.tell(member, *(scene.prepare(liar, stories[which]) for liar in liars if liar != 0))
        panel.tell(member, *(scene.commit(liar, stories[which]) for liar in liars))
    return panel
