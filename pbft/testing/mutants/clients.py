"""Mutants of what clients are promised: once, at an agreed time, all or nothing (design 4.2, 4.5, 4.11, 5)."""

from __future__ import annotations

from typing import Final

from pbft.core import service
from pbft.core.agreement import Agreement
from pbft.core.client_table import ClientTable
from pbft.core.execution import Execution
from pbft.core.replica import Replica
from pbft.core.service import Service
from pbft.machine import StateMachine
from pbft.testing.mutants.mutant import Mutant, edit

CLIENTS: Final = (
    Mutant(
        "same-timestamp-runs-again",
        "A request whose timestamp its session executed last runs once more (OSDI'99 section 4.1: exactly-once).",
        (edit(ClientTable, "judge", {"timestamp > last.timestamp": "timestamp >= last.timestamp"}),),
    ),
    Mutant(
        "older-timestamp-runs",
        "A request runs unless its timestamp is the very last that its session executed (OSDI'99 section 4.1).",
        (edit(ClientTable, "judge", {"timestamp > last.timestamp": "timestamp != last.timestamp"}),),
    ),
    Mutant(
        "table-not-asked",
        "Execution does not ask the client table whether a request ran before (OSDI'99 section 4.1).",
        (edit(Execution, "_run_request", {"if fate is not Fate.FRESH:": "if fate is Fate.UNKNOWN_SESSION:"}),),
    ),
    Mutant(
        "evicted-by-opening",
        "The session opened first leaves a full client table, not the one executed least recently (design 4.2).",
        (edit(ClientTable, "record", {"sessions.pop(session, None) is None and": "session not in sessions and"}),),
    ),
    Mutant(
        "evicts-the-latest",
        "The session executed last leaves a full client table (design 4.2: its least recently executed).",
        (edit(ClientTable, "record", {"next(iter(sessions))": "next(reversed(sessions))"}),),
    ),
    Mutant(
        "time-moves-back",
        "Agreed time is what was proposed last, earlier or not (design 4.5: max(previous, proposed)).",
        (edit(Execution, "run", {"max(self.agreed_ms, time_ms)": "time_ms"}),),
    ),
    Mutant(
        "time-of-its-own",
        "Operations see the replica's own clock in place of agreed time (design 4.5).",
        (edit(Replica, "_execute", {"run(proposal.time_ms,": "run(self._out.now.wall_ms,"}),),
    ),
    Mutant(
        "drift-not-checked",
        "A proposal's time may lie anywhere (design 4.5: backups check drift on first proposal).",
        (
            edit(
                Agreement,
                "_timely",
                {
                    (
                        "if abs(proposal.time_ms - self._out.now.wall_ms) <= self._out.group.limits.clock_drift_ms:"
                    ): "if proposal.time_ms >= 0:"
                },
            ),
        ),
    ),
    Mutant(
        "rejected-leaves-traces",
        "What a rejected operation wrote to Tables stays (design 5: an operation either returns or changes nothing).",
        (edit(StateMachine, "_close", {"table.rollback()": "table.commit()"}),),
    ),
    Mutant(
        "rejected-keeps-fields",
        "What a rejected operation wrote to fields stays (design 5: an operation either returns or changes nothing).",
        (edit(StateMachine, "_close", {"self.__dict__ = before": "pass"}),),
    ),
    Mutant(
        "stops-at-the-first-no",
        "Operations behind a rejected one of their request do not run (design 4.2: each is rejected on its own).",
        (
            edit(
                Execution,
                "_run_request",
                {
                    "room -= len(result.payload)\n": (
                        "room -= len(result.payload)\n        if result.outcome is not Outcome.OK:\n           "
                        " results.append(result)\n            break\n"
                    )
                },
            ),
        ),
    ),
    Mutant(
        "every-path-is-the-firsts",
        "Each reply of a batch carries the path of the first one (design 4.4: a path for each request).",
        (edit(service, "write_replies", {"merkle.path(rows, index)": "merkle.path(rows, 0)"}),),
    ),
    Mutant(
        "reply-not-kept",
        "A reply that was lost is never sent again (OSDI'99 section 4.1: replicas remember the last reply).",
        (edit(Service, "_on_stale", {"if reply is not None:": "if reply is not None and not reply.body:"}),),
    ),
)
