"""The client for asyncio: one socket, one session, any number of calls at once.

Owns: the task that drives a session, and who waits for which answer. What to send when, and what to believe, is for
the session to say (`pbft.core.session`).
"""

# ruff: noqa: ASYNC109 -- a call's timeout ends in an error that tells who answered what, which no caller could know
from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pbft.client.errors import ClientClosed, InvalidOperation, NotAClient, Refused, Timeout, Unknown
from pbft.client.inspection import Inspection
from pbft.client.reply import Reply
from pbft.core.effects import Reason, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import Group, ReplicaId
from pbft.core.messages import RefusalReason
from pbft.core.session import Completed, Lost, Session, SessionEffect
from pbft.core.settings import Now
from pbft.core.tally import Tally
from pbft.encoding import EncodingError, Plain
from pbft.errors import PbftError
from pbft.group_file import GroupFile, read_group
from pbft.keys import Libsodium, PrivateKey
from pbft.machine import encode_operation
from pbft.net.link import Purpose
from pbft.net.mailbox import Letter, Mailbox, answer_limits, gather, open_mailbox
from pbft.net.metrics import Metrics
from pbft.net.names import follow_names
from pbft.net.transport import SocketAddress, UdpSocket, family_of, resolve
from pbft.net.waiting import Bell, system_now

TIMEOUT_SECONDS: Final = 10.0
_GATHER_MS: Final = 5
_PROBE_SECONDS: Final = 1.0
_PATIENCE: Final = 0.3
"""The part of a tally's time after which whoever has not answered is greeted: most are only a moment late."""


class Client:
    """One program's way to a group, under a registered client's key.

        async with Client.open("keys/local", key="alice") as client:
            total = await client.call("add", 5)

    Calls that run at once ride together in one signed request. A call ends with a value that f+1 replicas agree on, or
    with an error that says what is known (`pbft.client.errors`); it never returns "nothing". Leaving a call early, by
    a timeout or a cancellation, does not undo it: its operation may still run. Not for use from several threads: see
    `connect` for those.
    """

    def __init__(self, files: GroupFile, key: PrivateKey, timeout: float = TIMEOUT_SECONDS) -> None:
        """Take a group, and the key of one of its clients. `timeout` is what a call gets unless it names its own.

        Raises NotAClient when the group does not know the key.
        """
        registered = files.group.clients.get(key.public_key)
        if registered is None:
            raise NotAClient(f"this key is no client's of the group in {files.directory}; {_names(files.group)}")
        self.name = registered.name
        self.group = files.group
        self.timeout = timeout
        self._files = files
        self._key = key
        self._bell = Bell()
        self._metrics = Metrics(system_now().monotonic_ms)
        self._addresses: list[SocketAddress | None] = [None] * files.group.n
        self._session: Session | None = None
        self._mailbox: Mailbox | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._waiters: dict[int, asyncio.Future[Completed]] = {}
        self._inspection = Inspection(key.public_key)
        self._replied = asyncio.Event()

    @classmethod
    def open(
        cls, directory: Path | str, key: str | Path | PrivateKey = "alice", timeout: float = TIMEOUT_SECONDS
    ) -> Self:
        """Return a client of the group in a folder, to be entered by `async with`.

        `key` is a registered client's name, whose key lies in the folder's clients/, or the path of a key file.
        `timeout` is in seconds. Raises GroupFileError, KeyFileError or NotAClient, each with one sentence.
        """
        files = read_group(directory)
        if isinstance(key, str):
            if files.group.client_named(key) is None:
                raise NotAClient(f"{key} is no client of the group in {files.directory}; {_names(files.group)}")
            key = files.client_key(key)
        return cls(files, key if isinstance(key, PrivateKey) else PrivateKey.load(key), timeout)

    # Calls.

    async def call(self, name: str, /, *args: Plain, timeout: float | None = None, **kwargs: Plain) -> Plain:
        """Run an operation and return its value.

        Raises Rejected, InvalidOperation, OperationFailed, Refused, Unknown, Timeout or ClientClosed.
        """
        return (await self.ask(name, *args, timeout=timeout, **kwargs)).value

    async def ask(
        self, name: str, /, *args: Plain, timeout: float | None = None, receipt: bool = False, **kwargs: Plain
    ) -> Reply:
        """Run an operation and return all that is known of its answer, with proof for others if asked for.

        Raises as `call` does.
        """
        try:
            operation = encode_operation(name, args, kwargs)
        except EncodingError as error:
            raise InvalidOperation(str(error)) from None
        return (await self.submit(operation, timeout=timeout, receipt=receipt)).check()

    async def submit(self, operation: bytes, *, timeout: float | None = None, receipt: bool = False) -> Reply:
        """Run an operation given as bytes, and return its reply whatever the outcome.

        Raises Refused, Unknown, Timeout or ClientClosed.
        """
        session = self._running()
        try:
            ticket = session.submit(operation, system_now(), receipt)
        except ValueError as error:
            raise Refused(str(error)) from None
        loop = asyncio.get_running_loop()
        waiter = self._waiters[ticket] = loop.create_future()
        self._bell.ring()
        seconds = self.timeout if timeout is None else timeout
        alive: dict[ReplicaId, None] = {}
        questions: list[asyncio.Task[None]] = []
        # Shortly before giving up it asks who is there at all: silence of the dead and of the stuck are two things.
        probe = loop.call_later(seconds - min(_PROBE_SECONDS, seconds / 2), self._probe, alive, questions)
        try:
            async with asyncio.timeout(seconds):
                return Reply.of(await waiter)
        except TimeoutError:
            sent = session.has_left(ticket)
            raise Timeout(seconds, self.group.quorums.weak, _heard(session, alive), sent) from None
        finally:
            probe.cancel()
            for question in questions:
                question.cancel()
            del self._waiters[ticket]
            session.abandon(ticket)

    async def tally(self, reply: Reply, within_seconds: float) -> Reply:
        """Return a reply of this client's with who matched, differed and was silent, brought up to date.

        A call ends with f+1 equal answers and waits for no more. This does, until all n replicas have answered or
        `within_seconds` have passed; what is believed, and its time, stay as they are. Only replies to the request
        completed last are counted: an earlier one's reply comes back as it is. Raises ClientClosed.
        """
        session = self._running()
        tally = session.tally(reply.timestamp, reply.sequence)
        if tally is None:
            return reply
        await self._count(session, reply, tally, within_seconds * _PATIENCE)
        if tally.silent and session.tally(reply.timestamp, reply.sequence) is tally:
            await self._perform(session.greet_silent(system_now()))
            await self._count(session, reply, tally, within_seconds * (1 - _PATIENCE))
        return reply.counted(tally)

    async def inspect(self, *replicas: ReplicaId, timeout: float = 2.0) -> dict[ReplicaId, dict[str, Any] | None]:
        """Ask replicas, all unless some are named, for their reports; None stands for one that did not answer in time.

        Each report is one replica's word about itself, and a faulty one says what it likes.
        """
        self._running()
        asked = self._inspection.begin(replicas or range(self.group.n))
        try:
            async with asyncio.timeout(timeout):
                while asked.missing:
                    for replica in asked.missing:
                        await self._send(replica, self._inspection.question(replica, self._running().id, asked))
                    await asked.wait()
        except TimeoutError:
            pass
        finally:
            self._inspection.end(asked)
        return asked.reports()

    @property
    def ignored(self) -> dict[str, int]:
        """What arrived here and was not acted upon, by reason."""
        return dict(self._metrics.ignored)

    # From start to end.

    async def start(self) -> None:
        """Open the socket and begin to greet the group; `async with` does this."""
        wanted = self._files.client_addresses
        self._addresses = list(await asyncio.gather(*(resolve(each.host, each.port) for each in wanted)))
        known = [each for each in self._addresses if each is not None]
        if not known:
            raise PbftError(f"none of the addresses in {self._files.path} can be resolved; check the names there")
        family = family_of(known[0])
        self._addresses = [each if each and family_of(each) == family else None for each in self._addresses]
        socket = await UdpSocket.open(_own_address(known), self._bell.ring)
        self._mailbox = open_mailbox(
            self._files,
            self._key.public_key,
            Purpose.CLIENTS,
            self._key,
            socket,
            answer_limits(self.group.limits),
            self._metrics,
        )
        self._session = Session(self.group, self._key.public_key, self._key, Libsodium(), os.urandom(16), system_now())
        drive = asyncio.create_task(self._drive(self._session, self._mailbox))
        drive.add_done_callback(self._on_driven)
        self._tasks = [drive, asyncio.create_task(follow_names(wanted, self._addresses, family))]

    async def close(self) -> None:
        """Close the socket; calls that still wait end with ClientClosed. Closing twice is fine."""
        tasks, self._tasks = self._tasks, []
        mailbox, self._mailbox = self._mailbox, None
        self._session = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if mailbox is not None:
            await mailbox.socket.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # The driving task.

    async def _drive(self, session: Session, mailbox: Mailbox) -> None:
        while not mailbox.socket.closed:
            await self._bell.wait(self._pause_ms(session, mailbox))
            now = system_now()
            await gather((mailbox,), system_now, _GATHER_MS)
            while (letter := mailbox.take()) is not None:
                await self._on_letter(session, letter, now)
            if session.deadline_ms is not None and now.monotonic_ms >= session.deadline_ms:
                await self._perform(session.tick(now))
            await mailbox.flush(now.monotonic_ms)

    async def _on_letter(self, session: Session, letter: Letter, now: Now) -> None:
        replica = letter.sender
        try:
            envelope = Envelope.from_bytes(letter.message)
            if isinstance(replica, bytes) or envelope.sender != replica:
                return self._metrics.ignore(Reason.WRONG_SENDER)
            self._inspection.receive(envelope, replica, session.id)
        except EncodingError:
            return self._metrics.ignore(Reason.MALFORMED)
        await self._perform(session.receive(envelope, replica, now))
        if envelope.kind is Kind.REPLY:
            self._replied.set()
        if envelope.kind is Kind.WELCOME:
            for asked in self._inspection.waiting_for(replica):
                await self._send(replica, self._inspection.question(replica, session.id, asked))

    async def _perform(self, effects: Sequence[SessionEffect]) -> None:
        for effect in effects:
            match effect:
                case Send(to, envelope):
                    await self._send(to, envelope)
                case Completed(ticket):
                    waiter = self._waiters.get(ticket)
                    if waiter is not None and not waiter.done():
                        waiter.set_result(effect)
                case Lost(ticket, reason):
                    waiter = self._waiters.get(ticket)
                    if waiter is not None and not waiter.done():
                        waiter.set_exception(_lost(reason))

    async def _send(self, to: ReplicaId, envelope: Envelope) -> None:
        address = self._addresses[to]
        if address is None or self._mailbox is None:
            self._metrics.unaddressed += 1
        else:
            await self._mailbox.send(to, envelope.to_bytes(), address, system_now().monotonic_ms)

    async def _count(self, session: Session, reply: Reply, tally: Tally, seconds: float) -> None:
        """Wait until all have answered, the session or its next request ends the count, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (
                    tally.silent
                    and self._session is session
                    and session.tally(reply.timestamp, reply.sequence) is tally
                ):
                    self._replied.clear()
                    await self._replied.wait()

    def _pause_ms(self, session: Session, mailbox: Mailbox) -> int | None:
        if len(mailbox):
            return 0
        planned = [each for each in (session.deadline_ms, mailbox.deadline_ms) if each is not None]
        return max(0, min(planned) - system_now().monotonic_ms) if planned else None

    def _probe(self, alive: dict[ReplicaId, None], questions: list[asyncio.Task[None]]) -> None:
        """Ask all replicas how they are, one task each in `questions`; write those that answer into `alive`."""

        async def ask(replica: ReplicaId) -> None:
            with contextlib.suppress(ClientClosed):
                if (await self.inspect(replica, timeout=_PROBE_SECONDS))[replica] is not None:
                    alive[replica] = None

        questions += [asyncio.create_task(ask(replica)) for replica in range(self.group.n)]

    def _on_driven(self, task: asyncio.Task[None]) -> None:
        """Let nobody wait for a task that has ended, by `close` or by a failure."""
        error = None if task.cancelled() else task.exception()
        self._session = None
        self._replied.set()
        words = f"the client broke: {error!r}" if error else "the client was closed while this call waited"
        for waiter in self._waiters.values():
            if not waiter.done():
                closed = ClientClosed(f"{words}; the operation may have run")
                closed.__cause__ = error
                waiter.set_exception(closed)

    def _running(self) -> Session:
        if self._session is None:
            raise ClientClosed("this client is not open; use it inside `async with`")
        return self._session


def _heard(session: Session, alive: dict[ReplicaId, None]) -> dict[ReplicaId, str]:
    heard = session.heard()
    return {
        replica: "alive, but has no answer" if said == "silent" and replica in alive else said
        for replica, said in heard.items()
    }


def _lost(reason: RefusalReason) -> PbftError:
    if reason is RefusalReason.UNKNOWN_SESSION:
        return Unknown(
            "the group no longer knows this session: the operation may have run, or not; look before calling again"
        )
    if reason is RefusalReason.SESSION_IN_FUTURE:
        return Unknown(
            "the group's clock is far behind this machine's: the operation did not run now, but a copy on its way may "
            "run later; set the clocks, and look before calling again"
        )
    return Refused("it did not run: the request is beyond a size limit of the group")


def _names(group: Group) -> str:
    names = [client.name for client in group.genesis.clients]
    return f"its clients are {', '.join(names)}" if names else "it has no clients"


def _own_address(replicas: Sequence[SocketAddress]) -> SocketAddress:
    """Return what to bind: an address of this machine only, where the whole group is on it."""
    if all(each[0] == "::1" or each[0].startswith("127.") for each in replicas):
        return ("::1", 0) if ":" in replicas[0][0] else ("127.0.0.1", 0)
    return ("::", 0) if ":" in replicas[0][0] else ("0.0.0.0", 0)
