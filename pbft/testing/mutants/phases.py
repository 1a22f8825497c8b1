"""Mutants of the three phases: views, sequences, and what is accepted once only (OSDI'99 section 4.2)."""

from __future__ import annotations

from typing import Final

from pbft.core.agreement import Agreement
from pbft.core.log import Log
from pbft.core.replica import Replica
from pbft.testing.mutants.mutant import Mutant, edit

PHASES: Final = (
    Mutant(
        "old-view-counts",
        "What was said in a view gone by counts in this one (OSDI'99 section 4.2: it is in view v).",
        (edit(Agreement, "_refusal", {"if view < self.view:": "if view < 0:"}),),
    ),
    Mutant(
        "view-to-come-counts",
        "What was said in a view to come counts in this one (OSDI'99 section 4.2: it is in view v).",
        (edit(Agreement, "_refusal", {"view > self.view or sequence > self._log.high": "sequence > self._log.high"}),),
    ),
    Mutant(
        "anybody-proposes",
        "A PRE-PREPARE of any member is accepted (OSDI'99 section 4.2: the primary assigns sequences).",
        (
            edit(
                Agreement, "on_pre_prepare", {"signer != self._out.group.primary(body.view)": "signer == self._out.me"}
            ),
        ),
    ),
    Mutant(
        "votes-for-both-proposals",
        "A second PRE-PREPARE for one view and sequence is accepted and prepared like the first (OSDI'99 section 4.2).",
        (
            edit(
                Agreement, "on_pre_prepare", {"slot.first is not None and not renewed": "slot.prepared and not renewed"}
            ),
            edit(
                Agreement,
                "_accept",
                {"self.voting and slot.prepares.held(self.view, self._out.me) is None": "self.voting"},
            ),
        ),
    ),
    Mutant(
        "high-watermark-twice-as-high",
        "The high watermark lies 2L above the low one, in place of L (OSDI'99 section 4.2: h < n <= H).",
        (edit(Log, "high", {"self.low + self._size": "self.low + 2 * self._size"}),),
    ),
    Mutant(
        "votes-on-after-leaving",
        "A replica that asked for another view votes on in the one it left (OSDI'99 section 4.4).",
        (edit(Agreement, "leave", {"self.voting = False": "pass"}),),
    ),
    Mutant(
        "commits-after-leaving",
        "A replica that asked for another view still commits in the one it left (OSDI'99 section 4.4).",
        (edit(Agreement, "_prepare", {"self.voting and slot.commits": "slot.commits"}),),
    ),
    Mutant(
        "prepares-after-leaving",
        "A replica that asked for another view still prepares in the one it left (OSDI'99 section 4.4).",
        (edit(Agreement, "_accept", {"self.voting and slot.prepares": "slot.prepares"}),),
    ),
    Mutant(
        "executes-what-is-prepared",
        "A batch executes once it is prepared, before it committed (OSDI'99 section 4.2).",
        (
            edit(
                Replica,
                "_execute_committed",
                {
                    "slot is None or slot.committed is None": "slot is None or slot.certified is None",
                    "self._execute(slot, slot.committed)": "self._execute(slot, slot.certified)",
                },
            ),
        ),
    ),
    Mutant(
        "executes-over-gaps",
        "A committed batch executes though one before it did not (OSDI'99 section 4.2: in sequence order).",
        (
            edit(
                Replica,
                "_execute_committed",
                {
                    "self._log.find(self._execution.executed + 1)": (
                        "next((each for each in self._log.after(self._execution.executed) if each.committed), None)"
                    )
                },
            ),
        ),
    ),
    Mutant(
        "assigns-from-what-executed",
        "The primary's next sequence follows what it executed, not what it assigned (OSDI'99 section 4.2).",
        (edit(Replica, "_next_assignment", {"self._agreement.assigned, ": ""}),),
    ),
    Mutant(
        "forgets-what-its-view-began-with",
        "A new primary assigns anew what its NEW-VIEW proposed again (OSDI'99 section 4.4).",
        (
            edit(
                Agreement,
                "begin",
                {
                    "self.assigned = stable + len(renewals)": "self.assigned = stable",
                    "begin_view(stable, self.assigned)": "begin_view(stable, stable + len(renewals))",
                },
            ),
            edit(Agreement, "_accept", {"self.assigned = max(self.assigned, slot.sequence)": "pass"}),
        ),
    ),
    Mutant(
        "proposes-in-anothers-view",
        "A backup proposes as the primary does (OSDI'99 section 4.2).",
        (edit(Replica, "_can_propose", {"self._agreement.is_primary\n": "self._agreement.view >= 0\n"}),),
    ),
)
