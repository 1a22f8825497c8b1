"""What replicas have become: equal states at equal sequences (O8).

Owns: the oracle that compares checkpoints, and states themselves, across correct replicas and with the model.
"""

from __future__ import annotations

from pbft.core.effects import BecameStable, Diverged, Effect, Ignored, Persist, Reason, StateInstalled
from pbft.core.envelope import Kind
from pbft.core.group import ReplicaId
from pbft.core.messages import Checkpoint, unpack
from pbft.core.replica import Replica
from pbft.testing.oracles.base import Facts, Oracle
from pbft.testing.oracles.record import Content
from pbft.testing.words import short


class EqualStates(Oracle):
    """O8: at one sequence all correct replicas have one state, by their checkpoints and by what lies behind them.

    Who took over a state is held against the model once more, by content: digests it has from others. And what a
    correct replica gives of a state is never refused: it is what a quorum vouches for.
    """

    id = "O8"
    watches = (Persist, BecameStable, StateInstalled, Diverged, Ignored)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        facts.record.keep_contents()
        self._checkpoints: dict[int, tuple[bytes, str]] = {}
        self._states: dict[int, tuple[bytes, str]] = {}
        self._took_over: dict[ReplicaId, None] = {}
        """Who has taken over a state that nobody has looked at yet."""

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Compare what a replica holds for the state after a sequence with what the first one did."""
        match effect:
            case Persist(vote) if vote.kind is Kind.CHECKPOINT and vote.sender == replica:
                said = unpack(Checkpoint, vote.body)
                self._compare(replica, said.sequence, said.digest)
            case BecameStable(proof):
                self._compare(replica, proof.sequence, proof.digest)
            case StateInstalled(sequence, digest):
                self._compare(replica, sequence, digest)
                self._took_over[replica] = None
            case Ignored(Reason.WRONG_DIGEST, sender, Kind.NODES) if sender in self.facts.correct:
                self.fail(f"replica {replica} refused nodes of a state that replica {sender} gave, which is correct")
            case Diverged(sequence, own, proven):
                self.fail(
                    f"replica {replica} has the state {short(own)} after sequence {sequence}, "
                    f"and a quorum vouches for {short(proven)}"
                )
            case _:
                pass

    def sampled(self, replica: Replica) -> None:
        """Compare the application's state itself, with other replicas' and with the model's where it stands there."""
        executed = replica.status().executed
        record = self.facts.record
        if executed == record.executed:
            self._states.setdefault(executed, (record.state_digest(), "the model"))
        state, whose = self._states.setdefault(executed, (replica.state_digest(), f"replica {replica.me}"))
        if state != replica.state_digest():
            self.fail(f"after sequence {executed} replica {replica.me} has another state than {whose}")
        if replica.me in self._took_over and executed in record.contents:
            del self._took_over[replica.me]
            part = Content(replica._execution).difference(record.contents[executed])
            if part is not None:
                self.fail(
                    f"after sequence {executed} replica {replica.me}, which took over a state, has another {part}"
                )

    def _compare(self, replica: ReplicaId, sequence: int, digest: bytes) -> None:
        if sequence in self.facts.record.checkpoints:
            self._checkpoints.setdefault(sequence, (self.facts.record.checkpoints[sequence], "the model"))
        known, first = self._checkpoints.setdefault(sequence, (digest, f"replica {replica}"))
        if known != digest:
            self.fail(
                f"the checkpoint of sequence {sequence} is {short(known)} for {first}, "
                f"{short(digest)} for replica {replica}"
            )


__all__ = ["EqualStates"]
