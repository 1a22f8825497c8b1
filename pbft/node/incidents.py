"""What an operator should hear of while a replica runs: view changes, checkpoints, evidence, broken operations.

Owns: the lines about them in the log, and how many there may be: neither a faulty replica nor a client that repeats a
broken operation fills the log. Evidence goes to its folder besides. Changes nothing of the replica's.
"""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import Any, Final

from pbft.core.effects import (
    BecameStable,
    Diverged,
    Effect,
    Evidence,
    OperationFailed,
    StateInstalled,
    ViewChangeStarted,
    ViewEntered,
)
from pbft.core.messages import CheckpointProof
from pbft.core.settings import Now
from pbft.machine import Application
from pbft.node.event_log import EventLog
from pbft.node.evidence import EvidenceFolder

_GAP_MS: Final = 1_000
_CHECKPOINT_GAP_MS: Final = 10_000
"""Under load several checkpoints a second become stable, and in a day they would push all else out of the log."""
_SHOWN_CHARACTERS: Final = 500
_PACKAGE: Final = str(Path(__file__).parents[1]) + os.sep
"""What an author need not look into."""


class Incidents:
    """Watches effects, keeps all evidence that there is room for, and writes one line of each kind a second at most.

    Of stable checkpoints, which are good news, it writes one in ten seconds.
    """

    def __init__(self, log: EventLog, application: Application, evidence: EvidenceFolder) -> None:
        self._log = log
        self._application = application
        self._evidence = evidence
        self._told: BaseException | None = None
        self._noted_ms: dict[str, int] = {}
        self._diverged = False
        self.left_out: dict[str, int] = {}
        """How many lines of each kind were not written since the last one that was."""
        self.not_kept = 0
        """How often evidence got no file: no room for more, or a disk that fails."""

    def summary(self) -> dict[str, Any]:
        """Return what the log's last line says of incidents."""
        return {"left_out": self.left_out, "evidence_not_kept": self.not_kept}

    def watch(self, effect: Effect, now: Now) -> None:
        """Note an effect that is an incident. Never raises."""
        match effect:
            case Evidence():
                self._on_evidence(effect, now)
            case ViewChangeStarted(left, view, cause, timeout_ms):
                self._note("view left", now, left=left, asks_for=view, cause=cause.value, timeout_ms=timeout_ms)
            case ViewEntered(view, stable, digests, votes):
                asked = sorted(vote.sender for vote in votes if isinstance(vote.sender, int))
                self._note("view entered", now, view=view, stable=stable, proposed_again=len(digests), asked_by=asked)
            case BecameStable(proof):
                self._on_stable(proof, now)
            case StateInstalled(sequence, digest, nodes, size):
                why = "its own state was another" if self._diverged else "it was too far behind to execute"
                self._diverged = False
                self._note(
                    "state installed", now, sequence=sequence, digest=digest.hex(), nodes=nodes, bytes=size, cause=why
                )
            case Diverged(sequence, own, proven):
                self._diverged = True
                self._warn("state diverged", now, sequence=sequence, own=own.hex(), proven=proven.hex())
            case OperationFailed():
                self._on_failed(effect, now)
            case _:
                pass

    def _on_stable(self, proof: CheckpointProof, now: Now) -> None:
        signers = sorted(share.signer for share in proof.shares)
        self._note(
            "stable checkpoint",
            now,
            sequence=proof.sequence,
            digest=proof.digest.hex(),
            cause=f"{len(signers)} replicas signed the same state",
            signers=signers,
        )

    def _on_evidence(self, evidence: Evidence, now: Now) -> None:
        first, second = evidence.first, evidence.second
        file = self._keep(evidence, now)
        self.not_kept += file is None
        self._warn(
            "evidence",
            now,
            culprit=evidence.culprit,
            kind=first.kind.name,
            file=file and str(file),
            not_kept=self.not_kept,
            # What was signed is the proof; batches that went beside are named by digests within.
            bodies=[_shorten(each.body.hex()) for each in (first, second)],
            signatures=[each.signature.hex() for each in (first, second)],
        )

    def _on_failed(self, failed: OperationFailed, now: Now) -> None:
        told = {"error": failed.error} if failed.error else {}
        self._warn(
            "operation failed",
            now,
            sequence=failed.sequence,
            operations=failed.operations,
            position=failed.operation,
            client=failed.client,
            **told,
            text=failed.text,
            **self._where(failed.error),
        )

    def _keep(self, evidence: Evidence, now: Now) -> Path | None:
        try:
            return self._evidence.keep(evidence)
        except OSError as error:
            # Proof against another is worth less than the replica's own service, so the disk's refusal ends nothing.
            self._warn("evidence cannot be kept", now, file=error.filename, error=error.strerror or str(error))
            return None

    def _note(self, event: str, now: Now, **fields: object) -> None:
        if self._is_due(event, now):
            self._log.note(event, monotonic_ms=now.monotonic_ms, left_out=self.left_out.pop(event, 0), **fields)

    def _warn(self, event: str, now: Now, **fields: object) -> None:
        if self._is_due(event, now):
            self._log.warn(event, monotonic_ms=now.monotonic_ms, left_out=self.left_out.pop(event, 0), **fields)

    def _is_due(self, event: str, now: Now) -> bool:
        """Say whether a line of a kind may be written now; if not, it counts as left out."""
        noted_ms = self._noted_ms.get(event)
        gap_ms = _CHECKPOINT_GAP_MS if event == "stable checkpoint" else _GAP_MS
        if noted_ms is not None and now.monotonic_ms - noted_ms < gap_ms:
            self.left_out[event] = self.left_out.get(event, 0) + 1
            return False
        self._noted_ms[event] = now.monotonic_ms
        return True

    def _where(self, kind: str) -> dict[str, str]:
        """Return which operation failed last and on which line of its author's, as a StateMachine tells: once each.

        Nothing where it is this package that refused what an operation did: the text names that one.
        """
        error = getattr(self._application, "last_failure", None)
        if not isinstance(error, BaseException) or error is self._told or type(error).__name__ != kind:
            return {}
        self._told = error
        frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        outside = [each for each in frames if not each[0].co_filename.startswith(_PACKAGE)]
        if not outside:
            return {}
        code, line = outside[-1]
        where = {"where": f"{code.co_filename}, line {line}, in {code.co_qualname}"}
        # A decorator's wrapper comes before the operation that it wraps.
        methods = [each.co_name for each, _ in outside if hasattr(type(self._application), each.co_name)]
        return {"operation": methods[0], **where} if methods else where


def _shorten(text: str) -> str:
    """Return what a line shows of a text; a VIEW-CHANGE alone could push all else out of the log."""
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
