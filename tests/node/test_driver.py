"""Four drivers in one process, over real sockets: what they serve, count and refuse."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from pathlib import Path

import pytest

from pbft.client import Client
from pbft.core.effects import Persist, Reason, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Challenge, Hello, Inspect, Prepare, PrePrepare, Request, pack, unpack
from pbft.group_file import Address
from pbft.keys import PrivateKey
from pbft.net.drops import Drop
from pbft.net.link import Link, Purpose
from pbft.net.mailbox import Mailbox, answer_limits, open_mailbox
from pbft.net.metrics import Metrics
from pbft.net.names import follow_names
from pbft.net.transport import SocketAddress, UdpSocket
from pbft.node.assembly import StartError, open_driver
from pbft.node.report import Shares
from tests.node.groups import RunningGroup, make_replica, running, until, write_files

SESSION = bytes(16)


class Stranger:
    """A client's mailbox driven by hand, for what no correct client sends."""

    def __init__(self, group: RunningGroup, mailbox: Mailbox, key: PrivateKey) -> None:
        self.mailbox = mailbox
        self.client = key.public_key
        self._address = group.drivers[0]._clients.socket.address

    @classmethod
    async def open(cls, group: RunningGroup, name: str = "alice") -> Stranger:
        key = PrivateKey.load(group.files.client_key(name))
        sock = await UdpSocket.open(("127.0.0.1", 0), lambda: None)
        limits = answer_limits(group.files.group.limits)
        return cls(
            group, open_mailbox(group.files, key.public_key, Purpose.CLIENTS, key, sock, limits, Metrics(0)), key
        )

    async def say(self, message: bytes) -> None:
        await self.mailbox.send(0, message, self._address, 0)

    async def heard(self, count: int) -> list[Envelope]:
        envelopes: list[Envelope] = []
        async with asyncio.timeout(20):
            while len(envelopes) < count:
                self.mailbox.collect(0)
                while (letter := self.mailbox.take()) is not None:
                    envelopes.append(Envelope.from_bytes(letter.message))
                await asyncio.sleep(0.002)
        return envelopes


def test_a_group_over_real_sockets_executes_in_one_order(tmp_path: Path):
    """Calls of two clients at once execute alike on all four replicas, and nothing but surplus is ignored."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        async with (
            running(files) as group,
            Client.open(files.directory, "alice") as alice,
            Client.open(files.directory, "bob") as bob,
        ):
            totals = await asyncio.gather(*(client.call("add", 1) for client in (alice, bob) for _ in range(50)))
            assert sorted(totals) == list(range(1, 101))
            assert list(await asyncio.gather(alice.call("whoami"), bob.call("whoami"))) == ["alice", "bob"]
            await until(lambda: len(dict.fromkeys(group.executed())) == 1)
            assert len(group.digests()) == 1
            for driver in group.drivers.values():
                assert set(driver.metrics.ignored) <= {Reason.SURPLUS.value, Reason.DUPLICATE.value}

    asyncio.run(body())


@pytest.mark.parametrize("datagram_bytes", [1_200, 60_000])
def test_operations_of_many_datagrams_pass_with_small_and_large_ones(tmp_path: Path, datagram_bytes: int):
    """The largest operation crosses as fragments, is ordered and answered, and not one fragment goes astray."""

    async def body() -> None:
        files = write_files(tmp_path / "group", datagram_bytes=datagram_bytes)
        note = "x" * (files.group.limits.operation_bytes - 64)
        async with running(files) as group, Client.open(files.directory, "alice") as client:
            assert await client.call("write", note) == len(note)
            assert await client.call("read") == note
            await until(lambda: group.executed() == [2] * 4)
            for driver in group.drivers.values():
                assert Drop.INCOMPLETE.value not in driver.metrics.ignored

    asyncio.run(body())


def test_a_dead_backup_disturbs_nobody_and_a_late_one_catches_up(tmp_path: Path):
    """Three of four go on while one is gone; started late, it repairs what it missed (design 4.9)."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        async with running(files, 0, 1, 2) as group, Client.open(files.directory, "alice") as client:
            for number in range(1, 21):
                assert await client.call("add", 1) == number
            late = await group.start(3)
            await until(lambda: late.replica.status().executed == 20)
            assert len(group.digests()) == 1
            assert await client.call("add", 1) == 21

    asyncio.run(body())


def test_a_replica_that_restarts_greets_its_clients_anew(tmp_path: Path):
    """It forgot their addresses, challenges them, and answers again; the session goes on as if nothing had happened."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        async with running(files) as group, Client.open(files.directory, "alice") as client:
            await client.call("add", 1)
            await client.inspect()
            await group.stop(3)
            await group.start(3)
            reports = await client.inspect(3, timeout=20.0)
            assert reports[3] is not None
            assert reports[3]["ignored"][Drop.UNPROVEN_ADDRESS.value] == 1

    asyncio.run(body())


def test_an_unproven_address_hears_a_challenge_and_nothing_else(tmp_path: Path):
    """Requests, questions and greetings from nowhere get at most as many bytes as they brought (K5)."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        async with running(files, 0) as group:
            stranger = await Stranger.open(group)
            said = [
                Envelope(Kind.HELLO, stranger.client, pack(Hello(SESSION, b"", b""))),
                Envelope(Kind.HELLO, stranger.client, pack(Hello(SESSION, bytes(16), b""))),
                Envelope(Kind.INSPECT, stranger.client, pack(Inspect(SESSION, 1))),
            ]
            for envelope in said:
                await stranger.say(envelope.to_bytes())
            answers = await stranger.heard(3)

            assert [answer.kind for answer in answers] == [Kind.CHALLENGE] * 3
            assert all(
                len(answer.to_bytes()) <= len(envelope.to_bytes())
                for answer, envelope in zip(answers, said, strict=True)
            )
            sock = stranger.mailbox.socket
            assert sock.arrived_bytes <= sock.sent_bytes
            ignored = group.drivers[0].metrics.ignored
            assert ignored == {Drop.BAD_COOKIE.value: 1, Drop.UNPROVEN_ADDRESS.value: 1}
            await sock.close()

    asyncio.run(body())


def test_what_authenticated_clients_say_wrongly_is_counted_once_each(tmp_path: Path):
    """Behind a genuine tag there may still be anything: each message has one reason, and the loop goes on."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        async with running(files, 0) as group:
            stranger = await Stranger.open(group)
            driver = group.drivers[0]
            bob = next(key for key, each in files.group.clients.items() if each.name == "bob")
            for message in (
                b"no envelope",
                Envelope(Kind.HELLO, stranger.client, b"\x80").to_bytes(),
                Envelope(Kind.PREPARE, 1, pack(Prepare(0, 1, bytes(32))), bytes(64)).to_bytes(),
                b"x" * (3 * files.group.limits.request_bytes),
            ):
                await stranger.say(message)
            for ms in range(100):
                await stranger.mailbox.flush(ms)
            size = -(-3 * files.group.limits.request_bytes // (1_200 - 58))
            await until(lambda: driver.metrics.ignored[Drop.OVERSIZE.value] == size)
            assert driver.metrics.ignored == {
                Reason.MALFORMED.value: 2,
                Reason.WRONG_SENDER.value: 1,
                Drop.OVERSIZE.value: size,
            }
            borrowed = Envelope(Kind.HELLO, bob, pack(Hello(SESSION, b"", b"")))
            await stranger.say(borrowed.to_bytes())
            await stranger.heard(1)
            await stranger.mailbox.socket.close()

    asyncio.run(body())


def test_no_bytes_behind_a_genuine_tag_end_the_loop(tmp_path: Path):
    """Mutated messages of an authenticated client: none escapes as an exception, and the replica still answers (W2)."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        async with running(files) as group, Client.open(files.directory, "bob") as bob:
            await bob.call("add", 1)
            stranger, chance = await Stranger.open(group), random.Random(5)
            hello = Envelope(Kind.HELLO, stranger.client, pack(Hello(SESSION, b"", bytes(64))))
            await stranger.say(hello.to_bytes())
            (challenge,) = await stranger.heard(1)
            proof = pack(Hello(SESSION, unpack(Challenge, challenge.body).cookie, b""))
            await stranger.say(Envelope(Kind.HELLO, stranger.client, proof).to_bytes())
            await stranger.heard(1)

            request = pack(Request(stranger.client, SESSION, 1, (b"op",) * 5))
            samples = [
                Envelope(Kind.REQUEST, stranger.client, request, bytes(64)).to_bytes(),
                Envelope(Kind.INSPECT, stranger.client, pack(Inspect(SESSION, 1))).to_bytes(),
                Envelope(Kind.PRE_PREPARE, 0, pack(PrePrepare(0, 1, bytes(32))), bytes(64), request).to_bytes(),
                hello.to_bytes(),
            ]
            for number in range(2_000):
                mutated = bytearray(chance.choice(samples))
                for _ in range(chance.randrange(1, 4)):
                    place = chance.randrange(len(mutated))
                    kind = chance.randrange(3)
                    if kind == 0:
                        mutated[place] = chance.randrange(256)
                    elif kind == 1:
                        del mutated[place : place + chance.randrange(1, 9)]
                    else:
                        mutated[place:place] = chance.randbytes(chance.randrange(1, 9))
                    mutated = mutated or bytearray(b"x")
                await stranger.say(bytes(mutated))
                if number % 100 == 99:
                    assert await bob.call("add", 1) == 2 + number // 100
            ignored = group.drivers[0].metrics.ignored
            assert ignored[Reason.MALFORMED.value] > 500
            assert max(group.executed()) == 21
            await stranger.mailbox.socket.close()

    asyncio.run(body())


def test_names_of_peers_are_looked_up_and_followed(tmp_path: Path):
    """A peer known by name has an address as soon as a name service knows one; numbers need no service."""

    async def body() -> None:
        wanted = (Address("localhost", 7), Address("127.0.0.1", 8), Address("no.such.name.invalid", 9))
        found: list[SocketAddress | None] = [None, ("127.0.0.1", 8), None]
        follower = asyncio.create_task(follow_names(wanted, found, socket.AF_INET, 0.01))
        await until(lambda: found[0] is not None)
        assert found == [("127.0.0.1", 7), ("127.0.0.1", 8), None]
        follower.cancel()
        await follow_names(wanted[1:2], found, socket.AF_INET)

    asyncio.run(body())


def test_a_report_says_where_the_replica_stands(tmp_path: Path):
    """Its numbers are the replica's own, its digest the state's, and its votes are not durable yet."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        async with running(files) as group, Client.open(files.directory, "alice") as client:
            await client.call("add", 7)
            await until(lambda: group.executed() == [1] * 4)
            reports = await client.inspect()
            for i, report in reports.items():
                assert report is not None
                replica = group.drivers[i].replica
                assert (report["id"], report["pid"], report["app"]) == (i, os.getpid(), "Tally")
                assert (report["view"], report["executed"]) == (0, 1)
                assert report["role"] == ("primary" if i == 0 else "backup")
                assert report["state_digest"] == replica.state_digest().hex()
                assert (report["health"], report["stable_checkpoint"], report["durable"]) == ("ok", 0, False)
                assert report["rss_bytes"] > 1_000_000
                assert report["receive_buffer_bytes"] >= 65_536
                assert report["datagrams_in"] > 0
                assert (report["in_flight"], report["waiting"], report["queued"]) == (0, 0, 0)
                assert (report["operations"], report["digest_sequence"]) == (1, 1)
                assert report["situation"]["blocked"] is None

    asyncio.run(body())


def test_taps_see_what_the_replica_takes_in_and_operations_are_counted(tmp_path: Path):
    """Each envelope handed over, with whom the link authenticated, and none that the node answers by itself."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        async with running(files) as group, Client.open(files.directory, "alice") as client:
            driver, seen = group.drivers[0], list[tuple[Kind, object]]()
            driver.taps.append(lambda envelope, sender, now: seen.append((envelope.kind, sender)))
            await client.call("add", 1)
            await client.call("add", 2)
            await client.inspect()
            await until(lambda: group.executed() == [2] * 4)
            alice = next(key for key, each in files.group.clients.items() if each.name == "alice")
            assert (Kind.REQUEST, alice) in seen
            assert {(Kind.PREPARE, 1), (Kind.COMMIT, 2)} <= set(seen)
            assert Kind.INSPECT not in [kind for kind, _ in seen]
            assert [each.operations for each in group.drivers.values()] == [2] * 4

    asyncio.run(body())


def test_votes_are_safe_before_anything_leaves(tmp_path: Path):
    """When the store fails, nothing that rests on the vote was sent, and the driver ends with the store's error."""

    class FullDisk:
        durable = True

        def persist(self, votes: object) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

    async def body() -> None:
        files = write_files(tmp_path / "group")
        async with running(files, 1, 2, 3) as group, Client.open(files.directory, "alice") as client:
            key = PrivateKey.load(files.replica_key(0))
            driver = await open_driver(files, make_replica(files, 0), key, FullDisk())
            seen: list[object] = []
            driver.watchers.append(lambda effect, now: seen.append(effect))
            call = asyncio.create_task(client.call("add", 1))
            with pytest.raises(OSError, match="No space"):
                await driver.run()
            assert not [each for each in seen if isinstance(each, Persist | Send)]
            assert max(group.executed()) == 0
            call.cancel()
            await driver.close()

    asyncio.run(body())


def test_two_replicas_on_one_port_is_a_sentence(tmp_path: Path):
    """The second one cannot start, and says which address is taken."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        async with running(files, 0) as group:
            with pytest.raises(
                StartError, match=r"replica 0 cannot listen on 127\.0\.0\.1:\d+: address already in use; stop"
            ):
                await group.start(0)

    asyncio.run(body())


def test_a_peer_with_a_link_of_its_own_cannot_speak_for_another(tmp_path: Path):
    """A replica's datagrams prove who it is; votes in another's name are judged by their signatures (R2)."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        async with running(files, 0) as group:
            key = PrivateKey.load(files.replica_key(3))
            link = Link(files.group, 3, Purpose.REPLICAS, key, b"8 bytes.", 1 << 20)
            sock = await UdpSocket.open(("127.0.0.1", 0), lambda: None)
            forged = Envelope(Kind.PREPARE, 1, pack(Prepare(0, 1, bytes(32))), bytes(64))
            target = group.drivers[0]._replicas.socket.address
            for datagram in link.seal(0, forged.to_bytes()):
                await sock.send(datagram, target)
            ignored = group.drivers[0].metrics.ignored
            await until(lambda: sum(ignored.values()) == 1)
            assert ignored == {Reason.BAD_SIGNATURE.value: 1}
            await sock.close()

    asyncio.run(body())


def test_each_client_has_its_share_of_reports():
    """A burst of twenty, then fifty a second, each client for itself."""
    shares = Shares(burst=20, per_second=50)

    assert sum(shares.take(b"a", 0) for _ in range(100)) == 20
    assert sum(shares.take(b"b", 0) for _ in range(5)) == 5
    assert sum(shares.take(b"a", ms) for ms in range(1, 1_001)) == 50
    assert sum(shares.take(b"a", 100_000) for _ in range(100)) == 20
