"""A whole group on free ports of 127.0.0.1: its folder on disk, and its replicas in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pbft.core.replica import Replica
from pbft.group_file import DATAGRAM_BYTES, GroupFile, write_group
from pbft.keys import Libsodium, PrivateKey
from pbft.lab.making import make_group
from pbft.loading import create_application, load_application
from pbft.node.assembly import open_driver
from pbft.node.driver import Driver

TALLY = f"{Path(__file__).with_name('tally.py')}:Tally"


def write_files(directory: Path, datagram_bytes: int = DATAGRAM_BYTES) -> GroupFile:
    """Make a group's folder as `pbft init` does, but with settings as for several hosts."""
    files = replace(make_group(directory, TALLY), datagram_bytes=datagram_bytes, lab=False)
    files.path.unlink()
    write_group(files)
    return files


def make_replica(files: GroupFile, i: int) -> Replica:
    """A replica's core, as its process makes it."""
    machine = create_application(load_application(files.application), {})
    key = PrivateKey.load(files.replica_key(i))
    return Replica(i, files.group, machine, key, Libsodium(), files.settings)


@dataclass
class RunningGroup:
    files: GroupFile
    drivers: dict[int, Driver] = field(default_factory=dict)
    tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def start(self, i: int) -> Driver:
        key = PrivateKey.load(self.files.replica_key(i))
        driver = await open_driver(self.files, make_replica(self.files, i), key)
        self.drivers[i] = driver
        self.tasks[i] = asyncio.create_task(driver.run())
        return driver

    async def stop(self, i: int) -> None:
        driver = self.drivers.pop(i)
        driver.stop()
        await self.tasks.pop(i)
        await driver.close()

    def executed(self) -> list[int]:
        return [driver.replica.status().executed for driver in self.drivers.values()]

    def digests(self) -> dict[bytes, None]:
        return dict.fromkeys(driver.replica.state_digest() for driver in self.drivers.values())


@contextlib.asynccontextmanager
async def running(files: GroupFile, *replicas: int) -> AsyncIterator[RunningGroup]:
    """Run replicas of a group, all unless some are named; stop them all at the end, and raise what one raised."""
    group = RunningGroup(files)
    try:
        for i in replicas or range(files.group.n):
            await group.start(i)
        yield group
    finally:
        for i in list(group.drivers):
            await group.stop(i)


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that must happen; fail when it does not in a time no healthy machine needs."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 -- counters and queues of a socket have no event
            await asyncio.sleep(0.002)
