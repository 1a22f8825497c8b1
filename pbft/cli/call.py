"""`pbft call`: one operation from words to an answer.

Owns: what is printed of an answer, and the file that a receipt is kept in. What is believed is decided in `pbft.core`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pbft.cli.output import say, say_json
from pbft.cli.where import TIMEOUT_SECONDS, GroupOption, JsonOption, KeyOption, TimeoutOption, find_client, find_group
from pbft.console.calls import TALLY_SECONDS, client_of, explain_reply, refuse_stopped
from pbft.console.operations import encode_words, load_specs
from pbft.console.outcome import Failure, describe_reply
from pbft.console.text import read_payload, spell, to_json
from pbft.group_file import GroupFile, read_group

if TYPE_CHECKING:
    from pbft.client import Reply


def call(
    operation: Annotated[str, typer.Argument(metavar="OP", help="The operation; pbft apps lists them.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[ARGS]...", show_default=False, help="One word an argument.")
    ] = None,
    group: GroupOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say also who answered what, and when.")] = False,
    receipt: Annotated[
        Path | None,
        typer.Option(
            "--receipt", metavar="FILE", show_default=False, help="Keep a proof of the answer, for pbft verify."
        ),
    ] = None,
    timeout: TimeoutOption = TIMEOUT_SECONDS,
) -> None:
    """Run an operation and print what f+1 replicas agree that it came to."""
    files = read_group(find_group(group))
    client = find_client(files, key)
    encoded = encode_words(files, load_specs(files), operation, words or [])
    if receipt is not None:
        _refuse_receipt(receipt)
    refuse_stopped(files)
    reply = asyncio.run(_submit(files, client, encoded, timeout, receipt is not None, explain))
    if receipt is not None and reply.receipt is not None:
        _write_receipt(receipt, reply.receipt.to_bytes())
    reply.check()
    _print(files, reply, as_json, explain)


async def _submit(files: GroupFile, key: str, operation: bytes, seconds: float, receipt: bool, explain: bool) -> Reply:
    async with client_of(files, key, seconds) as client:
        reply = await client.submit(operation, receipt=receipt)
        # Who explains an answer also tells who gave it late, or gave another.
        return await client.tally(reply, TALLY_SECONDS) if explain else reply


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
