"""A replica as a process: from a group's folder to an exit code.

Owns: what happens before the first and after the last turn of the driver: the mark, keys, application, log and
signals. Knows nothing of the protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pbft.core.group import ReplicaId
from pbft.core.replica import Replica
from pbft.errors import PbftError
from pbft.group_file import GroupFile, read_group
from pbft.keys import Libsodium, PrivateKey
from pbft.loading import application_name, create_application, load_application
from pbft.machine import Application
from pbft.net.transport import RECEIVE_BUFFER_BYTES
from pbft.node.assembly import StartError, open_driver
from pbft.node.divergences import Divergences
from pbft.node.driver import Driven, Driver
from pbft.node.event_log import EventLog
from pbft.node.evidence import EvidenceFolder
from pbft.node.exposition import open_exposition
from pbft.node.incidents import Incidents
from pbft.node.marks import Mark
from pbft.node.routes import MAX_ORDER_BYTES, Detours, Routes, detours_in_force, read_order
from pbft.node.stream import open_stream

EXIT_CANNOT_START: Final = 2
EXIT_INTERNAL_ERROR: Final = 70

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)
_GRACE_SECONDS: Final = 5.0
"""How long a replica whose parent is gone may take to end by itself."""


@dataclass(frozen=True)
class Seat:
    """A replica's place in its group, and what whoever takes it works with."""

    files: GroupFile
    me: ReplicaId
    key: PrivateKey
    another: Callable[[], Replica]
    """Makes one more core of this replica, under the same keys, on a state machine of its own."""


@dataclass(frozen=True)
class Occupant:
    """Who takes a replica's seat. As it stands, the replica itself; a lab may seat something else around it."""

    name: str
    """What sentences about this process call it."""
    take: Callable[[Replica, Seat], Driven] = lambda replica, _: replica
    """Returns what is driven in the replica's place. Raises an error of one sentence when it cannot."""
    notes: Mapping[str, object] = field(default_factory=dict)
    """What the first line of the log says of it. A `misbehaviour` among it stands in the mark, too."""

    @property
    def lies(self) -> str | None:
        """How it misbehaves on purpose, None of a replica itself."""
        misbehaviour = self.notes.get("misbehaviour")
        return None if misbehaviour is None else str(misbehaviour)


def run_replica(
    directory: Path,
    index: int,
    *,
    with_parent: bool = False,
    ready: Callable[[str], None] = lambda _: None,
    occupant: Occupant | None = None,
) -> int:
    """Run one replica until SIGTERM or SIGINT; return the exit code: 0, 2 when it cannot start, 70 after a bug.

    What went wrong is one sentence on standard error; that it runs already is one such reason. `with_parent` also
    stops it when its standard input ends, which happens whenever the process that holds the other end is gone; in a
    lab that process may order detours there. `ready` is told where clients reach it, once they do. `occupant` is who
    takes its seat, itself unless somebody is given.
    """
    try:
        files = read_group(directory)
        if not 0 <= index < files.group.n:
            raise StartError(f"there is no replica {index} in {directory}; its replicas are 0 to {files.group.n - 1}")
        seated = occupant or Occupant(f"replica {index}")
        with _marked(files, directory, index) as mark:
            mark.note(seated.lies)
            make, key = _prepare(files, index)

            def serving(address: str) -> None:
                mark.note(seated.lies, ready=True)
                ready(address)

            with _signals_restored(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
                return runner.run(_serve(files, index, make, key, with_parent, serving, seated))
    except PbftError as error:
        print(error, file=sys.stderr)
        return EXIT_CANNOT_START


@contextlib.contextmanager
def _marked(files: GroupFile, directory: Path, index: int) -> Iterator[Mark]:
    """Hold the mark of a replica, so that none runs twice and everybody finds its process."""
    folder = files.data(index)
    try:
        mark = Mark.take(folder)
    except OSError as error:
        raise StartError(f"replica {index} cannot write to {folder}: {error.strerror}") from None
    if mark is None:
        raise StartError(f"replica {index} of {directory} is running already; stop it: pbft down {directory}")
    try:
        yield mark
    finally:
        mark.release()


def _prepare(files: GroupFile, index: int) -> tuple[Callable[[], Application], PrivateKey]:
    """Read everything else a replica needs: what makes its application, and its key.

    Raises an error of one sentence for whatever does not fit.
    """
    group = files.group
    key = PrivateKey.load(files.replica_key(index))
    member = group.members[index]
    if (key.public_key, key.link_key) != (member.public_key, member.link_key):
        raise StartError(
            f"{files.replica_key(index)} is not the key of replica {index} in {files.path}; "
            "put the key there that was made with this group"
        )
    application = load_application(files.application)
    name = application_name(application)
    if name != group.genesis.application:
        raise StartError(
            f"{files.path} names {files.application}, which is {name}, but the group agreed on "
            f"{group.genesis.application}; name that class under [application]"
        )
    return lambda: create_application(application, dict(group.genesis.parameters)), key


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def _serve(
    files: GroupFile,
    index: int,
    make: Callable[[], Application],
    key: PrivateKey,
    with_parent: bool,
    ready: Callable[[str], None],
    occupant: Occupant,
) -> int:
    def core(application: Application) -> Replica:
        return Replica(index, files.group, application, key, Libsodium(), files.settings)

    folder, application = files.data(index), make()
    replica = core(application)
    seat = Seat(files, index, key, lambda: core(make()))
    driver = await open_driver(files, occupant.take(replica, seat), key)
    try:
        log = EventLog(folder / "log.jsonl")
    except OSError as error:
        await driver.close()
        raise StartError(f"replica {index} cannot write to {folder}: {error.strerror}") from None
    try:
        exposition = await open_exposition(files, driver)
    except StartError:
        await driver.close()
        log.close()
        raise
    _stop_on_signals(driver.stop)
    routes = Routes(files.replica_addresses, driver.addresses, driver.family)
    routes.lead(detours_in_force(files, index))
    if with_parent:
        _hear_parent(driver.stop, files.group.n, routes.lead if files.lab else lambda _: None)
    elif files.lab:
        routes.watch(files, index)
    _note_start(log, driver, files, occupant.notes)
    incidents = Incidents(log, application, EvidenceFolder(files.evidence(index), files.group))
    driver.watchers += [incidents.watch, Divergences(folder, log, application, files.group, index).watch]
    stream = await open_stream(driver, files, log, occupant.lies)
    ready(str(files.client_addresses[index]))
    try:
        await driver.run()
    except PbftError as error:
        log.fail("stopped for good", error, executed=replica.status().executed, **incidents.summary())
        print(f"{occupant.name} stopped: {error}", file=sys.stderr)
        return EXIT_CANNOT_START
    except Exception as error:
        log.fail("failed", error, executed=replica.status().executed, **incidents.summary())
        print(f"{occupant.name} stopped on an internal error; see {folder / 'log.jsonl'}", file=sys.stderr)
        return EXIT_INTERNAL_ERROR
    else:
        log.note("stopped", executed=replica.status().executed, **incidents.summary())
        return 0
    finally:
        routes.stop()
        await stream.close()
        if exposition is not None:
            await exposition.close()
        await driver.close()
        log.close()


def _note_start(log: EventLog, driver: Driver, files: GroupFile, notes: Mapping[str, object]) -> None:
    me, granted = driver.replica.me, driver.granted_receive_bytes
    log.note(
        "ready",
        pid=os.getpid(),
        replica=me,
        group=files.group.id.hex(),
        address=str(files.replica_addresses[me]),
        client_address=str(files.client_addresses[me]),
        durable=driver.durable,
        receive_buffer_bytes=granted,
        **notes,
    )
    if granted < RECEIVE_BUFFER_BYTES:
        log.warn(
            "small receive buffer: bursts may be lost; let the system grant more (on Linux: sysctl net.core.rmem_max)",
            granted_bytes=granted,
            wished_bytes=RECEIVE_BUFFER_BYTES,
        )


def _stop_on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for each in _ENDING:
        loop.add_signal_handler(each, stop)


@contextlib.contextmanager
def _signals_restored() -> Iterator[None]:
    """Put signal handlers back afterwards: uvloop leaves its own behind, and then nobody hears Ctrl-C any more."""
    before = {each: signal.getsignal(each) for each in _ENDING}
    try:
        yield
    finally:
        for each, handler in before.items():
            if handler is not None:
                signal.signal(each, handler)


def _hear_parent(stop: Callable[[], None], n: int, lead: Callable[[Detours], None]) -> None:
    """Obey the lines on standard input, and stop when it ends.

    A thread reads it: event loops cannot watch every kind of file. What is no order, or too long for one, is passed
    over. Where the replica does not end by itself in time, its process is ended all the same.
    """
    loop = asyncio.get_running_loop()

    def hear() -> None:
        heard = b""
        with contextlib.suppress(OSError):
            while some := os.read(0, MAX_ORDER_BYTES):
                *lines, heard = (heard + some).split(b"\n")
                orders = [order for line in lines if (order := read_order(line, n)) is not None]
                if orders:
                    # The last one holds.
                    loop.call_soon_threadsafe(lead, orders[-1])
                heard = heard[: MAX_ORDER_BYTES + 1]

    def wait() -> None:
        # A loop that is closed already has stopped for another reason.
        with contextlib.suppress(RuntimeError):
            hear()
            loop.call_soon_threadsafe(stop)
        time.sleep(_GRACE_SECONDS)
        # An application's own code that never returns keeps the loop from hearing of it.
        os._exit(EXIT_INTERNAL_ERROR)

    threading.Thread(target=wait, name="parent", daemon=True).start()
