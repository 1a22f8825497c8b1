"""Where a replica sends what is for its peers, and how a lab leads that elsewhere.

Owns: the following of hosts with names, the detours that a lab's keeper orders over the replica's standard input, and
how such an order is read. Detours lead to this machine only. Knows nothing of what is sent, nor of what a keeper does
with it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pbft.core.group import ReplicaId
from pbft.group_file import Address, GroupFile
from pbft.net.names import follow_names
from pbft.net.transport import SocketAddress
from pbft.node.marks import keeper

MAX_ORDER_BYTES: Final = 64 * 1024
"""What an order of detours takes at most, with room to spare."""

_MAX_PORT: Final = 65_535
_LOOK_SECONDS: Final = 0.5

Detours = Mapping[ReplicaId, SocketAddress]


class Routes:
    """The addresses of all replicas, in a list that a driver reads and this writes."""

    def __init__(
        self, wanted: Sequence[Address], addresses: list[SocketAddress | None], family: socket.AddressFamily
    ) -> None:
        """`wanted` says where replicas are, `addresses` is what is known of that, `family` of which kind those are."""
        self._wanted = wanted
        self._addresses = addresses
        self._known = list(addresses)
        self._family = family
        self._names: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow hosts that have names. Only within a running loop."""
        self._names = asyncio.create_task(follow_names(self._wanted, self._addresses, self._family))

    def lead(self, detours: Detours) -> None:
        """Send to these addresses from now on; to the peers' own where there are none. Only within a running loop."""
        if self._names is not None:
            # A name that is found meanwhile must not end a detour.
            self._names.cancel()
            self._names = None
            self._known = list(self._addresses)
        self._addresses[:] = [detours.get(peer, known) for peer, known in enumerate(self._known)]
        if not detours:
            self.start()

    def watch(self, files: GroupFile, me: ReplicaId) -> None:
        """Follow the detours that a keeper writes down, for a replica that it did not start. Only within a loop."""

        async def look() -> None:
            led = detours_in_force(files, me)
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                found = detours_in_force(files, me)
                if found != led:
                    led = found
                    self.lead(found)

        self._watching = asyncio.create_task(look())

    def stop(self) -> None:
        """Follow nothing any more."""
        for task in (self._names, self._watching):
            if task is not None:
                task.cancel()


def read_order(line: bytes, n: int) -> dict[ReplicaId, SocketAddress] | None:
    """Return the detours that a line orders, `{"routes": {"1": ["127.0.0.1", 40001]}}`; None where it orders none."""
    try:
        order = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return _read(order.get("routes"), n) if isinstance(order, dict) else None


def detours_in_force(files: GroupFile, me: ReplicaId) -> dict[ReplicaId, SocketAddress]:
    """Return where a replica that starts now is to send: nowhere else, unless the group's keeper lives and says so."""
    # The file of a keeper that was killed leads nowhere; the next keeper removes it before it notes that it keeps.
    if not files.lab or keeper(files.data_folder) is None:
        return {}
    try:
        with files.detours.open("rb") as file:
            told = json.loads(file.read(MAX_ORDER_BYTES * files.group.n))
    except (OSError, ValueError, RecursionError):
        return {}
    return (_read(told.get(str(me)), files.group.n) if isinstance(told, dict) else None) or {}


def write_detours(files: GroupFile, detours: Mapping[ReplicaId, Detours]) -> None:
    """Write down where each replica that starts from now on is to send; without any, remove what was written.

    Only by whoever holds the mark of the group's data. Raises OSError.
    """
    path = files.detours
    if not detours:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.write_text(json.dumps({str(replica): _spell(each) for replica, each in detours.items()}))
    temporary.replace(path)


def spell_order(detours: Detours) -> bytes:
    """Return the line that orders detours."""
    return json.dumps({"routes": _spell(detours)}).encode("ascii") + b"\n"


def _spell(detours: Detours) -> dict[str, list[Any]]:
    return {str(peer): [address[0], address[1]] for peer, address in detours.items()}


def _read(routes: Any, n: int) -> dict[ReplicaId, SocketAddress] | None:
    if not isinstance(routes, dict):
        return None
    found: dict[ReplicaId, SocketAddress] = {}
    for peer, place in routes.items():
        address = _address(place)
        if not (peer.isascii() and peer.isdecimal() and len(peer) <= len(str(n)) and int(peer) < n) or address is None:
            return None
        found[int(peer)] = address
    return found


def _address(place: Any) -> SocketAddress | None:
    match place:
        case [str(host), int(port)] if type(port) is int and 0 < port <= _MAX_PORT:
            try:
                number = ipaddress.ip_address(host)
            except ValueError:
                return None
            if number.is_loopback:
                return (host, port) if number.version == 4 else (host, port, 0, 0)
    return None
