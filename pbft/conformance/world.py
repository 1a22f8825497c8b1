"""A process of a check: `python -m pbft.conformance.world FD`. It imports the application once and forks for each run.

Owns: the order in which this process becomes what its plan says, the forking, and the end of all that it forked. Ends
when whoever started it closes the socket, or is gone. Single-threaded, so that a fork is safe.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pbft.conformance.executing import Run
from pbft.conformance.frames import Frames, send_frame
from pbft.conformance.notebook import Notebook
from pbft.conformance.outside import Outside
from pbft.conformance.subject import Subject
from pbft.conformance.surroundings import Surroundings
from pbft.conformance.touches import Touches
from pbft.errors import PbftError
from pbft.machine import StateMachine

_BREATH_S: Final = 0.2
"""How often is said of a run under way that it came further, where it did."""

_MEMORY_BYTES: Final = 4 * 1024**3
"""What a run may use beyond what its parent does, where the system can bound it.

An operation that wants more fails, and the host goes on.
"""


class Zygote:
    """The process that waits for requests, and has one run at most under way."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._frames = Frames(stream)
        self._child = 0
        self._filled = 0
        """How full the notebook was when it was looked at last."""
        self._touches = Touches()

    def serve(self) -> None:
        """Import the application, then run what is asked for until nobody asks any more."""
        try:
            messages = self._messages()
            self._become(next(messages))
            for request in messages:
                if request["kind"] == "run":
                    self._fork(request)
                else:
                    self._kill_child()
        except (EOFError, OSError):
            return
        finally:
            self._end_child()

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            readable = [self._stream, self._woken] if self._child else [self._stream]
            ready, _, _ = select.select(readable, [], [], _BREATH_S if self._child else None)
            if not ready:
                self._say_how_it_goes()
            elif self._stream in ready:
                yield from self._frames.read()
            elif self._woken in ready:
                self._woken.recv(4096)
                self._reap()

    def _say_how_it_goes(self) -> None:
        """Let whoever waits know that a run goes on: many slow operations take longer than one that does not end."""
        before, self._filled = self._filled, self._notebook.filled
        if self._filled != before:
            send_frame(self._stream, {"kind": "goes on"})

    def _become(self, told: dict[str, Any]) -> None:
        self._surroundings = Surroundings(told["around"])
        self._surroundings.install()
        self._touches.install()
        self._woken, waking = socket.socketpair()
        self._waking = waking
        waking.setblocking(False)
        sys.path[:] = told["path"]
        self._parameters = told["parameters"]
        # An import that does not end is ended by the alarm, which no code of the application sees.
        signal.setitimer(signal.ITIMER_REAL, told["patience_ms"] / 1000)
        try:
            self._class = Subject(told["spec"]).load()
        except PbftError as error:
            send_frame(self._stream, {"kind": "refused", "why": str(error)})
            raise EOFError from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waking.fileno())
        self._notebook = Notebook(self._stream)
        self._outside = Outside(self._class)
        # What is here now is never collected, so that a run's collector does not write to memory that is shared.
        gc.collect()
        gc.freeze()
        machine = issubclass(self._class, StateMachine)
        threads = threading.active_count() - 1
        self._memory_bytes = _MEMORY_BYTES + _address_space()
        send_frame(self._stream, {"kind": "ready", "threads": threads, "machine": machine})

    def _fork(self, request: dict[str, Any]) -> None:
        with warnings.catch_warnings():
            # The application's import may have started threads, which is told as a finding of its own.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._child = os.fork()
        if self._child == 0:
            self._run(request)

    def _run(self, request: dict[str, Any]) -> None:
        """Be the child: run, and end without any of the cleaning up that the parent will do."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            # A group of its own, so that whatever an operation starts can be ended with it.
            os.setpgid(0, 0)
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_AS, (self._memory_bytes, resource.RLIM_INFINITY))
            signal.setitimer(signal.ITIMER_REAL, request["patience_ms"] / 1000)
            Run(
                request,
                self._class,
                self._parameters,
                self._surroundings,
                self._touches,
                self._outside,
                self._notebook,
            ).run()
            code = 0
        finally:
            os._exit(code)

    def _reap(self) -> None:
        pid, status = os.waitpid(self._child, os.WNOHANG)
        if pid == 0:
            return
        self._child = 0
        _end_group(pid)
        self._notebook.send()
        send_frame(self._stream, {"kind": "ended", "code": os.waitstatus_to_exitcode(status)})

    def _kill_child(self) -> None:
        if self._child:
            # It has not been waited for, so the number is no one else's.
            os.kill(self._child, signal.SIGKILL)

    def _end_child(self) -> None:
        if self._child:
            self._kill_child()
            _end_group(self._child)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._child, 0)


def _address_space() -> int:
    """Return the size of this process's address space where Linux tells it, else 0."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return 0


def _end_group(pid: int) -> None:
    """End what is left of a run: processes that an operation started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def main(words: list[str]) -> int:
    """Serve the socket whose number is given."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(words[0])) as stream:
        Zygote(stream).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
