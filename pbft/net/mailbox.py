"""One socket with its link: datagrams below, authenticated messages of known parties above.

Owns: the way of a message in (drain, open, reassemble, queue fairly) and out (seal, pace, send). Knows nothing of what
messages say, and waits for nothing: whoever drives it says when.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pbft.core.envelope import Sender
from pbft.core.group import Group, Limits
from pbft.core.settings import Now
from pbft.core.usage import view_change_bytes
from pbft.group_file import GroupFile
from pbft.net.drops import Drop
from pbft.net.fragments import Reassembly, ReassemblyLimits
from pbft.net.inbox import FairInbox
from pbft.net.link import STREAM_BYTES, Link, LinkKey, Purpose
from pbft.net.metrics import Metrics
from pbft.net.pacing import Pacer
from pbft.net.transport import SocketAddress, UdpSocket

_DATAGRAMS_A_LOOK: Final = 256
_BYTES_A_LOOK: Final = 1024 * 1024


class Letter(NamedTuple):
    """A whole message: whom the link authenticated, where its last datagram came from, and its bytes."""

    sender: Sender
    address: SocketAddress
    message: bytes


@dataclass(frozen=True)
class MailboxLimits:
    """What each peer of a mailbox may cost."""

    message_bytes: int
    """The largest message accepted."""
    queued_messages: int = 1_024

    @property
    def queued_bytes(self) -> int:
        """What a peer's waiting messages may hold."""
        return max(4 * self.message_bytes, 1024 * 1024)


def replica_limits(group: Group) -> MailboxLimits:
    """Return the limits of what replicas say to each other: batches, nodes of the state, and the votes for a view."""
    largest = max(group.limits.batch_bytes, group.limits.results_bytes, view_change_bytes(group))
    return MailboxLimits(max(4 * 1024 * 1024, 2 * largest))


def request_limits(limits: Limits) -> MailboxLimits:
    """Return the limits of what clients say to replicas. One somewhat too large passes, to be refused in words."""
    return MailboxLimits(2 * limits.request_bytes, queued_messages=256)


def answer_limits(limits: Limits) -> MailboxLimits:
    """Return the limits of what replicas say to a client: results, and reports."""
    return MailboxLimits(limits.results_bytes + 2 * 1024 * 1024)


class Mailbox:
    """Sends and receives whole messages over one UDP socket."""

    def __init__(self, socket: UdpSocket, link: Link, limits: MailboxLimits, metrics: Metrics) -> None:
        self.socket = socket
        self._link = link
        self._metrics = metrics
        # Fragments of the least size double a message's cost: twice two, so that the largest always fits.
        self._reassembly = Reassembly(ReassemblyLimits(4 * limits.message_bytes))
        self._inbox: FairInbox[Sender, Letter] = FairInbox(limits.queued_messages, limits.queued_bytes)
        self._pacer: Pacer[SocketAddress] = Pacer()
        self._counted_incomplete = 0
        self._counted_queue_drops = 0

    def __len__(self) -> int:
        """Messages that wait to be served."""
        return len(self._inbox)

    @property
    def deadline_ms(self) -> int | None:
        """When `flush` is next due, or None."""
        return self._pacer.deadline_ms

    @property
    def outgoing_drops(self) -> int:
        """Datagrams that were never sent because too much waited for their address, in all."""
        return self._pacer.dropped

    def collect(self, now_ms: int) -> int:
        """Look at some datagrams that have arrived and queue the messages they complete; return how many came.

        Each datagram that is dropped is counted once, under its reason.
        """
        arrived = self.socket.drain(_DATAGRAMS_A_LOOK, _BYTES_A_LOOK)
        for datagram, address in arrived:
            opened = self._link.open(datagram)
            if isinstance(opened, Drop):
                self._metrics.ignore(opened)
                continue
            message = self._reassembly.add(opened, now_ms)
            if message is None:
                continue
            self._metrics.messages_in += 1
            if not self._inbox.offer(opened.sender, Letter(opened.sender, address, message), len(message)):
                self._metrics.ignore(Drop.OVER_QUOTA)
        self._reassembly.expire(now_ms)
        self._count()
        return len(arrived)

    def take(self) -> Letter | None:
        """Return the next message, peers in turn, or None."""
        return self._inbox.take()

    async def send(self, to: Sender, message: bytes, address: SocketAddress, now_ms: int) -> None:
        """Send a message to a party, where it is. The rest of a large one leaves by `flush`."""
        datagrams = self._link.seal(to, message)
        self._metrics.messages_out += 1
        for datagram in self._pacer.offer(address, datagrams, now_ms):
            await self.socket.send(datagram, address)

    async def flush(self, now_ms: int) -> None:
        """Send what was held back and is due."""
        for address, datagram in self._pacer.ready(now_ms):
            await self.socket.send(datagram, address)

    def _count(self) -> None:
        self._metrics.ignore(Drop.INCOMPLETE, self._reassembly.abandoned - self._counted_incomplete)
        self._counted_incomplete = self._reassembly.abandoned
        self._metrics.ignore(Drop.INBOX_FULL, self.socket.queue_drops - self._counted_queue_drops)
        self._counted_queue_drops = self.socket.queue_drops


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


async def gather(mailboxes: Sequence[Mailbox], clock: Callable[[], Now], budget_ms: int) -> None:
    """Take in what has arrived at some mailboxes, and look again while more keeps coming, for so long at most.

    Event loops hand over only so many datagrams at a time, and a party acts better on all of them at once.
    """
    now_ms = clock().monotonic_ms
    end_ms = now_ms + budget_ms
    while sum([mailbox.collect(now_ms) for mailbox in mailboxes]):
        await asyncio.sleep(0)
        now_ms = clock().monotonic_ms
        if now_ms >= end_ms:
            break
