"""`pbft status`: how every replica is, and whether they agree.

Owns: this command: one survey or many, printed for people or programs, and the exit code that it amounts to.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pbft.cli.output import console, say_json
from pbft.cli.where import GroupArgument, JsonOption, find_client, find_group
from pbft.console.outcome import ExitCode, code_of
from pbft.console.text import clean
from pbft.group_file import GroupFile, read_group
from pbft.wording import listing

if TYPE_CHECKING:
    from pbft.lab.survey import Seen, Survey

_ASK_SECONDS: Final = 2.0
_WAIT_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.1
_SHOWN_REASONS: Final = 12
_EVERYDAY: Final = ("duplicate", "surplus")
"""What honest traffic is ignored for all the time, votes after the quorum above all: --json tells, nobody need look."""
_SHOWN_CHARACTERS: Final = 40


def status(
    directory: GroupArgument = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until all replicas that were started answer and keep up.")
    ] = False,
    as_json: JsonOption = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0.1, show_default=False, help="2 for answers, 30 with --wait."
        ),
    ] = None,
) -> None:
    """Show how each replica is. Ends with 0 when a quorum answers, 3 when not, 4 on contradictions."""
    files = read_group(find_group(directory))
    key = find_client(files, None)
    found = asyncio.run(_look(files, key, wait, timeout or (_WAIT_SECONDS if wait else _ASK_SECONDS)))
    if as_json:
        say_json(_to_json(files, found))
    else:
        _print(files, found)
    code = code_of(found)
    if wait and not found.settled:
        code = code or ExitCode.NO_QUORUM
    if code:
        raise typer.Exit(code)


async def _look(files: GroupFile, key: str, wait: bool, seconds: float) -> Survey:
    from pbft.client import Client
    from pbft.lab.survey import survey

    end = time.monotonic() + seconds
    async with Client.open(files.directory, key=key) as client:
        found = await survey(client, files, min(seconds, _ASK_SECONDS))
        while wait and not found.settled and time.monotonic() < end:
            await asyncio.sleep(_PAUSE_SECONDS)
            found = await survey(client, files, _ASK_SECONDS)
    return found


def _to_json(files: GroupFile, found: Survey) -> dict[str, Any]:
    return {
        "group": files.group.id.hex(),
        "directory": str(files.directory),
        "application": files.group.genesis.application,
        "quorum": found.quorum,
        "answering": list(found.answering),
        "silent_primary": found.silent_primary,
        "contradictions": [
            {"executed": sequence, "replicas": list(some), "others": list(others)}
            for sequence, some, others in found.contradictions()
        ],
        "replicas": [each.to_json() for each in found.seen],
    }


def _refusals(seen: Seen) -> dict[str, int]:
    """Return what a replica says it ignored, but for everyday reasons. A faulty one's report may say anything."""
    told = seen.word("ignored", dict) or {}
    return {
        reason: times
        for reason, times in told.items()
        if type(times) is int and 0 < times < 2**63 and reason not in _EVERYDAY
    }


def notes(found: Survey) -> list[str]:
    """Return lines about what was ignored, and why, in all, and about what no replica keeps."""
    lines = []
    reasons: Counter[str] = Counter()
    for each in found.seen:
        reasons.update(_refusals(each))
    if reasons:
        most = sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0]))
        shown = [f"{clean(reason[:_SHOWN_CHARACTERS])} {times}" for reason, times in most[:_SHOWN_REASONS]]
        lines.append(f"ignored: {', '.join(shown)}{', …' if len(most) > _SHOWN_REASONS else ''}")
    if volatile := [each.replica for each in found.seen if each.word("durable", bool) is False]:
        lines.append(f"Votes and state of {listing(volatile)} are kept in memory only, and forgotten with the process.")
    return lines


def _print(files: GroupFile, found: Survey) -> None:
    from rich.table import Table
    from rich.text import Text

    from pbft.lab.survey import HEALTHY, NOT_RUNNING
    from pbft.node.marks import keeper

    out = console()
    table = Table(box=None, pad_edge=False)
    for name in ("replica", "pid", "role", "view", "executed", "stable", "state", "memory", "ignored", "health"):
        numeric = name in ("view", "executed", "stable", "memory", "ignored")
        table.add_column(name, justify="right" if numeric else "left")
    for each in found.seen:
        entry = each.to_json()
        state = entry["state_digest"]
        cells = (
            each.replica,
            entry["pid"],
            entry["role"],
            entry["view"],
            entry["executed"],
            entry["stable_checkpoint"],
            state and state[:12],
            entry["rss_bytes"] and f"{entry['rss_bytes'] / 2**20:.0f} MiB",
            sum(_refusals(each).values()) if each.report is not None else None,
        )
        style = "" if each.health == HEALTHY else "yellow" if each.report is not None else "red"
        table.add_row(*("–" if cell is None else clean(str(cell)) for cell in cells), Text(clean(each.health), style))
    directory = clean(str(files.directory))
    out.print(f"{files.group.genesis.application} in {directory}")
    out.print(table)
    for sequence, some, others in found.contradictions():
        out.print(
            f"After sequence {sequence}, {listing(others)} and {listing(some)} report different states: "
            f"some of them are faulty, or the application is not deterministic: pbft doctor {directory}",
            style="red",
        )
    for line in notes(found):
        out.print(line)
    kept = keeper(files.data_folder) is not None
    stopped = [each.replica for each in found.seen if each.health == NOT_RUNNING]
    if stopped and (found.answering or kept):
        start = f"pbft fault restart {stopped[0]} {directory}" if kept else f"pbft replica {directory} {stopped[0]}"
        out.print(f"{listing(stopped).capitalize()} does not run here; start it: {start}")
    answering = len(found.answering)
    if found.silent_primary is not None:
        out.print(
            f"Replica {found.silent_primary}, the primary, does not answer: the next request that waits for it starts "
            "a view change.",
            style="yellow",
        )
    if found.has_quorum:
        out.print(f"{answering} of {len(found.seen)} answer; {found.quorum} are enough.")
    else:
        out.print(f"Only {answering} of {len(found.seen)} answer, and it takes {found.quorum}.", style="red")
        if files.lab and not kept and not any(each.pid for each in found.seen):
            out.print(f"Start them: pbft up {directory}")
