"""Mutants that blame the innocent (design 4.13)."""

from __future__ import annotations

from typing import Final

from pbft.core.outbox import Outbox
from pbft.core.view_change import ViewChanges
from pbft.core.votes import Votes
from pbft.testing.mutants.mutant import Mutant, edit

BLAMING: Final = (
    Mutant(
        "blames-unverified",
        "A forged second vote is evidence against the one it names (design 4.4, 4.13).",
        (
            edit(
                Votes,
                "admit",
                {
                    (
                        "    if not verify(vote.envelope):\n        return Admission.BAD_SIGNATURE\n    "
                        "vote.trusted = True\n    if verify"
                    ): "    vote.trusted = True\n    if verify"
                },
            ),
        ),
    ),
    Mutant(
        "blames-for-two-views",
        "Who asks for one view and then another is blamed for it (design 4.13).",
        (
            edit(
                ViewChanges,
                "on_view_change",
                {
                    "if held is None or held.vote.view < body.view:": "if held is None:",
                    "elif held.vote.view == body.view:": "else:",
                },
            ),
        ),
    ),
    Mutant(
        "blames-for-saying-it-twice",
        "Who says the same thing twice is blamed for it (design 4.13).",
        (
            edit(
                Outbox,
                "admit",
                {"admission is Admission.EQUIVOCATION and held": "admission is not Admission.BAD_SIGNATURE and held"},
            ),
        ),
    ),
)
