"""A replica put together: sockets, links, store and driver around a core.

Owns: which part gets which, and the resolving of names. Knows nothing of processes, signals or files but the
group's.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence

from pbft.core.envelope import Sender
from pbft.core.group import ReplicaId
from pbft.group_file import Address, GroupFile
from pbft.node.driver import Driven, Driver
from pbft.node.greeter import SECRET_BYTES, Greeter
from pbft.node.link import STREAM_BYTES, Link, LinkKey, Purpose
from pbft.node.mailbox import Mailbox, MailboxLimits, replica_limits, request_limits
from pbft.node.metrics import Metrics
from pbft.node.store import MemoryStore, Store
from pbft.node.transport import SocketAddress, UdpSocket, family_of, is_number, resolve
from pbft.node.waiting import Bell, system_now


class StartError(Exception):
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
            (Purpose.REPLICAS, files.replica_addresses, replica_limits(group.limits)),
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
        store or MemoryStore(group.limits.log_size),
        metrics,
        bell,
        [await resolve(each.host, each.port, family) if is_number(each.host) else None for each in addresses],
        group.genesis.application,
    )


def open_mailbox(
    files: GroupFile,
    me: Sender,
    purpose: Purpose,
    key: LinkKey,
    listening: UdpSocket,
    limits: MailboxLimits,
    metrics: Metrics,
) -> Mailbox:
    """Return a mailbox of one party on an open socket, with a new random stream."""
    link = Link(
        files.group,
        me,
        purpose,
        key,
        os.urandom(STREAM_BYTES),
        limits.message_bytes,
        files.datagram_bytes,
        streams=max(64, files.group.limits.sessions_per_client),
    )
    return Mailbox(listening, link, limits, metrics)


async def follow_names(
    wanted: Sequence[Address],
    found: list[SocketAddress | None],
    family: socket.AddressFamily,
    interval_seconds: float = 10.0,
) -> None:
    """Resolve names again and again into `found`: a host may move, or be known only later. Runs until cancelled.

    Returns at once when all addresses are numbers.
    """
    named = [place for place, each in enumerate(wanted) if not is_number(each.host)]

    async def look_up(place: int) -> None:
        address = await resolve(wanted[place].host, wanted[place].port, family)
        if address is not None:
            found[place] = address

    while named:
        await asyncio.gather(*(look_up(place) for place in named))
        await asyncio.sleep(interval_seconds)


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
