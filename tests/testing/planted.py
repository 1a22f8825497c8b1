"""A group's worth of keys, and observations made by hand: what a broken replica would do."""

from __future__ import annotations

from collections.abc import Sequence

from pbft.core.effects import CommittedLocal, Effect, Executed, ExecutedRequest, Persist, Prepared
from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.group import Genesis, Group, Member, RegisteredClient
from pbft.core.messages import Batch, Commit, Prepare, PrePrepare, Request, batch_digest, pack, request_digest
from pbft.testing.oracles import Facts, Overseer, oversee
from pbft.testing.signers import Identity, Keyring

SESSION = bytes(15) + b"1"


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
                application="Counter",
            )
        )
        self.correct = tuple(i for i in range(n) if i not in byzantine)

    def overseer(self, without: Sequence[str] = ()) -> Overseer:
        """A fresh overseer with all oracles but some."""
        return oversee(Facts(self.group, self.keys.verifier, self.correct), without)

    def request(self, timestamp: int = 1, operations: int = 1, signer: Identity | None = None) -> Envelope:
        """A request of Alice's, or what somebody else signs in her name."""
        body = pack(Request(self.alice.public_key, SESSION, timestamp, (b"add",) * operations))
        return seal(self.group, (signer or self.alice).signer, Kind.REQUEST, self.alice.public_key, body)

    def batch(self, *requests: Envelope, time_ms: int = 1) -> bytes:
        """A batch's bytes."""
        return pack(Batch(time_ms, tuple(each.to_bytes() for each in requests)))

    def pre_prepare(self, batch: bytes, sequence: int = 1, view: int = 0, by: int = 0) -> Envelope:
        """A proposal, properly signed by whoever makes it."""
        body = pack(PrePrepare(view, sequence, batch_digest(batch)))
        return seal(self.group, self.members[by].signer, Kind.PRE_PREPARE, by, body, batch)

    def prepare(self, digest: bytes, by: int, sequence: int = 1, view: int = 0) -> Envelope:
        """A backup's vote."""
        return seal(self.group, self.members[by].signer, Kind.PREPARE, by, pack(Prepare(view, sequence, digest)))

    def commit(self, digest: bytes, by: int, sequence: int = 1, view: int = 0) -> Envelope:
        """A commit vote."""
        return seal(self.group, self.members[by].signer, Kind.COMMIT, by, pack(Commit(view, sequence, digest)))

    def prepared(self, batch: bytes, backups: Sequence[int] = (1, 2), sequence: int = 1) -> Prepared:
        """The notice of a prepared certificate."""
        digest = batch_digest(batch)
        prepares = [self.prepare(digest, i, sequence) for i in backups]
        return Prepared(0, sequence, digest, (self.pre_prepare(batch, sequence), *prepares))

    def committed(self, batch: bytes, members: Sequence[int] = (0, 1, 2), sequence: int = 1) -> CommittedLocal:
        """The notice of a commit certificate."""
        digest = batch_digest(batch)
        return CommittedLocal(0, sequence, digest, tuple(self.commit(digest, i, sequence) for i in members))

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
