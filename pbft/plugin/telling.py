"""What the processes of a test's real group tell: how far each has come, why a group is stuck, and last words.

Owns: the questions that a test's demands and its report ask, and the words of what comes back.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pbft.client import Client
from pbft.encoding import encode_plain
from pbft.group_file import GroupFile
from pbft.lab.control import Control, find_state
from pbft.lab.diagnosis import diagnose
from pbft.lab.processes import last_words
from pbft.lab.state import LabState
from pbft.lab.survey import Survey, survey
from pbft.plugin.report import told_of_faults
from pbft.wording import quote

_ASK_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.05
_GOSSIP_SECONDS: Final = 2.0
"""Replicas that are behind and know it have said so by then; only then does a call of no meaning wake the others."""
_PROBE: Final = encode_plain(("is anybody behind", ()))
"""No operation has this name: it changes nothing anywhere."""
_LAST_EVENTS: Final = 6
_LAST_BYTES: Final = 16 * 1024
_EVERYWHERE: Final = ("time", "event", "level", "pid", "replica", "group", "receive_buffer_bytes", "durable")
"""What says nothing more in the last lines of a log."""
_SHOWN: Final = 200


@dataclass(frozen=True)
class Position:
    """How far a replica has come, by its own word."""

    replica: int
    place: tuple[int, str] | None
    """The sequence that it executed last, and its state's digest; None where it did not answer."""

    def __str__(self) -> str:
        if self.place is None:
            return f"replica {self.replica} does not answer"
        return f"replica {self.replica} executed s{self.place[0]} (state {self.place[1][:8]})"


async def converging(client: Client, demanded: Sequence[int], seconds: float) -> list[Position]:
    """Wait until replicas have one state after one sequence; return where they stand then, or when time is up."""
    begun = time.monotonic()
    probe: asyncio.Task[Any] | None = None
    try:
        while True:
            found = _positions(await client.inspect(*demanded, timeout=_ASK_SECONDS))
            places = {each.place for each in found}
            waited = time.monotonic() - begun
            if (len(places) <= 1 and None not in places) or waited > seconds:
                return found
            if probe is None and waited > _GOSSIP_SECONDS:
                probe = asyncio.ensure_future(client.submit(_PROBE, timeout=seconds))
            await asyncio.sleep(_PAUSE_SECONDS)
    finally:
        if probe is not None:
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)


def _positions(reports: dict[int, dict[str, Any] | None]) -> list[Position]:
    found = []
    for replica, report in sorted(reports.items()):
        place = None if report is None else (report.get("executed"), report.get("state_digest"))
        known = place is not None and type(place[0]) is int and type(place[1]) is str
        found.append(Position(replica, (place[0], place[1]) if known and place is not None else None))  # type: ignore[arg-type] # seen
    return found


def faults_of(state: LabState) -> str:
    """Return what to add about faults that are in force between replicas."""
    links = state.links
    told = [f"replicas {one} and {other} are cut off from each other" for one, other in links.cut]
    told += [f"{percent}% of the messages are lost" for _, _, percent in links.loss]
    told += [f"messages arrive {later} ms later" for _, _, later in links.delay]
    told += [f"{quote(sentence)} holds" for sentence in links.sentences]
    return told_of_faults(told)


async def tell(client: Client, files: GroupFile, control: Control) -> str:
    """Return what replicas tell of themselves, what `pbft explain` makes of that, and their last words."""
    found = await survey(client, files, _ASK_SECONDS)
    state = await find_state(control.files)
    lines = ["what pbft explain says:"]
    lines += [
        f"  {each.severity.value:<7}{each.sentence}" + (f" ({each.advice})" if each.advice else "")
        for each in diagnose(files, found, state)
    ]
    lines += ["the replicas:", *_standings(found)]
    for replica in range(files.group.n):
        lines += _last_words(files, replica)
    return "\n".join(lines)


def _standings(found: Survey) -> Iterator[str]:
    for each in found.seen:
        told = [f"{name} {value}" for name in ("view", "executed") if (value := each.word(name, int)) is not None]
        digest = each.word("state_digest", str)
        told += [] if digest is None else [f"state {digest[:8]}"]
        yield f"  r{each.replica}  {', '.join([each.health, *told])}"


def _last_words(files: GroupFile, replica: int) -> list[str]:
    """Return the last events of a replica's log, and the last line that it wrote to standard error."""
    folder, told = files.data(replica), []
    try:
        with (folder / "log.jsonl").open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - _LAST_BYTES))
            told = [_event(line) for line in log.read().splitlines()[-_LAST_EVENTS:]]
    except OSError:
        pass
    if words := last_words(folder / "stderr"):
        told.append(f"    {words}")
    return [f"  last words of r{replica}:", *told] if told else []


def _event(line: bytes) -> str:
    try:
        said = json.loads(line)
        at, event = str(said["time"])[11:23], said["event"]
        told = ", ".join(f"{name} {value}" for name, value in said.items() if name not in _EVERYWHERE)
        return f"    {at}  {event}  {told}"[:_SHOWN].rstrip()
    except (ValueError, KeyError, AttributeError):
        return f"    {line.decode('utf-8', 'replace')}"
