"""What a new view proposes again: one pure function over the votes for it (OSDI'99 section 4.4; design 4.8).

Owns: the choice of the stable checkpoint that a new view starts from, and of a batch for every sequence after it. The
primary of the new view computes it to make its NEW-VIEW, every backup computes it again to judge that.

Why it is safe: a batch that committed anywhere was prepared by a quorum, and every quorum of VIEW-CHANGEs holds a
correct one of those. It shows the certificate, or a stable checkpoint at or beyond it. A certificate of a later view
for another batch cannot exist, by the same argument for the views between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pbft.core.group import Quorums
from pbft.core.messages import BEGINNING, NULL_DIGEST, CheckpointProof, PreparedCertificate, ViewChange


@dataclass(frozen=True, slots=True)
class Reproposal:
    """The checkpoint a view starts from, and the digest of the batch for each sequence after it, without gaps."""

    stable: CheckpointProof
    digests: tuple[bytes, ...]


def is_well_formed(vote: ViewChange, log_size: int, quorums: Quorums) -> bool:
    """Say whether a VIEW-CHANGE has the shape a correct replica gives it. Checks no signature.

    Its certificates rise by sequence, lie between the watermarks of its checkpoint and come from earlier views; they
    and its proof carry as many signatures as it takes, and not a thousand.
    """
    low = vote.stable.sequence
    sequences = [certificate.sequence for certificate in vote.prepared]
    return (
        len(vote.stable.shares) == (quorums.stable if low > 0 else 0)
        and all(len(certificate.prepares) == quorums.prepared - 1 for certificate in vote.prepared)
        and all(low < sequence <= low + log_size for sequence in sequences)
        and sequences == sorted(dict.fromkeys(sequences))
        and all(certificate.view < vote.view for certificate in vote.prepared)
    )


def repropose(
    votes: Sequence[ViewChange],
    log_size: int,
    is_stable: Callable[[CheckpointProof], bool],
    is_prepared: Callable[[PreparedCertificate], bool],
) -> Reproposal:
    """Return what follows from well-formed votes for one view, whatever their order.

    The highest checkpoint with a valid proof; for each sequence after it the batch of the prepared certificate of the
    highest view, or the null request where no vote has a valid one, up to the highest sequence that has one. A
    certificate that does not verify counts as absent, and never hides a good one: its sender might as well have left
    it out, which a quorum survives.
    """
    proofs = sorted((vote.stable for vote in votes), key=lambda proof: (-proof.sequence, proof.digest))
    stable = next((proof for proof in proofs if is_stable(proof)), BEGINNING)
    found: dict[int, list[PreparedCertificate]] = {}
    for vote in votes:
        for certificate in vote.prepared:
            if stable.sequence < certificate.sequence <= stable.sequence + log_size:
                found.setdefault(certificate.sequence, []).append(certificate)
    chosen: dict[int, bytes] = {}
    for sequence, certificates in found.items():
        certificates.sort(key=lambda certificate: (-certificate.view, certificate.digest))
        best = next((certificate for certificate in certificates if is_prepared(certificate)), None)
        if best is not None:
            chosen[sequence] = best.digest
    last = max(chosen, default=stable.sequence)
    digests = tuple(chosen.get(sequence, NULL_DIGEST) for sequence in range(stable.sequence + 1, last + 1))
    return Reproposal(stable, digests)
