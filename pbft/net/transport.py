"""One UDP socket over asyncio-dgram, with bounded queues and honest counters (design 7).

Owns: how a socket is made, bounded, drained and measured. Knows no peers, keys or messages: datagrams and numeric
addresses only.

asyncio-dgram 3.0 is told four things. Its queue has no bound, so ours takes its place in both spots where it is held.
An error that one send caused is raised by the next, whoever its peer, so errors are taken out and counted before each
send. The stock event loop reserves 256 KiB for every datagram it reads, so its `max_size` is set to what UDP can carry.
And it gets a socket of our own, never connected: a dead peer's ICMP refusal then reaches nobody.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, Final

import asyncio_dgram

SocketAddress = tuple[Any, ...]
"""A numeric address as the socket module spells it: (host, port), for IPv6 with two numbers more."""

MAX_READ_BYTES: Final = 65_536
RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
SEND_BUFFER_BYTES: Final = 1024 * 1024

_SO_MEMINFO: Final = 55
"""Linux: nine counters of a socket, the last of which is what the kernel dropped on it."""
_MEMINFO: Final = struct.Struct("9I")
_DATAGRAM_COST_BYTES: Final = 128
_CLOSING_SECONDS: Final = 1.0


class Closed(Exception):
    """The socket is no longer there."""


class _BoundedQueue(asyncio.Queue[tuple[bytes | None, Any]]):
    """A queue that drops and counts what finds no room, but always takes the closing mark (None, None).

    A full asyncio.Queue would raise into the event loop's handler at every drop.
    """

    def __init__(self, most: int, most_bytes: int, on_arrival: Callable[[], None]) -> None:
        super().__init__()
        self._most = most
        self._most_bytes = most_bytes
        self._on_arrival = on_arrival
        self.held_bytes = 0
        self.ended = asyncio.Event()
        self.arrived = 0
        self.arrived_bytes = 0
        self.dropped = 0

    def put_nowait(self, item: tuple[bytes | None, Any]) -> None:
        data = item[0]
        if data is None:
            self.ended.set()
        else:
            cost = len(data) + _DATAGRAM_COST_BYTES
            self.arrived += 1
            self.arrived_bytes += len(data)
            if self.qsize() >= self._most or self.held_bytes + cost > self._most_bytes:
                self.dropped += 1
                return
            self.held_bytes += cost
        super().put_nowait(item)
        self._on_arrival()

    def take(self) -> tuple[bytes, SocketAddress] | None:
        """Return the next datagram, or None when there is none."""
        while self.qsize():
            data, address = self.get_nowait()
            if data is not None:
                self.held_bytes -= len(data) + _DATAGRAM_COST_BYTES
                return data, address
        return None


class UdpSocket:
    """A bound datagram socket. `open` makes one; `drain` and `send` never raise for what peers do."""

    def __init__(self, stream: Any, sock: socket.socket, queue: _BoundedQueue) -> None:
        self._stream = stream
        self._queue = queue
        self._socket = sock
        self._socket_family = sock.family
        self.address: SocketAddress = sock.getsockname()
        self.granted_receive_bytes: int = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        """What the kernel granted: it caps the wish in silence, and on Linux counts its own overhead in."""
        self.sent = 0
        self.sent_bytes = 0
        self.send_errors = 0
        self._kernel_drops = 0

    @classmethod
    async def open(
        cls,
        address: SocketAddress,
        on_arrival: Callable[[], None],
        queue_datagrams: int = 8_192,
        queue_bytes: int = 16 * 1024 * 1024,
        receive_buffer_bytes: int = RECEIVE_BUFFER_BYTES,
    ) -> UdpSocket:
        """Bind a numeric address. `on_arrival` is called when something came, in the loop's thread.

        Raises OSError when the address cannot be bound.
        """
        sock = bind(address, receive_buffer_bytes)
        try:
            stream = await asyncio_dgram.from_socket(sock)
        except BaseException:
            sock.close()
            raise
        queue = _BoundedQueue(queue_datagrams, queue_bytes, on_arrival)
        _take_over(stream, queue)
        return cls(stream, sock, queue)

    @property
    def closed(self) -> bool:
        """Whether the socket has ended, by `close` or by a failure of its own."""
        return self._queue.ended.is_set() or bool(self._stream._transport.is_closing())

    @property
    def arrived(self) -> int:
        """Datagrams that the kernel handed over, in all."""
        return self._queue.arrived

    @property
    def arrived_bytes(self) -> int:
        """Their bytes."""
        return self._queue.arrived_bytes

    @property
    def queue_drops(self) -> int:
        """Datagrams dropped because the queue was full, in all."""
        return self._queue.dropped

    @property
    def queued(self) -> int:
        """Datagrams that wait to be drained."""
        return self._queue.qsize()

    def drain(self, most: int, most_bytes: int = 2**63) -> list[tuple[bytes, SocketAddress]]:
        """Return up to `most` datagrams that have arrived, oldest first; one that passes `most_bytes` is the last."""
        taken: list[tuple[bytes, SocketAddress]] = []
        while len(taken) < most and most_bytes > 0 and (item := self._queue.take()) is not None:
            taken.append(item)
            most_bytes -= len(item[0])
        return taken

    async def send(self, datagram: bytes, address: SocketAddress) -> None:
        """Send one datagram; wait while the socket's own buffer is full. Failures are counted, never raised."""
        self._count_errors()
        if family_of(address) != self._socket_family or not 0 < address[1] < 65_536:
            # The stock event loop closes the whole socket over an address it cannot even spell.
            self.send_errors += 1
            return
        try:
            await self._stream.send(datagram, address)
        except (asyncio_dgram.TransportClosed, OSError, ValueError):
            self.send_errors += 1
            return
        self.sent += 1
        self.sent_bytes += len(datagram)

    def kernel_drops(self) -> int | None:
        """Return how many datagrams the kernel dropped on this socket, or None where it does not tell."""
        if sys.platform != "linux":
            return None
        if self._socket.fileno() >= 0:
            try:
                raw = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            except OSError:
                return None
            if len(raw) < _MEMINFO.size:
                return None
            self._kernel_drops = _MEMINFO.unpack(raw)[8]
        return self._kernel_drops

    async def close(self) -> None:
        """Close the socket; on return the event loop has let go of it. What it still had to send may be lost."""
        self.kernel_drops()
        self._count_errors()
        self._stream.close()
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self._queue.ended.wait()
        except TimeoutError:
            # Datagrams that the kernel would not take are not worth waiting for.
            self._stream._transport.abort()
            await self._queue.ended.wait()

    def _count_errors(self) -> None:
        while True:
            try:
                self._stream.exception  # noqa: B018 -- reading it raises the oldest error and takes it out
            except Exception:
                self.send_errors += 1
            else:
                return


def bind(address: SocketAddress, receive_buffer_bytes: int = RECEIVE_BUFFER_BYTES) -> socket.socket:
    """Return a bound, unconnected, non-blocking socket with the buffers wished for. Raises OSError."""
    family = family_of(address)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for option, wish in ((socket.SO_RCVBUF, receive_buffer_bytes), (socket.SO_SNDBUF, SEND_BUFFER_BYTES)):
            _wish(sock, option, wish)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def family_of(address: SocketAddress) -> socket.AddressFamily:
    """Return the family of a numeric address."""
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


async def resolve(host: str, port: int, family: socket.AddressFamily | None = None) -> SocketAddress | None:
    """Return the numeric address of a host, of one family if asked; None when no name service knows it.

    uvloop sends to numeric addresses only, and the stock loop would look a name up, and wait, at every send.
    """
    number = _number(host, port)
    if number is not None:
        return number if family in (None, family_of(number)) else None
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, family=family or 0, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return None
    # IPv4 first where a name has both: "localhost" should mean the same on every host of a group.
    for wanted in (socket.AF_INET, socket.AF_INET6):
        for kind, _, _, _, address in found:
            if kind == wanted:
                return address
    return None


def is_number(host: str) -> bool:
    """Say whether a host is spelled as a number, which no name service needs to be asked for."""
    return _number(host, 1) is not None


def _number(host: str, port: int) -> SocketAddress | None:
    # A scope ("%eth0") has a number too, which only the system knows.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)
    except (OSError, ValueError):
        return None
    return (host, port) if family == socket.AF_INET else (host, port, 0, 0)


def _wish(sock: socket.socket, option: int, wish: int) -> None:
    # Linux grants less in silence; other systems refuse, so the wish is halved until one is granted.
    while wish >= 65_536:
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, wish)
        except OSError:
            wish //= 2
        else:
            return


def _take_over(stream: Any, queue: _BoundedQueue) -> None:
    """Put our queue in both places where asyncio-dgram holds its own, and keep what came meanwhile."""
    transport = stream._transport
    protocol = transport.get_protocol()
    early, stream._recvq, protocol._recvq = stream._recvq, queue, queue
    if hasattr(transport, "max_size"):
        transport.max_size = MAX_READ_BYTES
    while not early.empty():
        queue.put_nowait(early.get_nowait())
