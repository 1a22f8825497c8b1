"""Mutants that count wrong: quorums one short, members doubled, values not told apart (OSDI'99 section 4.2)."""

from __future__ import annotations

from typing import Final

from pbft.core.agreement import Agreement
from pbft.core.certificates import Certificates
from pbft.core.votes import Votes
from pbft.testing.mutants.mutant import COUNTS, Mutant, edit

COUNTING: Final = (
    *(Mutant(each, f"The quorum for `{each}` is one short (design 4, wire rules).", short=each) for each in COUNTS),
    Mutant(
        "values-not-compared",
        "Votes are counted, whatever they are for (OSDI'99 section 4.2; design 4, wire rules).",
        (edit(Votes, "matching", {"if vote_view == view and vote.digest == digest": "if vote_view == view"}),),
    ),
    Mutant(
        "verified-vote-counted-twice",
        "A vote that was verified before is counted once more (OSDI'99 section 4.2: from different replicas).",
        (edit(Votes, "certificate", {"        if vote.trusted:\n            continue\n": ""}),),
    ),
    Mutant(
        "one-signer-fills-a-proof",
        "A certificate's signers need not be distinct (OSDI'99 sections 4.2, 4.3).",
        (edit(Certificates, "_are_members", {"len(dict.fromkeys(signers)) == len(signers) and ": ""}),),
    ),
    Mutant(
        "primarys-prepare-counts",
        "The primary's PREPARE counts beside its pre-prepare (OSDI'99 section 4.2: from different backups).",
        (edit(Agreement, "on_prepare", {"signer == self._out.group.primary(body.view)": "signer == self._out.me"}),),
    ),
)
