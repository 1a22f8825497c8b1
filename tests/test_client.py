"""The client against a group over real sockets: values, errors by name, and what is known of each answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from pbft.client import (
    Client,
    ClientClosed,
    InvalidOperation,
    NotAClient,
    OperationFailed,
    Refused,
    Timeout,
    Unknown,
    connect,
)
from pbft.client.asynchronous import _lost
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Challenge, Hello, Inspect, RefusalReason, Report, Welcome, pack, unpack
from pbft.encoding import EncodingError
from pbft.errors import PbftError
from pbft.group_file import GroupFile, GroupFileError
from pbft.keys import KeyFileError, Libsodium, PrivateKey
from pbft.machine import Outcome, Rejected, encode_operation
from pbft.net.link import Purpose
from pbft.net.mailbox import open_mailbox, request_limits
from pbft.net.metrics import Metrics
from pbft.net.transport import UdpSocket
from tests.node.groups import RunningGroup, running, until, write_files

ROOT = Path(__file__).parents[1]


@contextlib.asynccontextmanager
async def talking(tmp_path: Path, *replicas: int) -> AsyncIterator[tuple[RunningGroup, Client]]:
    """A running group, and alice."""
    files = write_files(tmp_path / "group")
    async with running(files, *replicas) as group, Client.open(files.directory, key="alice") as alice:
        yield group, alice


def test_an_answer_says_how_it_came(tmp_path: Path):
    """Value, view, sequence, timestamp, who matched and how many it took (design 4.11)."""

    async def body() -> None:
        async with talking(tmp_path) as (_, alice):
            await alice.call("add", 1)
            reply = await alice.ask("add", amount=5)

            assert (reply.value, reply.outcome, reply.view, reply.sequence, reply.timestamp) == (6, Outcome.OK, 0, 2, 2)
            assert reply.needed == 2
            assert len(reply.matching) >= 2
            assert reply.differing == ()
            assert sorted((*reply.matching, *reply.silent)) == [0, 1, 2, 3]
            assert reply.ms >= 0
            assert reply.receipt is None

    asyncio.run(body())


def test_a_tally_waits_for_all_who_answer(tmp_path: Path):
    """It is over when all have answered; the answer itself is the same, and an earlier one stays as it is."""

    async def body() -> None:
        async with talking(tmp_path) as (_, alice):
            first = await alice.ask("add", 1)
            reply = await alice.ask("add", 5)
            told = await alice.tally(reply, 60.0)
            assert (told.matching, told.differing, told.silent) == ((0, 1, 2, 3), (), ())
            assert replace(told, matching=reply.matching, silent=reply.silent) == reply
            assert await alice.tally(first, 60.0) == first

    asyncio.run(body())


def test_a_tally_ends_with_its_time_with_the_next_call_and_with_the_client(tmp_path: Path):
    """Who does not run stays silent; nobody waits for it longer than said, or than it can still be counted."""

    async def body() -> None:
        async with talking(tmp_path, 0, 1, 2) as (_, alice):
            reply = await alice.tally(await alice.ask("add", 1), 0.05)
            assert 3 in reply.silent
            waiting = asyncio.create_task(alice.tally(reply, 1_000.0))
            await asyncio.sleep(0)
            following = await alice.ask("add", 1)
            async with asyncio.timeout(60):
                assert 3 in (await waiting).silent
            waiting = asyncio.create_task(alice.tally(following, 1_000.0))
            await asyncio.sleep(0)
            await alice.close()
            async with asyncio.timeout(60):
                assert 3 in (await waiting).silent
            with pytest.raises(ClientClosed):
                await alice.tally(following, 1.0)

    asyncio.run(body())


def test_a_tally_hears_one_that_was_restarted(tmp_path: Path):
    """It has forgotten where its clients are: it is greeted, and answers."""

    async def body() -> None:
        async with talking(tmp_path) as (group, alice):
            await alice.tally(await alice.ask("add", 1), 60.0)
            await group.stop(3)
            await group.start(3)
            reply = await alice.tally(await alice.ask("add", 1), 10.0)
            assert (reply.matching, reply.silent) == ((0, 1, 2, 3), ())

    asyncio.run(body())


def test_every_end_of_a_call_has_its_error(tmp_path: Path):
    """The application's no, a wrong call, a bug, a size limit: each is a PbftError of its own with clear words."""

    async def body() -> None:
        async with talking(tmp_path) as (group, alice):
            with pytest.raises(Rejected, match="a tally only grows") as rejected:
                await alice.call("add", -1)
            assert isinstance(rejected.value, PbftError)
            with pytest.raises(InvalidOperation, match='no operation "subtract"') as invalid:
                await alice.call("subtract", 1)
            assert invalid.value.reply is not None
            with pytest.raises(InvalidOperation, match="needs amount: int"):
                await alice.call("add", "5")
            with pytest.raises(InvalidOperation, match="float") as unencodable:
                await alice.call("add", 0.5)
            assert unencodable.value.reply is None
            with pytest.raises(OperationFailed, match="nothing was changed"):
                await alice.call("divide", 0)
            with pytest.raises(Refused, match="at most 65536 bytes"):
                await alice.call("write", "x" * 70_000)
            assert await alice.call("add", 2) == 2
            reply = await alice.submit(encode_operation("add", [-1]))
            assert (reply.outcome, reply.value) == (Outcome.REJECTED, "a tally only grows")
            assert group.executed()[0] >= 5

    asyncio.run(body())


def test_calls_at_once_ride_in_one_request(tmp_path: Path):
    """One signature and one reply serve them all, and each has its own result (design 4.2)."""

    async def body() -> None:
        async with talking(tmp_path) as (_, alice):
            replies = await asyncio.gather(*(alice.ask("add", 1) for _ in range(50)))

            assert [reply.value for reply in replies] == list(range(1, 51))
            assert {(reply.sequence, reply.timestamp) for reply in replies} == {(1, 1)}
            mixed = await asyncio.gather(alice.call("add", 1), alice.call("add", -1), return_exceptions=True)
            assert mixed[0] == 51
            assert isinstance(mixed[1], Rejected)

    asyncio.run(body())


def test_a_receipt_proves_the_answer_to_anybody(tmp_path: Path):
    """f+1 signed roots and paths verify with the group's public file, and show this operation's result."""

    async def body() -> None:
        async with talking(tmp_path) as (group, alice):
            plain, proven = await asyncio.gather(alice.ask("add", 1), alice.ask("add", 2, receipt=True))

            assert plain.receipt is None
            receipt = proven.receipt
            assert receipt is not None
            receipt.verify(group.files.group, Libsodium())
            assert receipt.results[proven.index].payload == proven.payload
            assert receipt.request().request.operations[proven.index] == encode_operation("add", [2])

    asyncio.run(body())


def test_two_programs_with_one_key_each_get_their_own_answers(tmp_path: Path):
    """A session each: their requests never shadow one another."""

    async def body() -> None:
        async with talking(tmp_path) as (group, alice), Client.open(group.files.directory, "alice") as again:
            for _ in range(10):
                mine, theirs = await asyncio.gather(alice.call("add", 1), again.call("add", 1))
                assert mine != theirs
            assert await again.call("add", 1) == 21

    asyncio.run(body())


def test_a_cancelled_call_leaves_the_client_whole(tmp_path: Path):
    """Whoever stops waiting is forgotten; those who ride in the same request, and later ones, get their answers."""

    async def body() -> None:
        async with talking(tmp_path) as (_, alice):
            leaving = [asyncio.create_task(alice.call("add", 1)) for _ in range(5)]
            staying = asyncio.create_task(alice.call("add", 1))
            await asyncio.sleep(0)
            for task in leaving:
                task.cancel()
            assert 1 <= await staying <= 6
            assert [task.cancelled() for task in leaving] == [True] * 5
            assert await alice.call("whoami") == "alice"
            assert alice._waiters == {}

    asyncio.run(body())


def test_without_a_quorum_a_call_times_out_and_tells_the_silent_from_the_stuck(tmp_path: Path):
    """Two of four answer questions but cannot answer the call; two say nothing at all (Y1)."""

    async def body() -> None:
        async with talking(tmp_path) as (group, alice):
            await alice.call("add", 1)
            await group.stop(2)
            await group.stop(3)

            with pytest.raises(Timeout, match="no 2 equal answers within 1 s") as caught:
                await alice.call("add", 1, timeout=1.0)

            assert caught.value.needed == 2
            assert caught.value.heard == {
                0: "alive, but has no answer",
                1: "alive, but has no answer",
                2: "silent",
                3: "silent",
            }
            assert isinstance(caught.value, TimeoutError)
            reports = await alice.inspect(timeout=1.0)
            assert [report is None for report in reports.values()] == [False, False, True, True]

    asyncio.run(body())


def test_a_call_survives_replicas_that_come_late(tmp_path: Path):
    """A call made while nobody listens is answered once the group is up: greetings and requests are repeated."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        async with Client.open(files.directory, "alice") as alice:
            early = asyncio.create_task(alice.call("add", 1, timeout=30.0))
            with pytest.raises(Timeout) as caught:
                await alice.call("add", 1, timeout=0.3)
            assert list(caught.value.heard.values()) == ["silent"] * 4
            async with running(files):
                assert await early == 1

    asyncio.run(body())


def test_closing_ends_what_waits_and_a_closed_client_says_so(tmp_path: Path):
    """Nobody waits for ever on a client that is gone."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        alice = Client.open(files.directory, "alice")
        with pytest.raises(ClientClosed, match="not open"):
            await alice.call("add", 1)
        async with alice:
            waiting = asyncio.create_task(alice.call("add", 1))
            await until(lambda: len(alice._waiters) == 1)
            await alice.close()
            with pytest.raises(ClientClosed, match="may have run"):
                await waiting
        with pytest.raises(ClientClosed):
            await alice.inspect()

    asyncio.run(body())


def test_whoever_is_no_client_is_told_at_once(tmp_path: Path):
    """A missing group, a name or a key that the group does not know, a missing key file: one sentence each."""
    files = write_files(tmp_path / "group")
    stranger = tmp_path / "group" / "stranger.key"
    PrivateKey.generate().save(stranger)

    with pytest.raises(GroupFileError, match="there is no group in"):
        Client.open(tmp_path / "nowhere")
    with pytest.raises(NotAClient, match=r"carol is no client .* its clients are alice, bob"):
        Client.open(files.directory, key="carol")
    with pytest.raises(NotAClient, match="this key is no client's"):
        Client.open(files.directory, key=stranger)
    files.client_key("bob").unlink()
    with pytest.raises(KeyFileError, match="there is no key file"):
        Client.open(str(files.directory), key="bob")
    assert Client.open(files.directory, key=files.client_key("alice")).name == "alice"


class Liar:
    """A replica that answers clients by hand, with its real link key."""

    def __init__(self, files: GroupFile, me: int) -> None:
        self._files, self._me = files, me
        self._key = PrivateKey.load(files.replica_key(me))

    async def serve(self, *texts: str) -> None:
        """Welcome whoever greets, and answer each question with every text."""
        port = self._files.client_addresses[self._me].port
        socket = await UdpSocket.open(("127.0.0.1", port), lambda: None)
        limits = request_limits(self._files.group.limits)
        mailbox = open_mailbox(self._files, self._me, Purpose.CLIENTS, self._key, socket, limits, Metrics(0))
        try:
            while True:
                await asyncio.sleep(0.002)
                mailbox.collect(0)
                while (letter := mailbox.take()) is not None:
                    for answer in self._answers(Envelope.from_bytes(letter.message), texts):
                        await mailbox.send(letter.sender, answer.to_bytes(), letter.address, 0)
        finally:
            await socket.close()

    def _answers(self, envelope: Envelope, texts: tuple[str, ...]) -> list[Envelope]:
        if envelope.kind is Kind.HELLO:
            hello = unpack(Hello, envelope.body)
            return [
                Envelope(Kind.CHALLENGE, self._me, pack(Challenge(bytes(16), bytes(16)))),
                Envelope(Kind.WELCOME, self._me, pack(Welcome(hello.session, 0, 0, bytes(16)))),
            ]
        inspect = unpack(Inspect, envelope.body)
        reports = [Report(inspect.session, inspect.nonce, text) for text in texts]
        return [
            *(Envelope(Kind.REPORT, self._me, pack(report)) for report in reports),
            Envelope(Kind.REPORT, self._me, b"\x80"),
            Envelope(Kind.REPORT, 1, pack(Report(inspect.session, inspect.nonce, '{"id": 1}'))),
        ]


NUMBERS = (f'{{"id": 3, "rss_bytes": {10**19}}}', f'{{"id": 3, "rss_bytes": 1{"0" * 4_000}}}')


def test_a_liars_reports_pass_for_nobody_elses(tmp_path: Path):
    """Malformed, nested without end, with numbers nobody counts to, or in another's name: that is no report at all."""

    async def body() -> None:
        files = write_files(tmp_path / "group")
        liar = asyncio.create_task(Liar(files, 3).serve("not json", "[" * 100_000, '{"id": 2}', "[]", *NUMBERS))
        async with running(files, 0, 1, 2), Client.open(files.directory, "alice") as alice:
            await until(lambda: len(alice._inspection._greeted) == 4)
            reports = await alice.inspect(timeout=1.0)

            assert [report is None for report in reports.values()] == [False, False, False, True]
            assert alice.ignored["malformed"] > 0
            assert alice.ignored["wrong sender"] > 0
            assert await alice.call("add", 1) == 1
        liar.cancel()
        await asyncio.gather(liar, return_exceptions=True)

    asyncio.run(body())


def test_results_that_are_no_values_are_still_bytes():
    """An application below StateMachine may answer bytes of its own kind."""
    from pbft.client.reply import Reply

    reply = Reply(Outcome.REJECTED, b"\xff", 0, 1, 1, (0, 1), (), (2, 3), 2, 1, None, 0)

    assert reply.payload == b"\xff"
    with pytest.raises(EncodingError):
        _ = reply.value
    with pytest.raises(Rejected, match="rejected"):
        reply.check()


# The blocking face.


class GroupInThread:
    """A group that runs in a thread, so that a test may block."""

    def __init__(self, files: GroupFile, *replicas: int) -> None:
        self._files, self._replicas = files, replicas
        self._ready, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._body()))

    async def _body(self) -> None:
        async with running(self._files, *self._replicas):
            self._ready.set()
            await asyncio.to_thread(self._over.wait)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)


def test_the_blocking_face_does_what_the_other_does(tmp_path: Path):
    """Values, errors, replies, receipts, reports; from several threads; and a sentence once it is closed."""
    files = write_files(tmp_path / "group")
    with GroupInThread(files), connect(files.directory, key="bob") as bob:
        assert bob.name == "bob"
        assert bob.call("add", 5) == 5
        assert bob.ask("add", amount=1, receipt=True).receipt is not None
        assert bob.submit(encode_operation("whoami")).value == "bob"
        with pytest.raises(Rejected, match="only grows"):
            bob.call("add", -1)
        assert all(report is not None for report in bob.inspect().values())

        results: list[object] = []
        threads = [threading.Thread(target=lambda: results.append(bob.call("add", 1))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(results, key=str) == sorted(range(7, 15), key=str)

        bob.close()
        bob.close()
        with pytest.raises(ClientClosed, match="connect again"):
            bob.call("add", 1)


def test_the_blocking_face_works_inside_a_running_loop(tmp_path: Path):
    """As in a notebook, where a loop already runs."""
    files = write_files(tmp_path / "group")

    async def cell() -> object:
        with connect(files.directory) as alice:
            return alice.call("add", 5)

    with GroupInThread(files):
        assert asyncio.run(cell()) == 5


def test_ctrl_c_ends_a_blocking_call_and_leaves_the_client_whole(tmp_path: Path):
    """The interrupt reaches whoever waits, at once; the next call is a call like any other."""
    files = write_files(tmp_path / "group")
    with connect(files.directory) as alice:
        mailbox = alice._client._mailbox
        assert mailbox is not None
        before = mailbox.socket.sent

        def interrupt() -> None:
            for _ in range(20_000):
                # Sent again and again: by then whoever made the call waits for its answer.
                if alice._client._waiters and mailbox.socket.sent > before + 8:
                    return os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.001)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            alice.call("add", 1, timeout=60.0)
        thread.join()
        with GroupInThread(files):
            assert alice.call("add", 1) == 1


def test_a_forgotten_client_holds_no_program_back(tmp_path: Path):
    """A script that ends without closing ends with 0 and says nothing."""
    files = write_files(tmp_path / "group")
    script = f"import pbft.client; client = pbft.client.connect({str(files.directory)!r}); kept = [client]"

    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", script],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_only_what_can_never_run_is_refused():
    """A copy of what was too early may run later, and of a forgotten session nobody knows: those two are Unknown."""
    kinds = {reason: type(_lost(reason)) for reason in RefusalReason if reason is not RefusalReason.BUSY}

    assert kinds == {
        RefusalReason.UNKNOWN_SESSION: Unknown,
        RefusalReason.SESSION_IN_FUTURE: Unknown,
        RefusalReason.TOO_LARGE: Refused,
    }


def test_a_start_that_fails_leaves_no_thread(tmp_path: Path):
    """Names that nobody knows are one sentence, and nothing goes on in the background."""
    files = write_files(tmp_path / "group")
    files.path.write_text(files.path.read_text().replace("127.0.0.1:", "no.such.name.invalid:"))
    before = threading.active_count()

    with pytest.raises(PbftError, match="none of the addresses"):
        connect(files.directory)

    assert threading.active_count() == before
