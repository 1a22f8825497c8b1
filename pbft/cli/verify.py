"""`pbft verify`: checking a receipt without asking anybody.

Owns: this command, and the words for what a receipt proves. The proof itself is `pbft.core.receipt`'s matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pbft.cli.output import say, say_json
from pbft.cli.where import GroupOption, JsonOption, find_group_to_check
from pbft.console.outcome import ExitCode, Failure
from pbft.console.proofs import read_proof
from pbft.console.text import read_payload, spell, spell_operation, to_json
from pbft.group_file import read_group
from pbft.machine import Outcome
from pbft.wording import listing

if TYPE_CHECKING:
    from pbft.core.receipt import Receipt

_LARGEST_BYTES: Final = 2**25
"""More than the largest request and its results take."""


def verify(
    file: Annotated[Path, typer.Argument(metavar="RECEIPT", help="A file that pbft call --receipt wrote.")],
    group: GroupOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a receipt against group.toml, offline. Ends with 1 when it proves nothing."""
    from pbft.core.receipt import Receipt, ReceiptError
    from pbft.keys import Libsodium

    files = read_group(find_group_to_check(group))
    try:
        receipt = Receipt.from_bytes(read_proof(file, _LARGEST_BYTES))
        signers = receipt.verify(files.group, Libsodium())
        request = receipt.request().request
    except ReceiptError as error:
        raise Failure(f"{file}: {error}", ExitCode.REJECTED) from None
    client = files.group.clients[request.client].name
    entries = [
        {
            "operation": spell_operation(operation),
            "outcome": result.outcome.name.lower(),
            "result": read_payload(result.payload),
        }
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


def _to_json(client: str, receipt: Receipt, signers: tuple[int, ...], entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "valid": True,
        "group": receipt.group.hex(),
        "client": client,
        "sequence": receipt.sequence,
        "signers": list(signers),
        "operations": [{**entry, "result": to_json(entry["result"])} for entry in entries],
    }
