"""Real processes that lie, over UDP: the group and its clients go on, whoever lies and however (catalogue: proc)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pbft.client import Client
from pbft.core.effects import Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Challenge, Hello, Request, pack, unpack
from pbft.group_file import GroupFile
from pbft.keys import PrivateKey
from pbft.net.link import Purpose
from pbft.net.mailbox import Mailbox, answer_limits, open_mailbox
from pbft.net.metrics import Metrics
from pbft.net.transport import UdpSocket
from pbft.net.waiting import system_now
from pbft.operations import encode_operation
from pbft.testing.byzantine import ADVERSARIES
from tests.processes.lab import COUNTER, PATIENT_MS, Lab, lab, level, listening, reports, run, working
from tests.processes.shell import SECONDS, Shell, interrupt, read_until, shell_in, wait_until

pytestmark = pytest.mark.processes

TURNCOAT = f"{Path(__file__).with_name('turncoat.py')}:Turncoat"

CLUMSY = '''
"""A misbehaviour that lives outside the project."""

from pbft.core.envelope import Kind
from pbft.testing.byzantine import Adversary


class Clumsy(Adversary):
    """Trips over the first proposal that it hears."""

    def receive(self, envelope, sender, now):
        if envelope.kind is Kind.PRE_PREPARE:
            raise LookupError("which foot was first?")
        return super().receive(envelope, sender, now)
'''


def survived(group: Lab, calls: int = 60) -> list[dict[str, Any]]:
    """Let clients work with a group of which some lie; return what its correct replicas come to.

    All calls are answered, rightly and by f+1 replicas; no process ends; the correct ones have one state in the end,
    and what they can prove is the guilt of liars.
    """

    async def body() -> list[dict[str, Any]]:
        async with Client.open(group.files.directory, "alice") as asking:
            async with working(group.files) as work:
                await work.more(calls)
            return await level(asking, *group.correct)

    told = run(body())
    assert group.all_live()
    assert {finding.culprit for finding in group.evidence()} <= set(group.liars)
    return told


@pytest.mark.parametrize(
    ("misbehaviour", "served"),
    [
        ("Silent", False),
        ("TwoFaced", True),
        ("ForgingPrimary", False),
        ("PartialPrimary", True),
        ("Censor", False),
        ("ViewFlooder+WrongReply", True),
    ],
    ids=["r1", "p1", "p2", "p5", "p6", "r5-r8"],
)
def test_a_primary_that_lies(tmp_path: Path, misbehaviour: str, served: bool) -> None:
    """The group goes on, under another primary where this one does not serve everybody, and keeps what it can prove."""
    with lab(tmp_path / "group", {0: misbehaviour}) as group:
        told = survived(group)
        if not served:
            # A third correct replica may hear of it later.
            assert sum(each["view"] > 0 for each in told) >= group.files.group.quorums.weak
        if misbehaviour == "TwoFaced":
            assert (0, Kind.PRE_PREPARE) in {(each.culprit, each.place.kind) for each in group.evidence()}


def test_two_that_collude_in_a_group_of_seven(tmp_path: Path) -> None:
    """Primaries of views 0 and 1, with each other's keys: five correct ones and their clients do not mind."""
    with lab(tmp_path / "group", {0: "Equivocator", 1: "ForkedView+BogusNewView"}, n=7) as group:
        survived(group)


def test_every_misbehaviour_in_place_of_a_killed_replica(tmp_path: Path) -> None:
    """A backup is killed while clients work, and what takes its place lies in every way there is, one after the other.

    The others never leave their view. In the end a correct replica stands there again and comes to the others' state.
    """
    with lab(tmp_path / "group", view_timeout_ms=PATIENT_MS) as group:

        async def body() -> None:
            async with Client.open(group.files.directory, "alice") as asking:
                async with working(group.files) as work:
                    await work.more(20)
                    group.kill(3)
                    liar = group.start(3, TURNCOAT)
                    await listening(group.files, liar)
                    turns = 0
                    while turns < len(ADVERSARIES):
                        await work.more(10)
                        assert group.all_live(), liar.last_words()
                        turns = (await reports(asking, 3))[0]["waiting"]
                    assert {each.culprit for each in group.evidence()} == {3}
                    group.kill(3)
                    await listening(group.files, group.start(3))
                    await work.more(20)
                told = await level(asking, 0, 1, 2, 3)
                assert [each["view"] for each in told] == [0, 0, 0, 0]

        run(body())
        assert group.all_live()


def test_r7_a_source_that_forges_nodes_of_state(tmp_path: Path) -> None:
    """Who begins when the others have come far asks the liar first, refuses what it gives, and goes on without it."""
    with lab(tmp_path / "group", {2: "NodeForger"}, view_timeout_ms=PATIENT_MS) as group:
        # It has voted for nothing yet, so it forgets nothing, and is no second faulty one.
        group.kill(1)

        async def body() -> None:
            async with Client.open(group.files.directory, "alice") as asking:
                async with working(group.files) as work:
                    await work.more(80)
                    await listening(group.files, group.start(1))
                    await work.more(20)
                told = await level(asking, *group.correct)
                assert told[1]["ignored"][Reason.WRONG_DIGEST.value] > 0
                assert [each["view"] for each in told] == [0, 0, 0]

        run(body())
        assert group.all_live()


class Vandal:
    """A party with a registered client's link, whose requests nobody signed as they must be."""

    def __init__(self, files: GroupFile, mailbox: Mailbox, client: bytes) -> None:
        self._files = files
        self._mailbox = mailbox
        self._client = client
        # Opened now, as far as its id tells: what is wrong is to be the signature alone.
        self._session = system_now().wall_ms.to_bytes(8, "big") + os.urandom(8)

    @classmethod
    async def open(cls, files: GroupFile, name: str) -> Vandal:
        """Open the link of a registered client."""
        key = PrivateKey.load(files.client_key(name))
        opened = await UdpSocket.open(("127.0.0.1", 0), lambda: None)
        limits = answer_limits(files.group.limits)
        return cls(
            files,
            open_mailbox(files, key.public_key, Purpose.CLIENTS, key, opened, limits, Metrics(0)),
            key.public_key,
        )

    async def prove(self) -> None:
        """Prove the address to every replica, as a correct client does."""
        await self._say(Envelope(Kind.HELLO, self._client, pack(Hello(self._session, b"", bytes(64)))))
        proven: dict[object, None] = {}
        async with asyncio.timeout(SECONDS):
            while len(proven) < self._files.group.n:
                await asyncio.sleep(0.01)
                self._mailbox.collect(0)
                while (letter := self._mailbox.take()) is not None:
                    answer = Envelope.from_bytes(letter.message)
                    if answer.kind is Kind.CHALLENGE:
                        cookie = unpack(Challenge, answer.body).cookie
                        await self._say(Envelope(Kind.HELLO, self._client, pack(Hello(self._session, cookie, b""))))
                    elif answer.kind is Kind.WELCOME:
                        proven[letter.sender] = None

    async def ask(self, timestamp: int) -> None:
        """Ask for what would be noticed: under a garbage signature, and in the name of somebody whom nobody knows."""
        request = Request(self._client, self._session, timestamp, (encode_operation("add", (1_000_000,), {}),))
        await self._say(Envelope(Kind.REQUEST, self._client, pack(request), os.urandom(64)))
        nobody = os.urandom(32)
        await self._say(Envelope(Kind.REQUEST, nobody, pack(replace(request, client=nobody)), os.urandom(64)))

    async def close(self) -> None:
        """Close the link."""
        await self._mailbox.socket.close()

    async def _say(self, envelope: Envelope) -> None:
        for replica, address in enumerate(self._files.client_addresses):
            await self._mailbox.send(replica, envelope.to_bytes(), (address.host, address.port), 0)


def test_k2_r8_garbage_signatures_and_a_backup_that_lies_to_clients(tmp_path: Path) -> None:
    """What no client signed is dropped, every time, and starts no view change however long it goes on; nor do lies."""
    with lab(tmp_path / "group", {3: "WrongReply"}, view_timeout_ms=PATIENT_MS) as group:

        async def body() -> None:
            async with Client.open(group.files.directory, "alice") as asking:
                vandal = await Vandal.open(group.files, "bob")
                await vandal.prove()
                async with working(group.files, ("alice",)) as work:
                    for timestamp in range(1, PATIENT_MS // 75):
                        await vandal.ask(timestamp)
                        await asyncio.sleep(0.1)
                    await work.more(5)
                await vandal.close()
                told = await level(asking, *group.correct)
                assert [(each["view"], each["target"], each["waiting"]) for each in told] == [(0, 0, 0)] * 3
                assert all(each["ignored"].get(Reason.BAD_SIGNATURE.value, 0) > 0 for each in told)
                assert any(3 in reply.differing for reply in work.replies)

        run(body())
        assert group.all_live()


def test_liars_at_the_command_line(tmp_path: Path) -> None:
    """A liar of one's own starts with the group and trips over its own feet; another takes its place by hand."""
    with shell_in(tmp_path) as shell:
        (tmp_path / "clumsy.py").write_text(CLUMSY)
        shell.do("init", "g", "--app", COUNTER)
        with shell.start("up", "g", "--liar", "3=clumsy.py") as up:
            begun = read_until(up, "run and answer")
            assert "liars run in place of replica 3 (clumsy.py)" in begun
            assert shell.do("call", "add", "5") == "5\n"
            said = read_until(up, "replica 3 ended with code 70")
            assert "the liar in place of replica 3 (Clumsy, seed " in said
            assert "stopped on an internal error" in said
            with shell.start("liar", "g", "3", "TwoFaced", "--seed", "7") as liar:
                begun = read_until(liar, "Ctrl-C stops it")
                assert begun.startswith(
                    "the liar in place of replica 3 (TwoFaced, seed 7) answers clients at 127.0.0.1:"
                )
                check_by_hand(shell)
                interrupt(liar, signal.SIGINT)
                out, err = liar.communicate(timeout=SECONDS)
                assert (liar.returncode, out, err) == (0, "", "")
            interrupt(up, signal.SIGINT)
            out, err = up.communicate(timeout=SECONDS)
            assert (up.returncode, err) == (0, "")
        lines = (tmp_path / "g" / "data" / "replica-3" / "log.jsonl").read_text().splitlines()
        starts = [each for each in map(json.loads, lines) if each["event"] == "ready"]
        told = [(each["lies"], each["misbehaviour"], each["colluders"]) for each in starts]
        assert told == [(True, "clumsy.py", [3]), (True, "TwoFaced", [])]


def check_by_hand(shell: Shell) -> None:
    """See that a group with a two-faced backup answers, and that what it did can be proven to anybody."""
    proofs = shell.directory / "g" / "data"

    def proven() -> bool:
        assert shell.do("call", "add", "1").strip().isdigit()
        return any(proofs.glob("replica-[012]/evidence/*.cbor"))

    wait_until(proven)
    wait_until(lambda: [each["health"] for each in shell.ask("status", "g")["replicas"][:3]] == ["ok"] * 3)
    kept = shell.ask("evidence", "list", "g")
    assert {(each["valid"], each["culprit"]) for each in kept} == {(True, 3)}
    assert "replica 3" in shell.do("evidence", "verify", kept[0]["file"], "--group", "g")
