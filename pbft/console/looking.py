"""Looking at a group from a line: how each replica is, why it is stuck, and waiting until all is well.

Owns: these looks and their words. What replicas say is judged in `pbft.lab`.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from pbft.console.outcome import ExitCode, Failure, code_of
from pbft.console.proofs import guilt_lines, judge_all
from pbft.console.said import Said
from pbft.console.text import fit
from pbft.group_file import GroupFile
from pbft.lab.control import find_state
from pbft.lab.state import LabState
from pbft.lab.survey import HEALTHY, NOT_RUNNING, Seen, Survey, survey
from pbft.wording import listing

if TYPE_CHECKING:
    from pbft.client import Client

_ASK_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.1
_OK_SECONDS: Final = 60.0
"""How long :wait ok waits: longer than any view change or transfer in a lab takes."""
_WORDS_CELLS: Final = 60
_EMPTY: Final = "–"


async def tell_status(client: Client, files: GroupFile) -> Said:
    """Return how every replica is, and whether enough of them answer; the codes are those of `pbft status`."""
    found = await survey(client, files, _ASK_SECONDS)
    lines = [_describe(each) for each in found.seen]
    for sequence, some, others in found.contradictions():
        lines.append(f"after sequence {sequence}, {listing(others)} and {listing(some)} report different states")
    answering = f"{len(found.answering)} of {len(found.seen)} answer"
    if not found.has_quorum:
        lines.append(f"only {answering}, and it takes {found.quorum}")
    else:
        lines.append(f"{answering}; {found.quorum} are enough")
    return _look(code_of(found), lines, replicas=[each.to_json() for each in found.seen])


async def tell_why(client: Client, files: GroupFile) -> Said:
    """Return why the group is stuck or slow, and what to do; the codes are those of `pbft explain`."""
    # Imported here, since few lines ask for it.
    from pbft.lab.diagnosis import diagnose

    found, state = await asyncio.gather(survey(client, files, _ASK_SECONDS), find_state(files))
    lines: list[str] = []
    for each in diagnose(files, found, state):
        lines.append(f"{each.severity.value}: {each.sentence}")
        if each.advice:
            lines.append(f"  → {each.advice}")
    return _look(code_of(found), lines, wish="explain")


def tell_evidence(files: GroupFile) -> Said:
    """Return what the replicas whose data lies here can prove against others."""
    return Said.note(*guilt_lines(files, judge_all(files)), wish="evidence")


async def wait_ok(client: Client, files: GroupFile, seconds: float = _OK_SECONDS) -> Said:
    """Wait until a quorum answers, and so do all replicas that run and tell the truth, and none is behind.

    Raises Failure when it does not come to that in time.
    """
    end = time.monotonic() + seconds
    while True:
        state = await find_state(files)
        found = await survey(client, files, _ASK_SECONDS)
        missing = _missing(found, state)
        if found.has_quorum and not missing:
            return Said.note("all replicas that run answer and keep up")
        if time.monotonic() >= end:
            told = "; ".join(f"replica {each.replica}: {fit(each.health, _WORDS_CELLS)}" for each in missing)
            lacks = "" if found.has_quorum else f"; {len(found.answering)} answer, and it takes {found.quorum}"
            raise Failure(f"not all is well after {seconds:g} s: {told}{lacks}", ExitCode.NO_QUORUM)
        await asyncio.sleep(_PAUSE_SECONDS)


def _missing(found: Survey, state: LabState | None) -> list[Seen]:
    """Return the replicas that are not as they should be; nothing is asked of those that are hurt on purpose.

    Where a keeper says that a process runs it must answer, be it so young that nobody else knows of it yet.
    """
    hurt: dict[int, bool] = {}
    for place in state.replicas if state is not None else ():
        hurt[place.id] = place.state != "running" or place.misbehaviour is not None
    missing = []
    for each in found.seen:
        is_hurt = hurt.get(each.replica, each.lies is not None or each.health == NOT_RUNNING)
        if each.health != HEALTHY and not is_hurt:
            missing.append(each)
    return missing


def _describe(each: Seen) -> str:
    parts = [f"replica {each.replica}: {fit(each.health, _WORDS_CELLS)}"]
    for name, field, kind in (("", "role", str), ("view ", "view", int), ("executed ", "executed", int)):
        value = each.word(field, kind)
        if each.report is not None:
            parts.append(f"{name}{_EMPTY if value is None else fit(str(value), _WORDS_CELLS)}")
    return " · ".join(parts)


def _look(code: ExitCode, lines: list[str], wish: Any = None, **details: Any) -> Said:
    """Return what was seen: a bad sight is no error of the line, but scripts end at it as commands do."""
    return Said("", code, tuple(lines), "note" if code is ExitCode.FINE else "error", wish=wish, details=details)
