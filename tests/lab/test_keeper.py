"""A keeper's socket: whatever comes in, it answers in one line and goes on; and what it makes of its seats."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pbft.group_file import GroupFile, write_group
from pbft.lab.answering import MAX_CONNECTIONS, MAX_QUESTION_BYTES, MAX_WAITING_EVENTS, Answering
from pbft.lab.control import Control
from pbft.lab.faults import FaultError
from pbft.lab.keeping import Keeper
from pbft.lab.making import make_group
from pbft.lab.processes import python_environment
from pbft.lab.seats import Seat, all_seats
from pbft.lab.starting import GroupStartError, claim, control_path
from pbft.node.marks import Mark, holder
from pbft.node.routes import detours_in_force, write_detours


@pytest.fixture
def files(tmp_path: Path) -> GroupFile:
    made = make_group(tmp_path / "group", "pbft_apps.counter:Counter")
    (made.directory / "data").mkdir(mode=0o700)
    return made


@asynccontextmanager
async def answering(files: GroupFile) -> AsyncIterator[Keeper]:
    """Give a keeper that answers, with nobody in any of its seats."""
    keeper = Keeper(files, all_seats(files))
    answering = Answering(keeper)
    await answering.open()
    try:
        yield keeper
    finally:
        keeper.over.set()
        await answering.close()
        keeper.close()


def run(story: Coroutine[Any, Any, None]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(30):
            await story

    asyncio.run(timed())


async def ask(files: GroupFile, *lines: bytes) -> list[dict[str, Any]]:
    """Return the answers to some lines, sent over one connection that is then closed at our side."""
    reader, writer = await asyncio.open_unix_connection(control_path(files), limit=1 << 20)
    writer.write(b"".join(lines))
    writer.write_eof()
    answers = (await reader.read()).decode("ascii").splitlines()
    writer.close()
    return [json.loads(answer) for answer in answers]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"kill 2\n",
        b"\xff\xfe\n",
        b"[" * 50_000 + b"\n",
        b"[]\n",
        b'{"do": "dance"}\n',
        b'{"do": "fault"}\n',
        b'{"do": "fault", "words": "kill"}\n',
        b'{"do": "fault", "words": ["kill", 2]}\n',
        b'{"do": "fault", "words": [' + b'"x", ' * 300 + b'"x"]}\n',
    ],
)
def test_what_is_no_question_is_answered(files: GroupFile, line: bytes):
    """One error, and the next question over the same connection is answered as if nothing had been."""

    async def body() -> None:
        async with answering(files):
            wrong, right = await ask(files, line, b'{"do": "state"}\n')
            assert 'ask for {"do": "fault", "words": ["kill", "2"]}' in wrong["error"]
            assert len(right["state"]["replicas"]) == 4

    run(body())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "say what is to fail"),
        (["kill", "4"], "there is no replica 4"),
        (["kill", "2"], "replica 2 does not run (ended); start it again: restart 2"),
        (["pause", "0"], "does not run"),
        (["resume", "0"], "does not run"),
        (["byzantine", "0", "nosuch"], "no misbehaviour"),
        (["\x1b[2J"], 'there is no fault "\\u001b[2J"'),
    ],
)
def test_faults_that_cannot_be(files: GroupFile, words: list[str], says: str):
    """Each is refused in a sentence, which nobody who follows is told as a fault."""

    async def body() -> None:
        async with answering(files) as keeper:
            told: list[Any] = []
            keeper.followers.append(told.append)
            with pytest.raises(FaultError) as caught:
                await Control(files).fault(words)
            assert says in str(caught.value)
            assert [each for each in told if each["event"] == "fault"] == []

    run(body())


def test_a_question_without_end(files: GroupFile):
    """It is given up at its bound, and others are answered."""

    async def body() -> None:
        async with answering(files):
            (refused,) = await ask(files, b"x" * (2 * MAX_QUESTION_BYTES))
            assert f"at most {MAX_QUESTION_BYTES} bytes" in refused["error"]
            assert await ask(files, b'{"do": "state"}') == []
            assert (await Control(files).state()).budget == (4, 1)

    run(body())


def test_as_many_as_may_ask(files: GroupFile):
    """One more than may be connected is told so; once one has left, the next is welcome."""

    async def body() -> None:
        async with answering(files):
            idle = [await asyncio.open_unix_connection(control_path(files)) for _ in range(MAX_CONNECTIONS)]
            with pytest.raises(FaultError, match="programs ask already"):
                await Control(files).state()
            for _, writer in idle:
                writer.close()
            while True:
                try:
                    await Control(files).state()
                    return
                except FaultError:
                    await asyncio.sleep(0.01)

    run(body())


def test_following(files: GroupFile):
    """Whoever follows is told the state at once, each fault whoever asked for it, and changes of state."""

    async def body() -> None:
        async with answering(files) as keeper:
            events = Control(files).follow()
            first = await anext(events)
            assert (first["event"], first["state"]["links"]["cut"]) == ("lab", [])
            assert await Control(files).fault(["cut", "0", "1"]) == "nothing passes between replica 0 and replica 1"
            changed, fault = await anext(events), await anext(events)
            assert (changed["event"], changed["state"]["links"]["cut"]) == ("lab", [[0, 1]])
            assert (fault["event"], fault["command"]) == ("fault", "cut 0 1")
            assert fault["us"] >= first["us"]
            keeper.over.set()
            assert [event async for event in events] == []
            assert keeper.followers == []

    run(body())


def test_who_follows_and_does_not_read(files: GroupFile):
    """Events for a reader that never reads are bounded: it is dropped, and the keeper goes on."""

    async def body() -> None:
        async with answering(files) as keeper:
            reader, writer = await asyncio.open_unix_connection(control_path(files), limit=1_024)
            writer.write(b'{"do": "follow"}\n')
            await reader.read(1)
            (follower,) = keeper.followers
            told = 0
            while keeper.followers:
                follower({"event": "lab", "filler": "x" * 10_000})
                told += 1
                await asyncio.sleep(0)
            assert MAX_WAITING_EVENTS < told < 20 * MAX_WAITING_EVENTS
            assert (await Control(files).state()).faults == 1
            writer.close()

    run(body())


def test_detours_come_and_go(files: GroupFile):
    """While the network fails, replicas that start are led through a living keeper's proxy; healed, past it."""

    async def body() -> None:
        mark = Mark.take(files.directory / "data")
        assert mark is not None
        mark.note(keeps=True)
        async with answering(files):
            assert detours_in_force(files, 2) == {}
            assert await Control(files).fault(["heal"]) == "nothing was wrong with the network"
            await Control(files).fault(["loss", "20%"])
            detours = detours_in_force(files, 2)
            assert sorted(detours) == [0, 1, 3]
            real = [(each.host, each.port) for each in files.replica_addresses]
            assert not any(address in real for address in detours.values())
            assert detours_in_force(replace(files, lab=False), 2) == {}
            mark.note(keeps=False)
            assert detours_in_force(files, 2) == {}
            mark.note(keeps=True)
            await Control(files).fault(["heal"])
            assert detours_in_force(files, 2) == {}
            await Control(files).fault(["cut", "3"])
        assert not (files.directory / "data" / "routes.json").exists()
        mark.release()

    run(body())


def test_a_keeper_that_was_killed_leads_nobody(files: GroupFile):
    """Its detours lead to ports that nobody hears: whoever claims the group next does not seem to have written them."""
    write_detours(files, {0: {1: ("127.0.0.1", 5)}})
    mark = claim(files)
    mark.note(keeps=True)
    assert detours_in_force(files, 0) == {}
    mark.release()
    files.detours.mkdir()
    with pytest.raises(GroupStartError, match="cannot be removed"):
        claim(files)
    assert holder(files.directory / "data") is None


def test_a_disk_that_refuses_detours_does_not_end_the_group(files: GroupFile):
    """The state tells what is in force, whether it could be written down or not, and the keeper goes on."""

    async def body() -> None:
        async with answering(files) as keeper:
            files.detours.mkdir()
            with pytest.raises(FaultError, match="replicas that others start will not hear of it"):
                await Control(files).fault(["let", "the", "first", "prepare:", "drop"])
            assert (await Control(files).state()).links.sentences == ("the first prepare: drop",)
            with pytest.raises(FaultError, match="will not hear of it"):
                await Control(files).fault(["heal"])
            assert (await Control(files).state()).links.calm
            with pytest.raises(FaultError, match="will not hear of it"):
                await Control(files).fault(["loss", "5%"])
            assert keeper._links is not None
            keeper._links.heal()
            await keeper.run()
            files.detours.rmdir()

    run(body())


def test_what_a_follower_says_is_thrown_away(files: GroupFile, monkeypatch: pytest.MonkeyPatch):
    """However much it is, and however long: none of it is kept."""
    kept: list[int] = []
    read = asyncio.StreamReader.read

    async def spy(reader: asyncio.StreamReader, n: int = -1) -> bytes:
        kept.append(n)
        return await read(reader, n)

    async def body() -> None:
        async with answering(files):
            reader, writer = await asyncio.open_unix_connection(control_path(files))
            writer.write(b'{"do": "follow"}\n')
            await reader.readline()
            monkeypatch.setattr(asyncio.StreamReader, "read", spy)
            for _ in range(64):
                writer.write(bytes(MAX_QUESTION_BYTES))
                await writer.drain()
            assert (await Control(files).state()).faults == 1
            writer.close()

    run(body())
    assert -1 not in kept


def test_a_guest(files: GroupFile):
    """Who runs a replica that is no child of the keeper is known by its mark, with what it notes there."""
    seat = Seat(files, 1)
    assert (seat.look().state, seat.runs()) == ("ended", False)
    mark = Mark.take(files.data(1))
    assert mark is not None
    mark.note("Equivocator")
    now = seat.look()
    assert (now.state, now.misbehaviour, now.restarted, seat.runs()) == ("running", "Equivocator", True, True)
    assert (seat.child, seat.ready()) == (None, False)
    mark.release()
    assert (seat.look().state, seat.look().exit_code, seat.look().fault) == ("ended", None, "ended")


def refusal(files: GroupFile) -> str:
    """Return why a keeper's program does not start: one JSON object, nothing else, exit code 2."""
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "pbft.lab.keeper", str(files.directory)],
        env=python_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr, ran.stdout.count("\n")) == (2, "", 1)
    return str(json.loads(ran.stdout)["error"])


@pytest.mark.parametrize("module", ["pbft.lab.keeper", "pbft.lab.kept", "pbft.cli.attached"])
def test_replicas_are_on_their_way_before_anything_heavy_is_loaded(module: str):
    """Whoever starts a keeper, and a keeper until its replicas run, need no loop, no crypto and no client."""
    program = f"import {module}, sys; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", program], env=python_environment(), capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = ["cryptography", "nacl", "pbft.client", "pbft.core.messages", "pbft.testing"]
    if module == "pbft.lab.keeper":
        heavy += ["asyncio", "rich", "typer"]
    assert [name for name in loaded if name.startswith(tuple(heavy))] == []


def test_a_keeper_that_cannot_start(files: GroupFile):
    """A group that runs already, one that is no lab's, none at all: a sentence each, and no mark left behind."""
    held = [Mark.take(files.data(2)), Mark.take(files.directory / "data")]
    assert None not in held
    assert "is running already (replicas 2); start what is missing by itself: pbft replica" in refusal(files)
    for mark in held:
        assert mark is not None
        mark.release()
    files.path.unlink()
    write_group(replace(files, lab=False))
    assert "is not one machine's to start" in refusal(files)
    files.path.unlink()
    assert "there is no group in" in refusal(files)
    assert holder(files.directory / "data") is None
