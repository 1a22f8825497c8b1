"""What an operator should hear of while a replica runs: evidence against another, and operations that broke.

Owns: the lines about them in the log, and how many there may be: neither a faulty replica nor a client that repeats a
broken operation fills the log. Changes nothing.
"""

from __future__ import annotations

import traceback
from typing import Any, Final

from pbft.core.effects import Effect, Evidence, Executed
from pbft.core.settings import Now
from pbft.machine import Application, Outcome
from pbft.node.event_log import EventLog

_GAP_MS: Final = 1_000
_SHOWN_CHARACTERS: Final = 500


class Incidents:
    """Watches effects, and writes one line of each kind a second at most."""

    def __init__(self, log: EventLog, application: Application) -> None:
        self._log = log
        self._application = application
        self._told: BaseException | None = None
        self._noted_ms: dict[str, int] = {}
        self.left_out: dict[str, int] = {}
        """How many lines of each kind were not written since the last one that was."""

    def watch(self, effect: Effect, now: Now) -> None:
        """Note an effect that is an incident. Never raises."""
        match effect:
            case Evidence(culprit, first, second):
                self._warn(
                    "evidence",
                    now,
                    culprit=culprit,
                    kind=first.kind.name,
                    # What was signed is the proof; batches that went beside are named by digests within.
                    bodies=[each.body.hex() for each in (first, second)],
                    signatures=[each.signature.hex() for each in (first, second)],
                )
            case Executed(sequence=sequence, requests=requests):
                failed = sum(list(each.outcomes).count(Outcome.FAILED) for each in requests)
                if failed:
                    self._warn("operation failed", now, sequence=sequence, operations=failed, **self._cause())
            case _:
                pass

    def _warn(self, event: str, now: Now, **fields: object) -> None:
        noted_ms = self._noted_ms.get(event)
        if noted_ms is not None and now.monotonic_ms - noted_ms < _GAP_MS:
            self.left_out[event] = self.left_out.get(event, 0) + 1
            return
        self._noted_ms[event] = now.monotonic_ms
        self._log.warn(event, monotonic_ms=now.monotonic_ms, left_out=self.left_out.pop(event, 0), **fields)

    def _cause(self) -> dict[str, Any]:
        """Return what made the newest operation fail, as far as a StateMachine tells: a failure is told of once."""
        error = getattr(self._application, "last_failure", None)
        if not isinstance(error, BaseException) or error is self._told:
            return {}
        self._told = error
        cause = {"error": type(error).__name__, "text": _text(error)}
        frames = list(traceback.walk_tb(error.__traceback__))
        if frames:
            code = frames[-1][0].f_code
            cause["where"] = f"{code.co_filename}, line {frames[-1][1]}, in {code.co_qualname}"
        return cause


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_SHOWN_CHARACTERS]
    except (Exception, SystemExit):
        # How an error words itself is the application's code, which may break too.
        return "its text cannot be read"
