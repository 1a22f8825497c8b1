"""`pbft call`: one operation from words to an answer.

Owns: the reading of an operation's words, what is printed of an answer, and the file that a receipt is kept in. What is
believed is decided in `pbft.core`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pbft.cli.failures import ExitCode, Failure
from pbft.cli.output import listing, read_payload, say, say_json, spell, to_json
from pbft.cli.where import GroupOption, JsonOption, TimeoutOption, find_client, find_group
from pbft.encoding import EncodingError, Plain
from pbft.group_file import GroupFile, read_group
from pbft.lab.processes import running
from pbft.loading import AppError, application_name, load_application
from pbft.machine import MachineError, OperationSpec, describe, encode_operation, parse_arguments
from pbft.wording import quote, suggest

if TYPE_CHECKING:
    from pbft.client import Reply

_TIMEOUT_SECONDS: Final = 10.0
_LITERALS: Final[dict[str, Plain]] = {"true": True, "false": False, "null": None}


def call(
    operation: Annotated[str, typer.Argument(metavar="OP", help="The operation; pbft apps lists them.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGS]...", show_default=False, help="One word an argument.")
    ] = None,
    group: GroupOption = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="NAME", show_default=False, help="Who calls. Default: the first client with a key here."
        ),
    ] = None,
    as_json: JsonOption = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say also who answered what, and when.")] = False,
    receipt: Annotated[
        Path | None,
        typer.Option(
            "--receipt", metavar="FILE", show_default=False, help="Keep a proof of the answer, for pbft verify."
        ),
    ] = None,
    timeout: TimeoutOption = _TIMEOUT_SECONDS,
) -> None:
    """Run an operation and print what f+1 replicas agree that it came to."""
    from pbft.client.errors import InvalidOperation, OperationFailed, OperationRejected

    files = read_group(find_group(group))
    client = find_client(files, key)
    encoded = encode_words(files, operation, words or [])
    if receipt is not None:
        _refuse_receipt(receipt)
    if files.lab and not running(files):
        raise Failure(
            f"the group in {files.directory} is not running; start it: pbft up {files.directory}", ExitCode.NO_QUORUM
        )
    reply = asyncio.run(_submit(files, client, encoded, timeout, receipt is not None))
    if receipt is not None and reply.receipt is not None:
        _write_receipt(receipt, reply.receipt.to_bytes())
    try:
        reply.check()
    except OperationRejected as error:
        raise Failure(error.message, ExitCode.REJECTED, outcome="rejected", **describe_reply(reply)) from None
    except OperationFailed as error:
        raise Failure(str(error), ExitCode.REJECTED, outcome="failed", **describe_reply(reply)) from None
    except InvalidOperation as error:
        raise Failure(str(error), ExitCode.USAGE, outcome="invalid", **describe_reply(reply)) from None
    _print(files, reply, as_json, explain)


def encode_words(files: GroupFile, operation: str, words: Sequence[str]) -> bytes:
    """Return the bytes of an operation written as words. Raises Failure, ArgumentError or EncodingError.

    Where the application's code can be loaded here, words are read by its annotations; elsewhere they are taken for
    what they look like, and the replicas judge.
    """
    specs = _load_specs(files)
    if not specs:
        args: tuple[Plain, ...] = tuple(_read_literally(word) for word in words)
    elif operation in specs:
        args = parse_arguments(specs[operation], words)
    else:
        raise Failure(
            f"{files.group.genesis.application} has no operation {quote(operation)}{suggest(operation, specs)}"
        )
    try:
        return encode_operation(operation, args)
    except EncodingError as error:
        raise Failure(str(error)) from None


def describe_reply(reply: Reply) -> dict[str, Any]:
    """Return what a program may want to know of how an answer came."""
    return {
        "view": reply.view,
        "sequence": reply.sequence,
        "timestamp": reply.timestamp,
        "matching": list(reply.matching),
        "needed": reply.needed,
        "ms": reply.ms,
    }


def explain_reply(files: GroupFile, reply: Reply) -> list[str]:
    """Return sentences for people: who answered what, when, and why that is enough."""
    faults = files.group.quorums.faults
    primary = files.group.primary(reply.view)
    lines = [
        f"{listing(reply.matching)} gave this answer within {reply.ms} ms",
        f"{reply.needed} equal ones are enough, since at most {faults} of {files.group.n} may lie",
        f"it is in batch {reply.sequence} of the one order, as request {reply.timestamp} of this session",
        f"the group is in view {reply.view}, whose primary is replica {primary}",
    ]
    if reply.differing:
        lines.append(f"{listing(reply.differing)} answered something else, and was outvoted")
    if reply.silent:
        lines.append(f"{listing(reply.silent)} had not answered by then")
    return lines


async def _submit(files: GroupFile, key: str, operation: bytes, seconds: float, receipt: bool) -> Reply:
    from pbft.client import Client

    async with Client.open(files.directory, key=key) as client:
        if client.name != key:
            raise Failure(f"{files.client_key(key)} is the key of {client.name}; put the key of {key} there")
        return await client.submit(operation, timeout=seconds, receipt=receipt)


def _print(files: GroupFile, reply: Reply, as_json: bool, explain: bool) -> None:
    value = read_payload(reply.payload)
    if as_json:
        extra = {"explanation": explain_reply(files, reply)} if explain else {}
        say_json({"result": to_json(value), **describe_reply(reply), **extra})
        return
    say(spell(value))
    if explain:
        for line in explain_reply(files, reply):
            say(f"  {line}", "dim")


def _load_specs(files: GroupFile) -> dict[str, OperationSpec]:
    """Return the application's operations, none where its code cannot be loaded here or is another's."""
    try:
        # What the module prints is not part of our answer.
        with contextlib.redirect_stdout(sys.stderr):
            cls = load_application(files.application)
        if application_name(cls) != files.group.genesis.application:
            return {}
        return {spec.name: spec for spec in describe(cls)}
    except (AppError, MachineError):
        return {}


def _read_literally(word: str) -> Plain:
    if word in _LITERALS:
        return _LITERALS[word]
    try:
        return int(word) if word.lstrip("-").isascii() and word.lstrip("-").isdigit() else word
    except ValueError:
        return word


def _refuse_receipt(path: Path) -> None:
    """Refuse, before anything has run, what would lose the receipt afterwards."""
    if path.exists() or path.is_symlink():
        raise Failure(f"{path} is there already; name a new file for the receipt")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise Failure(f"a receipt cannot be written into {path.parent}; name a folder that is there and yours")


def _write_receipt(path: Path, content: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        say(f"the operation ran, but its receipt cannot be written to {path}: {error.strerror}", "red")
