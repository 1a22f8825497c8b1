"""What a quorum has signed, checked: prepared and commit certificates, proofs of stable checkpoints.

Owns: when such a certificate is valid, and the memory of signatures that were found good, so that none is verified
twice however many VIEW-CHANGEs carry it. Knows nothing of what is done with one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pbft.core.envelope import Envelope, Kind
from pbft.core.group import Group, ReplicaId
from pbft.core.messages import (
    BEGINNING,
    Checkpoint,
    CheckpointProof,
    Commit,
    CommitCertificate,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Share,
    pack,
)


def shares(votes: Iterable[Envelope]) -> tuple[Share, ...]:
    """Return members' votes for one thing as shares, by member."""
    return tuple(sorted((Share(int(vote.sender), vote.signature) for vote in votes), key=lambda share: share.signer))


class Certificates:
    """Judges certificates by the quorums of the group. A bad one is no fault of whoever hands it on (design 4.8)."""

    def __init__(self, group: Group, verify: Callable[[Envelope], bool]) -> None:
        self._group = group
        self._verify = verify
        self._good: dict[tuple[Kind, ReplicaId, bytes, bytes], None] = {}
        self._room = 2 * group.n * group.limits.log_size

    def is_prepared(self, certificate: PreparedCertificate) -> bool:
        """Say whether it shows that a batch prepared: OSDI'99 section 4.2's pre-prepare, and q-1 backups' prepares."""
        place = (certificate.view, certificate.sequence, certificate.digest)
        primary = self._group.primary(certificate.view)
        signers = [share.signer for share in certificate.prepares]
        return (
            len(signers) == self._group.quorums.prepared - 1
            and primary not in signers
            and self._are_members(signers)
            and self._is_good(Kind.PRE_PREPARE, primary, pack(PrePrepare(*place)), certificate.pre_prepare)
            and self._all_good(Kind.PREPARE, pack(Prepare(*place)), certificate.prepares)
        )

    def is_committed(self, certificate: CommitCertificate) -> bool:
        """Say whether a quorum signed this COMMIT (OSDI'99 section 4.2). On a link one may count without: not here."""
        signers = [share.signer for share in certificate.commits]
        body = pack(Commit(certificate.view, certificate.sequence, certificate.digest))
        return (
            len(signers) == self._group.quorums.committed
            and self._are_members(signers)
            and self._all_good(Kind.COMMIT, body, certificate.commits)
        )

    def is_stable(self, proof: CheckpointProof) -> bool:
        """Say whether a quorum signed this checkpoint (OSDI'99 section 4.3). The beginning is stable by itself."""
        if proof.sequence == 0:
            return proof == BEGINNING
        signers = [share.signer for share in proof.shares]
        return (
            proof.sequence % self._group.limits.checkpoint_interval == 0
            and len(signers) == self._group.quorums.stable
            and self._are_members(signers)
            and self._all_good(Kind.CHECKPOINT, pack(Checkpoint(proof.sequence, proof.digest)), proof.shares)
        )

    def _are_members(self, signers: list[ReplicaId]) -> bool:
        return len(dict.fromkeys(signers)) == len(signers) and all(signer < self._group.n for signer in signers)

    def _all_good(self, kind: Kind, body: bytes, shares: tuple[Share, ...]) -> bool:
        return all(self._is_good(kind, share.signer, body, share.signature) for share in shares)

    def _is_good(self, kind: Kind, signer: ReplicaId, body: bytes, signature: bytes) -> bool:
        key = (kind, signer, body, signature)
        if key in self._good:
            return True
        if not self._verify(Envelope(kind, signer, body, signature)):
            return False
        if len(self._good) >= self._room:
            del self._good[next(iter(self._good))]
        self._good[key] = None
        return True
