"""A replica put together: sockets, links, store and driver around a core.

Owns: which part gets which. Knows nothing of processes, signals or files but the group's.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from pbft.core.group import ReplicaId
from pbft.errors import PbftError
from pbft.group_file import Address, GroupFile
from pbft.net.link import LinkKey, Purpose
from pbft.net.mailbox import Mailbox, open_mailbox, replica_limits, request_limits
from pbft.net.metrics import Metrics
from pbft.net.transport import SocketAddress, UdpSocket, family_of, is_number, resolve
from pbft.net.waiting import Bell, system_now
from pbft.node.driver import Driven, Driver
from pbft.node.greeter import SECRET_BYTES, Greeter
from pbft.node.store import MemoryStore, Store


class StartError(PbftError):
    """A replica that cannot start. The message is one sentence that says what to do."""


async def open_driver(files: GroupFile, replica: Driven, key: LinkKey, store: Store | None = None) -> Driver:
    """Return a driver for a replica of the group, its sockets bound. Raises StartError.

    Peers with names in place of numbers have no address until `follow_names` has found it: no name service may hold
    up a start.
    """
    group = files.group
    bell, metrics = Bell(), Metrics(system_now().monotonic_ms)
    mailboxes: list[Mailbox] = []
    try:
        for purpose, places, limits in (
            (Purpose.REPLICAS, files.replica_addresses, replica_limits(group)),
            (Purpose.CLIENTS, files.client_addresses, request_limits(group.limits)),
        ):
            listening = await _listen(places[replica.me], bell.ring, replica.me)
            mailboxes.append(open_mailbox(files, replica.me, purpose, key, listening, limits, metrics))
    except BaseException:
        for mailbox in mailboxes:
            await mailbox.socket.close()
        raise
    replicas, clients = mailboxes
    family, addresses = family_of(replicas.socket.address), files.replica_addresses
    return Driver(
        replica,
        replicas,
        clients,
        Greeter(replica.me, os.urandom(SECRET_BYTES), group.limits.sessions_per_client),
        store or MemoryStore(),
        metrics,
        bell,
        [await resolve(each.host, each.port, family) if is_number(each.host) else None for each in addresses],
        group.genesis.application,
    )


async def _listen(address: Address, on_arrival: Callable[[], None], replica: ReplicaId) -> UdpSocket:
    numeric: SocketAddress | None = await resolve(address.host, address.port)
    if numeric is None:
        raise StartError(
            f"replica {replica} cannot listen on {address}: no name service knows {address.host}; "
            "write a number or a known name into group.toml"
        )
    try:
        return await UdpSocket.open(numeric, on_arrival)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartError(
            f"replica {replica} cannot listen on {address}: {reason}; "
            "stop what uses the port, or give the replica another address in group.toml"
        ) from None
