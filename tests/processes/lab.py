"""Groups of real processes of which some lie, clients that never stop asking, and what correct replicas come to.

Owns: how tests start such a group, put a liar in a replica's place, and judge how the group came through.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pbft.client import Client
from pbft.client.reply import Reply
from pbft.core.evidence import Finding, Misbehaviour
from pbft.core.group import Limits
from pbft.group_file import GroupFile, read_group, write_group
from pbft.keys import Libsodium
from pbft.lab.local import LocalGroup
from pbft.lab.making import make_group
from pbft.lab.ports import is_free
from pbft.lab.processes import Child
from tests.processes.shell import SECONDS, wait_until

COUNTER = "pbft_apps.counter:Counter"
SMALL_LOG = Limits(checkpoint_interval=8, log_size=16)
VIEW_TIMEOUT_MS = 500
PATIENT_MS = 3_000
"""A view timeout that no correct primary reaches on a busy machine, for groups that need no view change."""
ANSWER_SECONDS = 20.0
"""Within what every call is answered: several view changes in a row, on a machine that does much else."""

Told = TypeVar("Told")


class Lab:
    """A group that runs, with liars in some places."""

    def __init__(self, group: LocalGroup) -> None:
        self.files = group.files
        self.children = group.children
        self.liars = dict(group.liars)

    @property
    def correct(self) -> list[int]:
        """The replicas that do not lie."""
        return [replica for replica in range(self.files.group.n) if replica not in self.liars]

    def kill(self, replica: int) -> None:
        """End a replica as a power cut does."""
        child = self.children[replica]
        child.send(signal.SIGKILL)
        wait_until(lambda: child.exit_code is not None)
        child.let_go()

    def start(self, replica: int, misbehaviour: str | None = None) -> Child:
        """Start a replica again, or a liar in its place."""
        self.children[replica] = Child(self.files, replica, misbehaviour)
        self.liars.pop(replica, None)
        if misbehaviour is not None:
            self.liars[replica] = misbehaviour
        return self.children[replica]

    def all_live(self) -> bool:
        """Say whether no process has ended, correct or not."""
        return all(child.exit_code is None for child in self.children)

    def evidence(self) -> list[Finding]:
        """Return what the correct replicas can prove, every file of it checked as `pbft evidence verify` does."""
        paths = [path for each in self.correct for path in sorted(self.files.evidence(each).glob("*.cbor"))]
        return [Misbehaviour.from_bytes(path.read_bytes()).verify(self.files.group, Libsodium()) for path in paths]


@contextlib.contextmanager
def lab(
    directory: Path,
    liars: Mapping[int, str] | None = None,
    n: int = 4,
    view_timeout_ms: int = VIEW_TIMEOUT_MS,
    application: str = COUNTER,
) -> Iterator[Lab]:
    """Make and start a group in a new folder, and end whatever of it still runs."""
    made = make_group(directory, application, n, limits=SMALL_LOG)
    made.path.unlink()
    write_group(replace(made, settings=replace(made.settings, view_timeout_ms=view_timeout_ms)))
    with LocalGroup(read_group(made.directory), lambda: False, lambda: True, liars) as group:
        group.start("alice", note=False)
        yield Lab(group)


@dataclass
class Work:
    """What clients that add 1 again and again were answered."""

    weak: int
    replies: list[Reply] = field(default_factory=list)
    programs: list[asyncio.Task[None]] = field(default_factory=list)
    stopped: bool = False

    async def more(self, count: int) -> None:
        """Wait until so many more calls are answered; raise what a call raised."""
        target = len(self.replies) + count
        while len(self.replies) < target:
            for ended in [program for program in self.programs if program.done()]:
                ended.result()
            await asyncio.sleep(0.01)

    async def call(self, client: Client) -> None:
        """Add 1 until the work is stopped, and see each call through to its answer."""
        while not self.stopped:
            self.replies.append(await client.ask("add", 1, timeout=ANSWER_SECONDS))
            # A moment to think, so that the group is not busy with these two alone.
            await asyncio.sleep(0.005)

    def check(self) -> None:
        """Check that each addition counted once, and that f+1 replicas stood behind each answer."""
        assert sorted(reply.value for reply in self.replies) == list(range(1, len(self.replies) + 1))
        assert {reply.needed for reply in self.replies} == {self.weak}
        assert all(len(reply.matching) >= self.weak for reply in self.replies)


@contextlib.asynccontextmanager
async def working(files: GroupFile, names: Sequence[str] = ("alice", "bob")) -> AsyncIterator[Work]:
    """Let a program of each client work; at the end every call has been answered, and rightly."""
    work = Work(files.group.quorums.weak)
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client.open(files.directory, name)) for name in names]
        work.programs = [asyncio.create_task(work.call(client)) for client in clients]
        try:
            yield work
        finally:
            work.stopped = True
            await asyncio.gather(*work.programs)
    work.check()


def run(story: Coroutine[Any, Any, Told]) -> Told:
    """Run a test's story to its end, which must come in a time that no healthy machine needs."""

    async def timed() -> Told:
        async with asyncio.timeout(2 * SECONDS):
            return await story

    return asyncio.run(timed())


async def reports(client: Client, *replicas: int) -> list[dict[str, Any]]:
    """Return what some replicas report, all of them answering."""
    for _ in range(SECONDS):
        told = await client.inspect(*replicas, timeout=1.0)
        if all(report is not None for report in told.values()):
            return [report for report in told.values() if report is not None]
    raise AssertionError(f"not all of {replicas} answer")


async def listening(files: GroupFile, child: Child) -> None:
    """Wait until a process that was started just now hears clients; a liar need not answer."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert child.exit_code is None, child.last_words()
        if not is_free(files.client_addresses[child.replica]):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"replica {child.replica} does not listen")


async def level(client: Client, *replicas: int) -> list[dict[str, Any]]:
    """Wait until some replicas have executed equally much; return their reports, whose states are one."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        told = await reports(client, *replicas)
        if len({each["executed"] for each in told}) == 1:
            assert len({each["state_digest"] for each in told}) == 1, told
            return told
        await asyncio.sleep(0.05)
    raise AssertionError(f"replicas {replicas} do not come equally far")
