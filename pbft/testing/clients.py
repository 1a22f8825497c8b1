"""Clients on virtual time: the very session that real clients use, with calls that a test can hold on to.

Owns: calls and their outcomes as a test sees them. Knows nothing of replicas: what a session wants sent, the engine
sends.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from pbft.core.effects import Send
from pbft.core.envelope import Envelope, Sender
from pbft.core.group import ClientKey
from pbft.core.messages import RefusalReason
from pbft.core.session import Completed, Lost, Session, SessionEffect
from pbft.core.settings import Now
from pbft.machine import Outcome, Rejected, encode_operation
from pbft.testing.network import WALL_START_MS, Address

MAX_INBOX: Final = 10_000

# One for all groups of this process: numbers are compared within a run only, and nothing else depends on them.
_EVENTS: Final = itertools.count(1)


class CallFailed(Exception):
    """A call that ended without a value for another reason than the application's no.

    `outcome` is INVALID or FAILED; it is None where the group refused to order the request, and `refusal` says why.
    """

    def __init__(self, message: str, outcome: Outcome | None = None, refusal: RefusalReason | None = None) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.refusal = refusal


class Call:
    """An operation on its way. Hand it to `Cluster.gather`, or look at it whenever you like."""

    def __init__(self, client: str, name: str, args: tuple[Any, ...]) -> None:
        self.client = client
        self.name = name
        self.args = args
        self.data = b""
        """The operation's bytes, as replicas execute them."""
        self.called_ms = 0
        """The virtual time at which it was called."""
        self.called_event = 0
        """The place of its call among all calls and ends of calls: a millisecond may hold several."""
        self.ended_ms: int | None = None
        """The virtual time at which its client accepted the group's answer, or its refusal."""
        self.ended_event: int | None = None
        """The place of its end among all calls and ends of calls."""
        self.session: bytes = b""
        """The session whose request it rode in, once it is answered: `completed` has that request's timestamp."""
        self.completed: Completed | None = None
        """The group's answer, once f+1 replicas gave it."""
        self.refusal: RefusalReason | None = None
        """Why f+1 replicas refused, if they did."""
        self.then: Callable[[], None] | None = None
        """What happens at the moment at which the call ends: a program that goes on, say."""

    def __repr__(self) -> str:
        return f"{self.client}.{self.name}({', '.join(map(repr, self.args))})"

    @property
    def done(self) -> bool:
        """Whether the group has answered or refused."""
        return self.completed is not None or self.refusal is not None

    @property
    def outcome(self) -> Outcome | None:
        """How the operation ended, or None while it has not."""
        return self.completed.result.outcome if self.completed is not None else None

    def value(self) -> Any:
        """Return what the operation returned.

        Raises Rejected with the application's words, and CallFailed for every other end, or none yet.
        """
        if self.refusal is not None:
            raise CallFailed(f"{self!r} was refused: {self.refusal.name}", refusal=self.refusal)
        if self.completed is None:
            raise CallFailed(f"{self!r} has not been answered yet")
        result = self.completed.result
        if result.outcome is Outcome.REJECTED:
            raise Rejected(result.value)
        if result.outcome is not Outcome.OK:
            raise CallFailed(str(result.value), outcome=result.outcome)
        return result.value


class SimulatedClient:
    """One session of one client. Its calls leave as the session wants; run the cluster to see them answered."""

    def __init__(
        self,
        label: str,
        key: ClientKey,
        session: Session,
        offset_ms: int,
        wall_ahead_ms: int,
        moment: Callable[[], int],
        called: Callable[[SimulatedClient], None],
    ) -> None:
        """`moment` tells virtual time; `called` is told of every new call, so that the driver looks."""
        self.label = label
        self.key = key
        self.session = session
        self._offset_ms = offset_ms
        self._wall_ahead_ms = wall_ahead_ms
        self._moment = moment
        self.wake_ms: int | None = None
        self.inbox: deque[tuple[Address, Sender, Envelope]] = deque()
        self._called = called
        self._calls: dict[int, Call] = {}
        self.calls: list[Call] = []
        """All that it ever called, in order."""
        self.sessions: dict[bytes, None] = {session.id: None}
        """The ids under which its session has been open, in order: a refusal makes it take another."""

    def call(self, name: str, *args: Any, receipt: bool = False, **kwargs: Any) -> Call:
        """Start an operation and return it; operations that wait at the same time ride in one request."""
        return self.send(encode_operation(name, args, kwargs), name, args, receipt=receipt)

    def send(self, data: bytes, name: str = "", args: tuple[Any, ...] = (), *, receipt: bool = False) -> Call:
        """Start an operation of these bytes, whatever they say; `name` and `args` are how it is spoken of."""
        call = Call(self.label, name, args) if name else Call(self.label, "send", (data,))
        call.data = data
        ticket = self.session.submit(call.data, self.now(), receipt)
        call.called_ms, call.called_event = self._moment(), next(_EVENTS)
        self._calls[ticket] = call
        self.calls.append(call)
        self._called(self)
        return call

    def now(self) -> Now:
        """Return what this client's clocks show."""
        now_ms = self._moment()
        return Now(now_ms + self._offset_ms, WALL_START_MS + now_ms + self._wall_ahead_ms)

    def put(self, src: Address, sender: Sender, envelope: Envelope) -> bool:
        """Let an envelope wait to be received; say no when the inbox is full, and then it is lost."""
        if len(self.inbox) >= MAX_INBOX:
            return False
        self.inbox.append((src, sender, envelope))
        return True

    def deadline_ms(self) -> int | None:
        """When the session's `tick` is due, in virtual time."""
        deadline = self.session.deadline_ms
        return None if deadline is None else deadline - self._offset_ms

    def receive(self, envelope: Envelope, sender: Sender) -> list[SessionEffect]:
        """Hand the session a replica's message."""
        assert isinstance(sender, int), "clients hear from replicas only"
        effects = self.session.receive(envelope, sender, self.now())
        self.sessions[self.session.id] = None
        return effects

    def tick(self) -> list[SessionEffect]:
        """Let the session do what is due."""
        return self.session.tick(self.now())

    def settle(self, effect: SessionEffect) -> None:
        """Note how a call ended."""
        if isinstance(effect, Send):
            return
        call = self._calls.pop(effect.ticket)
        call.ended_ms, call.ended_event = self._moment(), next(_EVENTS)
        if isinstance(effect, Lost):
            call.refusal = effect.reason
        else:
            call.completed = effect
            call.session = self.session.id
        if call.then is not None:
            call.then()
