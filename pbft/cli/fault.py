"""`pbft fault`: hurt a lab's group on purpose, and make it whole again.

Owns: this command: its words, and what it prints. What each fault is and does is `pbft.lab`'s matter.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from pbft.cli.output import console, say, say_json
from pbft.cli.where import GroupOption, JsonOption, find_group
from pbft.console.outcome import Failure
from pbft.group_file import read_group


def fault(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="VERB… [DIR]", show_default=False, help="As in kill 2, or loss 20%; see --list."),
    ] = None,
    group: GroupOption = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the faults there are, and leave.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Hurt a lab's group, as in `pbft fault kill 2`: its processes, its links, or a replica's honesty."""
    if list_all:
        return list_faults(as_json)
    if not words:
        raise Failure("say what is to fail, as in pbft fault kill 2; see pbft fault --list")
    from pbft.console.faults import hurt

    words, folder = (words, group) if group is not None else split_folder(words)
    said = asyncio.run(hurt(read_group(find_group(folder)), words))
    done, *beyond = said.lines
    if as_json:
        return say_json({"fault": " ".join(words), "said": done, **said.details})
    say(done)
    for line in beyond:
        say(line, "red")


def list_faults(as_json: bool) -> None:
    """Print every fault, with a line on each."""
    from rich.text import Text

    from pbft.lab.faults import FAULTS

    if as_json:
        return say_json(
            [
                {"fault": verb, "usage": each.usage, "summary": each.summary, "example": each.example}
                for verb, each in FAULTS.items()
            ]
        )
    width = max(len(each.usage) for each in FAULTS.values())
    for each in FAULTS.values():
        console().print(Text.assemble((each.usage.ljust(width), "bold"), f"  {each.summary}"))


def split_folder(words: list[str]) -> tuple[list[str], Path | None]:
    """Return the words of a fault, and the group's folder where the last word is one that exists."""
    *most, last = words
    if most and not last.isdecimal() and os.path.isdir(last):
        return most, Path(last)
    return words, None
