"""Mutants of view changes: what a new view begins with, and who gets there (OSDI'99 section 4.4; design 4.8)."""

from __future__ import annotations

from typing import Final

from pbft.core import view_change
from pbft.core.agreement import Agreement
from pbft.core.log import Log
from pbft.core.replica import Replica
from pbft.core.view_change import ViewChanges
from pbft.testing.mutants.mutant import Mutant, edit

VIEWS: Final = (
    Mutant(
        "lower-view-preferred",
        "Of two certificates for one sequence, a new view takes the one of the lower view (OSDI'99 section 4.4).",
        (
            edit(
                view_change,
                "repropose",
                {"(-certificate.view, certificate.digest)": "(certificate.view, certificate.digest)"},
            ),
        ),
    ),
    Mutant(
        "new-view-of-few",
        "A NEW-VIEW may name fewer VIEW-CHANGEs than a quorum (OSDI'99 section 4.4).",
        (edit(ViewChanges, "on_new_view", {"len(members) != self._group.quorums.view_change": "len(members) == 0"}),),
    ),
    Mutant(
        "certificate-not-verified",
        "A new view takes certificates unseen (OSDI'99 section 4.4).",
        (edit(view_change, "repropose", {"if is_prepared(certificate)), None)": "if certificate.prepares), None)"}),),
    ),
    Mutant(
        "lowest-checkpoint",
        "A new view starts from the lowest stable checkpoint, not the highest (OSDI'99 section 4.4: min-s).",
        (edit(view_change, "repropose", {"(-proof.sequence, proof.digest)": "(proof.sequence, proof.digest)"}),),
    ),
    Mutant(
        "last-batch-left-out",
        "A new view proposes again up to the one before max-s (OSDI'99 section 4.4).",
        (edit(view_change, "repropose", {"range(stable.sequence + 1, last + 1)": "range(stable.sequence + 1, last)"}),),
    ),
    Mutant(
        "no-null-requests",
        "A new view closes up gaps in place of filling them with null requests (OSDI'99 section 4.4).",
        (
            edit(
                view_change,
                "repropose",
                {
                    (
                        "chosen.get(sequence, NULL_DIGEST) for sequence in range(stable.sequence + 1, last + 1)"
                    ): "chosen[sequence] for sequence in sorted(chosen)"
                },
            ),
        ),
    ),
    Mutant(
        "certificates-hidden",
        "A VIEW-CHANGE shows no prepared certificates (OSDI'99 section 4.4: P).",
        (edit(Log, "certificates", {"if slot.certificate is not None": "if slot.certificate is not None and False"}),),
    ),
    Mutant(
        "committed-not-shown",
        "A VIEW-CHANGE leaves out what committed already, since that is settled (OSDI'99 section 4.4: P).",
        (
            edit(
                Log,
                "certificates",
                {"if slot.certificate is not None": "if slot.certificate is not None and slot.committed is None"},
            ),
        ),
    ),
    Mutant(
        "new-view-not-recomputed",
        "A backup enters a new view without reckoning what it must propose (OSDI'99 section 4.4).",
        (edit(ViewChanges, "_judge", {"or (body.stable, digests) != (result.stable.sequence, result.digests)": ""}),),
    ),
    Mutant(
        "asks-for-the-same-view",
        "Whoever waited in vain asks for the same view once more, not the next one (OSDI'99 section 4.4: v+1).",
        (edit(Replica, "_lose_patience", {"self._view_changes.target + 1": "self._view_changes.target"}),),
    ),
    Mutant(
        "nobody-joins",
        "f+1 VIEW-CHANGEs for higher views move nobody (OSDI'99 section 4.5.2).",
        (edit(ViewChanges, "joined", {"view is not None and view > self.target": "False"}),),
    ),
    Mutant(
        "view-change-not-resent",
        "A VIEW-CHANGE is sent once, and never again (design 4.8: all is resent until answered).",
        (
            edit(
                ViewChanges, "answer", {"if own is not None and own.vote.view > max(status.view, known):": "if False:"}
            ),
        ),
    ),
    Mutant(
        "renewed-batch-never-taken",
        "A batch that a new view proposes again is refused by whoever lacked it (design 4.8: fetch batches).",
        (
            edit(
                Agreement,
                "on_pre_prepare",
                {"slot.renewal is not None and slot.renewal.body == envelope.body": "False"},
            ),
        ),
    ),
)
