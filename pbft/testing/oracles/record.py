"""What a run has shown, kept once for all oracles: every batch by its digest, and a model that executes them.

Owns: the batches' bytes, one execution of the agreed order on an application and a client table of its own, a batch at
a time, as the first correct replica executes it, and what a state is when nobody digests it. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pbft.core.batches import BatchError, SignedRequest, read_batch
from pbft.core.effects import Broadcast, Effect, Executed, Persist, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.execution import Execution
from pbft.core.group import ClientKey, Group
from pbft.core.messages import NULL_BATCH, batch_digest
from pbft.machine import Application, Context, Result

SHOWING: Final = (Persist, Send, Broadcast, Executed)
"""The effects that show a batch, or that one was executed."""

_CARRYING: Final = (Kind.PRE_PREPARE, Kind.COMMITTED)

KEPT_CONTENTS: Final = 128
"""Sequences back from the last one of which the model's content is kept: more than a log, and two."""

RequestName = tuple[ClientKey, bytes, int]
"""What names a request: (client, session, timestamp)."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a batch came to on the model: agreed time, and each request with its results, none if it had no effect."""

    time_ms: int
    requests: tuple[tuple[RequestName, tuple[Result, ...]], ...]
    effective: tuple[tuple[RequestName, tuple[bytes, ...]], ...]
    """The requests that had an effect, each with its operations' bytes."""
    contexts: Mapping[RequestName, tuple[Context, ...]]
    """What the model was told of the world as it executed each of these operations."""


class Content:
    """A state as it is, by what it says: no digest of a trie, which may be what is on trial, has a part in it."""

    def __init__(self, execution: Execution) -> None:
        self._pieces: Iterable[bytes] = execution._application.snapshot()
        clients = execution.clients
        # In their order, too: whose session leaves a full table next is a part of the state.
        self._sessions = {client: list(sessions.items()) for client, sessions in clients._sessions.items()}
        self._rest = (dict(clients._floors), execution.agreed_ms, execution.head)

    def difference(self, other: Content) -> str | None:
        """Return which part of two states differs, or None."""
        if list(self._pieces) != list(other._pieces):
            return "application"
        return "client table" if (self._sessions, self._rest) != (other._sessions, other._rest) else None


class _Noting(Execution):
    """An execution that remembers in which contexts it ran its latest batch."""

    def __init__(self, group: Group, application: Application) -> None:
        super().__init__(group, application)
        self.contexts: dict[RequestName, list[Context]] = {}

    def _context(self, signed: SignedRequest, index: int, answer_bytes: int) -> Context:
        context = super()._context(signed, index, answer_bytes)
        request = signed.request
        self.contexts.setdefault((request.client, request.session, request.timestamp), []).append(context)
        return context


class Record:
    """Batches, and what they come to on one machine that no replica can touch."""

    def __init__(self, group: Group, application: Application) -> None:
        self._group = group
        self._batches: dict[bytes, bytes] = {batch_digest(NULL_BATCH): NULL_BATCH}
        self._execution = _Noting(group, application)
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
        self.state_bytes: dict[int, int] = {}
        """How large the state was then, keys and values."""
        self.contents: dict[int, Content] = {}
        """What the state after each of the last sequences was, since `keep_contents`."""
        self._keeps_contents = False
        self.results: dict[RequestName, tuple[int, tuple[Result, ...]]] = {}
        """Where each request took effect, and its results."""

    def keep_contents(self) -> None:
        """Keep what the state is after each sequence from now on, which costs its size each time."""
        self._keeps_contents = True
        self.contents[self.executed] = Content(self._execution)

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
        self._execution.contexts = {}
        ran = self._execution.run(batch.time_ms, requests, digest)
        self.executed = self._execution.executed
        if self.executed % self._group.genesis.limits.checkpoint_interval == 0:
            snapshot = self._execution.snapshot()
            self.checkpoints[self.executed] = snapshot.digest
            self.state_bytes[self.executed] = snapshot.size
        if self._keeps_contents:
            self.contents[self.executed] = Content(self._execution)
            self.contents.pop(self.executed - KEPT_CONTENTS, None)
        fates, effective = [], []
        for each in ran:
            request = each.signed.request
            name = (request.client, request.session, request.timestamp)
            fates.append((name, each.results))
            if each.results:
                effective.append((name, request.operations))
                self.results[name] = (self.executed, each.results)
        contexts = {name: tuple(each) for name, each in self._execution.contexts.items()}
        self.replayed[self.executed] = Replayed(self._execution.agreed_ms, tuple(fates), tuple(effective), contexts)

    def state_digest(self) -> bytes:
        """Return the digest of the model's application."""
        return self._execution.state_digest()
