"""What every faulty client is: one client's signer and link, a habit, and an ear for what replicas answer.

Owns: the face that the engine drives, which is a simulated client's own, and what a faulty client may know and sign
with. It holds its own signer alone: what it says in others' names, it forges badly. Whatever it sends goes out over its
own link and from its own address, and has to be an envelope: bytes that are none end before any replica.

A subclass says in `act` what is sent, time and again. It may say anything to anybody, or nothing.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

from pbft.core.effects import Send
from pbft.core.envelope import MAGIC, Envelope, Kind, Sender, Signer
from pbft.core.group import ClientKey, Group, ReplicaId
from pbft.core.messages import Hello, Request, Welcome, pack, unpack
from pbft.core.replies import ReadReply, read_reply
from pbft.encoding import EncodingError, Plain
from pbft.machine import encode_operation
from pbft.testing.network import WALL_START_MS, Address

MAX_INBOX: Final = 10_000
KEPT_REPLIES: Final = 1_024
"""Requests whose replies are remembered, the latest answered last."""

Speech = Callable[[int], tuple[str, tuple[Plain, ...]]]
"""What a faulty client's operations are: a name and its arguments for each number, 0, 1, 2 and so on."""

RequestName = tuple[bytes, int]
"""Which of a client's requests: its session and timestamp."""

Account = tuple[bytes, int, tuple[object, ...]]
"""What a reply says of a request: its digest, its sequence and its results."""


def nonsense(number: int) -> tuple[str, tuple[Plain, ...]]:
    """Return an operation that no application has: it is ordered, and answered as invalid, and changes no state."""
    return f"no operation {number}", ()


@dataclass(frozen=True)
class ClientMeans:
    """What a faulty client works with."""

    key: ClientKey
    signer: Signer
    group: Group
    chance: random.Random
    moment: Callable[[], int]
    """Tells virtual time."""


class FaultyClient:
    """A client that misbehaves, from the moment it is let loose until it is stopped."""

    every_ms: ClassVar[int] = 50
    """How far apart it acts. A test that wants to see a flood takes less."""
    registered: ClassVar[bool] = True
    """Whether the group knows its key."""

    def __init__(self, label: str, means: ClientMeans, say: Speech = nonsense) -> None:
        self.label = label
        self.key = means.key
        self.means = means
        self.inbox: deque[tuple[Address, Sender, Envelope]] = deque()
        self.wake_ms: int | None = None
        self.acts = 0
        """How often it has acted."""
        self.replies: dict[RequestName, dict[ReplicaId, Account]] = {}
        """What each replica answered last to each request."""
        self._say = say
        self._said = 0
        self._views: dict[ReplicaId, int] = {}
        self._sessions = 0
        self._due_ms: int | None = means.moment()

    # What a misbehaviour says.

    def act(self) -> list[Send]:
        """Return what is sent this time."""
        return []

    def stop(self) -> None:
        """Send nothing more. What is under way arrives all the same."""
        self._due_ms = None

    def accepted(self, name: RequestName) -> list[Account]:
        """Return the accounts of a request that f+1 replicas gave, as a correct client would accept them."""
        told = list(self.replies.get(name, {}).values())
        return [one for one in dict.fromkeys(told) if told.count(one) >= self.means.group.quorums.weak]

    # What it is made of.

    @property
    def everybody(self) -> list[ReplicaId]:
        """All replicas."""
        return [member.id for member in self.means.group.members]

    @property
    def primary(self) -> ReplicaId:
        """The primary of the view that f+1 replicas have come to, as far as they told."""
        group = self.means.group
        return group.primary(group.quorums.weakly_supported(self._views.values()) or 0)

    @property
    def wall_ms(self) -> int:
        """The time that a right wall clock shows."""
        return WALL_START_MS + self.means.moment()

    def new_session(self, opened_ms: int | None = None) -> bytes:
        """Return the id of another session, opened at any time it likes: now, unless another is given."""
        self._sessions += 1
        opened_ms = self.wall_ms if opened_ms is None else opened_ms
        return opened_ms.to_bytes(8, "big") + self.means.chance.randbytes(4) + self._sessions.to_bytes(4, "big")

    def operation(self) -> bytes:
        """Return the next operation that it was given to say."""
        name, args = self._say(self._said)
        self._said += 1
        return encode_operation(name, args)

    def request(self, session: bytes, timestamp: int, *operations: bytes) -> Envelope:
        """Return a request properly signed in its own name, of the next operation unless others are given."""
        body = pack(Request(self.key, session, timestamp, operations or (self.operation(),)))
        return Envelope(Kind.REQUEST, self.key, body, self.sign(Kind.REQUEST, body))

    def sign(self, kind: Kind, body: bytes) -> bytes:
        """Return its own signature, under the words that one of a registered client stands under."""
        return self.means.signer.sign(b"".join((MAGIC, self.means.group.id, bytes((kind,)), b"c", self.key, body)))

    def greet(self, session: bytes) -> list[Send]:
        """Return a greeting to each replica, so that they know where to answer a session."""
        return self.to_all(Envelope(Kind.HELLO, self.key, pack(Hello(session, b"", bytes(64)))))

    def to_all(self, envelope: Envelope) -> list[Send]:
        """Send one envelope to each replica."""
        return [Send(replica, envelope) for replica in self.everybody]

    # The face that the engine drives.

    def put(self, src: Address, sender: Sender, envelope: Envelope) -> bool:
        """Let an envelope wait to be received; say no when the inbox is full, and then it is lost."""
        if len(self.inbox) >= MAX_INBOX:
            return False
        self.inbox.append((src, sender, envelope))
        return True

    def deadline_ms(self) -> int | None:
        """When it acts next, in virtual time; None once it was stopped."""
        return self._due_ms

    def receive(self, envelope: Envelope, sender: Sender) -> list[Send]:
        """Listen to what a replica answers."""
        assert isinstance(sender, int), "clients hear from replicas only"
        # A liar's answer may not hang together.
        with suppress(EncodingError):
            if envelope.kind is Kind.WELCOME:
                self._views[sender] = max(self._views.get(sender, 0), unpack(Welcome, envelope.body).view)
            elif envelope.kind is Kind.REPLY:
                self._note(read_reply(envelope), sender)
        return []

    def tick(self) -> list[Send]:
        """Act, if that is due."""
        now_ms = self.means.moment()
        if self._due_ms is None or now_ms < self._due_ms:
            return []
        self._due_ms = now_ms + self.every_ms
        self.acts += 1
        return self.act()

    def _note(self, reply: ReadReply, replica: ReplicaId) -> None:
        detail = reply.detail
        self._views[replica] = max(self._views.get(replica, 0), detail.view)
        account: Account = (detail.request_digest, reply.sequence, detail.results)
        told = self.replies.pop((detail.session, detail.timestamp), {})
        told[replica] = account
        self.replies[detail.session, detail.timestamp] = told
        if len(self.replies) > KEPT_REPLIES:
            del self.replies[next(iter(self.replies))]


Faulty = TypeVar("Faulty", bound=FaultyClient)
"""One kind of faulty client."""
