"""The event stream of one replica: what its readers get, and that none of them costs the replica more than it may."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pbft.client import Client
from pbft.group_file import GroupFile
from pbft.net.local_sockets import socket_path
from pbft.node import stream as module
from pbft.node.event_log import EventLog
from pbft.node.report import StateDigest
from pbft.node.stream import MAX_READERS, SOCKET_NAME, EventStream, open_stream
from tests.node.groups import RunningGroup, running, until, write_files


class Reader:
    """Somebody who reads a stream, line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, files: GroupFile, replica: int) -> Reader:
        return cls(*await asyncio.open_unix_connection(socket_path(files.data(replica), SOCKET_NAME)))

    async def next(self, *kinds: str) -> dict[str, Any]:
        """Return the next event, of some kinds if they are named."""
        async with asyncio.timeout(20):
            while True:
                line = await self._reader.readline()
                assert line.endswith(b"\n"), "the stream ended"
                event: dict[str, Any] = json.loads(line)
                if not kinds or event["event"] in kinds:
                    return event

    async def rest(self) -> list[dict[str, Any]]:
        """Return what comes until the stream ends."""
        async with asyncio.timeout(20):
            return [json.loads(line) for line in (await self._reader.read()).splitlines()]

    async def leave(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Published:
    """A group in this process of which some replicas publish."""

    def __init__(self, group: RunningGroup) -> None:
        self.group = group
        self.files = group.files
        self.streams: dict[int, EventStream] = {}
        self.logs: dict[int, EventLog] = {}
        self._readers: list[Reader] = []

    async def read(self, replica: int) -> Reader:
        self._readers.append(await Reader.connect(self.files, replica))
        return self._readers[-1]

    async def publish(self, replica: int, lies: str | None = None) -> EventStream:
        folder = self.files.data(replica)
        folder.mkdir(parents=True, exist_ok=True)
        self.logs[replica] = EventLog(folder / "log.jsonl")
        self.streams[replica] = await open_stream(self.group.drivers[replica], self.files, self.logs[replica], lies)
        return self.streams[replica]

    async def close(self) -> None:
        for reader in self._readers:
            await reader.leave()
        for replica, stream in self.streams.items():
            await stream.close()
            self.logs[replica].close()


@contextlib.asynccontextmanager
async def published(directory: Path, *replicas: int) -> AsyncIterator[Published]:
    async with running(write_files(directory / "group")) as group:
        publishing = Published(group)
        try:
            for replica in replicas:
                await publishing.publish(replica)
            yield publishing
        finally:
            await publishing.close()


def test_a_reader_learns_who_speaks_and_how_it_is(tmp_path: Path):
    """A greeting, a report at once, and more of them; every line says who and when."""

    async def body() -> None:
        async with published(tmp_path, 2) as group:
            reader = await group.read(2)
            hello, first, second = [await reader.next() for _ in range(3)]
            described = group.files.group
            assert {name: hello[name] for name in hello if name not in ("us", "pid")} == {
                "event": "hello",
                "replica": 2,
                "format": 1,
                "group": described.id.hex(),
                "application": "Tally",
                "n": 4,
                "faults": 1,
                "quorum": 3,
                "weak": 2,
                "lies": None,
            }
            assert hello["pid"] == os.getpid()
            assert [each["event"] for each in (first, second)] == ["counters", "counters"]
            assert hello["us"] <= first["us"] < second["us"]
            report = second["report"]
            assert (report["id"], report["operations"], report["digest_sequence"]) == (2, 0, 0)
            assert report["situation"]["view_change"] is None

    asyncio.run(body())


def test_a_call_is_seen_going_through_the_phases_and_counted(tmp_path: Path):
    """All votes of all members, the primary's request among the times, and what was executed in the report."""

    async def body() -> None:
        async with published(tmp_path, 0, 3) as group, Client.open(group.files.directory, "alice") as client:
            readers = [await group.read(replica) for replica in (0, 3)]
            for reader in readers:
                await reader.next("counters")
            await asyncio.gather(client.call("add", 1), client.call("add", 2))
            for reader, hears in zip(readers, (True, False), strict=True):
                flow = await reader.next("flow")
                while len(flow["commits"]) < 4 or flow["executed_us"] is None:
                    flow = await reader.next("flow")
                assert flow["requests"] == [{"client": "alice", "timestamp": 1, "operations": 2}]
                assert (sorted(flow["prepares"]), sorted(flow["commits"])) == (["1", "2", "3"], ["0", "1", "2", "3"])
                assert flow["pre_prepare_us"] <= flow["prepared_us"] <= flow["committed_us"] <= flow["executed_us"]
                assert (flow["request_us"] is not None) == hears
                report = (await reader.next("counters"))["report"]
                assert (report["executed"], report["operations"], report["digest_sequence"]) == (1, 2, 1)

    asyncio.run(body())


def test_lines_of_the_log_are_incidents(tmp_path: Path):
    """Each with its level and fields; an error with its words; one of endless length without them."""

    async def body() -> None:
        async with published(tmp_path, 1) as group:
            reader, log = await group.read(1), group.logs[1]
            await reader.next("counters")
            log.note("view left", cause="stalled", left=0)
            log.warn("evidence", culprit=2, odd=b"\x00")
            log.fail("failed", ValueError("broken"), executed=7)
            log.note("endless", words="x" * 100_000)
            incidents = [await reader.next("incident") for _ in range(4)]
            assert [(each["level"], each["what"], each["fields"]) for each in incidents] == [
                ("info", "view left", {"cause": "stalled", "left": 0}),
                ("warning", "evidence", {"culprit": 2, "odd": "b'\\x00'"}),
                ("error", "failed", {"error": "ValueError", "text": "broken", "executed": 7}),
                ("info", "endless", {"too_long": incidents[3]["fields"]["too_long"]}),
            ]

    asyncio.run(body())


def test_while_nobody_reads_nothing_is_computed(tmp_path: Path):
    """No tap, no watcher, no listener and no timer, before the first reader and after the last one."""

    async def body() -> None:
        async with published(tmp_path, 0) as group:
            driver, log, stream = group.group.drivers[0], group.logs[0], group.streams[0]

            def hands() -> tuple[int, int, int, bool]:
                return len(driver.taps), len(driver.watchers), len(log.listeners), stream._timer is not None

            assert hands() == (0, 0, 0, False)
            readers = [await group.read(0) for _ in range(2)]
            for reader in readers:
                await reader.next("counters")
            assert hands() == (1, 1, 1, True)
            for reader in readers:
                await reader.leave()
            await until(lambda: stream.readers == 0)
            assert hands() == (0, 0, 0, False)

    asyncio.run(body())


def test_a_reader_that_does_not_keep_up_is_told_so_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The group serves on, who reads loses nothing, and the last line to the other says why."""
    monkeypatch.setattr(module, "_UNREAD_BYTES", 4_096)
    monkeypatch.setattr(module, "_GRACE_SECONDS", 60.0)

    async def body() -> None:
        async with published(tmp_path, 0) as group, Client.open(group.files.directory, "alice") as client:
            with socket.socket(socket.AF_UNIX) as sleeper:
                sleeper.setblocking(False)
                await asyncio.get_running_loop().sock_connect(sleeper, socket_path(group.files.data(0), SOCKET_NAME))
                reader = await group.read(0)
                await until(lambda: group.streams[0].readers == 2)
                told, incidents = 0, []
                while group.streams[0].readers == 2:
                    group.logs[0].note("again", number=told, words="x" * 500)
                    told += 1
                    incidents.append(await reader.next("incident"))
                assert [each["fields"]["number"] for each in incidents] == list(range(told))
                assert (await reader.next("incident"))["what"] == "reader dropped"
                assert await client.call("add", 1) == 1

                awake = Reader(*await asyncio.open_unix_connection(sock=sleeper.dup()))
                heard = await awake.rest()
                assert [each["event"] for each in heard[:2]] == ["hello", "counters"]
                assert heard[-1]["event"] == "dropped"
                assert "unread" in heard[-1]["why"]
                await awake.leave()

    asyncio.run(body())


def test_a_reader_that_never_reads_does_not_hold_its_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A moment after it was dropped nothing is kept for it any more."""
    monkeypatch.setattr(module, "_UNREAD_BYTES", 4_096)
    monkeypatch.setattr(module, "_GRACE_SECONDS", 0.05)

    async def body() -> None:
        async with published(tmp_path, 0) as group:
            with socket.socket(socket.AF_UNIX) as sleeper:
                sleeper.connect(socket_path(group.files.data(0), SOCKET_NAME))
                await until(lambda: group.streams[0].readers == 1)
                while group.streams[0].readers:
                    group.logs[0].note("again", words="x" * 500)
                    await asyncio.sleep(0)
                await until(lambda: not group.streams[0]._connections)

    asyncio.run(body())


def test_what_readers_say_is_thrown_away_and_too_much_of_it_ends_the_connection(tmp_path: Path):
    """A few bytes, or the end of what it has to say, do no harm."""

    async def body() -> None:
        async with published(tmp_path, 0) as group:
            quiet, chatty = [await group.read(0) for _ in range(2)]
            quiet.writer.write(b"GET / HTTP/1.1\r\n\r\n")
            quiet.writer.write_eof()
            chatty.writer.write(b"x" * 5_000)
            heard = await chatty.rest()
            assert (heard[-1]["event"], "for reading" in heard[-1]["why"]) == ("dropped", True)
            for _ in range(3):
                await quiet.next("counters")

    asyncio.run(body())


def test_so_many_readers_and_no_more(tmp_path: Path):
    """One too many is told so; when one has left, there is room again."""

    async def body() -> None:
        async with published(tmp_path, 0) as group:
            readers = [await group.read(0) for _ in range(MAX_READERS)]
            for reader in readers:
                assert (await reader.next())["event"] == "hello"
            surplus = await group.read(0)
            (only,) = await surplus.rest()
            assert (only["event"], only["why"][:9]) == ("dropped", "16 others")
            await surplus.leave()
            await readers.pop().leave()
            await until(lambda: group.streams[0].readers == MAX_READERS - 1)
            late = await group.read(0)
            assert (await late.next())["event"] == "hello"

    asyncio.run(body())


def test_only_its_owner_can_connect_and_nothing_is_left_behind(tmp_path: Path):
    """The socket is its owner's alone; closing ends readers' streams without a word, and takes it away."""

    async def body() -> None:
        async with published(tmp_path, 0) as group:
            path = socket_path(group.files.data(0), SOCKET_NAME)
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            reader = await group.read(0)
            await reader.next("counters")
            group.logs[0].note("stopped", executed=0)
            await group.streams[0].close()
            assert [each["what"] for each in await reader.rest() if each["event"] == "incident"] == ["stopped"]
            with pytest.raises(FileNotFoundError):
                os.stat(path)

    asyncio.run(body())


def test_a_socket_left_behind_is_replaced_and_anything_else_is_not(tmp_path: Path):
    """After a crash the path is taken over; where a file lies, the replica runs without a stream, as its log says."""

    async def body() -> None:
        async with published(tmp_path) as group:
            folder = group.files.data(0)
            folder.mkdir(parents=True)
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(socket_path(folder, SOCKET_NAME))
            await group.publish(0, lies="Equivocator")
            reader = await group.read(0)
            assert (await reader.next())["lies"] == "Equivocator"

            os.makedirs(socket_path(group.files.data(1), SOCKET_NAME))
            await group.publish(1)
            assert os.listdir(socket_path(group.files.data(1), SOCKET_NAME)) == []

    asyncio.run(body())
    (line,) = (tmp_path / "group" / "data" / "replica-1" / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["event"] == "no event stream"


def test_an_application_that_cannot_tell_its_state_ends_the_stream_and_not_the_replica(tmp_path: Path):
    """Its readers are told; the group goes on."""

    async def body() -> None:
        async with published(tmp_path, 0) as group, Client.open(group.files.directory, "alice") as client:
            driver = group.group.drivers[0]

            def broken() -> bytes:
                raise ZeroDivisionError("no digest today")

            driver._digest = StateDigest(broken, lambda: 0)
            reader = await group.read(0)
            heard = await reader.rest()
            assert [each["event"] for each in heard] == ["hello", "dropped"]
            assert await client.call("add", 1) == 1
            assert (len(driver.taps), len(driver.watchers)) == (0, 0)
            with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
                await group.read(0)

    asyncio.run(body())


def test_a_costly_digest_is_computed_seldom():
    """At most 1 % of the time goes to it where nobody insists; it says after which sequence it was computed."""
    us, computed = 0, []

    def compute() -> bytes:
        nonlocal us
        us += 50_000
        computed.append(us)
        return len(computed).to_bytes(32, "big")

    digest = StateDigest(compute, lambda: us)
    assert digest.lately(5) == (5, bytes(31) + b"\x01")
    for executed in range(6, 25):
        us += 250_000
        assert digest.lately(executed) == (5, bytes(31) + b"\x01")
    us += 250_000
    assert digest.lately(25)[0] == 25
    assert digest.after(26)[0] == 26
    assert digest.after(26) == (26, bytes(31) + b"\x03")
    digest.forget()
    assert digest.after(26) == (26, bytes(31) + b"\x04")
