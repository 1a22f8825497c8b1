"""What a replica publishes while it runs: a read-only stream of events, for whoever on this machine wants to watch.

Owns: the socket, its readers and the lines they get, and that none of them costs the replica more than it may: nothing
is computed while nobody reads, and whoever does not keep up is told so and closed. Changes nothing of the replica's,
and what readers send is thrown away. `pbft.lab.listening` reads such streams; `pbft events` prints them.

The socket is a Unix stream socket at `socket_path(data folder of the replica, "events")`, for its owner's processes
only: connect, and read lines until it ends. A line is one JSON object in ASCII, and has these fields in any case:

    event      what it is: one of the words below
    replica    the number of the replica that says it
    us         when, in microseconds of the machine's monotonic clock: times of several replicas of one machine compare

Readers pass over events and fields that they do not know. Within one `format` fields are added, never taken away and
never given another meaning. Whoever reads takes a replica's word for it, which a faulty one may not deserve: check
types and sizes before use, and clean text before a terminal sees it.

`hello`, the first line to each reader
    format 1, group (its id in hexadecimal digits), application, n, faults, quorum, weak, pid, and lies: null of a
    replica itself, and how it misbehaves where a lab put a liar in its place.

`counters`, at once, and then every 250 ms (more seldom where making it would use more than 2 % of the time)
    report: what INSPECT answers, the fields of `pbft status --json`; counts are since the process began.
    `operations` counts executed operations. `state_digest` is that of the state after `digest_sequence`, which is
    `executed` unless a new one would use more than 1 % of the time. `situation` says what is lacking, and from whom,
    as `pbft.core.situation` explains it.

`flow`, with the counters: one sequence on its way through the phases, whenever something of it is new; four at a time
    sequence, view; digest of the batch, null while none was proposed here; requests, of the first 16 in the batch each
    one's client, timestamp and count of operations, and request_count; then times, null while they have not come:
    request_us      a client's request arrived here, the first that came of those named; null where others heard it
    pre_prepare_us  the proposal arrived, or was made here
    prepares        {member: time} of each PREPARE that came, own one included; the primary sends none
    prepared_us     the prepared certificate was complete
    commits         {member: time} of each COMMIT that came, own one included
    committed_us    a quorum of commits was held
    executed_us     it ran
    and differing: members that named another digest in this view, or two of them.
    Sampled are multiples of a power of two that follows the rate: every sequence while few are executed, then two or
    three a second. What is noted begins with the first reader. Unless a view changes, all replicas sample the same.

`incident`, when the replica's log gets a line: as bounded as the log is
    level ("info", "warning" or "error"), what ("view left", "view entered", "stable checkpoint", "state installed",
    "state diverged", "divergence explained", "evidence", "operation failed", "stopped" …), and fields, an object: its
    cause and its numbers.

`dropped`, the last line to a reader that is closed
    why, in words: it left too much unread, it said too much, or too many others read already. Connect again at any
    time; nothing is kept for those who are away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Mapping
from typing import Any, Final, cast

from pbft.core.effects import Effect
from pbft.core.envelope import Envelope, Sender
from pbft.core.group import Group
from pbft.core.settings import Now
from pbft.group_file import GroupFile
from pbft.net.local_sockets import open_socket, remove_socket, socket_path
from pbft.net.waiting import fine_clock_us, system_now
from pbft.node.driver import Driver
from pbft.node.event_log import EventLog
from pbft.node.flows import Flows

FORMAT: Final = 1
SOCKET_NAME: Final = "events"
MAX_READERS: Final = 16
INTERVAL_SECONDS: Final = 0.25

_UNREAD_BYTES: Final = 32 * 1024
_UNREAD_BYTES_A_MEMBER: Final = 1024
_SYSTEM_BYTES: Final = 16 * 1024
"""A reader may leave so much unread here, and about so much in the system: some ten seconds, at the usual pace."""
_HEARD_BYTES: Final = 4 * 1024
"""More than this no reader says."""
_LINE_BYTES: Final = 16 * 1024
_GRACE_SECONDS: Final = 5.0
"""How long a reader that was dropped has to read what is on its way to it."""
_CLOSING_SECONDS: Final = 0.5
_REST_PER_COST: Final = 50
"""How many times as long as a look took none follows: all readers together cost 2 % of the time at most."""


class EventStream:
    """Publishes what one driver does, to at most 16 readers."""

    def __init__(self, driver: Driver, group: Group, log: EventLog, lies: str | None = None) -> None:
        self._driver = driver
        self._group = group
        self._log = log
        self._lies = lies
        self._unread_bytes = _UNREAD_BYTES + _UNREAD_BYTES_A_MEMBER * group.n
        self._path: str | None = None
        self._server: asyncio.Server | None = None
        self._connections: dict[_Reader, None] = {}
        """All whose connection is open, those included that were told to leave."""
        self._timer: asyncio.TimerHandle | None = None
        self._flows: Flows | None = None
        """Of whoever reads now; None while nobody does."""
        self._counters = b""
        self._counted_us = 0

    @property
    def readers(self) -> int:
        """How many read."""
        return sum(not reader.leaving for reader in self._connections)

    async def open(self, path: str) -> None:
        """Listen at a path. Raises OSError where that cannot be.

        Whoever calls holds the replica's mark: a socket that lies there was left behind, by a process that was killed.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Reader(self), sock=open_socket(path))
        self._path = path

    async def close(self) -> None:
        """Say nothing more; give readers a moment for what is on its way."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        if self._path is not None:
            with contextlib.suppress(OSError):
                remove_socket(self._path)
        for reader in self._connections:
            reader.transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                while self._connections:
                    await next(iter(self._connections)).gone.wait()
        for reader in list(self._connections):
            reader.transport.abort()
        self._detach()

    # Readers.

    def arrived(self, reader: _Reader) -> None:
        """Greet a reader, or send it away. Called by its connection."""
        others = self.readers
        self._connections[reader] = None
        if self._server is None or others >= MAX_READERS:
            return self._dismiss(reader, f"{MAX_READERS} others read already; try again when one has left")
        if self._flows is None:
            self._attach()
        quorums = self._group.quorums
        reader.transport.write(
            self._line(
                "hello",
                format=FORMAT,
                group=self._group.id.hex(),
                application=self._group.genesis.application,
                n=self._group.n,
                faults=quorums.faults,
                quorum=quorums.quorum,
                weak=quorums.weak,
                pid=os.getpid(),
                lies=self._lies,
            )
        )
        # Whoever connects again and again does not make us count again and again.
        if fine_clock_us() - self._counted_us >= INTERVAL_SECONDS * 1e6:
            self._guarded(self._count)
        self._give(self._counters, reader)

    def heard(self, reader: _Reader) -> None:
        """Close a reader that says too much. Called by its connection."""
        if reader.heard_bytes > _HEARD_BYTES and not reader.leaving:
            self._dismiss(reader, "this stream is for reading; what is said to it goes nowhere")

    def left(self, reader: _Reader) -> None:
        """Forget a reader whose connection is gone. Called by its connection."""
        self._connections.pop(reader, None)
        if reader.last_call is not None:
            reader.last_call.cancel()
        if not self.readers:
            self._detach()

    def _give(self, lines: bytes, *readers: _Reader) -> None:
        """Write lines to some readers, and drop those who left too much unread."""
        dropped = 0
        for reader in readers:
            if reader.leaving or reader.transport.is_closing():
                continue
            if reader.transport.get_write_buffer_size() + len(lines) > self._unread_bytes:
                self._dismiss(reader, f"more than {self._unread_bytes} bytes were left unread")
                dropped += 1
            else:
                reader.transport.write(lines)
        if dropped:
            self._log.note("reader dropped", dropped=dropped, unread_bytes=self._unread_bytes, readers=self.readers)

    def _dismiss(self, reader: _Reader, why: str) -> None:
        """Say why, and close as soon as that is read, or soon after."""
        reader.leaving = True
        reader.transport.write(self._line("dropped", why=why))
        reader.transport.close()
        reader.last_call = asyncio.get_running_loop().call_later(_GRACE_SECONDS, reader.transport.abort)
        if not self.readers:
            self._detach()

    # What they read.

    def _attach(self) -> None:
        status = self._driver.replica.status()
        self._flows = Flows(status.id, self._group, status.view, status.executed)
        self._driver.taps.append(self._tap)
        self._driver.watchers.append(self._watch)
        self._log.listeners.append(self._on_incident)
        self._timer = asyncio.get_running_loop().call_later(INTERVAL_SECONDS, self._tick)

    def _detach(self) -> None:
        if self._flows is not None:
            self._flows = None
            self._driver.taps.remove(self._tap)
            self._driver.watchers.remove(self._watch)
            self._log.listeners.remove(self._on_incident)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tap(self, envelope: Envelope, sender: Sender, _: Now) -> None:
        if self._flows is not None:
            self._flows.take_in(envelope, sender, fine_clock_us())

    def _watch(self, effect: Effect, _: Now) -> None:
        if self._flows is not None:
            self._flows.watch(effect, fine_clock_us())

    def _on_incident(self, level: str, what: str, fields: Mapping[str, object]) -> None:
        line = self._line("incident", level=level, what=what, fields=fields)
        if len(line) > _LINE_BYTES:
            line = self._line("incident", level=level, what=what, fields={"too_long": len(line)})
        self._give(line, *self._connections)

    def _tick(self) -> None:
        begun_us = fine_clock_us()
        if self._guarded(self._look):
            cost_us = fine_clock_us() - begun_us
            pause = max(INTERVAL_SECONDS, _REST_PER_COST * cost_us / 1e6)
            if self._flows is not None:
                self._timer = asyncio.get_running_loop().call_later(pause, self._tick)

    def _look(self) -> None:
        self._count()
        lines = [self._counters]
        if self._flows is not None:
            lines += [self._line("flow", **flow) for flow in self._flows.changed(fine_clock_us())]
        self._give(b"".join(lines), *self._connections)

    def _count(self) -> None:
        self._counters = self._line("counters", report=self._driver.report(system_now(), thrifty=True))
        self._counted_us = fine_clock_us()

    def _guarded(self, look: Any) -> bool:
        """Do what asks the replica and its application; where that fails the stream ends, and the replica goes on."""
        try:
            look()
        except Exception as error:
            self._detach()
            for reader in list(self._connections):
                if not reader.leaving:
                    self._dismiss(reader, "this replica cannot tell how it is; see its log")
            self._log.fail("event stream ended", error)
            if self._server is not None:
                self._server.close()
            return False
        return True

    def _line(self, event: str, **fields: object) -> bytes:
        head = {"event": event, "replica": self._driver.replica.me, "us": fine_clock_us()}
        return json.dumps(head | fields, default=str, separators=(",", ":")).encode("ascii") + b"\n"


async def open_stream(driver: Driver, files: GroupFile, log: EventLog, lies: str | None = None) -> EventStream:
    """Publish what a driver does where readers of its replica look for it, until the stream is closed.

    A replica runs without a stream where none can be had; its log says why.
    """
    stream = EventStream(driver, files.group, log, lies)
    try:
        await stream.open(socket_path(files.data(driver.replica.me), SOCKET_NAME))
    except OSError as error:
        log.warn("no event stream", error=error.strerror or str(error), file=error.filename)
    return stream


class _Reader(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self, stream: EventStream) -> None:
        self.leaving = False
        self.heard_bytes = 0
        self.last_call: asyncio.TimerHandle | None = None
        self.gone = asyncio.Event()
        self._stream = stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Both kinds of event loop give one; the type of one of them does not say so.
        self.transport = cast(asyncio.Transport, transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SYSTEM_BYTES)
        self._stream.arrived(self)

    def data_received(self, data: bytes) -> None:
        self.heard_bytes += len(data)
        self._stream.heard(self)

    def eof_received(self) -> bool:
        # Who has nothing to say may still read.
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.gone.set()
        self._stream.left(self)
