"""TwoFaced: says two different things in every place, to everybody's face: the lie first, then what is right (R2)."""

from __future__ import annotations

from dataclasses import replace

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Batch, Checkpoint, PrePrepare, ViewChange, batch_digest, pack, unpack
from pbft.core.settings import Now
from pbft.encoding import digest
from pbft.testing.byzantine.adversary import Adversary


class TwoFaced(Adversary):
    """Proves its own guilt to whoever keeps both of its proposals, votes, checkpoints or VIEW-CHANGEs."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Put a contradiction before each vote of its own."""
        twisted: list[Effect] = []
        for effect in super().twist(effects, now):
            if isinstance(effect, Send) and effect.envelope.sender == self.me:
                lie = self._contradict(effect.envelope)
                twisted += [Send(effect.to, lie)] if lie is not None else []
            twisted.append(effect)
        return twisted

    def _contradict(self, vote: Envelope) -> Envelope | None:
        match vote.kind:
            case Kind.PRE_PREPARE:
                body, batch = unpack(PrePrepare, vote.body), unpack(Batch, vote.beside)
                data = pack(replace(batch, time_ms=batch.time_ms + 1))
                return self.say(vote.kind, pack(replace(body, digest=batch_digest(data))), data)
            case Kind.PREPARE | Kind.COMMIT:
                said = unpack(PrePrepare, vote.body)
                return self.say(vote.kind, pack(replace(said, digest=digest(b"pbft/lie", said.digest))))
            case Kind.CHECKPOINT:
                state = unpack(Checkpoint, vote.body)
                return self.say(vote.kind, pack(replace(state, digest=digest(b"pbft/lie", state.digest))))
            case Kind.VIEW_CHANGE:
                asked = unpack(ViewChange, vote.body)
                return self.say(vote.kind, pack(replace(asked, prepared=asked.prepared[:-1])))
            case _:
                return None
