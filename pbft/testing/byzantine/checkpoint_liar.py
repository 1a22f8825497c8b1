"""CheckpointLiar: vouches for states that nobody has, at sequences that nobody has come to (R6)."""

from __future__ import annotations

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.messages import Checkpoint, CheckpointProof, Share, pack, unpack
from pbft.core.settings import Now
from pbft.encoding import digest
from pbft.testing.byzantine.adversary import Adversary


class CheckpointLiar(Adversary):
    """Says the same wrong digest as its colluders in place of each checkpoint, and "proves" it in bad ways."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Lie about the state; be honest about all else."""
        twisted: list[Effect] = []
        for effect in super().twist(effects, now):
            if isinstance(effect, Send) and effect.envelope.kind is Kind.CHECKPOINT:
                twisted += [Send(effect.to, lie) for lie in self._lies(unpack(Checkpoint, effect.envelope.body))]
            else:
                twisted.append(effect)
        return twisted

    def _lies(self, true: Checkpoint) -> list[Envelope]:
        limits = self.means.group.limits
        wrong = digest(b"pbft/lie", true.digest)
        later = true.sequence + limits.checkpoint_interval
        sequences = (true.sequence, later, true.sequence + 1, true.sequence + 100 * limits.log_size)
        said = [self.say(Kind.CHECKPOINT, pack(Checkpoint(sequence, wrong))) for sequence in sequences]
        return [*said, *(self._prove(Checkpoint(sequence, wrong)) for sequence in (true.sequence, later))]

    def _prove(self, state: Checkpoint) -> Envelope:
        """Return a "proof": by the few who lie, by one of them as often as it takes, or in everybody's names."""
        group, signers = self.means.group, self.means.signers
        signed = {who: self._sign(who, state) for who in signers}
        quorum = group.quorums.stable
        few = tuple(Share(who, signature) for who, signature in signed.items())
        ways = (
            few,
            tuple(Share(self.me, signed[self.me]) for _ in range(quorum)),
            tuple(Share(who, signed.get(who, signed[self.me])) for who in range(quorum)),
        )
        proof = CheckpointProof(state.sequence, state.digest, self.means.chance.choice(ways))
        return Envelope(Kind.CHECKPOINT_PROOF, self.me, pack(proof))

    def _sign(self, who: int, state: Checkpoint) -> bytes:
        return seal(self.means.group, self.means.signers[who], Kind.CHECKPOINT, who, pack(state)).signature
