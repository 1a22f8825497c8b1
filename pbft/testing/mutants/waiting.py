"""Mutants of patience and repair: what a group needs to go on (OSDI'99 sections 4.4, 4.5.2; design 4.8 to 4.10)."""

from __future__ import annotations

from typing import Final

from pbft.core.agreement import Agreement
from pbft.core.outbox import Outbox
from pbft.core.repair import Repair
from pbft.core.replica import Replica
from pbft.core.timers import Timers
from pbft.testing.mutants.mutant import Mutant, edit

WAITING: Final = (
    Mutant(
        "progress-of-others-is-enough",
        "While anybody is served, nobody is passed over (design 4.10: others' progress resets nobody's timer).",
        (
            edit(
                Timers,
                "cause",
                {
                    (
                        "self._unfair = self._fairness.passed_over(now_ms, self.timeout_ms, self._proposed)"
                    ): "self._unfair = False"
                },
            ),
        ),
    ),
    Mutant(
        "endless-patience",
        "A primary that does nothing keeps its view (OSDI'99 section 4.4).",
        (edit(Timers, "_stalled_ms", {"if not began:": "if began is not None:"}),),
    ),
    Mutant(
        "new-view-awaited-for-ever",
        "A NEW-VIEW that does not come is waited for (OSDI'99 section 4.4: starts the view change for v+2).",
        (
            edit(
                Timers,
                "_no_new_view_ms",
                {"None if self._quorum_ms is None else self._quorum_ms": "None if True else 0"},
            ),
        ),
    ),
    Mutant(
        "status-never-sent",
        "A replica says nothing of what it lacks (design 4.9).",
        (edit(Repair, "send_status", {"self._out.broadcast(self._account(standing, asks=True))": "pass"}),),
    ),
    Mutant(
        "repair-never-answers",
        "A peer that says what it lacks is not given it (design 4.9).",
        (edit(Repair, "answer", {"for offset in range(self._settings.repair_slots):": "for offset in range(0):"}),),
    ),
    Mutant(
        "persisted-after-sending",
        "A vote is made durable after it was sent (design 3: persist before send).",
        (
            edit(
                Outbox,
                "vote",
                {
                    "append(Persist(envelope, basis))\n    self._effects.append(Broadcast(envelope))": (
                        "append(Broadcast(envelope))\n    self._effects.append(Persist(envelope, basis))"
                    )
                },
            ),
        ),
    ),
    Mutant(
        "vote-not-persisted",
        "A vote of the three phases is sent and never made durable (design 6).",
        (
            edit(
                Agreement,
                "_cast",
                {
                    "self._out.cast(votes, self.view, vote, basis)": (
                        "votes.admit(self.view, self._out.me, vote, relayed=False, "
                        "verify=self._out.genuine); self._out.broadcast(vote.envelope)"
                    )
                },
            ),
        ),
    ),
    Mutant(
        "new-view-not-persisted",
        "A primary sends its NEW-VIEW without making it durable (design 6).",
        (
            edit(
                Replica,
                "_enter",
                {"self._out.vote(entry.envelope, entry.votes)": "self._out.broadcast(entry.envelope)"},
            ),
        ),
    ),
)
