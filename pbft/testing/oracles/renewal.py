"""What a new view must propose again, reckoned once more by whoever does not trust the replicas (OSDI'99 section 4.4).

Owns: the oracles' own reading of VIEW-CHANGEs and certificates, and the choice that follows from a set of them. Nothing
here asks the core: a mistake there would otherwise judge itself.
"""

from __future__ import annotations

from typing import Final

from pbft.core.envelope import Envelope, Kind, Verifier, genuine
from pbft.core.group import Group
from pbft.core.messages import (
    NULL_BATCH,
    Checkpoint,
    CheckpointProof,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Share,
    ViewChange,
    batch_digest,
    pack,
    unpack,
)
from pbft.encoding import EncodingError

NULL: Final = batch_digest(NULL_BATCH)


class Renewals:
    """Judges certificates, each once, and reckons what a set of VIEW-CHANGEs comes to."""

    def __init__(self, group: Group, verifier: Verifier, quorum: int) -> None:
        self._group = group
        self._verifier = verifier
        self._quorum = quorum
        self._limits = group.genesis.limits
        self._n = len(group.genesis.members)
        self._votes: dict[tuple[int, bytes, bytes], ViewChange | str] = {}
        self._prepared: dict[PreparedCertificate, bool] = {}
        self._stable: dict[CheckpointProof, str | None] = {}

    def read(self, envelope: Envelope) -> ViewChange | str:
        """Return a VIEW-CHANGE that its sender signed and that has a correct one's shape, or what is wrong with it."""
        if envelope.kind is not Kind.VIEW_CHANGE or not isinstance(envelope.sender, int):
            return f"a {envelope.kind.name} is no VIEW_CHANGE of a member"
        key = (envelope.sender, envelope.body, envelope.signature)
        if key not in self._votes:
            self._votes[key] = self._read(envelope)
        return self._votes[key]

    def _read(self, envelope: Envelope) -> ViewChange | str:
        if not genuine(self._group, self._verifier, envelope):
            return f"replica {envelope.sender!r} never signed its VIEW_CHANGE in this group"
        try:
            vote = unpack(ViewChange, envelope.body)
        except EncodingError as error:
            return f"the VIEW_CHANGE of replica {envelope.sender!r} is malformed: {error}"
        last = vote.stable.sequence
        for certificate in vote.prepared:
            if not last < certificate.sequence <= vote.stable.sequence + self._limits.log_size:
                return f"the VIEW_CHANGE of replica {envelope.sender!r} shows s{certificate.sequence} out of place"
            if certificate.view >= vote.view:
                return f"the VIEW_CHANGE of replica {envelope.sender!r} shows a certificate of view {certificate.view}"
            last = certificate.sequence
        return vote

    def flaw(self, proof: CheckpointProof) -> str | None:
        """Return what is wrong with a checkpoint's proof, or None. The beginning needs no signatures."""
        if proof not in self._stable:
            self._stable[proof] = self._flaw(proof)
        return self._stable[proof]

    def _flaw(self, proof: CheckpointProof) -> str | None:
        if proof.sequence == 0:
            return None if proof.digest == bytes(32) and not proof.shares else "the beginning is proven by itself"
        if proof.sequence % self._limits.checkpoint_interval:
            return f"checkpoints lie {self._limits.checkpoint_interval} apart"
        if len(proof.shares) != self._quorum:
            return f"it has {len(proof.shares)} signatures, and {self._quorum} of {self._n} make a quorum"
        body = pack(Checkpoint(proof.sequence, proof.digest))
        return self._bad_shares(Kind.CHECKPOINT, body, proof.shares)

    def is_prepared(self, certificate: PreparedCertificate) -> bool:
        """Say whether a certificate shows that a quorum prepared its batch, the primary's pre-prepare included."""
        if certificate not in self._prepared:
            self._prepared[certificate] = self._is_prepared(certificate)
        return self._prepared[certificate]

    def _is_prepared(self, certificate: PreparedCertificate) -> bool:
        primary = certificate.view % self._n
        said = (certificate.view, certificate.sequence, certificate.digest)
        proposal = Envelope(Kind.PRE_PREPARE, primary, pack(PrePrepare(*said)), certificate.pre_prepare)
        return (
            len(certificate.prepares) == self._quorum - 1
            and all(share.signer != primary for share in certificate.prepares)
            and genuine(self._group, self._verifier, proposal)
            and self._bad_shares(Kind.PREPARE, pack(Prepare(*said)), certificate.prepares) is None
        )

    def _bad_shares(self, kind: Kind, body: bytes, shares: tuple[Share, ...]) -> str | None:
        if len(dict.fromkeys(share.signer for share in shares)) != len(shares):
            return "it counts one member twice"
        for share in shares:
            if share.signer >= self._n:
                return "it counts somebody who is no member"
            if not genuine(self._group, self._verifier, Envelope(kind, share.signer, body, share.signature)):
                return f"replica {share.signer} never signed it"
        return None

    def reckon(self, votes: list[ViewChange]) -> tuple[int, tuple[bytes, ...]]:
        """Return the checkpoint that a new view on these votes starts from, and the digest for each later sequence.

        The highest checkpoint that is proven, and from there on for each sequence the batch of the valid certificate of
        the highest view; a null request in between, nothing after the last.
        """
        low = max((vote.stable.sequence for vote in votes if self.flaw(vote.stable) is None), default=0)
        best: dict[int, PreparedCertificate] = {}
        for vote in votes:
            for certificate in vote.prepared:
                if not low < certificate.sequence <= low + self._limits.log_size or not self.is_prepared(certificate):
                    continue
                known = best.get(certificate.sequence)
                if known is None or certificate.view > known.view:
                    best[certificate.sequence] = certificate
        last = max(best, default=low)
        chosen = (best.get(sequence) for sequence in range(low + 1, last + 1))
        return low, tuple(NULL if each is None else each.digest for each in chosen)
