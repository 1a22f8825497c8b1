"""Committed batches, one after the other, onto the state machine (OSDI'99 section 4.2).

Owns: the application, the client table, agreed time, the head of the chain of batches and how far execution has come:
all replicated state, and the snapshot of it. What it does is a function of the batches alone. Knows no votes,
signatures of replicas or network.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Final

from pbft.core.batches import SignedRequest
from pbft.core.client_table import ClientTable, Fate, Last
from pbft.core.deeds import Deeds
from pbft.core.effects import OperationFailed
from pbft.core.group import Group
from pbft.core.messages import Request
from pbft.core.sections import sections_of
from pbft.core.snapshot import MAX_SECTIONS, ForeignState, Replacement, Snapshot, Top
from pbft.encoding import DIGEST_BYTES, digest, encode
from pbft.machine import Application, Context, MachineError, Outcome, Result, StateMachine


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


_FRAMES: Final = 1_000
"""How many calls within calls an operation has room for, what leads to it included."""

_TOLD_CHARACTERS: Final = 500
"""Of how a failure words itself."""


class Execution:
    """The replicated state and the only way to change it."""

    def __init__(self, group: Group, application: Application) -> None:
        self._group = group
        self._application = application
        self._sections = sections_of(application)
        self.deeds = Deeds()
        self.failed: OperationFailed | None = None
        """What failed of the batch executed last."""
        self.clients = ClientTable(group.limits)
        self.executed = 0
        """The sequence executed last."""
        self.agreed_ms = 0
        """The greatest time proposed in any executed batch: what operations take for the time (design 4.5)."""
        self.head = bytes(DIGEST_BYTES)
        """The head of the chain of batches: a digest over the batches' digests and sequences, in order (design 4.7)."""
        self._position = 0
        """Where in its batch the operation stands that runs next."""
        first = self.snapshot()
        if len(first.views) > MAX_SECTIONS:
            raise MachineError(
                f"{type(application).__name__} has more than {MAX_SECTIONS - 2} Tables; "
                "put what belongs together into one"
            )
        # The first state is digested before there is work that would have to wait for it.
        first.settle()

    def state_digest(self) -> bytes:
        """Return the digest of the application's state."""
        return self._application.digest()

    def run(self, time_ms: int, requests: Sequence[SignedRequest], batch_digest: bytes) -> list[Ran]:
        """Execute the next sequence's batch, proposed for `time_ms` and named by `batch_digest`."""
        self.executed += 1
        self.head = digest(b"pbft/chain", self.head, self.executed.to_bytes(8, "big"), batch_digest)
        self.agreed_ms = max(self.agreed_ms, time_ms)
        self.deeds.begin(self.executed)
        self.failed, self._position = None, 0
        with _room_for_recursion():
            return [self._run_request(signed, place) for place, signed in enumerate(requests)]

    def snapshot(self) -> Snapshot:
        """Return the state after what was executed last: what a CHECKPOINT names and a transfer moves (design 4.7).

        Costs next to nothing for a StateMachine: digesting what changed is left for later. Raises MachineError
        for a plain Application whose snapshot is not as it must be.
        """
        views = [each.freeze() for each in (self.clients.section(), *self._sections.sections())]
        return Snapshot(self.executed, self.agreed_ms, self.head, views)

    def section_names(self) -> tuple[str, ...]:
        """Return what the sections of a snapshot are called."""
        return ("client table", *self._sections.section_names())

    def install(self, sequence: int, top: Top, replacements: Sequence[Replacement]) -> None:
        """Replace the whole state by that after `sequence`, a section each.

        Whoever calls has checked each node of it against a proven digest. Raises ForeignState for a state that no
        application of this kind has: then this one is not the group's, and its replica must stop.
        """
        contents = (self.clients.section(), *self._sections.sections())
        for section, each in zip(contents, replacements, strict=True):
            section.install(each.base, each.writes, each.root)
        try:
            self.clients.adopt()
            self._sections.adopt()
        except ValueError as error:
            raise ForeignState(
                f"this replica cannot take over the group's state at sequence {sequence}: {error}"
            ) from error
        self.agreed_ms, self.head, self.executed = top.agreed_ms, top.head, sequence
        # They may be those of a state that was wrong: nobody must be told of them.
        self.deeds.forget(sequence)

    def _run_request(self, signed: SignedRequest, place: int) -> Ran:
        request = signed.request
        fate = self.clients.judge(request.client, request.session, request.timestamp, self.agreed_ms)
        if fate is not Fate.FRESH:
            self.deeds.pass_over(self.executed, len(request.operations))
            self._position += len(request.operations)
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
            self._note(request, result)
            room -= len(result.payload)
            results.append(result)
        last = Last(request.timestamp, signed.digest, self.executed, place, tuple(results))
        evicted = self.clients.record(request.client, request.session, last)
        return Ran(signed, fate, last.results, evicted)

    def _note(self, request: Request, result: Result) -> None:
        """Remember what the next operation of the batch came to, and of the first that failed why."""
        written = self._application.last_written if isinstance(self._application, StateMachine) else ()
        self.deeds.note(self.executed, result, written)
        if result.outcome is Outcome.FAILED:
            if self.failed is not None:
                self.failed = replace(self.failed, operations=self.failed.operations + 1)
            else:
                error, text = _cause(self._application, result)
                client = self._group.clients[request.client].name
                self.failed = OperationFailed(self.executed, self._position, 1, client, error, text)
        self._position += 1

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


def _cause(application: Application, result: Result) -> tuple[str, str]:
    """Return what made an operation fail, its type and its words: a StateMachine tells, else the answer must do."""
    error = getattr(application, "last_failure", None)
    try:
        if isinstance(error, BaseException) and result is not TOO_MUCH:
            return type(error).__name__, str(error)[:_TOLD_CHARACTERS]
        return "", str(result.value)[:_TOLD_CHARACTERS]
    except (Exception, SystemExit):
        # How an error words itself is the application's code, which may break too.
        return "" if error is None else type(error).__name__, "its text cannot be read"


@contextmanager
def _room_for_recursion() -> Iterator[None]:
    """Give operations the same room for recursion wherever in a program a batch executes.

    How deep a recursion may go is part of what an operation does, and the stack above it is not the same everywhere:
    one replica executes a batch as it commits, another behind a state that it took over.
    """
    frame: FrameType | None = sys._getframe()
    above = 0
    while frame is not None:
        frame, above = frame.f_back, above + 1
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(above + _FRAMES)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
