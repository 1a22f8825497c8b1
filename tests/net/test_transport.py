"""What our use of asyncio-dgram rests on, seen over real loopback sockets with both event loops."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from pbft.net.transport import UdpSocket, bind, resolve
from tests.node.groups import until

HERE = ("127.0.0.1", 0)
Body = Callable[[], Coroutine[Any, Any, None]]


def loops() -> list[Any]:
    factories = [pytest.param(asyncio.new_event_loop, id="asyncio")]
    try:
        import uvloop
    except ImportError:
        return factories
    return [*factories, pytest.param(uvloop.new_event_loop, id="uvloop")]


@pytest.fixture(params=loops())
def run(request: pytest.FixtureRequest) -> Callable[[Body], None]:
    def run_it(body: Body) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(body())

    return run_it


async def open_socket(**bounds: int) -> UdpSocket:
    return await UdpSocket.open(HERE, lambda: None, **bounds)


def plain_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(HERE)
    sock.setblocking(False)
    return sock


def _arrived(sock: UdpSocket, count: int) -> bool:
    return sock.arrived == count


def test_datagrams_cross_both_ways_with_their_addresses(run):
    """What one socket sends the other drains, in order, with the sender's address; both count."""

    async def body() -> None:
        one, two = await open_socket(), await open_socket()
        for number in range(5):
            await one.send(b"%d" % number, two.address)
        await until(lambda: two.queued == 5)
        assert two.drain(3) == [(b"%d" % number, one.address) for number in range(3)]
        assert [data for data, _ in two.drain(10)] == [b"3", b"4"]
        assert (one.sent, one.sent_bytes, two.arrived, two.arrived_bytes) == (5, 5, 5, 5)
        await one.close()
        await two.close()

    run(body)


def test_the_largest_datagram_arrives_whole_and_a_larger_one_is_an_error_of_ours_only(run):
    """65,507 bytes pass. One more is refused by the kernel, counted, and the next datagram still leaves."""

    async def body() -> None:
        one, two = await open_socket(), await open_socket()
        await one.send(b"x" * 65_507, two.address)
        await one.send(b"x" * 65_508, two.address)
        await one.send(b"after", two.address)
        await until(lambda: two.queued == 2)
        assert [len(data) for data, _ in two.drain(10)] == [65_507, 5]
        # One error may be counted when the next send takes it out, so look after a close.
        await one.close()
        await two.close()
        assert one.send_errors == 1

    run(body)


def test_a_dead_peer_disturbs_nobody(run):
    """A port that nobody holds answers with ICMP refusals; what goes to and comes from others passes all the same."""

    async def body() -> None:
        one, two = await open_socket(), await open_socket()
        dead = plain_socket()
        nowhere = dead.getsockname()
        dead.close()
        for number in range(50):
            await one.send(b"dead", nowhere)
            await one.send(b"%d" % number, two.address)
            await two.send(b"%d" % number, one.address)
        await until(lambda: one.queued == two.queued == 50)
        assert one.send_errors == 0
        assert not one.closed
        await one.close()
        await two.close()

    run(body)


def test_addresses_that_cannot_be_sent_to_are_counted_and_never_raised(run):
    """Port 0, another family and a name are mistakes of one datagram, not of the reader or of the next datagram."""

    async def body() -> None:
        one, two = await open_socket(), await open_socket()
        for bad in (("127.0.0.1", 0), ("127.0.0.1", 70_000), ("::1", 9, 0, 0), ("localhost.invalid", 9)):
            await one.send(b"x", bad)
        await one.send(b"good", two.address)
        await until(lambda: two.queued == 1)
        assert two.drain(9) == [(b"good", one.address)]
        await one.close()
        assert one.send_errors == 4
        await two.close()

    run(body)


def test_empty_datagrams_are_datagrams(run):
    """An empty one arrives, is counted, and does not look like the end."""

    async def body() -> None:
        one, other = await open_socket(), plain_socket()
        other.sendto(b"", one.address)
        other.sendto(b"after", one.address)
        await until(lambda: one.queued == 2)
        assert [data for data, _ in one.drain(9)] == [b"", b"after"]
        assert not one.closed
        await one.close()
        other.close()

    run(body)


def test_a_flood_is_bounded_in_number_and_bytes_and_every_datagram_is_accounted_for(run):
    """Arrived here, or dropped by the kernel: together what was sent. Of what arrived, the queue keeps its bound."""

    async def body() -> None:
        few = await open_socket(queue_datagrams=100)
        small = await open_socket(queue_bytes=50_000)
        other = plain_socket()
        for number in range(2_000):
            for target in (few, small):
                other.sendto(b"x" * 1_000, target.address)
            if number % 50 == 0:
                await asyncio.sleep(0)

        for target in (few, small):
            dropped = target.kernel_drops()
            # Elsewhere than on Linux nobody tells what the kernel dropped, but nothing here can have come twice.
            if dropped is not None:
                await until(partial(_arrived, target, 2_000 - dropped))
            assert target.queue_drops == target.arrived - target.queued
        assert few.queued == 100
        assert small.queued == 50_000 // 1_128
        assert len(few.drain(1_000)) == 100
        other.sendto(b"room again", few.address)
        await until(lambda: few.queued == 1)
        await few.close()
        await small.close()
        other.close()

    run(body)


def test_a_full_queue_still_hears_that_the_socket_closed(run):
    """The closing mark needs no room, so whoever waits for it never waits for ever."""

    async def body() -> None:
        one, other = await open_socket(queue_datagrams=1), plain_socket()
        for _ in range(3):
            other.sendto(b"x", one.address)
        await until(lambda: one.arrived == 3)
        await one.close()
        assert one.closed
        assert len(one.drain(9)) == 1
        await one.send(b"late", other.getsockname())
        assert one.send_errors == 1
        other.close()

    run(body)


def test_who_waits_is_told_of_each_arrival(run):
    """The callback rings for datagrams that were kept."""

    async def body() -> None:
        rung: list[int] = []
        one = await UdpSocket.open(HERE, lambda: rung.append(1), queue_datagrams=2)
        other = plain_socket()
        for _ in range(5):
            other.sendto(b"x", one.address)
        await until(lambda: one.arrived == 5)
        assert len(rung) == 2
        await one.close()
        other.close()

    run(body)


def test_a_port_in_use_raises(run):
    """Two replicas on one port is a mistake to be told at once, not one that steals datagrams."""

    async def body() -> None:
        one = await open_socket()
        with pytest.raises(OSError, match="in use"):
            await UdpSocket.open(one.address, lambda: None)
        await one.close()

    run(body)


def test_the_kernel_tells_what_it_dropped_and_what_buffer_it_granted(run):
    """A small buffer that nobody reads loses most of a burst. Linux says exactly how many; others say nothing."""

    async def body() -> None:
        sock = bind(HERE, 65_536)
        granted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        address = sock.getsockname()
        sock.close()
        one, other = await UdpSocket.open(address, lambda: None, receive_buffer_bytes=65_536), plain_socket()
        assert one.granted_receive_bytes == granted
        for _ in range(1_000):
            other.sendto(b"x" * 1_000, one.address)
        dropped = one.kernel_drops()
        if sys.platform == "linux":
            assert dropped is not None
            assert dropped > 500
            await until(lambda: one.arrived + dropped == 1_000)
        else:
            assert dropped is None
        await one.close()
        assert one.kernel_drops() == dropped
        other.close()

    run(body)


def test_names_are_resolved_before_they_are_used(run):
    """Sockets see numbers only: names are looked up once, and one that nobody knows is no error."""

    async def body() -> None:
        assert await resolve("127.0.0.1", 7) == ("127.0.0.1", 7)
        assert await resolve("::1", 7) == ("::1", 7, 0, 0)
        assert await resolve("localhost", 7, socket.AF_INET) == ("127.0.0.1", 7)
        assert await resolve("127.0.0.1", 7, socket.AF_INET6) is None
        assert await resolve("no.such.name.invalid", 7) is None

    run(body)
