"""Mutants of checkpoints, the log and the transfer of states (OSDI'99 sections 4.3, 4.4; design 4.6, 4.7, 5)."""

from __future__ import annotations

from typing import Final

from pbft.core.checkpoints import Checkpoints
from pbft.core.early import Early
from pbft.core.execution import Execution
from pbft.core.log import Log
from pbft.core.replica import Replica
from pbft.core.transfer import Transfer
from pbft.testing.mutants.mutant import Mutant, edit

STATES: Final = (
    Mutant(
        "clients-outside-the-digest",
        "The client table is left out of the checkpoint's digest (design 4.7).",
        (
            edit(
                Execution,
                "snapshot",
                {"(self.clients.section(), *self._sections.sections())": "self._sections.sections()"},
            ),
        ),
    ),
    Mutant(
        "time-outside-the-digest",
        "Agreed time is left out of the checkpoint's digest (design 4.7).",
        (edit(Execution, "snapshot", {"self.agreed_ms,": "0,"}),),
    ),
    Mutant(
        "chain-outside-the-digest",
        "The chain of batches is left out of the checkpoint's digest (design 4.7).",
        (edit(Execution, "snapshot", {"self.head,": "bytes(DIGEST_BYTES),"}),),
    ),
    Mutant(
        "snapshot-of-the-wrong-sequence",
        "A checkpoint is made one sequence after each multiple of K (OSDI'99 section 4.3).",
        (edit(Checkpoints, "is_due", {"== 0": "== 1"}),),
    ),
    Mutant(
        "log-cut-before-stable",
        "The log is cut at a replica's own checkpoint, before a quorum vouches for it (OSDI'99 section 4.3).",
        (
            edit(
                Replica,
                "_execute",
                {
                    "self._checkpoints.take(self._execution.snapshot())": (
                        "self._checkpoints.take(self._execution.snapshot()); self._log.advance(slot.sequence)"
                    )
                },
            ),
        ),
    ),
    Mutant(
        "log-never-cut",
        "The low watermark stays where it is, whatever is stable (OSDI'99 section 4.3).",
        (edit(Log, "advance", {"self.low = stable": "pass"}),),
    ),
    Mutant(
        "slots-kept",
        "What lies below the low watermark is kept for ever (OSDI'99 section 4.3: discards all messages).",
        (edit(Log, "_forget", {"self._slots.pop(sequence, None)": "pass"}),),
    ),
    Mutant(
        "snapshots-kept",
        "Snapshots of checkpoints gone by are kept for ever (OSDI'99 section 4.3: discards earlier checkpoints).",
        (edit(Checkpoints, "_prune", {"each < keep_from and": "each < 0 and"}),),
    ),
    Mutant(
        "checkpoint-votes-kept",
        "CHECKPOINTs at or below the stable one are kept for ever (OSDI'99 section 4.3).",
        (edit(Checkpoints, "adopt", {"if sequence > proof.sequence}": "if sequence > 0}"}),),
    ),
    Mutant(
        "early-without-bound",
        "What came too early is kept, however much of it a peer sends (design 4.6: bounded in bytes a sender).",
        (
            edit(
                Early,
                "keep",
                {"if self._bytes.get(sender, 0) + size > self._bytes_per_peer:": "if size > self._bytes_per_peer:"},
            ),
        ),
    ),
    Mutant(
        "never-fetches",
        "Who is behind a stable checkpoint waits for messages that are gone (OSDI'99 section 4.4).",
        (edit(Transfer, "_ask", {"self._out.send(source, self._out.plain(Kind.FETCH, fetch))": "pass"}),),
    ),
    Mutant(
        "fetches-an-old-goal",
        "A fetched state is installed though execution has come beyond it meanwhile (OSDI'99 section 4.4).",
        (
            edit(
                Replica,
                "_follow_checkpoints",
                {
                    (
                        "goal is not None and goal.sequence <= executed and not self._diverged"
                    ): "goal is not None and goal.sequence < 0"
                },
            ),
        ),
    ),
    Mutant(
        "state-not-served",
        "Nobody is given nodes of a state (design 5).",
        (edit(Checkpoints, "serve", {"nodes.append(NodeAt(address, payload))": "break"}),),
    ),
)
