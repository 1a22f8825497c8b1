"""Committed batches, one after the other, onto the state machine (OSDI'99 section 4.2).

Owns: the application, the client table, agreed time, the head of the chain of batches and how far execution has come:
all replicated state, and the snapshot of it. What it does is a function of the batches alone. Knows no votes,
signatures of replicas or network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pbft.core.batches import SignedRequest
from pbft.core.client_table import ClientTable, Fate, Last
from pbft.core.codec import Digest, Small, Uint, pack, unpack
from pbft.core.group import Group
from pbft.core.snapshot import Snapshot, read_sections
from pbft.encoding import DIGEST_BYTES, EncodingError, digest, encode
from pbft.machine import Application, Context, MachineError, Outcome, Result


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


SNAPSHOT_VERSION: Final = 1
"""How a snapshot is written, so that none is read in another way."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a snapshot holds beside the client table and the application's state, each in a section of its own."""

    version: Small
    agreed_ms: Uint
    head: Digest


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
        self.head = bytes(DIGEST_BYTES)
        """The head of the chain of batches: a digest over the batches' digests and sequences, in order (design 4.7)."""

    def state_digest(self) -> bytes:
        """Return the digest of the application's state."""
        return self._application.digest()

    def run(self, time_ms: int, requests: Sequence[SignedRequest], batch_digest: bytes) -> list[Ran]:
        """Execute the next sequence's batch, proposed for `time_ms` and named by `batch_digest`."""
        self.executed += 1
        self.head = digest(b"pbft/chain", self.head, self.executed.to_bytes(8, "big"), batch_digest)
        self.agreed_ms = max(self.agreed_ms, time_ms)
        return [self._run_request(signed) for signed in requests]

    def snapshot(self) -> Snapshot:
        """Return the state after what was executed last: what a CHECKPOINT names and a transfer moves (design 4.7).

        Costs time in proportion to the state. Raises StateTooLarge, MachineError for an application whose snapshot
        cannot be iterated over again, and EncodingError for one whose pieces are not as they must be.
        """
        pieces = self._application.snapshot()
        if isinstance(pieces, Iterator):
            raise MachineError(
                f"{type(self._application).__name__}.snapshot() returns what can be iterated over only once; "
                "return a list of its pieces"
            )
        header = Header(SNAPSHOT_VERSION, self.agreed_ms, self.head)
        return Snapshot(self.executed, ([pack(header)], self.clients.snapshot(), pieces))

    def install(self, sequence: int, chunks: Iterable[bytes]) -> None:
        """Replace the whole state by that after `sequence`, of which these are all chunks, in order.

        Whoever calls has checked each of them against a proven digest. Raises ValueError for chunks that no snapshot
        at this sequence makes, or that the application cannot read, and has then changed nothing.
        """
        headers, client_pieces, application_pieces = read_sections(sequence, chunks, 3)
        if len(headers) != 1:
            raise EncodingError(f"a snapshot has one header, not {len(headers)}")
        header = unpack(Header, headers[0])
        if header.version != SNAPSHOT_VERSION:
            raise EncodingError(f"a snapshot of version {header.version}, where this release reads {SNAPSHOT_VERSION}")
        clients = ClientTable(self._group.limits)
        clients.restore(client_pieces)
        self._application.restore(application_pieces)
        self.clients, self.agreed_ms, self.head, self.executed = clients, header.agreed_ms, header.head, sequence

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
