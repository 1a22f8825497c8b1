"""`pbft explain`: why a group is stuck, or slow, and what to do about it.

Owns: this command and how findings are printed. What they are is `pbft.lab.diagnosis`'s matter.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pbft.cli.output import console, say_json
from pbft.cli.where import GroupArgument, JsonOption, find_client, find_group
from pbft.console.outcome import code_of
from pbft.console.text import clean
from pbft.group_file import GroupFile, read_group

if TYPE_CHECKING:
    from pbft.lab.diagnosis import Finding
    from pbft.lab.survey import Survey

_STYLES: Final = {"fine": "green", "slow": "yellow", "stuck": "red", "unsafe": "bold red"}


def explain(
    directory: GroupArgument = None,
    as_json: JsonOption = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long replicas may take to answer.")
    ] = 2.0,
) -> None:
    """Say why a group is stuck or slow: which quorum lacks whose vote, which timer fires next, who is behind.

    Ends as pbft status does: with 0 when a quorum answers, 3 when not, 4 when replicas contradict each other.
    """
    files = read_group(find_group(directory))
    found, findings = asyncio.run(_look(files, find_client(files, None), timeout))
    if as_json:
        say_json(
            [{"severity": each.severity.value, "sentence": each.sentence, "advice": each.advice} for each in findings]
        )
    else:
        _print(findings)
    if code := code_of(found):
        raise typer.Exit(code)


async def _look(files: GroupFile, key: str, seconds: float) -> tuple[Survey, list[Finding]]:
    from pbft.client import Client
    from pbft.lab.control import find_state
    from pbft.lab.diagnosis import diagnose
    from pbft.lab.survey import survey

    async with Client.open(files.directory, key=key) as client:
        found = await survey(client, files, seconds)
    return found, diagnose(files, found, await find_state(files))


def _print(findings: list[Finding]) -> None:
    from rich.text import Text

    out = console()
    for each in findings:
        word = each.severity.value
        out.print(Text.assemble((f"{word:<7}", _STYLES[word]), clean(each.sentence)))
        if each.advice:
            out.print(Text.assemble(" " * 7, ("→ ", "dim"), clean(each.advice)))
