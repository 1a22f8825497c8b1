"""What operations come to, held against a model that executes the agreed order alone (O11, O12).

Owns: the oracles that compare replicas' and clients' accounts with the model, and that ask the application's own
invariant of it. The model itself is `record.py`'s.
"""

from __future__ import annotations

from pbft.core.effects import Effect, Executed
from pbft.core.group import ClientKey, ReplicaId
from pbft.core.session import Completed
from pbft.machine import Outcome
from pbft.testing.oracles.base import Facts, Oracle


class Answers(Oracle):
    """O11: what replicas report and clients accept is what the model came to, at the same sequence."""

    id = "O11"
    watches = (Executed,)

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Compare an execution with the model's: agreed time, and each request's outcomes."""
        assert isinstance(effect, Executed)
        replayed = self.facts.record.replayed.get(effect.sequence)
        if replayed is None:
            return
        if effect.time_ms != replayed.time_ms:
            self.fail(
                f"replica {replica} executed sequence {effect.sequence} at the agreed time {effect.time_ms}, "
                f"the model at {replayed.time_ms}"
            )
        told = [((one.client, one.session, one.timestamp), one.outcomes) for one in effect.requests]
        expected = [(name, tuple(int(each.outcome) for each in results)) for name, results in replayed.requests]
        if told != expected:
            self.fail(
                f"replica {replica} came to {[outcomes for _, outcomes in told]} at sequence {effect.sequence}, "
                f"the model to {[outcomes for _, outcomes in expected]}"
            )

    def completed(self, client: ClientKey, session: bytes, completed: Completed) -> None:
        """Compare the answer that a client accepted, to the byte."""
        name = self.facts.group.clients[client].name
        ran = self.facts.record.results.get((client, session, completed.timestamp))
        if ran is None:
            self.fail(f"{name} got an answer to t{completed.timestamp}, which the model never ran")
        sequence, results = ran
        expected = results[completed.index] if completed.index < len(results) else None
        if (completed.sequence, completed.result) != (sequence, expected):
            self.fail(
                f"{name} was told {completed.result} for t{completed.timestamp}.{completed.index} at sequence "
                f"{completed.sequence}; the model came to {expected} at {sequence}"
            )


class Invariant(Oracle):
    """O12: the application's own invariant holds after every batch, and what was refused has changed nothing."""

    id = "O12"
    watches = (Executed,)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._judged = 0
        self._state = facts.record.state_digest()

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Ask the model's machine, once a batch, right after it executed there."""
        assert isinstance(effect, Executed)
        record = self.facts.record
        if effect.sequence != record.executed or self._judged == record.executed:
            return
        self._judged = record.executed
        state, before = record.state_digest(), self._state
        self._state = state
        results = [each for _, results in record.replayed[record.executed].requests for each in results]
        if state != before and all(each.outcome is not Outcome.OK for each in results):
            self.fail(f"sequence {record.executed} changed the state, though no operation of it succeeded")
        wrong = self.facts.invariant(record.application) if self.facts.invariant is not None else None
        if wrong is not None:
            self.fail(f"after sequence {record.executed} {wrong}")


__all__ = ["Answers", "Invariant"]
