"""Mutants that take somebody's word for what nobody signed (OSDI'99 section 4.2; design 4.4)."""

from __future__ import annotations

from typing import Final

from pbft.core.agreement import Agreement
from pbft.core.certificates import Certificates
from pbft.core.checkpoints import Checkpoints
from pbft.testing.mutants.mutant import Mutant, edit

SIGNING: Final = (
    Mutant(
        "pre-prepare-not-verified",
        "A PRE-PREPARE is accepted unsigned (OSDI'99 section 4.2: the signatures are correct).",
        (edit(Agreement, "on_pre_prepare", {"if not self._out.genuine(envelope):": "if not envelope.signature:"}),),
    ),
    Mutant(
        "prepare-not-verified",
        "A PREPARE counts without a look at its signature (OSDI'99 section 4.2).",
        (edit(Agreement, "on_prepare", {"trusted=False": "trusted=True"}),),
    ),
    Mutant(
        "relayed-commit-trusted",
        "A COMMIT that came through somebody else counts as if its signer had sent it (design 4.4).",
        (edit(Agreement, "on_commit", {"trusted=signer == sender)": "trusted=True)"}),),
    ),
    Mutant(
        "client-not-verified",
        "A batch is accepted with requests that their clients never signed (design 4.3; OSDI'99 section 4.2).",
        (edit(Agreement, "_read", {"self._vouched(signed) or self._out.genuine(signed.envelope)": "True"}),),
    ),
    Mutant(
        "batch-not-compared",
        "The batch beside a PRE-PREPARE is not compared with its digest (OSDI'99 section 4.2: d is m's digest).",
        (
            edit(
                Agreement,
                "on_pre_prepare",
                {"if batch_digest(envelope.beside) != body.digest:": "if not envelope.beside:"},
            ),
        ),
    ),
    Mutant(
        "commit-certificate-not-verified",
        "A commit certificate is taken from a peer unseen (design 4.9).",
        (edit(Agreement, "on_committed", {"if not self._certificates.is_committed(body):": "if not body.commits:"}),),
    ),
    Mutant(
        "checkpoint-proof-not-verified",
        "A peer's proof that a checkpoint is stable is taken unseen (OSDI'99 section 4.3).",
        (edit(Checkpoints, "on_proof", {"if not self._certificates.is_stable(proof):": "if not proof.shares:"}),),
    ),
    Mutant(
        "first-share-speaks-for-all",
        "Of the signatures in a certificate only the first is verified (OSDI'99 section 4.4).",
        (edit(Certificates, "_all_good", {"for share in shares)": "for share in shares[:1])"}),),
    ),
)
