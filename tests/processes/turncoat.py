"""Turncoat: every misbehaviour there is, one after the other, in one process, for tests of liars that are real."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pbft.core.effects import Effect
from pbft.core.envelope import Envelope, Sender
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.core.status import ReplicaStatus
from pbft.testing.byzantine import ADVERSARIES, Adversary, Means

TURN_MS: Final = 100
TURN_MESSAGES: Final = 30
"""What each misbehaviour gets at least: so much time, for what speaks unasked, and so many messages to act upon."""


class Turncoat(Adversary):
    """Misbehaves in every way there is, one after the other, and says in its status which one it has come to."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._turn = -1
        self._heard = self._since_ms = 0
        self._liar: Adversary = self

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Let the misbehaviour whose turn it is receive, or the next one where that has had its share."""
        self._heard += 1
        if self._liar is self or (self._heard >= TURN_MESSAGES and now.monotonic_ms >= self._since_ms + TURN_MS):
            self._turn += 1
            self._heard, self._since_ms = 0, now.monotonic_ms
            self._liar = ADVERSARIES[self._turn % len(ADVERSARIES)](self.core, self.means)
        return self._liar.receive(envelope, sender, now)

    def tick(self, now: Now) -> list[Effect]:
        """Let the misbehaviour whose turn it is tick."""
        return super().tick(now) if self._liar is self else self._liar.tick(now)

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is next due."""
        return super().deadline_ms if self._liar is self else self._liar.deadline_ms

    def status(self) -> ReplicaStatus:
        """Say that as many requests wait as misbehaviours have had their turn."""
        return replace(self.core.status(), waiting=max(0, self._turn))
