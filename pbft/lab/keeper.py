"""The keeper of a local group: `python -m pbft.lab.keeper DIR [--with-parent] [--liar I=MISBEHAVIOUR]...`.

Owns: the life of this program: the mark of the group's data, its replicas, which are its children and end when it
does, and how it ends itself. What it does meanwhile is `pbft.lab.keeping`'s, which is loaded once the replicas are on
their way.

Its first line on standard output is one JSON object: `{"keeper": PID}` once all replicas have been started and the
socket for questions is open, or `{"error": "..."}` where that cannot be. With --with-parent it ends when its standard
input does, unless a line `stay` came before.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from pbft.errors import PbftError
from pbft.group_file import GroupFile, read_group
from pbft.lab.processes import stop_children
from pbft.lab.seats import Seat, all_seats
from pbft.lab.starting import claim

if TYPE_CHECKING:
    import asyncio

STAY: Final = b"stay\n"
"""What a parent writes that wants its keeper to outlive it."""

_EXIT_CANNOT_START: Final = 2
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_STANDARD_OUTPUT: Final = 1
_STANDARD_ERROR: Final = 2


def keep(directory: Path, liars: Mapping[int, str], with_parent: bool = False) -> int:
    """Start the replicas of a local group and look after them until somebody asks to stop, or none is left.

    `liars` says who lies, and how; all of them collude. Returns the exit code: 0, or 2 where it cannot start.
    """
    requests = _Requests()
    with requests.heard():
        try:
            files = read_group(directory)
            mark = claim(files)
        except PbftError as error:
            _report({"error": str(error)})
            return _EXIT_CANNOT_START
        mark.note(keeps=True)
        with contextlib.suppress(OSError):
            # Where standard error is a file it must not grow for ever.
            os.ftruncate(_STANDARD_ERROR, 0)
        seats = all_seats(files)
        try:
            for seat in seats:
                seat.start(liars.get(seat.replica), sorted(liars) if seat.replica in liars else ())
            _look_after(files, seats, requests, with_parent)
        except OSError as error:
            _report({"error": f"the group in {directory} cannot be kept: {error}"})
            return _EXIT_CANNOT_START
        finally:
            stop_children([child for seat in seats if (child := seat.last_child) is not None], requests.hurry)
            mark.release()
    return 0


class _Requests:
    """How often somebody asked this program to stop: once is a wish, twice is impatience."""

    def __init__(self) -> None:
        self.count = 0
        self.stop: Callable[[], None] = lambda: None

    def hurry(self) -> bool:
        return self.count > 1

    def note(self, *_: int | FrameType | None) -> None:
        self.count += 1
        self.stop()

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Count requests within, instead of obeying them."""
        before = {number: signal.signal(number, self.note) for number in _STOPPING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _look_after(files: GroupFile, seats: tuple[Seat, ...], requests: _Requests, with_parent: bool) -> None:
    # Only now: the replicas load what they need at the same time.
    import asyncio

    from pbft.lab.answering import Answering
    from pbft.lab.keeping import Keeper

    async def serve() -> None:
        keeper = Keeper(files, seats)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(keeper.over.set)

        requests.stop = stop
        for number in _STOPPING:
            loop.add_signal_handler(number, requests.note)
        if requests.count:
            keeper.over.set()
        answering = Answering(keeper)
        await answering.open()
        if with_parent:
            _hear_parent(stop)
        _report({"keeper": os.getpid()})
        try:
            await keeper.run()
        finally:
            # Whoever waits for a fault is answered first; from here on nobody interrupts but to hurry.
            requests.stop = lambda: None
            await answering.close()
            keeper.close()

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve())
    finally:
        # A loop leaves handlers of its own behind, or none.
        for number in _STOPPING:
            signal.signal(number, requests.note)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    import asyncio

    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _hear_parent(stop: Callable[[], None]) -> None:
    """Stop when standard input ends, unless it says before that this program is to stay."""

    def hear() -> None:
        heard = b""
        with contextlib.suppress(OSError):
            while some := os.read(0, 1024):
                heard = (heard + some)[-len(STAY) :]
        # A loop that is closed already has stopped for another reason.
        if heard != STAY:
            with contextlib.suppress(RuntimeError):
                stop()

    threading.Thread(target=hear, name="parent", daemon=True).start()


def _report(value: Mapping[str, Any]) -> None:
    """Write the first line, and no more: whoever started this program may have stopped to listen."""
    with contextlib.suppress(OSError):
        os.write(_STANDARD_OUTPUT, json.dumps(value).encode("ascii") + b"\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STANDARD_OUTPUT)


def main(words: list[str]) -> int:
    """Run the keeper that a launcher's words name."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m pbft.lab.keeper", description="Keep the replicas of a local group."
    )
    parser.add_argument("directory", metavar="DIR", type=Path)
    parser.add_argument("--with-parent", action="store_true")
    parser.add_argument("--liar", metavar="I=MISBEHAVIOUR", action="append", default=[])
    given = parser.parse_args(words)
    named = (each.partition("=") for each in given.liar)
    return keep(given.directory, {int(number): misbehaviour for number, _, misbehaviour in named}, given.with_parent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
