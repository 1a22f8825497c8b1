"""`pbft events`: what the replicas of a group and its keeper publish, as it happens.

Owns: this command, and how an event reads as a line for people. What events are is `pbft.node.stream`'s matter. A
replica's words are its own: whatever has the wrong type is passed over, and all text is cleaned and cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import typer

from pbft.cli.output import say_json
from pbft.cli.where import GroupArgument, JsonOption, find_group
from pbft.console.outcome import ExitCode, Failure
from pbft.console.text import clean, fit
from pbft.group_file import GroupFile, read_group
from pbft.net.waiting import fine_clock_us
from pbft.wording import listing

_PATIENT_SECONDS: Final = 1.0
_SUMMARY_SECONDS: Final = 5.0
_LINE_CELLS: Final = 300
_REMEMBERED: Final = 64
_CREDIBLE_US: Final = 600 * 1_000_000
_UNSHOWN: Final = ("monotonic_ms",)
"""Fields of incidents that are for programs: --json has them, and lists of all but members, too."""


def events(
    directory: GroupArgument = None,
    as_json: JsonOption = False,
    replica: Annotated[
        int | None,
        typer.Option(
            "--replica", metavar="I", min=0, show_default=False, help="Of this replica only. By default of all."
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", min=1, show_default=False, help="Leave after so many events.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", min=0.1, show_default=False, help="Leave after so long."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show every event; by default what changes little is left out.")
    ] = False,
) -> None:
    """Show what replicas of this machine publish while they run: phases, votes, view changes, evidence, counters.

    Ends with 0, or with 3 when the time is over before any event came, or before as many came as --count asks for.
    """
    files = read_group(find_group(directory))
    if replica is not None and replica >= files.group.n:
        raise Failure(f"there is no replica {replica}; the group's replicas are 0 to {files.group.n - 1}")
    telling = Telling(everything)
    shown = asyncio.run(_show(files, replica, count, timeout, as_json, telling))
    if shown < (count or 1):
        wanted = f"{count} events" if count is not None else "an event"
        raise Failure(
            f"the time is over and {shown or 'nothing'} came where {wanted} should; "
            f"see whether the group runs: pbft status {files.directory}",
            ExitCode.NO_QUORUM,
        )


async def _show(
    files: GroupFile, replica: int | None, count: int | None, seconds: float | None, as_json: bool, telling: Telling
) -> int:
    """Print events until there were enough, or the time is over; return how many were printed."""
    from pbft.lab.listening import listen

    shown = 0
    hint = asyncio.get_running_loop().call_later(_PATIENT_SECONDS, _say_waiting, files)
    try:
        with contextlib.suppress(TimeoutError):
            async with (
                asyncio.timeout(seconds),
                contextlib.aclosing(listen(files, None if replica is None else [replica])) as heard,
            ):
                async for event in heard:
                    hint.cancel()
                    if as_json:
                        _say_event(event)
                    elif line := telling.line(event):
                        print(line, flush=True)
                    else:
                        continue
                    shown += 1
                    if shown == count:
                        break
    finally:
        hint.cancel()
    return shown


def _say_event(event: Mapping[str, Any]) -> None:
    # Nested so deeply that it can be read but not written: a liar's.
    with contextlib.suppress(RecursionError):
        say_json(event)


def _say_waiting(files: GroupFile) -> None:
    where = clean(str(files.directory))
    print(f"pbft: nobody publishes in {where} yet; waiting (start the group: pbft up {where})", file=sys.stderr)


class Telling:
    """Turns events into lines for people, and leaves out what says little that is new."""

    def __init__(self, everything: bool = False) -> None:
        self._everything = everything
        self._told: dict[int, tuple[object, float, int | None]] = {}
        """Of each replica's counters shown last: what they amount to, when that was, and what was executed."""
        self._flows: dict[tuple[int, int], tuple[int, ...]] = {}
        """Sequences that were shown as executed, each with who differed."""

    def line(self, event: Mapping[str, Any]) -> str | None:
        """Return a line, or None where an event is not worth one or says nothing that could be shown."""
        who, what = event.get("replica"), event.get("event")
        if type(who) is int:
            text = self._of_replica(who, str(what), event)
            source = f"replica {who}"
        else:
            text = self._of_keeper(str(what), event)
            source = "keeper"
        return None if text is None else f"{_time(event)}  {source:<10} {fit(text, _LINE_CELLS)}"

    def _of_replica(self, who: int, what: str, event: Mapping[str, Any]) -> str | None:
        match what:
            case "hello":
                lies = event.get("lies")
                beside = f", and lies: {lies}" if isinstance(lies, str) else ""
                return f"hello      {_word(event, 'application')} in process {_word(event, 'pid')}{beside}"
            case "counters":
                return self._counters(who, event)
            case "flow":
                return self._flow(who, event)
            case "incident":
                return _incident(event)
            case "dropped":
                return f"dropped    {_word(event, 'why')}"
            case "gone":
                self._told.pop(who, None)
                return "gone       its stream ended"
        return None

    def _of_keeper(self, what: str, event: Mapping[str, Any]) -> str | None:
        match what:
            case "fault":
                return f"fault      {_word(event, 'command')}: {_word(event, 'said')}"
            case "lab":
                return _lab(event.get("state"))
            case "gone":
                return "gone       the group's keeper has ended"
        return None

    def _counters(self, who: int, event: Mapping[str, Any]) -> str | None:
        report = event.get("report")
        if not isinstance(report, dict):
            return None
        executed = _number(report.get("executed"))
        health = _word(report, "health")
        # "behind by 3" and then by 4 is nothing new.
        amounts_to = (report.get("view"), report.get("role"), re.sub(r"[0-9]+", "", health))
        before = self._told.get(who)
        now = time.monotonic()
        if before is not None and not self._everything:
            soon = executed == before[2] or now - before[1] < _SUMMARY_SECONDS
            if before[0] == amounts_to and soon:
                return None
        self._told[who] = (amounts_to, now, executed)
        return (
            f"counters   {_word(report, 'role')} in view {_word(report, 'view')}, "
            f"executed {_word(report, 'executed')}, stable {_word(report, 'stable_checkpoint')}: {health}"
        )

    def _flow(self, who: int, event: Mapping[str, Any]) -> str | None:
        sequence = _number(event.get("sequence"))
        if sequence is None:
            return None
        differing = tuple(_members(event.get("differing")))
        done = _number(event.get("executed_us")) is not None
        if not self._everything and (not done or self._flows.get((who, sequence)) == differing):
            return None
        self._flows[who, sequence] = differing
        if len(self._flows) > _REMEMBERED:
            del self._flows[next(iter(self._flows))]
        parts = [f"flow       sequence {sequence} in view {_word(event, 'view')}{_requests(event)}"]
        begun_us = _number(event.get("pre_prepare_us"))
        for phase in ("prepared", "committed", "executed"):
            at_us = _number(event.get(f"{phase}_us"))
            if at_us is not None and begun_us is not None:
                parts.append(f"{phase} {(at_us - begun_us) / 1000:+.1f} ms")
        parts += [f"{kind} {_listed(event.get(kind))}" for kind in ("prepares", "commits")]
        if differing:
            parts.append(f"another digest from {listing(differing)}")
        return "; ".join(parts)


def _time(event: Mapping[str, Any]) -> str:
    """Return when an event was, by this machine's wall clock; now, where a replica says what cannot be."""
    ago_us = fine_clock_us() - event.get("us", 0)
    seconds = time.time() - (ago_us / 1e6 if abs(ago_us) < _CREDIBLE_US else 0)
    return datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S.%f")[:-3]


def _word(fields: Mapping[str, Any], name: str) -> str:
    """Return a short text or a number that an event holds, "–" where it holds none."""
    value = fields.get(name)
    if isinstance(value, str):
        return value[:_LINE_CELLS]
    number = _number(value)
    return "–" if number is None else str(number)


def _number(value: object) -> int | None:
    return value if type(value) is int and abs(value) < 2**63 else None


def _members(value: object) -> list[int]:
    return [each for each in value if type(each) is int and 0 <= each < 2**16] if isinstance(value, list) else []


def _listed(votes: object) -> str:
    members = (
        sorted(int(each) for each in votes if re.fullmatch(r"[0-9]{1,5}", each)) if isinstance(votes, dict) else []
    )
    return " ".join(map(str, members)) or "none"


def _requests(event: Mapping[str, Any]) -> str:
    requests = event.get("requests")
    named = [each for each in requests if isinstance(each, dict)] if isinstance(requests, list) else []
    if not named:
        return ""
    count = _number(event.get("request_count")) or 0
    more = f" and {count - 1} more" if count > 1 else ""
    return f", {_word(named[0], 'client')}'s request {_word(named[0], 'timestamp')}{more}"


def _incident(event: Mapping[str, Any]) -> str:
    told = event.get("fields")
    fields: dict[str, Any] = told if isinstance(told, dict) else {}
    shown = []
    for name, value in fields.items():
        if isinstance(value, list):
            if _members(value):
                shown.append(f"{name}={','.join(map(str, _members(value)))}")
        elif isinstance(value, str | int) and name not in _UNSHOWN and not (name == "left_out" and value == 0):
            word = _word(fields, name)
            shown.append(f'{name}="{word}"' if " " in word else f"{name}={word}")
    level = _word(event, "level")
    return f"{'incident' if level == 'info' else level:<10} {_word(event, 'what')}: {' '.join(shown)}"


def _lab(state: object) -> str | None:
    from pbft.lab.state import LabState

    try:
        lab = LabState.from_json(state)
    except ValueError:
        return None
    used, most = lab.budget
    why = "; ".join(f"replica {who}: {reason}" for who, reason in lab.faulty)
    return f"lab        faulty: {used} of {most} allowed{f' ({why})' if why else ''}"
