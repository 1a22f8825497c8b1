"""Which group a command means when it is not told, and who speaks.

Owns: the order in which a folder is looked for, and which client is meant. Knows nothing of what commands do.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from pbft.console.outcome import Failure
from pbft.group_file import FILE_NAME, GroupFile
from pbft.lab.registry import last_running
from pbft.wording import quote, suggest

VARIABLE: Final = "PBFT_GROUP"
DEFAULT: Final = Path("keys/local")

_HELP: Final = (
    "The group's folder. By default $PBFT_GROUP, else the local group started last that still runs, else keys/local."
)
GroupArgument = Annotated[Path | None, typer.Argument(metavar="[DIR]", show_default=False, help=_HELP)]
GroupOption = Annotated[Path | None, typer.Option("--group", metavar="DIR", show_default=False, help=_HELP)]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key", metavar="NAME", show_default=False, help="Who calls. Default: the first client with a key here."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, errors included, for programs to read.")]
TIMEOUT_SECONDS: Final = 10.0
"""How long a call waits for its answer unless --timeout says otherwise."""
TimeoutOption = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long to wait.")]


def find_group(given: Path | None, running: bool = True) -> Path:
    """Return the folder of the group that is meant; `running` says whether one that runs is likely meant."""
    if given is not None:
        return given
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    return (last_running() if running else None) or DEFAULT


def find_group_to_check(given: Path | None) -> Path:
    """Return the folder of the group that a proof is about; its file may stand for it. Making one would be no help."""
    target = find_group(given)
    if target.name == FILE_NAME and not target.is_dir():
        target = target.parent
    if given is None and not (target / FILE_NAME).exists():
        raise Failure(f"say which group this is about: --group DIR, the folder with its {FILE_NAME}")
    return target


def find_client(files: GroupFile, given: str | None) -> str:
    """Return the name of the client that is meant: by default the first of the group whose key lies here."""
    names = [client.name for client in files.group.genesis.clients]
    if given is not None:
        if given not in names:
            raise Failure(f"the group knows no client {quote(given)}{suggest(given, names)}")
        return given
    for name in names:
        if files.client_key(name).exists():
            return name
    raise Failure(
        f"there is no client's key in {files.directory / 'clients'}; put yours there, named as in {files.path}"
    )
