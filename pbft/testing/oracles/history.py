"""What executes: agreement, validity, exactly-once, and order (O1 to O4).

Owns: the oracles that compare what correct replicas execute with each other, with what clients signed, and with what
clients were told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pbft.core.effects import Broadcast, CommittedLocal, Effect, Executed, ExecutedRequest, Persist, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ClientKey, ReplicaId
from pbft.core.messages import NULL_BATCH, Batch, Request, Status, batch_digest, request_digest, unpack
from pbft.core.session import Completed
from pbft.encoding import EncodingError
from pbft.testing.oracles.base import Facts, Oracle
from pbft.testing.oracles.votes import read_vote
from pbft.testing.trace import short

RequestName = tuple[ClientKey, bytes, int]
"""What names a request: (client, session, timestamp)."""


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
    watches = (Persist, Send, Broadcast, Executed)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._clients = {client.public_key: client.name for client in facts.group.genesis.clients}
        self._group_id = facts.group.genesis.identify()
        self._batches: dict[bytes, bytes] = {batch_digest(NULL_BATCH): NULL_BATCH}
        self._checked: dict[bytes, tuple[_Known, ...]] = {}

    def delivered(self, replica: ReplicaId, envelope: Envelope) -> None:
        """Remember every batch that travels."""
        if envelope.kind is Kind.PRE_PREPARE:
            self._batches.setdefault(batch_digest(envelope.beside), envelope.beside)

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Remember batches as they are proposed; check one when it first executes, and every account of it."""
        if isinstance(effect, Persist):
            for envelope in (effect.vote, *effect.basis):
                self.delivered(replica, envelope)
        elif isinstance(effect, Send | Broadcast):
            self.delivered(replica, effect.envelope)
        elif isinstance(effect, Executed):
            if effect.digest not in self._checked:
                self._checked[effect.digest] = self._check(effect)
            self._compare(replica, effect, self._checked[effect.digest])

    def _check(self, executed: Executed) -> tuple[_Known, ...]:
        where = f"the batch {short(executed.digest)} executed at sequence {executed.sequence}"
        data = self._batches.get(executed.digest)
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


NOTHING: Final = (0, 0)


class Order(Oracle):
    """O4: a replica executes without gaps, and its sequence, view and agreed time never move back."""

    id = "O4"
    watches = (Executed, Persist, Send, Broadcast)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._executed: dict[ReplicaId, tuple[int, int]] = {}
        self._views: dict[ReplicaId, int] = {}
        self._told: dict[ReplicaId, tuple[int, int]] = {}

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Hold each step against the one before it."""
        if isinstance(effect, Executed):
            sequence, time_ms = self._executed.get(replica, NOTHING)
            if effect.sequence != sequence + 1:
                self.fail(f"replica {replica} executed sequence {effect.sequence} after {sequence}")
            if effect.time_ms < time_ms:
                self.fail(f"agreed time moved back on replica {replica}, from {time_ms} to {effect.time_ms}")
            self._executed[replica] = (effect.sequence, effect.time_ms)
        elif isinstance(effect, Persist):
            vote = read_vote(effect.vote)
            if vote is not None and vote.view is not None:
                self._enter(replica, vote.view)
        elif isinstance(effect, Send | Broadcast) and effect.envelope.kind is Kind.STATUS:
            self._say(replica, unpack(Status, effect.envelope.body))

    def _enter(self, replica: ReplicaId, view: int) -> None:
        if view < self._views.get(replica, 0):
            self.fail(f"replica {replica} voted in view {view} after view {self._views[replica]}")
        self._views[replica] = view

    def _say(self, replica: ReplicaId, status: Status) -> None:
        view, executed = self._told.get(replica, NOTHING)
        if status.view < view or status.executed < executed:
            self.fail(
                f"replica {replica} says it is at view {status.view} and sequence {status.executed}, "
                f"after view {view} and sequence {executed}"
            )
        if status.executed > self._executed.get(replica, NOTHING)[0]:
            self.fail(f"replica {replica} says it executed {status.executed}, which it has not")
        self._told[replica] = (status.view, status.executed)


__all__ = ["Agreement", "ExactlyOnce", "Order", "Validity"]
