"""A replica as a process: from a group's folder to an exit code.

Owns: what happens before the first and after the last turn of the driver: keys, application, pid file, log and
signals. Knows nothing of the protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pbft.core.effects import Effect, Evidence
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.group_file import GroupFile, GroupFileError, read_group
from pbft.keys import KeyFileError, Libsodium, PrivateKey
from pbft.loading import AppError, application_name, create_application, load_application
from pbft.net.names import follow_names
from pbft.net.transport import RECEIVE_BUFFER_BYTES
from pbft.node.assembly import StartError, open_driver
from pbft.node.driver import Driver
from pbft.node.journal import Journal

EXIT_CANNOT_START: Final = 2
EXIT_INTERNAL_ERROR: Final = 70

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)

WITH_PARENT_VARIABLE: Final = "PBFT_WITH_PARENT"
"""Set to 1 by a parent that holds the other end of our standard input: its end is ours too, however it comes."""


def run_replica(directory: Path, index: int, *, with_parent: bool = False) -> int:
    """Run one replica until SIGTERM or SIGINT; return the exit code: 0, 2 when it cannot start, 70 after a bug.

    What went wrong is one sentence on standard error. `with_parent`, or PBFT_WITH_PARENT=1 in the environment, also
    stops it when its standard input ends, which happens whenever the process that holds the other end is gone.
    """
    with_parent = with_parent or os.environ.get(WITH_PARENT_VARIABLE) == "1"
    try:
        files, replica, key = _prepare(directory, index)
        with _signals_restored(), asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(files, replica, key, with_parent))
    except (GroupFileError, KeyFileError, AppError, StartError) as error:
        print(error, file=sys.stderr)
        return EXIT_CANNOT_START


def _prepare(directory: Path, index: int) -> tuple[GroupFile, Replica, PrivateKey]:
    """Read everything a replica needs. Raises an error of one sentence for whatever does not fit."""
    files = read_group(directory)
    group = files.group
    if not 0 <= index < group.n:
        raise StartError(f"there is no replica {index} in {directory}; its replicas are 0 to {group.n - 1}")
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
    machine = create_application(application, dict(group.genesis.parameters))
    return files, Replica(index, group, machine, key, Libsodium(), files.settings), key


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def _serve(files: GroupFile, replica: Replica, key: PrivateKey, with_parent: bool) -> int:
    folder = files.data(replica.me)
    driver = await open_driver(files, replica, key)
    # The ports are ours, so no other process of this replica shares the folder.
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        journal = Journal(folder / "log.jsonl")
        _write_pid(folder / "pid")
    except OSError as error:
        await driver.close()
        raise StartError(f"replica {replica.me} cannot write to {folder}: {error.strerror}") from None
    _stop_on_signals(driver.stop)
    if with_parent:
        _stop_with_parent(driver.stop)
    names = asyncio.create_task(follow_names(files.replica_addresses, driver.addresses, driver.family))
    _note_start(journal, driver, files)
    driver.watchers.append(_evidence_to(journal))
    try:
        await driver.run()
    except Exception as error:
        journal.fail("failed", error, executed=replica.status().executed)
        print(f"replica {replica.me} stopped on an internal error; see {folder / 'log.jsonl'}", file=sys.stderr)
        return EXIT_INTERNAL_ERROR
    else:
        journal.note("stopped", executed=replica.status().executed)
        return 0
    finally:
        names.cancel()
        await driver.close()
        journal.close()
        _remove_pid(folder / "pid")


def _note_start(journal: Journal, driver: Driver, files: GroupFile) -> None:
    me, granted = driver.replica.me, driver.granted_receive_bytes
    journal.note(
        "ready",
        pid=os.getpid(),
        replica=me,
        group=files.group.id.hex(),
        address=str(files.replica_addresses[me]),
        client_address=str(files.client_addresses[me]),
        durable=driver.durable,
        receive_buffer_bytes=granted,
    )
    if granted < RECEIVE_BUFFER_BYTES:
        journal.warn(
            "small receive buffer: bursts may be lost; let the system grant more (on Linux: sysctl net.core.rmem_max)",
            granted_bytes=granted,
            wished_bytes=RECEIVE_BUFFER_BYTES,
        )


def _evidence_to(journal: Journal) -> Callable[[Effect, Now], None]:
    def watch(effect: Effect, now: Now) -> None:
        if isinstance(effect, Evidence):
            journal.warn(
                "evidence",
                culprit=effect.culprit,
                kind=effect.first.kind.name,
                # What was signed is the proof; batches that went beside are named by digests within.
                bodies=[each.body.hex() for each in (effect.first, effect.second)],
                signatures=[each.signature.hex() for each in (effect.first, effect.second)],
                monotonic_ms=now.monotonic_ms,
            )

    return watch


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


def _stop_with_parent(stop: Callable[[], None]) -> None:
    """Stop when standard input ends. A thread waits for it: event loops cannot watch every kind of file."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                pass
        # A loop that is closed already has stopped for another reason.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _write_pid(path: Path) -> None:
    """Write the pid file whole or not at all: whoever reads it may send a signal there."""
    temporary = path.with_suffix(".new")
    temporary.write_text(f"{os.getpid()}\n", encoding="ascii")
    temporary.replace(path)


def _remove_pid(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.read_text(encoding="ascii").strip() == str(os.getpid()):
            path.unlink()
