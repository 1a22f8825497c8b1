"""Ten thousand hostile datagrams at a running replica (N6, K4, K5)."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from pbft.client import Client
from pbft.net.drops import Drop
from pbft.net.link import OVERHEAD_BYTES
from pbft.net.transport import SocketAddress, UdpSocket
from tests.node.groups import write_files
from tests.node.processes import answering, started

HOSTILE = 10_000
PER_SECOND = 5_000
MEMORY_BYTES = 48 * 1024 * 1024
"""What a flood may add: both sockets' queues at their bounds, and some for what the allocator keeps."""

LOOKED_AT = (
    Drop.TRUNCATED,
    Drop.WRONG_VERSION,
    Drop.MISADDRESSED,
    Drop.UNKNOWN_SENDER,
    Drop.MALFORMED_HEADER,
    Drop.OVERSIZE,
    Drop.BAD_TAG,
    Drop.REPLAYED,
)


class Recorder:
    """A client's socket, with a copy of every datagram that it sends to one address."""

    def __init__(self, recorded: UdpSocket, address: SocketAddress) -> None:
        self._socket = recorded
        self._address = address
        self.datagrams: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    async def send(self, datagram: bytes, address: SocketAddress) -> None:
        if address == self._address:
            self.datagrams.append(datagram)
        await self._socket.send(datagram, address)


async def record(directory: Path, target: SocketAddress) -> list[bytes]:
    """What one correct client says to a replica: greetings, small and large requests, a question."""
    async with Client.open(directory, "bob") as early:
        # What was sent before the replica listened never arrived, and would be no replay.
        await answering(early, 4)
    async with Client.open(directory, "bob") as bob:
        assert bob._mailbox is not None
        recorder = Recorder(bob._mailbox.socket, target)
        bob._mailbox.socket = recorder  # type: ignore[assignment]
        for number in range(40):
            await bob.call("write", "x" * (100 * number))
        return list(recorder.datagrams)


def hostile(real: list[bytes], chance: random.Random) -> list[bytes]:
    """Random bytes, truncated and bit-flipped real datagrams, replays, and oversize, a fifth of each, shuffled."""

    def flipped() -> bytes:
        datagram = bytearray(chance.choice(real))
        for _ in range(chance.choice((1, 1, 1, 8))):
            datagram[chance.randrange(len(datagram))] ^= 1 << chance.randrange(8)
        # An even number of flips may undo itself.
        return bytes(datagram) if bytes(datagram) not in genuine else bytes(datagram[:-1])

    def truncated() -> bytes:
        datagram = chance.choice(real)
        return datagram[: chance.randrange(len(datagram))]

    def oversize() -> bytes:
        payload = chance.randbytes(chance.randrange(40_000, 65_000))
        kind = chance.randrange(3)
        if kind == 0:
            return payload
        head = chance.choice(real)[:OVERHEAD_BYTES]
        if kind == 1:
            return head + payload
        # The first of twenty such fragments, by a header that is consistent with it.
        return head[:34] + struct.pack(">HHI", 0, 20, 20 * len(payload)) + head[42:] + payload

    genuine = dict.fromkeys(real)
    fifth = HOSTILE // 5
    made = [chance.randbytes(chance.randrange(1_500)) for _ in range(fifth)]
    made += [truncated() for _ in range(fifth)]
    made += [flipped() for _ in range(fifth)]
    made += [chance.choice(real) for _ in range(fifth)]
    made += [oversize() for _ in range(fifth)]
    chance.shuffle(made)
    return made


def flood(datagrams: list[bytes], targets: list[SocketAddress]) -> None:
    """Send at the rate, most to the first target, every tenth to the second."""
    sources = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
    began = time.monotonic()
    for number, datagram in enumerate(datagrams):
        sources[number % len(sources)].sendto(datagram, targets[number % 10 == 0])
        if number % 25 == 24:
            time.sleep(max(0.0, began + (number + 1) / PER_SECOND - time.monotonic()))
    for source in sources:
        source.close()


async def look(client: Client) -> dict[str, Any]:
    report = (await client.inspect(0, timeout=20.0))[0]
    assert report is not None
    return report


def grown(before: dict[str, Any], after: dict[str, Any], *reasons: Drop) -> int:
    return sum(after["ignored"].get(each.value, 0) - before["ignored"].get(each.value, 0) for each in reasons)


@pytest.mark.processes
def test_ten_thousand_hostile_datagrams_are_all_accounted_for(tmp_path: Path):
    """The replica answers all through the flood; what it ignored and what was dropped add up to what was sent."""
    files = write_files(tmp_path / "group")
    targets: list[SocketAddress] = [
        ("127.0.0.1", files.client_addresses[0].port),
        ("127.0.0.1", files.replica_addresses[0].port),
    ]

    async def body() -> None:
        real = await record(files.directory, targets[0])
        datagrams = hostile(real, random.Random(2))
        assert len(datagrams) == HOSTILE
        async with Client.open(files.directory, "alice") as alice:
            await answering(alice, 4)
            before = await look(alice)
            assert (before["kernel_drops"] or 0, before["ignored"].get(Drop.INBOX_FULL.value, 0)) == (0, 0)

            attack = asyncio.create_task(asyncio.to_thread(flood, datagrams, targets))
            calls = 0
            while not attack.done() or calls < 20:
                calls += 1
                # Each total is the number of calls so far: none was lost, and none ran twice.
                assert await alice.call("add", 1, timeout=30.0) == calls
            await attack

            after, looked_at, lost, looks = before, 0, 0, 0
            while looked_at + lost < HOSTILE and looks < 200:
                # What was sent last may still wait in a socket's buffer.
                looks += 1
                after = await look(alice)
                looked_at = grown(before, after, *LOOKED_AT)
                lost = (after["kernel_drops"] or 0) + grown(before, after, Drop.INBOX_FULL)
            # Among what was lost unseen there may be datagrams of ours: then fewer of the hostile ones were lost.
            assert looked_at <= HOSTILE <= looked_at + lost
            for reason in LOOKED_AT:
                assert grown(before, after, reason) > 0, reason
            assert after["rss_bytes"] - before["rss_bytes"] < MEMORY_BYTES
            assert after["pid"] == before["pid"]
            assert after["health"] == "ok"

    with started(files) as running:
        asyncio.run(body())
        assert all(process.poll() is None for process in running.values())
