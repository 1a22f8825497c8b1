"""Real replicas whose links fail, led through the lab's proxy by their keeper (catalogue: N1 to N3, K3, Y1; proc)."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pbft.client import Client
from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.messages import Challenge, Hello, ReplyDetail, Request, pack, unpack
from pbft.group_file import GroupFile
from pbft.keys import PrivateKey
from pbft.net.link import Purpose
from pbft.net.mailbox import Mailbox, answer_limits, open_mailbox
from pbft.net.metrics import Metrics
from pbft.net.transport import UdpSocket
from pbft.net.waiting import system_now
from pbft.operations import encode_operation
from tests.processes.kept import EVERYBODY, Kept, kept
from tests.processes.lab import PATIENT_MS, Work, level, reports, run, working
from tests.processes.shell import SECONDS

pytestmark = pytest.mark.processes


@contextlib.asynccontextmanager
async def at_work(group: Kept, *replicas: int) -> AsyncIterator[tuple[Client, Work]]:
    """Let clients work with a group; in the end these replicas are level, and every call was answered rightly."""
    async with Client.open(group.files.directory, "alice") as asking:
        await reports(asking, *replicas)
        async with working(group.files) as work:
            await work.more(10)
            yield asking, work
        await level(asking, *replicas)


async def links(group: Kept) -> Any:
    """Return what the keeper says of the links, as programs read it."""
    return (await group.control.ask({"do": "state"}))["state"]["links"]


def test_n1_loss_delay_and_duplication(tmp_path: Path) -> None:
    """A fifth of all datagrams is lost, the others are late and come twice: every call is answered, once and rightly.

    What is wrong is told by the keeper, and once it is healed nothing is.
    """
    with kept(tmp_path / "group") as group:

        async def body() -> None:
            async with at_work(group, *EVERYBODY) as (_, work):
                await group.fault("loss 20%")
                await group.fault("delay 10ms")
                await group.fault("let messages: duplicate")
                told = await links(group)
                assert told["loss"] == [["*", "*", 20]]
                assert told["delay"] == [["*", "*", 10]]
                assert told["sentences"] == ["messages: duplicate"]
                await work.more(40)
                await group.fault("heal")
                told = await links(group)
                assert (told["loss"], told["delay"], told["sentences"]) == ([], [], [])
                await work.more(20)

        run(body())


def test_n2_one_way_cuts_a_lonely_replica_and_links_that_flap(tmp_path: Path) -> None:
    """The primary is heard and does not hear, then a backup is alone, then links come and go: work goes on."""
    with kept(tmp_path / "group") as group:

        async def body() -> None:
            async with at_work(group, *EVERYBODY) as (asking, work):
                await group.fault("let messages from 1, 2 and 3 to 0: drop")
                # It goes on proposing until its window of 16 sequences is full, with a call of each program in a batch.
                await work.more(50)
                told = await reports(asking, 1, 2, 3)
                assert sum(each["view"] > 0 for each in told) >= group.files.group.quorums.weak
                await group.fault("heal")
                await group.fault("cut 3")
                assert (await links(group))["cut"] == [[0, 3], [1, 3], [2, 3]]
                await work.more(20)
                assert (await reports(asking, 3))[0]["executed"] < (await reports(asking, 0))[0]["executed"]
                for _ in range(5):
                    await group.fault("heal")
                    await work.more(5)
                    await group.fault("cut 0 1")
                    await work.more(5)
                await group.fault("heal")

        run(body())


def test_n3_a_split_in_half_stalls_and_goes_on(tmp_path: Path) -> None:
    """Neither half executes anything; once the halves hear each other, what was asked meanwhile is answered."""
    with kept(tmp_path / "group") as group:
        run(
            _stalls_and_goes_on(
                group, "let messages from 0 and 1 to 2 and 3: drop", "cut 0 2", "cut 0 3", "cut 1 2", "cut 1 3"
            )
        )


def test_y1_more_than_f_cut_off(tmp_path: Path) -> None:
    """Two of four are cut off: nothing is executed, nothing acknowledged is lost, and it goes on where it stopped."""
    with kept(tmp_path / "group") as group:
        run(_stalls_and_goes_on(group, "cut 2", "cut 3"))


def test_y1_one_cut_off_beside_a_liar(tmp_path: Path) -> None:
    """One lies and says nothing true, another is cut off: two correct ones are no quorum, and wait for the third."""
    with kept(tmp_path / "group", {1: "bad-signature+wrong-reply"}) as group:
        run(_stalls_and_goes_on(group, "cut 3", correct=(0, 2, 3)))


def test_y1_more_than_f_that_stand_still(tmp_path: Path) -> None:
    """Two of four processes are stopped: the others wait, and all come to one state once they go on."""
    with kept(tmp_path / "group") as group:
        run(_stalls_and_goes_on(group, "pause 1", "pause 2", left=(0, 3), mend=("resume 1", "resume 2")))


async def _stalls_and_goes_on(
    group: Kept,
    *faults: str,
    correct: tuple[int, ...] = EVERYBODY,
    left: tuple[int, ...] = (),
    mend: tuple[str, ...] = ("heal",),
) -> None:
    """See a group stall under faults, where somebody asks for another view in vain, and go on after.

    `left` are those that can still be asked meanwhile, all correct ones unless it is said.
    """
    async with Client.open(group.files.directory, "alice") as asking:
        await reports(asking, *correct)
        assert (await asking.ask("add", 1, timeout=SECONDS)).value == 1
        executed = {each["executed"] for each in await level(asking, *correct)}
        for each in faults:
            await group.fault(each)
        call = asyncio.create_task(asking.ask("add", 1, timeout=SECONDS))
        async with asyncio.timeout(SECONDS):
            while True:
                told = await reports(asking, *(left or correct))
                if any(each["target"] > each["view"] for each in told):
                    break
        assert {each["executed"] for each in told} == executed
        assert not call.done()
        for each in mend:
            await group.fault(each)
        assert (await call).value == 2
        await level(asking, *correct)


def test_a_request_step_by_step(tmp_path: Path) -> None:
    """Messages pass one by one, each told in words, until the phases of a request are through and it is answered."""
    with kept(tmp_path / "group", view_timeout_ms=60_000) as group:

        async def body() -> list[str]:
            said: list[str] = []
            async with Client.open(group.files.directory, "alice") as asking:
                await reports(asking, *EVERYBODY)
                assert "each further step lets one through" in await group.fault("step")
                call = asyncio.create_task(asking.ask("add", 5, timeout=SECONDS))
                async with asyncio.timeout(SECONDS):
                    while not call.done():
                        said.append(await group.fault("step"))
                assert (await call).value == 5
                assert (await links(group))["stepping"]
                assert "the network is whole again" in await group.fault("heal")
                assert (await links(group)) == {
                    "cut": [],
                    "loss": [],
                    "delay": [],
                    "sentences": [],
                    "stepping": False,
                    "held": 0,
                }
                await level(asking, *EVERYBODY)
            return said

        said = run(body())
        place = "of view 0, sequence 1 from"
        first = [
            next(i for i, words in enumerate(said) if words.startswith(f"{kind} {place}"))
            for kind in ("PRE-PREPARE", "PREPARE", "COMMIT")
        ]
        assert first == sorted(first)


class OneBackup:
    """A registered client that every replica knows, and that asks one of them only."""

    def __init__(self, files: GroupFile, name: str, opened: UdpSocket) -> None:
        self._files = files
        self._key = PrivateKey.load(files.client_key(name))
        self._me = self._key.public_key
        limits = answer_limits(files.group.limits)
        self._mailbox: Mailbox = open_mailbox(files, self._me, Purpose.CLIENTS, self._key, opened, limits, Metrics(0))
        self._session = system_now().wall_ms.to_bytes(8, "big") + os.urandom(8)

    async def call(self, replica: int, operation: str, *arguments: int) -> dict[object, bytes]:
        """Prove the address to all, ask one, and return what f+1 replicas say came of it."""
        for each in EVERYBODY:
            await self._say(each, Envelope(Kind.HELLO, self._me, pack(Hello(self._session, b"", bytes(64)))))
        welcome: dict[object, None] = {}
        answers: dict[object, bytes] = {}
        request = Request(self._me, self._session, 1, (encode_operation(operation, arguments, {}),))
        asked = seal(self._files.group, self._key, Kind.REQUEST, self._me, pack(request))
        async with asyncio.timeout(SECONDS):
            while len(answers) < self._files.group.quorums.weak:
                await asyncio.sleep(0.01)
                self._mailbox.collect(0)
                while (letter := self._mailbox.take()) is not None:
                    told = Envelope.from_bytes(letter.message)
                    if told.kind is Kind.CHALLENGE and isinstance(letter.sender, int):
                        cookie = unpack(Challenge, told.body).cookie
                        hello = pack(Hello(self._session, cookie, b""))
                        await self._say(letter.sender, Envelope(Kind.HELLO, self._me, hello))
                    elif told.kind is Kind.WELCOME:
                        welcome[letter.sender] = None
                        if len(welcome) == len(EVERYBODY):
                            await self._say(replica, asked)
                    elif told.kind is Kind.REPLY:
                        answers[letter.sender] = unpack(ReplyDetail, told.beside).results[0].payload
        return answers

    async def _say(self, replica: int, envelope: Envelope) -> None:
        address = self._files.client_addresses[replica]
        await self._mailbox.send(replica, envelope.to_bytes(), (address.host, address.port), 0)


def test_k3_a_client_that_asks_one_backup_only(tmp_path: Path) -> None:
    """The backup passes the request on, over links that are late and lose: it is answered by f+1 without a new view."""
    with kept(tmp_path / "group", view_timeout_ms=PATIENT_MS) as group:

        async def body() -> None:
            async with Client.open(group.files.directory, "alice") as asking:
                await reports(asking, *EVERYBODY)
                await group.fault("delay 5ms")
                await group.fault("let the first 3 requests from 2: drop")
                opened = await UdpSocket.open(("127.0.0.1", 0), lambda: None)
                answers = await OneBackup(group.files, "bob", opened).call(2, "add", 5)
                assert len(set(answers.values())) == 1
                await opened.close()
                assert (await asking.ask("add", 1, timeout=SECONDS)).value == 6
                told = await level(asking, *EVERYBODY)
                assert [each["view"] for each in told] == [0, 0, 0, 0]

        run(body())
