"""`pbft liar`: a replica that misbehaves on purpose, in a lab.

Owns: this command, the list of misbehaviours, and the words of `up --liar`. What lies and how is `pbft.lab`'s and
`pbft.testing`'s matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pbft.cli.output import console, say, say_json
from pbft.cli.where import JsonOption
from pbft.console.outcome import Failure
from pbft.group_file import GroupFile
from pbft.wording import quote


def liar(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", show_default=False, help="The folder of a lab's group.")
    ] = None,
    index: Annotated[
        int | None, typer.Argument(metavar="I", min=0, show_default=False, help="In whose place: its number.")
    ] = None,
    misbehaviour: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MISBEHAVIOUR",
            show_default=False,
            help="A name, as in equivocate or censor alice, or path.py:Class or module:Class of your own; several with "
            "+ between.",
        ),
    ] = None,
    colluders: Annotated[
        str,
        typer.Option("--colluders", metavar="2,3,alice", show_default=False, help="Whose keys it holds besides."),
    ] = "",
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="S", show_default=False, help="Of all its chance. Default: drawn.")
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the misbehaviours there are, and leave.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a replica that lies, in place of a correct one: for groups of a lab only, to see the others go on."""
    if list_all:
        return list_misbehaviours(as_json)
    if directory is None or index is None or not misbehaviour:
        raise Failure(
            "say where, in whose place and how to lie, as in pbft liar DIR 3 wrong-reply; see pbft liar --list"
        )
    from pbft.lab.liar import run_liar, split_colluders

    def ready(said: str) -> None:
        say(f"{said}; Ctrl-C stops it")

    raise typer.Exit(
        run_liar(directory, index, " ".join(misbehaviour), colluders=split_colluders(colluders), seed=seed, ready=ready)
    )


def list_misbehaviours(as_json: bool) -> None:
    """Print every misbehaviour that has a name, with a line on each: the everyday words first, then the classes."""
    from rich.text import Text

    from pbft.lab.faults import HOWS
    from pbft.lab.misbehaviours import tell
    from pbft.testing.byzantine.naming import MISBEHAVIOURS

    told = {**HOWS, **{name: tell(kind) for name, kind in MISBEHAVIOURS.items()}}
    if as_json:
        return say_json([{"name": name, "summary": summary} for name, summary in told.items()])
    width = max(map(len, told))
    for name, summary in told.items():
        console().print(Text.assemble((name.ljust(width), "bold"), f"  {summary}"))


def read_liars(words: list[str], files: GroupFile) -> dict[int, str]:
    """Return which replicas are to lie and how, as `--liar 2=WrongReply` says, all checked. Raises Failure."""
    found: dict[int, str] = {}
    for each in words:
        number, equals, misbehaviour = each.partition("=")
        if not equals or not (number.isascii() and number.isdecimal()):
            raise Failure(f"--liar takes NUMBER=MISBEHAVIOUR, as in --liar 2=WrongReply, not {quote(each)}")
        if int(number) >= files.group.n:
            raise Failure(f"there is no replica {number} to lie; they are 0 to {files.group.n - 1}")
        if int(number) in found:
            raise Failure(f"--liar names replica {int(number)} twice; put + between misbehaviours of one replica")
        found[int(number)] = misbehaviour
    if found:
        from pbft.lab.misbehaviours import check_misbehaviour, find_misbehaviour

        clients = [client.name for client in files.group.genesis.clients]
        for misbehaviour in found.values():
            find_misbehaviour(check_misbehaviour(misbehaviour, clients))
    return dict(sorted(found.items()))
