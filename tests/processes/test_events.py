"""The event streams of a group of real replicas: what a call, a crash and readers of every kind look like."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pbft.client import Client, connect
from pbft.group_file import GroupFile, read_group
from pbft.lab.listening import listen
from pbft.net.local_sockets import MAX_PATH_BYTES, socket_path
from pbft.node.stream import SOCKET_NAME
from tests.node.processes import start_replica
from tests.processes.shell import SECONDS, Shell, shell_in, wait_until

pytestmark = pytest.mark.processes

COUNTER = "pbft_apps.counter:Counter"

Event = dict[str, Any]


class Group:
    """Replicas started one by one, so that a test can end and start each."""

    def __init__(self, files: GroupFile) -> None:
        self.files = files
        self.processes: dict[int, subprocess.Popen[str]] = {}

    def start(self, *replicas: int) -> None:
        for replica in replicas:
            self.processes[replica] = start_replica(self.files.directory, replica)

    def kill(self, replica: int) -> None:
        process = self.processes.pop(replica)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=SECONDS)

    def path(self, replica: int) -> str:
        return socket_path(self.files.data(replica), SOCKET_NAME)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with shell_in(tmp_path) as shell:
        yield shell


@contextlib.contextmanager
def running(shell: Shell, name: str = "g") -> Iterator[Group]:
    """Run a group of four, and end what is left of it."""
    shell.do("init", name, "--app", COUNTER)
    group = Group(read_group(shell.directory / name))
    try:
        group.start(*range(4))
        wait_until(lambda: all(is_there(group.path(replica)) for replica in range(4)))
        yield group
    finally:
        for process in group.processes.values():
            process.terminate()
        for process in group.processes.values():
            process.communicate(timeout=SECONDS)


def is_there(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as trying:
        try:
            trying.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True


async def hear(events: AsyncGenerator[Event, None], enough: Callable[[list[Event]], bool]) -> list[Event]:
    """Return events until there are enough of them."""
    heard: list[Event] = []
    async with asyncio.timeout(SECONDS):
        while not enough(heard):
            heard.append(await anext(events))
    return heard


def flows_of(heard: list[Event], sequence: int) -> dict[int, Event]:
    """Return each replica's latest word on a sequence."""
    return {each["replica"]: each for each in heard if each["event"] == "flow" and each["sequence"] == sequence}


def test_one_call_is_seen_by_all_four_with_every_vote_and_its_times_in_order(shell: Shell):
    """Who proposed, who voted and when: times of four processes compare, for they are of one clock."""

    async def story(files: GroupFile) -> None:
        async with contextlib.aclosing(listen(files)) as events, Client.open(files.directory, "alice") as client:
            await hear(events, lambda heard: len({each.get("replica") for each in heard}) == 4)
            await client.call("add", 5)
            heard = await hear(
                events,
                lambda heard: (
                    len(done := flows_of(heard, 1)) == 4
                    and all(len(each["commits"]) == 4 and each["executed_us"] for each in done.values())
                ),
            )
        flows = flows_of(heard, 1)
        primary = flows[0]
        assert primary["request_us"] <= primary["pre_prepare_us"]
        for flow in flows.values():
            assert flow["digest"] == primary["digest"]
            assert flow["requests"] == [{"client": "alice", "timestamp": 1, "operations": 1}]
            assert (sorted(flow["prepares"]), sorted(flow["commits"])) == (["1", "2", "3"], ["0", "1", "2", "3"])
            phases = [flow[f"{phase}_us"] for phase in ("pre_prepare", "prepared", "committed", "executed")]
            assert phases == sorted(phases)
            assert primary["pre_prepare_us"] <= flow["pre_prepare_us"]
            # A vote comes after the proposal that it is for was made, wherever it is seen.
            assert primary["pre_prepare_us"] < min(*flow["prepares"].values(), *flow["commits"].values())
            assert flow["differing"] == []

    with running(shell) as group:
        asyncio.run(story(group.files))


def test_a_killed_replica_is_gone_and_comes_back_over_the_socket_it_left(shell: Shell):
    """SIGKILL leaves the socket lying; the next start takes its place, and listeners find it again."""

    async def story(group: Group) -> None:
        async with contextlib.aclosing(listen(group.files)) as events:
            await hear(events, lambda heard: len({each.get("replica") for each in heard}) == 4)
            group.kill(2)
            assert os.path.lexists(group.path(2))  # noqa: ASYNC240 -- a look at one file
            await hear(events, lambda heard: [each["event"] for each in heard if each["replica"] == 2][-1:] == ["gone"])
            group.start(2)
            back = await hear(
                events, lambda heard: [each["event"] for each in heard if each["replica"] == 2][-1:] == ["counters"]
            )
            hello = next(each for each in back if each["replica"] == 2)
            assert (hello["event"], hello["pid"]) == ("hello", group.processes[2].pid)

    with running(shell) as group:
        asyncio.run(story(group))


def test_a_reader_that_never_reads_is_dropped_and_told_so_while_the_group_serves_on(shell: Shell):
    """Nobody else notices: calls are answered, and the other reader hears that one was dropped."""

    async def story(group: Group, sleeper: socket.socket) -> None:
        async with contextlib.aclosing(listen(group.files, [0])) as events:
            await hear(events, lambda heard: any(each.get("what") == "reader dropped" for each in heard))

        def read_all() -> bytes:
            sleeper.settimeout(SECONDS)
            return b"".join(iter(lambda: sleeper.recv(65_536), b""))

        lines = (await asyncio.to_thread(read_all)).splitlines()
        assert json.loads(lines[0])["event"] == "hello"
        assert json.loads(lines[-1])["event"] == "dropped"
        assert len(b"".join(lines)) < 256 * 1024

    with running(shell) as group, socket.socket(socket.AF_UNIX) as sleeper:
        sleeper.connect(group.path(0))
        with connect(group.files.directory, key="alice", timeout=30.0) as counter:
            assert counter.call("add", 1) == 1
            asyncio.run(story(group, sleeper))
            assert counter.call("add", 1) == 2


def test_a_liar_says_that_it_lies_and_the_others_show_where(shell: Shell):
    """A lab's liar bears its misbehaviour in its greeting; those it lies to see whose vote differs."""

    async def story(files: GroupFile) -> None:
        async with contextlib.aclosing(listen(files)) as events, Client.open(files.directory, "alice") as client:
            heard = await hear(events, lambda heard: len({each.get("replica") for each in heard}) == 4)
            lies = {each["replica"]: each["lies"] for each in heard if each["event"] == "hello"}
            assert lies == {0: None, 1: None, 2: None, 3: "Equivocator"}
            await client.call("add", 1)
            told = await hear(events, lambda heard: any(each.get("differing") for each in heard))
            assert (told[-1]["replica"] in (0, 1, 2), told[-1]["differing"]) == (True, [3])

    with running(shell) as group:
        group.kill(3)
        with shell.start("liar", "g", "3", "Equivocator") as liar:
            wait_until(lambda: is_there(group.path(3)))
            asyncio.run(story(group.files))
            liar.terminate()


def test_a_folder_whose_path_is_too_long_for_a_socket_publishes_too(shell: Shell):
    """Where the system has no room for the path, the socket lies elsewhere, and readers find it."""
    name = "-".join(["long"] * 30)
    with running(shell, name) as group:
        assert len(os.fsencode(group.files.data(0) / SOCKET_NAME)) > MAX_PATH_BYTES
        out = shell.do("events", name, "--json", "--count", "4", "--replica", "1")
        assert {json.loads(line)["replica"] for line in out.splitlines()} == {1}
    assert not any(os.path.lexists(group.path(replica)) for replica in range(4))


def test_the_command_prints_lines_for_people_and_for_programs(shell: Shell):
    """As many as asked for; when nobody publishes, it says so and ends with 3; no such replica is a sentence."""
    with running(shell):
        events = [json.loads(line) for line in shell.do("events", "g", "--json", "--count", "12").splitlines()]
        assert len(events) == 12
        assert {"hello", "counters"} <= {each["event"] for each in events}
        with shell.start("events", "g", "--replica", "0") as reading:
            assert reading.stdout is not None
            assert "hello      Counter in process" in reading.stdout.readline()
            assert "primary in view 0, executed 0, stable 0: ok" in reading.stdout.readline()
            shell.do("call", "add", "1", "--group", "g")
            assert "sequence 1 in view 0, alice's request 1; prepared" in reading.stdout.readline()
            reading.send_signal(signal.SIGINT)
            assert reading.wait(timeout=SECONDS) == 130

        ran = shell.run("events", "g", "--replica", "4")
        assert (ran.returncode, "there is no replica 4; the group's replicas are 0 to 3" in ran.stderr) == (2, True)
    ran = shell.run("events", "g", "--timeout", "0.3")
    assert (ran.returncode, ran.stdout, "the time is over and nothing came" in ran.stderr) == (3, "", True)
