"""What a run has shown, kept once for all oracles: every batch by its digest, and a model that executes them.

Owns: the batches' bytes, and one execution of the agreed order on an application and a client table of its own, a batch
at a time, as the first correct replica executes it. Judges nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pbft.core.batches import BatchError, read_batch
from pbft.core.effects import Broadcast, Effect, Executed, Persist, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.execution import Execution
from pbft.core.group import ClientKey, Group
from pbft.core.messages import NULL_BATCH, batch_digest
from pbft.machine import Application, Result

SHOWING: Final = (Persist, Send, Broadcast, Executed)
"""The effects that show a batch, or that one was executed."""

_CARRYING: Final = (Kind.PRE_PREPARE, Kind.COMMITTED)

RequestName = tuple[ClientKey, bytes, int]
"""What names a request: (client, session, timestamp)."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a batch came to on the model: agreed time, and each request with its results, none if it had no effect."""

    time_ms: int
    requests: tuple[tuple[RequestName, tuple[Result, ...]], ...]
    effective: tuple[tuple[RequestName, tuple[bytes, ...]], ...]
    """The requests that had an effect, each with its operations' bytes."""


class Record:
    """Batches, and what they come to on one machine that no replica can touch."""

    def __init__(self, group: Group, application: Application) -> None:
        self._group = group
        self._batches: dict[bytes, bytes] = {batch_digest(NULL_BATCH): NULL_BATCH}
        self._execution = Execution(group, application)
        self._readable = True
        self.arrived: Envelope | None = None
        """What was received last, until what came of it is judged; None while a replica does what is due by itself."""
        self.application = application
        """The model's machine, after the batches executed so far."""
        self.executed = 0
        """How far the model has come."""
        self.replayed: dict[int, Replayed] = {}
        """What each sequence came to."""
        self.checkpoints: dict[int, bytes] = {}
        """The checkpoint's digest after each sequence that has one."""
        self.results: dict[RequestName, tuple[int, tuple[Result, ...]]] = {}
        """Where each request took effect, and its results."""

    def batch(self, digest: bytes) -> bytes | None:
        """Return a batch's bytes, if anybody has shown them."""
        return self._batches.get(digest)

    def delivered(self, envelope: Envelope) -> None:
        """Remember what is about to be received, and a batch that travels."""
        self.arrived = envelope
        self.show(envelope)

    def show(self, envelope: Envelope) -> None:
        """Remember a batch that somebody shows."""
        if envelope.beside and envelope.kind in _CARRYING:
            self._batches.setdefault(batch_digest(envelope.beside), envelope.beside)

    def observe(self, effect: Effect) -> None:
        """Remember batches as correct replicas keep and send them, and execute what is next."""
        match effect:
            case Persist(vote, basis):
                self.show(vote)
                for envelope in basis:
                    self.show(envelope)
            case Send(_, envelope) | Broadcast(envelope):
                self.show(envelope)
            case Executed(_, sequence, digest) if sequence == self.executed + 1 and self._readable:
                self._execute(digest)
            case _:
                pass

    def _execute(self, digest: bytes) -> None:
        """Execute the next batch. One that cannot be read ends the replay: that it executed is for others to judge."""
        try:
            batch, requests = read_batch(self._batches.get(digest, b""), self._group, lambda _: True)
        except BatchError:
            self._readable = False
            return
        ran = self._execution.run(batch.time_ms, requests, digest)
        self.executed = self._execution.executed
        if self.executed % self._group.genesis.limits.checkpoint_interval == 0:
            self.checkpoints[self.executed] = self._execution.snapshot().digest
        fates, effective = [], []
        for each in ran:
            request = each.signed.request
            name = (request.client, request.session, request.timestamp)
            fates.append((name, each.results))
            if each.results:
                effective.append((name, request.operations))
                self.results[name] = (self.executed, each.results)
        self.replayed[self.executed] = Replayed(self._execution.agreed_ms, tuple(fates), tuple(effective))

    def state_digest(self) -> bytes:
        """Return the digest of the model's application."""
        return self._execution.state_digest()
