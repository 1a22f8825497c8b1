"""Committed batches, one after the other, onto the state machine (OSDI'99 section 4.2).

Owns: the application, the client table, agreed time and how far execution has come: all replicated state. What it does
is a function of the batches alone. Knows no votes, signatures of replicas or network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pbft.core.batches import SignedRequest
from pbft.core.client_table import ClientTable, Fate, Last
from pbft.core.group import Group
from pbft.encoding import digest, encode
from pbft.machine import Application, Context, Outcome, Result


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one request of a batch. `results` is empty unless it was fresh."""

    signed: SignedRequest
    fate: Fate
    results: tuple[Result, ...] = ()
    evicted: bytes | None = None
    """The session of this client that left the client table for it, if one did."""


TOO_MUCH = Result(Outcome.FAILED, encode("the answers of this request exceed the group's limit"))
"""What an operation answers in place of a value or message that does not fit `results_bytes`."""


class Execution:
    """The replicated state and the only way to change it."""

    def __init__(self, group: Group, application: Application) -> None:
        self._group = group
        self._application = application
        self.clients = ClientTable(group.limits)
        self.executed = 0
        """The sequence executed last."""
        self.agreed_ms = 0
        """The greatest time proposed in any executed batch: what operations take for the time (design 4.5)."""

    def state_digest(self) -> bytes:
        """Return the digest of the application's state."""
        return self._application.digest()

    def run(self, time_ms: int, requests: Sequence[SignedRequest]) -> list[Ran]:
        """Execute the next sequence's batch, proposed for `time_ms`."""
        self.executed += 1
        self.agreed_ms = max(self.agreed_ms, time_ms)
        return [self._run_request(signed) for signed in requests]

    def _run_request(self, signed: SignedRequest) -> Ran:
        request = signed.request
        fate = self.clients.judge(request.client, request.session, request.timestamp, self.agreed_ms)
        if fate is not Fate.FRESH:
            return Ran(signed, fate)
        room = self._group.limits.results_bytes
        results = []
        for index, operation in enumerate(request.operations):
            # Each further operation keeps room for the short answer that would replace its own, so that all fit.
            spare = (len(request.operations) - index) * len(TOO_MUCH.payload)
            answer_bytes = room - spare + len(TOO_MUCH.payload)
            result = self._application.execute(operation, self._context(signed, index, answer_bytes))
            if len(result.payload) > answer_bytes:
                result = TOO_MUCH
            room -= len(result.payload)
            results.append(result)
        last = Last(request.timestamp, signed.digest, self.executed, tuple(results))
        evicted = self.clients.record(request.client, request.session, last)
        return Ran(signed, fate, last.results, evicted)

    def _context(self, signed: SignedRequest, index: int, answer_bytes: int) -> Context:
        sequence = self.executed
        seed = digest(
            b"pbft/seed",
            self._group.id,
            sequence.to_bytes(8, "big"),
            signed.digest,
            index.to_bytes(4, "big"),
        )
        name = self._group.clients[signed.request.client].name
        return Context(time_ms=self.agreed_ms, client=name, sequence=sequence, seed=seed, answer_bytes=answer_bytes)
