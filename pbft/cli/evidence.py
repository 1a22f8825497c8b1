"""`pbft evidence`: checking proof against a replica without asking anybody, and finding what the replicas here keep.

Owns: these two commands and what they print. What proves what is `pbft.core.evidence`'s matter, and the folder in which
a replica keeps it `pbft.node.evidence`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pbft.cli.arguments import command
from pbft.cli.failures import ExitCode, Failure
from pbft.cli.output import say, say_json
from pbft.cli.where import GroupArgument, JsonOption, find_group_to_check, read_proof
from pbft.group_file import GroupFile, read_group

if TYPE_CHECKING:
    from pbft.core.evidence import Finding

_LARGEST_BYTES: Final = 2**25 + 4096
"""Two of the largest messages there are, and what stands around them."""

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
    finding = _judge(file, read_group(find_group_to_check(group)))
    if as_json:
        say_json(_to_json(file, finding))
    else:
        say(finding.words)


def list_kept(directory: GroupArgument = None, as_json: JsonOption = False) -> None:
    """List the evidence that the replicas of a group keep on this machine, each file checked."""
    from pbft.core.evidence import CAUTION

    files = read_group(find_group_to_check(directory))
    judged: list[tuple[Path, Finding | Failure]] = []
    for path in _kept(files):
        try:
            judged.append((path, _judge(path, files)))
        except Failure as failure:
            # What is no proof must not hide the others.
            judged.append((path, failure))
    if as_json:
        say_json([_to_json(path, each) for path, each in judged])
        return
    if not judged:
        say(f"no replica of {files.directory} keeps evidence here")
        return
    for path, each in judged:
        say(str(each) if isinstance(each, Failure) else f"{path}: {each.act}")
    if not all(isinstance(each, Failure) for _, each in judged):
        say(CAUTION)


def _kept(files: GroupFile) -> Iterator[Path]:
    """Return the files of evidence of all replicas whose data lies here, by replica and name."""
    from pbft.node.evidence import SUFFIX

    for replica in range(files.group.n):
        folder = files.evidence(replica)
        if folder.exists():
            yield from sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)


def _judge(file: Path, files: GroupFile) -> Finding:
    """Return what a file proves. Raises Failure when it cannot be read, or proves nothing."""
    from pbft.core.evidence import EvidenceError, Misbehaviour
    from pbft.keys import Libsodium

    try:
        return Misbehaviour.from_bytes(read_proof(file, _LARGEST_BYTES)).verify(files.group, Libsodium())
    except EvidenceError as error:
        raise Failure(f"{file}: {error}", ExitCode.REJECTED, **_to_json(file, None)) from None


def _to_json(file: Path, judged: Finding | Failure | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"file": str(file), "valid": False, "culprit": None, "kind": None}
    entry |= {"view": None, "sequence": None}
    if judged is None:
        return entry
    if isinstance(judged, Failure):
        return {**entry, "error": str(judged)}
    spot = judged.place
    return {
        **entry,
        "valid": True,
        "culprit": judged.culprit,
        "kind": spot.kind.name,
        "view": spot.view,
        "sequence": spot.sequence,
    }


command(app, "verify", verify)
command(app, "list", list_kept)
