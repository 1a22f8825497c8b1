"""Which UDP ports a local group gets.

Owns: the choice of a block of ports that no other local group has claimed and nobody listens on, and the check before
a start. Knows nothing of replicas.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pbft.errors import PbftError
from pbft.group_file import FILE_NAME, Address, GroupFileError, read_group

LOCAL_HOST: Final = "127.0.0.1"
FIRST_PORT: Final = 17_000
LAST_PORT: Final = 31_999
"""Below the ports that systems hand out for a moment to whoever asks for any (Linux: 32768 and above)."""


class PortError(PbftError):
    """Ports that cannot be had. The message is one sentence that says what to do."""


def choose_ports(count: int, neighbours: Path) -> int:
    """Return the first of `count` free ports in a row, none of them claimed by a group in the folder `neighbours`.

    The search begins anywhere: groups that are made at the same time, in folders that know nothing of each other,
    should not choose alike. Raises PortError.
    """
    claimed = _claimed_by(neighbours)
    starts = list(range(FIRST_PORT, LAST_PORT + 2 - count, count))
    begin = random.SystemRandom().randrange(len(starts))
    for start in (*starts[begin:], *starts[:begin]):
        block = [Address(LOCAL_HOST, port) for port in range(start, start + count)]
        if not any(each in claimed or not is_free(each) for each in block):
            return start
    raise PortError(f"no {count} free ports in a row were found; name where to begin with --base-port")


def check_base_port(base_port: int, count: int, name: str = "base port") -> None:
    """Raise PortError unless `count` ports from `base_port` exist and may be opened by anybody."""
    if not 1024 <= base_port <= 65_536 - count:
        raise PortError(f"the {name} must lie within 1024 and {65_536 - count}, for {count} ports in a row")


def refuse_taken(addresses: Sequence[Address]) -> None:
    """Raise PortError when some other program listens on one of these addresses."""
    for each in addresses:
        if not is_free(each):
            raise PortError(
                f"port {each.port} on {each.host} is in use by another program; stop that one, or give the replica "
                f"another port in {FILE_NAME}"
            )


def is_free(address: Address) -> bool:
    """Say whether a UDP socket could listen there. What is wrong with an address otherwise shows when it is used."""
    try:
        family, kind, protocol, _, numeric = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(numeric)
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True


def _claimed_by(neighbours: Path) -> dict[Address, None]:
    claimed: dict[Address, None] = {}
    for directory in _folders_of(neighbours):
        try:
            group = read_group(directory)
        except GroupFileError:
            # A damaged neighbour claims nothing; whoever starts it is told what is wrong.
            continue
        claimed.update(dict.fromkeys((*group.replica_addresses, *group.client_addresses)))
    return claimed


def _folders_of(parent: Path) -> Iterable[Path]:
    try:
        return sorted(each for each in parent.iterdir() if (each / FILE_NAME).is_file())
    except OSError:
        return []
