"""A client's session under a microscope: what replicas say in, what it sends and concludes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pbft.core.batches import read_request
from pbft.core.client_table import Fate
from pbft.core.effects import Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.execution import Ran
from pbft.core.messages import Challenge, Hello, Refusal, RefusalReason, Request, Welcome, pack, unpack
from pbft.core.replies import write_replies
from pbft.core.session import Completed, Lost, Session, SessionEffect
from pbft.core.settings import SessionSettings
from pbft.encoding import encode
from pbft.machine import Outcome, Result
from tests.core.builders import WALL_MS, Scene, at, forged


class Desk:
    """One session of alice; the test speaks for every replica."""

    def __init__(
        self,
        scene: Scene | None = None,
        settings: SessionSettings | None = None,
        clock_offset_ms: int = 0,
    ) -> None:
        self.scene = scene or Scene()
        self.ms = 0
        self.clock_offset_ms = clock_offset_ms
        self.sent: list[Send] = []
        """Everything sent so far."""
        self.session = Session(
            self.scene.group,
            self.scene.key("alice"),
            self.scene.signers["alice"],
            self.scene.verifier,
            b"entropy!",
            at(0, clock_offset_ms),
            settings,
        )

    # The session's face.

    def tick(self, ms: int | None = None) -> list[Send]:
        """Let the session do what is due, now or at a later time; return what it sends."""
        self.ms = self.ms if ms is None else ms
        return sends(self._keep(self.session.tick(at(self.ms, self.clock_offset_ms))))

    def give(self, envelope: Envelope, sender: int | None = None) -> list[SessionEffect]:
        """Deliver what a replica says, on its own link or on another's."""
        link = envelope.sender if sender is None else sender
        assert isinstance(link, int)
        return self._keep(self.session.receive(envelope, link, at(self.ms, self.clock_offset_ms)))

    def submit(self, operation: bytes = b"op", receipt: bool = False) -> int:
        """Queue an operation."""
        return self.session.submit(operation, at(self.ms, self.clock_offset_ms), receipt)

    def ask(self, operation: bytes = b"op", receipt: bool = False) -> int:
        """Open the session if it is not, queue an operation and send its request."""
        if not self.session.opened:
            self.open()
        ticket = self.submit(operation, receipt)
        self.tick()
        return ticket

    def open(self) -> None:
        """Greet, and be welcomed by n-f replicas."""
        self.tick()
        for replica in range(self.scene.n - self.scene.group.quorums.faults):
            self.welcome(replica)
        assert self.session.opened

    def deadline(self) -> int:
        """Return when the session wants to be woken."""
        assert self.session.deadline_ms is not None
        return self.session.deadline_ms

    @property
    def request(self) -> Envelope:
        """The request that was sent last."""
        return next(each.envelope for each in reversed(self.sent) if each.envelope.kind is Kind.REQUEST)

    @property
    def operations(self) -> tuple[bytes, ...]:
        """What rides in the request that was sent last."""
        return unpack(Request, self.request.body).operations

    def _keep(self, effects: list[SessionEffect]) -> list[SessionEffect]:
        self.sent += [each for each in effects if isinstance(each, Send)]
        return effects

    # What replicas say.

    def welcome(
        self,
        replica: int,
        *,
        view: int = 0,
        time_ms: int = WALL_MS,
        floor: bytes = bytes(16),
        session: bytes | None = None,
    ) -> list[SessionEffect]:
        """Have a replica welcome the session."""
        body = Welcome(session or self.session.id, view, time_ms, floor)
        return self.give(Envelope(Kind.WELCOME, replica, pack(body)))

    def challenge(self, replica: int, cookie: bytes = b"c" * 16, session: bytes | None = None) -> list[SessionEffect]:
        """Have a replica ask for proof of the address."""
        return self.give(Envelope(Kind.CHALLENGE, replica, pack(Challenge(session or self.session.id, cookie))))

    def reply(
        self,
        replica: int,
        values: Sequence[object] | None = None,
        *,
        sequence: int = 1,
        view: int = 0,
        request: Envelope | None = None,
        bad: bool = False,
        sender: int | None = None,
    ) -> list[SessionEffect]:
        """Have a replica answer the last request, with one value an operation."""
        answered = read_request(request or self.request)
        values = [b"done"] * len(answered.request.operations) if values is None else values
        results = tuple(Result(Outcome.OK, encode(value)) for value in values)
        ran = [Ran(answered, Fate.FRESH, results)]
        (envelope,) = write_replies(self.scene.group, self.scene.signers[replica], replica, view, sequence, ran)
        return self.give(forged(envelope) if bad else envelope, sender)

    def refuse(self, replica: int, reason: RefusalReason, request: Envelope | None = None) -> list[SessionEffect]:
        """Have a replica refuse the last request."""
        refused = read_request(request or self.request)
        body = Refusal(refused.request.session, refused.request.timestamp, refused.digest, int(reason))
        return self.give(Envelope(Kind.REFUSAL, replica, pack(body)))


def sends(effects: Sequence[SessionEffect]) -> list[Send]:
    return [each for each in effects if isinstance(each, Send)]


def completed(effects: Sequence[SessionEffect]) -> list[Completed]:
    return [each for each in effects if isinstance(each, Completed)]


def lost(effects: Sequence[SessionEffect]) -> list[Lost]:
    return [each for each in effects if isinstance(each, Lost)]


def receivers(sent: Sequence[Send], kind: Kind) -> list[int]:
    """Return to whom messages of a kind went."""
    return [each.to for each in sent if each.envelope.kind is kind]


def greeting(send: Send) -> Hello:
    """Return what a HELLO says."""
    assert send.envelope.kind is Kind.HELLO
    return unpack(Hello, send.envelope.body)


def relabelled(envelope: Envelope, sender: int) -> Envelope:
    """Return an envelope that names another sender."""
    return replace(envelope, sender=sender)
