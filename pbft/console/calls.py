"""Calls under a client's name: what is checked before one is made, and what is told of an answer.

Owns: the opening of a client whose key lies here, and the words for how an answer came. What is believed is decided in
`pbft.core`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pbft.console.outcome import ExitCode, Failure
from pbft.group_file import GroupFile
from pbft.lab.processes import running
from pbft.wording import listing

if TYPE_CHECKING:
    from pbft.client import Client, Reply

TALLY_SECONDS: Final = 0.15
"""How long at most an answer that is believed is held back, to show also who gave it late and who gave another."""


def refuse_stopped(files: GroupFile) -> None:
    """Refuse at once to talk to a local group of which no replica runs. Raises Failure."""
    if files.lab and not running(files):
        raise Failure(
            f"the group in {files.directory} is not running; start it: pbft up {files.directory}", ExitCode.NO_QUORUM
        )


def client_of(files: GroupFile, name: str, timeout: float) -> Client:
    """Return a client that speaks under a name whose key lies here, to be entered. Raises Failure or PbftError."""
    # Imported here, since it brings sockets and signatures along.
    from pbft.client import Client
    from pbft.keys import PrivateKey

    client = Client(files, PrivateKey.load(files.client_key(name)), timeout)
    if client.name != name:
        raise Failure(f"{files.client_key(name)} is the key of {client.name}; put the key of {name} there")
    return client


def explain_reply(files: GroupFile, reply: Reply) -> list[str]:
    """Return sentences for people: who answered what, when, and why that is enough."""
    faults = files.group.quorums.faults
    primary = files.group.primary(reply.view)
    lines = [
        f"{listing(reply.matching)} gave this answer",
        f"{reply.needed} equal ones, here after {reply.ms} ms, are enough: at most {faults} of {files.group.n} may lie",
        f"it is in batch {reply.sequence} of the one order, as request {reply.timestamp} of this session",
        f"the group is in view {reply.view}, whose primary is replica {primary}",
    ]
    if reply.differing:
        lines.append(f"{listing(reply.differing)} answered something else, and was outvoted")
    if reply.silent:
        lines.append(f"{listing(reply.silent)} {'has' if len(reply.silent) == 1 else 'have'} not answered so far")
    return lines


def summarise_reply(reply: Reply) -> str:
    """Return in one line how an answer came: how long it took, its place, who matched, differed and was silent."""
    parts = [
        f"{reply.ms} ms",
        f"sequence {reply.sequence}",
        f"view {reply.view}",
        f"{listing(reply.matching)} matched",
    ]
    if reply.differing:
        parts.append(f"{listing(reply.differing)} differed")
    if reply.silent:
        parts.append(f"{listing(reply.silent)} {'was' if len(reply.silent) == 1 else 'were'} silent so far")
    return " · ".join(parts)
