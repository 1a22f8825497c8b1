"""BadState: has a state that nobody else has, as after a fault of its memory, and vouches for it (R6)."""

from __future__ import annotations

from dataclasses import replace

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Kind
from pbft.core.messages import Checkpoint, pack, unpack
from pbft.core.settings import Now
from pbft.encoding import digest
from pbft.testing.byzantine.adversary import Adversary


class BadState(Adversary):
    """Signs each checkpoint with the digest of another state, and reports that one to whoever asks (R6)."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Vouch for the state that it claims to have."""
        return [self._vouch(each) if isinstance(each, Send) else each for each in super().twist(effects, now)]

    def state_digest(self) -> bytes:
        """Return the digest of a state that nobody has."""
        return digest(b"pbft/lie", super().state_digest())

    def _vouch(self, sent: Send) -> Send:
        if sent.envelope.kind is not Kind.CHECKPOINT or sent.envelope.sender != self.me:
            return sent
        true = unpack(Checkpoint, sent.envelope.body)
        return Send(sent.to, self.say(Kind.CHECKPOINT, pack(replace(true, digest=digest(b"pbft/lie", true.digest)))))
