"""A group's worth of keys, and observations made by hand: what a broken replica would do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pytest

from pbft.core.effects import (
    BecameStable,
    CommittedLocal,
    Effect,
    Executed,
    ExecutedRequest,
    Persist,
    Prepared,
    ViewEntered,
)
from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.group import Genesis, Group, Limits, Member, RegisteredClient
from pbft.core.messages import (
    BEGINNING,
    Batch,
    Checkpoint,
    CheckpointProof,
    Commit,
    NamedVote,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Renewal,
    Request,
    Share,
    ViewChange,
    batch_digest,
    pack,
    request_digest,
)
from pbft.machine import Application, Context, Outcome, Result
from pbft.testing.oracles import Facts, OracleFailure, Overseer, oversee
from pbft.testing.signers import Identity, Keyring

SESSION = bytes(15) + b"1"
INTERVAL = 4
"""Sequences between two checkpoints of a planted group; its log holds eight."""


class Nodding:
    """An application that says 5 to `add` and nothing to anything else, and counts."""

    def __init__(self) -> None:
        self.said = 0

    def execute(self, operation: bytes, context: Context) -> Result:
        """Nod."""
        if operation != b"add":
            return Result.of(Outcome.REJECTED, "no")
        self.said += 1
        return Result.of(Outcome.OK, 5)

    def digest(self) -> bytes:
        """Return the count, as 32 bytes."""
        return self.said.to_bytes(32, "big")

    def snapshot(self) -> Iterable[bytes]:
        """Return the count."""
        return [self.digest()]

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Take the count over."""
        self.said = int.from_bytes(b"".join(pieces), "big")


def fires(oracle: str, judge: Callable[[], None], words: str) -> None:
    """Assert that an oracle fires, and that its sentence says what happened."""
    with pytest.raises(OracleFailure, match=words) as failure:
        judge()
    assert failure.value.oracle == oracle


class Planter:
    """Makes messages of a group of n as correct replicas would, so that a test can spoil one thing at a time."""

    def __init__(self, n: int = 4, byzantine: Sequence[int] = ()) -> None:
        self.keys = Keyring(1)
        self.members = [self.keys.identity(f"replica {i}") for i in range(n)]
        self.alice = self.keys.identity("alice")
        self.group = Group.of(
            Genesis(
                nonce=self.keys.nonce(),
                members=tuple(Member(i, key.public_key, key.link_key) for i, key in enumerate(self.members)),
                clients=(RegisteredClient("alice", self.alice.public_key, self.alice.link_key),),
                application="Nodding",
                limits=Limits(checkpoint_interval=INTERVAL, log_size=2 * INTERVAL),
            )
        )
        self.correct = tuple(i for i in range(n) if i not in byzantine)
        self.quorum = self.group.quorums.quorum

    def facts(
        self,
        application: Callable[[], Application] = Nodding,
        invariant: Callable[[Application], str | None] | None = None,
    ) -> Facts:
        """What oracles may know of this group."""
        return Facts(self.group, self.keys.verifier, self.correct, application, invariant)

    def overseer(self, without: Sequence[str] = ()) -> Overseer:
        """A fresh overseer with all oracles but some."""
        return oversee(self.facts(), without)

    def only(self, *oracles: str) -> Overseer:
        """A fresh overseer with a few oracles alone."""
        ids = ("persist-before-send", "O1", "O2", "O3", "O4", "O5", "O6", "O7", "O8", "O11", "O12", "O13", "O14", "O16")
        return self.overseer([each for each in ids if each not in oracles])

    # What clients and primaries say.

    def request(self, timestamp: int = 1, operations: int = 1, signer: Identity | None = None) -> Envelope:
        """A request of Alice's, or what somebody else signs in her name."""
        body = pack(Request(self.alice.public_key, SESSION, timestamp, (b"add",) * operations))
        return seal(self.group, (signer or self.alice).signer, Kind.REQUEST, self.alice.public_key, body)

    def batch(self, *requests: Envelope, time_ms: int = 1) -> bytes:
        """A batch's bytes."""
        return pack(Batch(time_ms, tuple(each.to_bytes() for each in requests)))

    def sealed(self, by: int, kind: Kind, message: object, beside: bytes = b"") -> Envelope:
        """A replica's word, properly signed."""
        return seal(self.group, self.members[by].signer, kind, by, pack(message), beside)

    def pre_prepare(self, batch: bytes, sequence: int = 1, view: int = 0, by: int = 0) -> Envelope:
        """A proposal, properly signed by whoever makes it."""
        return self.sealed(by, Kind.PRE_PREPARE, PrePrepare(view, sequence, batch_digest(batch)), batch)

    def prepare(self, digest: bytes, by: int, sequence: int = 1, view: int = 0) -> Envelope:
        """A backup's vote."""
        return self.sealed(by, Kind.PREPARE, Prepare(view, sequence, digest))

    def commit(self, digest: bytes, by: int, sequence: int = 1, view: int = 0) -> Envelope:
        """A commit vote."""
        return self.sealed(by, Kind.COMMIT, Commit(view, sequence, digest))

    # Certificates.

    def prepared(self, batch: bytes, backups: Sequence[int] = (1, 2), sequence: int = 1) -> Prepared:
        """The notice of a prepared certificate."""
        digest = batch_digest(batch)
        prepares = [self.prepare(digest, i, sequence) for i in backups]
        return Prepared(0, sequence, digest, (self.pre_prepare(batch, sequence), *prepares))

    def committed(
        self, batch: bytes, members: Sequence[int] = (0, 1, 2), sequence: int = 1, view: int = 0
    ) -> CommittedLocal:
        """The notice of a commit certificate."""
        digest = batch_digest(batch)
        commits = tuple(self.commit(digest, i, sequence, view) for i in members)
        return CommittedLocal(view, sequence, digest, commits)

    def certificate(
        self, digest: bytes, sequence: int = 1, view: int = 0, backups: Sequence[int] | None = None
    ) -> PreparedCertificate:
        """A prepared certificate as a VIEW-CHANGE carries it."""
        primary = view % len(self.members)
        signers = [i for i in range(len(self.members)) if i != primary][: self.quorum - 1]
        proposal = self.sealed(primary, Kind.PRE_PREPARE, PrePrepare(view, sequence, digest))
        chosen = signers if backups is None else list(backups)
        shares = tuple(Share(i, self.prepare(digest, i, sequence, view).signature) for i in chosen)
        return PreparedCertificate(view, sequence, digest, proposal.signature, shares)

    def proof(
        self, sequence: int = INTERVAL, digest: bytes = bytes(32), signers: Sequence[int] = ()
    ) -> CheckpointProof:
        """The proof that a checkpoint is stable, by default of the first quorum."""
        chosen = signers or range(self.quorum)
        votes = [self.sealed(i, Kind.CHECKPOINT, Checkpoint(sequence, digest)) for i in chosen]
        return CheckpointProof(sequence, digest, tuple(Share(int(vote.sender), vote.signature) for vote in votes))

    def stable(self, sequence: int = INTERVAL, digest: bytes = bytes(32)) -> BecameStable:
        """The notice that a checkpoint is stable."""
        return BecameStable(self.proof(sequence, digest))

    # Views.

    def view_change(
        self,
        by: int,
        view: int = 1,
        stable: CheckpointProof = BEGINNING,
        prepared: Sequence[PreparedCertificate] = (),
    ) -> Envelope:
        """A replica's vote for a view."""
        return self.sealed(by, Kind.VIEW_CHANGE, ViewChange(view, stable, tuple(prepared)))

    def entered(
        self, *digests: bytes, view: int = 1, stable: int = 0, votes: Sequence[Envelope] | None = None
    ) -> ViewEntered:
        """The notice of a view that a quorum asked for, each without certificates unless votes are given."""
        asked = [self.view_change(i, view) for i in range(self.quorum)] if votes is None else votes
        return ViewEntered(view, stable, digests, tuple(asked))

    def new_view(self, *digests: bytes, view: int = 1, stable: int = 0) -> Envelope:
        """What the primary of a view says when it begins; its renewals are not signed."""
        names = tuple(NamedVote(i, bytes(32)) for i in range(self.quorum))
        renewals = tuple(Renewal(digest, bytes(64)) for digest in digests)
        return self.sealed(view % len(self.members), Kind.NEW_VIEW, NewView(view, names, stable, renewals))

    # Executions.

    def executed(
        self, batch: bytes, *requests: Envelope, sequence: int = 1, outcome: int = 0, time_ms: int = 1
    ) -> Executed:
        """The notice of an execution in which each request had one operation with the same outcome."""
        return Executed(
            0, sequence, batch_digest(batch), time_ms, tuple(self.fate(each, (outcome,)) for each in requests)
        )

    def fate(self, request: Envelope, outcomes: tuple[int, ...], timestamp: int = 1) -> ExecutedRequest:
        """One request's part in an execution."""
        return ExecutedRequest(self.alice.public_key, SESSION, timestamp, request_digest(request.body), outcomes)

    def agree(self, overseer: Overseer, batch: bytes, sequence: int = 1) -> None:
        """Let all correct replicas prepare and commit a batch as they should, without executing it."""
        digest = batch_digest(batch)
        proposal = self.pre_prepare(batch, sequence)
        for i in self.correct:
            vote = proposal if i == 0 else self.prepare(digest, i, sequence)
            overseer.judge(i, [Persist(vote, (proposal,))])
        for i in self.correct:
            steps: list[Effect] = [self.prepared(batch, sequence=sequence)]
            overseer.judge(i, [*steps, Persist(self.commit(digest, i, sequence), ())])
        for i in self.correct:
            overseer.judge(i, [self.committed(batch, sequence=sequence)])
