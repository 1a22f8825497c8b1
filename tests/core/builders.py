"""Groups, keys and messages for tests of the core; one replica of them under a microscope."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields, replace

from pbft.core.batches import SignedRequest, read_request
from pbft.core.envelope import Envelope, Kind, Signer, Verifier, seal
from pbft.core.group import Genesis, Group, Limits, Member, RegisteredClient
from pbft.core.messages import (
    BEGINNING,
    Batch,
    Checkpoint,
    CheckpointProof,
    Commit,
    CommitCertificate,
    NamedVote,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Renewal,
    Request,
    Share,
    Status,
    ViewChange,
    batch_digest,
    pack,
    unpack,
    view_change_digest,
)
from pbft.core.replica import Replica
from pbft.core.reproposal import repropose
from pbft.core.settings import ReplicaSettings
from pbft.encoding import EncodingError, decode, digest, encode
from pbft.machine import Context, Outcome, Result
from pbft.pieces import cut_items, read_items
from pbft.testing.signers import Keyring, Scheme
from tests.core.microscope import WALL_MS, Microscope, Turn, at

__all__ = [
    "WALL_MS",
    "CountingVerifier",
    "Microscope",
    "Recorder",
    "Scene",
    "Turn",
    "at",
    "forged",
    "renewed",
    "session_id",
    "signed",
    "vote_digest",
]


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

    def snapshot(self) -> Iterable[bytes]:
        return list(cut_items(encode([operation, *astuple(context)]) for operation, context in self.ran))

    def restore(self, pieces: Iterable[bytes]) -> None:
        ran = [decode(item) for item in read_items(pieces)]
        if any(type(each) is not tuple or len(each) != 1 + len(fields(Context)) for each in ran):
            raise EncodingError("a Recorder's snapshot holds an operation and its context in each item")
        self.ran = [(operation, Context(*context)) for operation, *context in ran]


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

    def watch(
        self,
        me: int,
        settings: ReplicaSettings | None = None,
        *,
        greeted: bool = True,
        application: Recorder | None = None,
    ) -> Microscope:
        """Return a replica of this group under a microscope."""
        application = application or Recorder()
        replica = Replica(me, self.group, application, self.signers[me], self.verifier, settings)
        return Microscope(self, replica, application, greeted=greeted)

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

    def status(
        self,
        by: int,
        executed: int,
        attempt: int = 0,
        held: bytes = b"",
        view: int = 0,
        *,
        target: int | None = None,
        stable: int = 0,
        asks: bool = True,
        view_changes: tuple[int, ...] = (),
        wanted: tuple[bytes, ...] = (),
    ) -> Envelope:
        """Return a replica's account of what it lacks."""
        target = view if target is None else target
        status = Status(view, target, stable, executed, attempt, asks, held, view_changes, wanted)
        return Envelope(Kind.STATUS, by, pack(status))

    # What quorums say.

    def share(self, by: int, kind: Kind, message: object) -> Share:
        """Return a replica's signature under words that stand elsewhere."""
        return Share(by, self.say(by, kind, message).signature)

    def certificate(self, proposal: Envelope, by: Sequence[int] | None = None) -> PreparedCertificate:
        """Return the certificate that a proposal prepared: its signature, and the first q-1 backups' or those named."""
        body = unpack(PrePrepare, proposal.body)
        prepare = Prepare(body.view, body.sequence, body.digest)
        backups = [number for number in range(self.n) if number != proposal.sender]
        signers = backups[: self.group.quorums.prepared - 1] if by is None else by
        shares = tuple(self.share(each, Kind.PREPARE, prepare) for each in signers)
        return PreparedCertificate(body.view, body.sequence, body.digest, proposal.signature, shares)

    def commit_certificate(self, proposal: Envelope, by: Sequence[int] | None = None) -> CommitCertificate:
        """Return the certificate that a proposal committed, signed by the first quorum or by those named."""
        body = unpack(PrePrepare, proposal.body)
        commit = Commit(body.view, body.sequence, body.digest)
        signers = range(self.group.quorums.committed) if by is None else by
        shares = tuple(self.share(each, Kind.COMMIT, commit) for each in signers)
        return CommitCertificate(body.view, body.sequence, body.digest, shares)

    def committed(self, by: int, proposal: Envelope) -> Envelope:
        """Return what a replica sends of a committed proposal, its batch beside."""
        return Envelope(Kind.COMMITTED, by, pack(self.commit_certificate(proposal)), b"", proposal.beside)

    def checkpoint(self, by: int, sequence: int, digest: bytes) -> Envelope:
        """Return a replica's word for its state after a sequence."""
        return self.say(by, Kind.CHECKPOINT, Checkpoint(sequence, digest))

    def proof(self, sequence: int, digest: bytes, by: Sequence[int] | None = None) -> CheckpointProof:
        """Return the proof that a state is stable, signed by the first quorum or by those named."""
        signers = range(self.group.quorums.stable) if by is None else by
        vote = Checkpoint(sequence, digest)
        return CheckpointProof(sequence, digest, tuple(self.share(each, Kind.CHECKPOINT, vote) for each in signers))

    # What changes views.

    def view_change(
        self,
        by: int,
        view: int,
        prepared: Sequence[PreparedCertificate] = (),
        stable: CheckpointProof = BEGINNING,
    ) -> Envelope:
        """Return a replica's vote for a view."""
        return self.say(by, Kind.VIEW_CHANGE, ViewChange(view, stable, tuple(prepared)))

    def new_view(
        self,
        view: int,
        votes: Sequence[Envelope],
        *,
        stable: int | None = None,
        digests: Sequence[bytes] | None = None,
        by: int | None = None,
    ) -> Envelope:
        """Return what a view's primary makes of votes: what follows from them, or whatever else is asked for."""
        signer = self.group.primary(view) if by is None else by
        bodies = [unpack(ViewChange, each.body) for each in votes]
        due = repropose(bodies, self.group.limits.log_size, lambda _: True, lambda _: True)
        low = due.stable.sequence if stable is None else stable
        renewals = []
        for offset, batch in enumerate(due.digests if digests is None else digests):
            renewed = self.say(signer, Kind.PRE_PREPARE, PrePrepare(view, low + 1 + offset, batch))
            renewals.append(Renewal(batch, renewed.signature))
        named = tuple(NamedVote(int(each.sender), vote_digest(each)) for each in votes)
        return self.say(signer, Kind.NEW_VIEW, NewView(view, named, low, tuple(renewals)))

    def say(self, by: int, kind: Kind, message: object, beside: bytes = b"") -> Envelope:
        """Return whatever message in a replica's name, with its signature."""
        return seal(self.group, self.signers[by], kind, by, pack(message), beside)


def session_id(number: int = 1, opened_ms: int = WALL_MS) -> bytes:
    """Return a session's id: the time it was opened, and what tells it from others of that time."""
    return opened_ms.to_bytes(8, "big") + number.to_bytes(8, "big")


def vote_digest(vote: Envelope) -> bytes:
    """Return the digest by which a NEW-VIEW names a VIEW-CHANGE."""
    return view_change_digest(int(vote.sender), vote.body)


def renewed(new_view: Envelope, sequence: int, batch: bytes) -> Envelope:
    """Return the pre-prepare that a NEW-VIEW holds for a sequence, with its batch beside."""
    body = unpack(NewView, new_view.body)
    renewal = body.renewals[sequence - body.stable - 1]
    place = pack(PrePrepare(body.view, sequence, renewal.digest))
    return Envelope(Kind.PRE_PREPARE, new_view.sender, place, renewal.signature, batch)


def forged(envelope: Envelope) -> Envelope:
    """Return the envelope under a signature that nobody made."""
    return replace(envelope, signature=bytes(64))


def signed(envelope: Envelope) -> SignedRequest:
    """Return a request as batches carry it."""
    return read_request(envelope)
