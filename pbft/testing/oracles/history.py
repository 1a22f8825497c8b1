"""What executes: agreement, validity and exactly-once (O1 to O3).

Owns: the oracles that compare what correct replicas execute with each other, with what clients signed, and with what
clients were told.
"""

from __future__ import annotations

from dataclasses import dataclass

from pbft.core.effects import CommittedLocal, Effect, Executed, ExecutedRequest
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ClientKey, ReplicaId
from pbft.core.messages import Batch, Request, request_digest, unpack
from pbft.core.session import Completed
from pbft.encoding import EncodingError
from pbft.testing.oracles.base import Facts, Oracle
from pbft.testing.oracles.record import RequestName
from pbft.testing.words import short


class Agreement(Oracle):
    """O1: one batch digest a sequence across correct replicas."""

    id = "O1"
    watches = (CommittedLocal, Executed)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._settled: dict[int, tuple[bytes, ReplicaId]] = {}

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Compare what this replica commits or executes with what the first one did."""
        assert isinstance(effect, CommittedLocal | Executed)
        digest, first = self._settled.setdefault(effect.sequence, (effect.digest, replica))
        if digest != effect.digest:
            self.fail(
                f"agreement broke at sequence {effect.sequence}: replica {first} settled on batch {short(digest)}, "
                f"replica {replica} on {short(effect.digest)}"
            )


@dataclass(frozen=True, slots=True)
class _Known:
    """A request of a batch, as its client signed it."""

    name: RequestName
    digest: bytes
    operations: int


class Validity(Oracle):
    """O2: all that executes was signed by a registered client, checked again from the batch's bytes."""

    id = "O2"
    watches = (Executed,)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._clients = {client.public_key: client.name for client in facts.group.genesis.clients}
        self._group_id = facts.group.genesis.identify()
        self._checked: dict[bytes, tuple[_Known, ...]] = {}

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Check a batch when it first executes anywhere, and every replica's account of it."""
        assert isinstance(effect, Executed)
        if effect.digest not in self._checked:
            self._checked[effect.digest] = self._check(effect)
        self._compare(replica, effect, self._checked[effect.digest])

    def _check(self, executed: Executed) -> tuple[_Known, ...]:
        where = f"the batch {short(executed.digest)} executed at sequence {executed.sequence}"
        data = self.facts.record.batch(executed.digest)
        if data is None:
            self.fail(f"{where} was never proposed by anybody")
        try:
            return tuple(self._check_request(where, item) for item in unpack(Batch, data).requests)
        except EncodingError as error:
            self.fail(f"{where} is malformed: {error}")

    def _check_request(self, where: str, data: bytes) -> _Known:
        envelope = Envelope.from_bytes(data)
        client = envelope.sender
        if envelope.kind is not Kind.REQUEST or not isinstance(client, bytes) or client not in self._clients:
            self.fail(f"{where} holds a request of nobody registered")
        # Spelled out here, rather than asked of the replicas' own check, which is what is on trial.
        signed = b"pbft/v1" + self._group_id + bytes((1,)) + b"c" + client + envelope.body
        if not self.facts.verifier.verify(client, signed, envelope.signature):
            self.fail(f"{where} holds a request that its client, {self._clients[client]}, never signed")
        request = unpack(Request, envelope.body)
        if request.client != client:
            self.fail(f"{where} holds a request that {self._clients[client]} signed in another's name")
        name = (client, request.session, request.timestamp)
        return _Known(name, request_digest(envelope.body), len(request.operations))

    def _compare(self, replica: ReplicaId, executed: Executed, known: tuple[_Known, ...]) -> None:
        told = [((one.client, one.session, one.timestamp), one.digest) for one in executed.requests]
        if told != [(each.name, each.digest) for each in known]:
            self.fail(f"replica {replica} executed other requests at sequence {executed.sequence} than its batch has")
        for one, each in zip(executed.requests, known, strict=True):
            if len(one.outcomes) not in (0, each.operations):
                self.fail(
                    f"replica {replica} gave {len(one.outcomes)} outcomes to the {each.operations} operations of a "
                    f"request at sequence {executed.sequence}"
                )


class ExactlyOnce(Oracle):
    """O3: a request takes effect at one sequence only, with one outcome, and no client is told of another."""

    id = "O3"
    watches = (Executed,)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._ran: dict[RequestName, tuple[int, ExecutedRequest, ReplicaId]] = {}
        self._last: dict[tuple[ReplicaId, ClientKey, bytes], tuple[int, int]] = {}

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Compare each request that took effect with its first execution anywhere, and with its session's last."""
        assert isinstance(effect, Executed)
        for one in effect.requests:
            if one.outcomes:
                self._took_effect(replica, effect.sequence, one)

    def _took_effect(self, replica: ReplicaId, sequence: int, one: ExecutedRequest) -> None:
        client = self.facts.group.clients[one.client].name
        name = (one.client, one.session, one.timestamp)
        at, first, by = self._ran.setdefault(name, (sequence, one, replica))
        if at != sequence:
            self.fail(f"request t{one.timestamp} of {client} took effect at sequence {at}, and again at {sequence}")
        if first != one:
            self.fail(
                f"request t{one.timestamp} of {client} at sequence {sequence} ended as {first.outcomes} on "
                f"replica {by}, as {one.outcomes} on replica {replica}"
            )
        before, last_sequence = self._last.get((replica, one.client, one.session), (-1, 0))
        if one.timestamp <= before:
            self.fail(
                f"replica {replica} let request t{one.timestamp} of {client} take effect at sequence {sequence} after "
                f"t{before} of the same session at sequence {last_sequence}"
            )
        self._last[replica, one.client, one.session] = (one.timestamp, sequence)

    def completed(self, client: ClientKey, session: bytes, completed: Completed) -> None:
        """Hold a client's answer against what correct replicas executed."""
        ran = self._ran.get((client, session, completed.timestamp))
        name = self.facts.group.clients[client].name
        if ran is None:
            self.fail(f"{name} was told that t{completed.timestamp} ran, but no correct replica executed it")
        if ran[0] != completed.sequence:
            self.fail(
                f"{name} was told that t{completed.timestamp} ran at sequence {completed.sequence}; it was {ran[0]}"
            )
        if (completed.index, int(completed.result.outcome)) not in enumerate(ran[1].outcomes):
            self.fail(f"{name} was told another outcome of t{completed.timestamp} than one of {ran[1].outcomes}")


__all__ = ["Agreement", "ExactlyOnce", "Validity"]
