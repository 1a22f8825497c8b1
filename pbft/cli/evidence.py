"""`pbft evidence`: checking proof against a replica without asking anybody, and finding what the replicas here keep.

Owns: these two commands and what they print. How the files are read and judged is `pbft.console.proofs`'s matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pbft.cli.arguments import command
from pbft.cli.output import say, say_json
from pbft.cli.where import GroupArgument, JsonOption, find_group_to_check
from pbft.console.proofs import describe_evidence, evidence_lines, judge_all, judge_evidence
from pbft.group_file import read_group

app = typer.Typer()


@app.callback(invoke_without_command=True)
def begin(context: typer.Context) -> None:
    """Check or list proof that a replica contradicted itself."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file from a replica's evidence folder.")],
    group: Annotated[
        Path | None,
        typer.Option(
            "--group",
            metavar="DIR|FILE",
            show_default=False,
            help="The group's folder, or its group.toml; found as by other commands unless given.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check evidence against group.toml, offline, and name the culprit. Ends with 1 when it proves nothing."""
    finding = judge_evidence(file, read_group(find_group_to_check(group)))
    if as_json:
        say_json(describe_evidence(file, finding))
    else:
        say(finding.words)


def list_kept(directory: GroupArgument = None, as_json: JsonOption = False) -> None:
    """List the evidence that the replicas of a group keep on this machine, each file checked."""
    files = read_group(find_group_to_check(directory))
    judged = judge_all(files)
    if as_json:
        say_json([describe_evidence(path, each) for path, each in judged])
        return
    for line in evidence_lines(files, judged):
        say(line)


command(app, "verify", verify)
command(app, "list", list_kept)
