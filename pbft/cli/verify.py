"""`pbft verify`: checking a receipt without asking anybody.

Owns: this command, and the words for what a receipt proves. The proof itself is `pbft.core.receipt`'s matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pbft.cli.failures import ExitCode, Failure
from pbft.cli.output import listing, say, say_json, spell, to_json
from pbft.cli.where import GroupOption, JsonOption, find_group
from pbft.cli.words import command
from pbft.core.receipt import Receipt, ReceiptError
from pbft.encoding import EncodingError, Plain, decode_plain
from pbft.group_file import read_group
from pbft.keys import Libsodium
from pbft.machine import Outcome, Result
from pbft.operations import ArgumentError, decode_operation


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line."""
    command(app, "verify", verify)


def verify(
    file: Annotated[Path, typer.Argument(metavar="RECEIPT", help="A file that pbft call --receipt wrote.")],
    group: GroupOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a receipt against group.toml, offline. Ends with 1 when it proves nothing."""
    files = read_group(find_group(group))
    try:
        receipt = Receipt.from_bytes(_read(file))
        signers = receipt.verify(files.group, Libsodium())
        request = receipt.request().request
    except ReceiptError as error:
        raise Failure(f"{file}: {error}", ExitCode.REJECTED) from None
    client = files.group.clients[request.client].name
    entries = [
        {"operation": spell_operation(operation), "outcome": result.outcome.name.lower(), "result": _decode(result)}
        for operation, result in zip(request.operations, receipt.outcomes(), strict=True)
    ]
    if as_json:
        say_json(_to_json(client, receipt, signers, entries))
        return
    say(
        f"{listing(signers)} signed this, and {files.group.quorums.weak} are enough: "
        f"{client} asked, and in batch {receipt.sequence} the group answered"
    )
    for entry in entries:
        outcome = "" if entry["outcome"] == Outcome.OK.name.lower() else f"{entry['outcome']}: "
        say(f"  {entry['operation']}  =  {outcome}{spell(entry['result'])}")


def spell_operation(operation: bytes) -> str:
    """Return an operation as people write it, as in `add(5)`; in hexadecimal digits where it is of another kind."""
    try:
        call = decode_operation(operation)
    except ArgumentError:
        return operation.hex()
    named = [f"{name}={_quote(value)}" for name, value in call.kwargs.items()]
    return f"{call.name}({', '.join([*map(_quote, call.args), *named])})"


def _quote(value: Plain) -> str:
    return f'"{spell(value)}"' if isinstance(value, str) else spell(value)


def _decode(result: Result) -> Plain:
    try:
        return decode_plain(result.payload)
    except EncodingError:
        return result.payload


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise Failure(f"there is no file {file}") from None
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}") from None


def _to_json(client: str, receipt: Receipt, signers: tuple[int, ...], entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "valid": True,
        "group": receipt.group.hex(),
        "client": client,
        "sequence": receipt.sequence,
        "signers": list(signers),
        "operations": [{**entry, "result": to_json(entry["result"])} for entry in entries],
    }
