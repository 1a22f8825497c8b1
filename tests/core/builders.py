"""Groups, keys and messages for tests of the core, and one replica under a microscope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pbft.core.batches import SignedRequest, read_request
from pbft.core.effects import Answer, Broadcast, Effect, Ignored, Reason, Send
from pbft.core.envelope import Envelope, Kind, Sender, Signer, Verifier, seal
from pbft.core.group import Genesis, Group, Limits, Member, RegisteredClient
from pbft.core.messages import Batch, Commit, Prepare, PrePrepare, Request, Status, batch_digest, pack, unpack
from pbft.core.replica import Replica
from pbft.core.settings import Now, ReplicaSettings
from pbft.encoding import digest, encode
from pbft.machine import Context, Outcome, Result
from pbft.testing.signers import Keyring, Scheme

WALL_MS = 1_750_000_000_000
"""What the wall clock shows when a test's monotonic clock shows 0."""

E = TypeVar("E")


def at(ms: int, wall_offset_ms: int = 0) -> Now:
    """Return the two clocks `ms` after a test's beginning."""
    return Now(ms, WALL_MS + ms + wall_offset_ms)


class CountingVerifier:
    """A real verifier, and how often it was asked."""

    def __init__(self, inner: Verifier) -> None:
        self.inner = inner
        self.count = 0

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        self.count += 1
        return self.inner.verify(public_key, message, signature)


class Recorder:
    """An application that answers each operation with its own bytes and remembers the world it was shown."""

    def __init__(self) -> None:
        self.ran: list[tuple[bytes, Context]] = []

    def execute(self, operation: bytes, context: Context) -> Result:
        self.ran.append((operation, context))
        return Result(Outcome.OK, encode([len(self.ran), operation]))

    def digest(self) -> bytes:
        return digest(b"recorder", *(operation for operation, _ in self.ran))


class Scene:
    """A group whose every key the test holds."""

    def __init__(
        self,
        n: int = 4,
        clients: Sequence[str] = ("alice", "bob"),
        limits: Limits | None = None,
        seed: int = 1,
        scheme: Scheme = "simulated",
    ) -> None:
        self.keyring = Keyring(seed, scheme)
        self.verifier = CountingVerifier(self.keyring.verifier)
        self.signers: dict[int | str, Signer] = {}
        members = []
        for number in range(n):
            keys = self.keyring.identity(f"replica {number}")
            self.signers[number] = keys.signer
            members.append(Member(number, keys.public_key, keys.link_key))
        registered = []
        for name in clients:
            keys = self.keyring.identity(name)
            self.signers[name] = keys.signer
            registered.append(RegisteredClient(name, keys.public_key, keys.link_key))
        self.group = Group.of(
            Genesis(self.keyring.nonce(), tuple(members), tuple(registered), "Recorder", (), limits or Limits())
        )

    @property
    def n(self) -> int:
        return self.group.n

    def key(self, client: str) -> bytes:
        """Return a client's public key; strangers have one too."""
        return self.keyring.identity(client).public_key

    def watch(self, me: int, settings: ReplicaSettings | None = None) -> Microscope:
        """Return a replica of this group under a microscope."""
        application = Recorder()
        replica = Replica(me, self.group, application, self.signers[me], self.verifier, settings)
        return Microscope(self, replica, application)

    # What clients say.

    def request(
        self,
        client: str = "alice",
        timestamp: int = 1,
        operations: Sequence[bytes] = (b"op",),
        session: bytes | None = None,
    ) -> Envelope:
        """Return a signed request."""
        key = self.key(client)
        body = pack(Request(key, session or session_id(), timestamp, tuple(operations)))
        return self.sign_request(client, body)

    def sign_request(self, client: str, body: bytes) -> Envelope:
        """Return a request with this body, signed by a client or by a stranger to the group."""
        key, signer = self.key(client), self.keyring.identity(client).signer
        if key in self.group.clients:
            return seal(self.group, signer, Kind.REQUEST, key, body)
        return Envelope(Kind.REQUEST, key, body, signer.sign(body))

    # What replicas say.

    def pre_prepare(
        self, sequence: int, *requests: Envelope, time_ms: int = WALL_MS, view: int = 0, by: int | None = None
    ) -> Envelope:
        """Return a proposal of these requests, by the primary of the view unless told otherwise."""
        batch = pack(Batch(time_ms, tuple(each.to_bytes() for each in requests)))
        return self.propose(sequence, batch, view, by)

    def propose(self, sequence: int, batch: bytes, view: int = 0, by: int | None = None) -> Envelope:
        """Return a proposal of whatever bytes pass for a batch."""
        signer = self.group.primary(view) if by is None else by
        return self.say(signer, Kind.PRE_PREPARE, PrePrepare(view, sequence, batch_digest(batch)), batch)

    def prepare(self, by: int, proposal: Envelope) -> Envelope:
        """Return a backup's vote for a proposal."""
        body = unpack(PrePrepare, proposal.body)
        return self.say(by, Kind.PREPARE, Prepare(body.view, body.sequence, body.digest))

    def commit(self, by: int, proposal: Envelope) -> Envelope:
        """Return a replica's word that it is prepared for a proposal."""
        body = unpack(PrePrepare, proposal.body)
        return self.say(by, Kind.COMMIT, Commit(body.view, body.sequence, body.digest))

    def status(self, by: int, executed: int, attempt: int = 0, held: bytes = b"", view: int = 0) -> Envelope:
        """Return a replica's account of what it lacks."""
        return Envelope(Kind.STATUS, by, pack(Status(view, executed, attempt, held)))

    def say(self, by: int, kind: Kind, message: object, beside: bytes = b"") -> Envelope:
        """Return whatever message in a replica's name, with its signature."""
        return seal(self.group, self.signers[by], kind, by, pack(message), beside)


@dataclass
class Turn:
    """What one turn of a replica came to."""

    effects: list[Effect]

    def of(self, kind: type[E]) -> list[E]:
        """Return the effects of one class, in order."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def reasons(self) -> list[Reason]:
        """Return why anything was refused."""
        return [ignored.reason for ignored in self.of(Ignored)]

    def said(self, kind: Kind) -> list[Envelope]:
        """Return what goes to replicas, of one kind."""
        return [
            each.envelope for each in self.effects if isinstance(each, Broadcast | Send) and each.envelope.kind is kind
        ]

    def answers(self, kind: Kind = Kind.REPLY) -> list[Envelope]:
        """Return what goes to clients, of one kind."""
        return [answer.envelope for answer in self.of(Answer) if answer.envelope.kind is kind]


class Microscope:
    """One replica: envelope in, effects out. It knows that nobody is ahead of it, so that it is quiet."""

    def __init__(self, scene: Scene, replica: Replica, application: Recorder) -> None:
        self.scene = scene
        self.replica = replica
        self.application = application
        self.ms = 0
        self.wall_offset_ms = 0
        for peer in [number for number in range(scene.n) if number != self.me][-scene.group.quorums.weak :]:
            self.give(scene.status(peer, 0))

    @property
    def me(self) -> int:
        return self.replica.me

    @property
    def now(self) -> Now:
        return at(self.ms, self.wall_offset_ms)

    @property
    def executed(self) -> int:
        return self.replica.status().executed

    def give(self, envelope: Envelope, sender: Sender | None = None) -> Turn:
        """Deliver an envelope on its sender's own link, or on the link of whoever relays it."""
        return Turn(self.replica.receive(envelope, envelope.sender if sender is None else sender, self.now))

    def tick(self) -> Turn:
        """Let the replica do what is due."""
        return Turn(self.replica.tick(self.now))

    def others(self) -> list[int]:
        """Return the other replicas, this view's primary left out."""
        return [number for number in range(self.scene.n) if number not in (self.me, self.scene.group.primary(0))]

    def prepare(self, proposal: Envelope) -> Turn:
        """Deliver the backups' votes for a proposal, as many as make it prepared."""
        missing = self.scene.group.quorums.quorum - (1 if self.me == self.scene.group.primary(0) else 2)
        effects: list[Effect] = []
        for backup in self.others()[:missing]:
            effects += self.give(self.scene.prepare(backup, proposal)).effects
        return Turn(effects)

    def commit(self, proposal: Envelope) -> Turn:
        """Deliver others' commits for a proposal, as many as make it committed."""
        effects: list[Effect] = []
        everybody = [number for number in range(self.scene.n) if number != self.me]
        for member in everybody[: self.scene.group.quorums.quorum - 1]:
            effects += self.give(self.scene.commit(member, proposal)).effects
        return Turn(effects)

    def agree(self, proposal: Envelope) -> Turn:
        """Take a proposal through all three phases at this backup."""
        return Turn([*self.give(proposal).effects, *self.prepare(proposal).effects, *self.commit(proposal).effects])


def session_id(number: int = 1, opened_ms: int = WALL_MS) -> bytes:
    """Return a session's id: the time it was opened, and what tells it from others of that time."""
    return opened_ms.to_bytes(8, "big") + number.to_bytes(8, "big")


def forged(envelope: Envelope) -> Envelope:
    """Return the envelope under a signature that nobody made."""
    return replace(envelope, signature=bytes(64))


def signed(envelope: Envelope) -> SignedRequest:
    """Return a request as batches carry it."""
    return read_request(envelope)
