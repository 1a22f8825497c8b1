"""The way of a message through one socket: what is served, what is counted, and that both add up."""

from __future__ import annotations

import asyncio

from pbft.net.drops import Drop
from pbft.net.link import OVERHEAD_BYTES, Purpose
from pbft.net.mailbox import Mailbox, MailboxLimits, gather
from pbft.net.metrics import Metrics
from pbft.net.transport import UdpSocket
from pbft.net.waiting import Bell, system_now
from tests.node.groups import until
from tests.node.parties import make_parties

PARTIES = make_parties()


async def open_mailbox(me: int, limits: MailboxLimits, **bounds: int) -> tuple[Mailbox, Metrics]:
    metrics = Metrics(0)
    socket = await UdpSocket.open(("127.0.0.1", 0), lambda: None, **bounds)
    return Mailbox(
        socket, PARTIES.link(me, Purpose.REPLICAS, largest_bytes=limits.message_bytes), limits, metrics
    ), metrics


def served(mailbox: Mailbox) -> list[tuple[object, bytes]]:
    taken: list[tuple[object, bytes]] = []
    while (letter := mailbox.take()) is not None:
        taken.append((letter.sender, letter.message))
    return taken


def test_a_peer_that_floods_loses_only_its_own_messages():
    """Its share is served, the rest is counted, and the quiet peer's message comes second (K4)."""

    async def body() -> None:
        limits = MailboxLimits(100_000, queued_messages=50)
        here, metrics = await open_mailbox(0, limits)
        loud, _ = await open_mailbox(1, limits)
        quiet, _ = await open_mailbox(2, limits)
        for number in range(200):
            await loud.send(0, b"%d" % number, here.socket.address, 0)
        await quiet.send(0, b"vote", here.socket.address, 0)
        await until(lambda: here.socket.queued == 201)
        await gather((here,), system_now, 20_000)

        order = served(here)
        assert order[:3] == [(1, b"0"), (2, b"vote"), (1, b"1")]
        assert len(order) == 51
        assert metrics.ignored == {Drop.OVER_QUOTA.value: 150}
        for mailbox in (here, loud, quiet):
            await mailbox.socket.close()

    asyncio.run(body())


def test_fragments_whose_message_never_becomes_whole_are_counted_one_by_one():
    """What a lost fragment leaves behind is given up in time, and the next message is whole."""

    async def body() -> None:
        limits = MailboxLimits(100_000)
        here, metrics = await open_mailbox(0, limits)
        there, _ = await open_mailbox(1, limits)
        link = PARTIES.link(1, Purpose.REPLICAS, stream=b"another.")
        for datagram in link.seal(0, bytes(10 * (1_200 - OVERHEAD_BYTES)))[1:]:
            await there.socket.send(datagram, here.socket.address)
        await until(lambda: here.socket.queued == 9)
        here.collect(0)
        assert metrics.ignored == {}
        here.collect(5_000)
        assert metrics.ignored == {Drop.INCOMPLETE.value: 9}

        await there.send(0, bytes(5_000), here.socket.address, 0)
        await until(lambda: here.socket.queued == 5)
        here.collect(5_000)
        assert served(here) == [(1, bytes(5_000))]
        await here.socket.close()
        await there.socket.close()

    asyncio.run(body())


def test_what_a_full_queue_drops_is_counted_too():
    """Served, refused and dropped unseen: together what arrived."""

    async def body() -> None:
        limits = MailboxLimits(100_000)
        here, metrics = await open_mailbox(0, limits, queue_datagrams=20)
        there, _ = await open_mailbox(1, limits)
        for _ in range(50):
            await there.send(0, b"hello", here.socket.address, 0)
        await until(lambda: here.socket.arrived == 50)
        here.collect(0)

        assert len(served(here)) == 20
        assert metrics.ignored == {Drop.INBOX_FULL.value: 30}
        await here.socket.close()
        await there.socket.close()

    asyncio.run(body())


def test_a_large_message_leaves_in_portions_and_arrives_whole():
    """Paced sending needs nobody but `flush` and the time it is told."""

    async def body() -> None:
        limits = MailboxLimits(1_000_000)
        here, metrics = await open_mailbox(0, limits)
        there, _ = await open_mailbox(1, limits)
        message = bytes(range(256)) * 3_000
        await there.send(0, message, here.socket.address, 0)
        assert there.socket.sent < 200
        for now_ms in range(1, 20):
            before = there.socket.sent
            await there.flush(now_ms)
            assert there.socket.sent - before <= 64 * 1024 / (1_200 - OVERHEAD_BYTES) + 1
            await gather((here,), system_now, 20_000)
        await until(lambda: here.collect(0) == 0 and len(here) == 1)

        assert served(here) == [(1, message)]
        assert metrics.ignored == {}
        await here.socket.close()
        await there.socket.close()

    asyncio.run(body())


def test_a_bell_rung_early_is_not_missed():
    """Ringing before, during or never: a wait ends at once, at the ring, or at its time."""

    async def body() -> None:
        bell = Bell()
        bell.ring()
        await bell.wait(None)
        asyncio.get_running_loop().call_soon(bell.ring)
        await bell.wait(None)
        await bell.wait(0)
        await bell.wait(1)

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await body()

    asyncio.run(bounded())
