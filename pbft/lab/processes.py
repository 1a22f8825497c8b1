"""Replica processes of this machine: how one is started, and how those of a group are found and stopped.

Owns: the command line of a replica, what happens to its output, and stopping with growing insistence. Knows nothing of
the protocol.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pbft.group_file import GroupFile
from pbft.node.marks import holder, send_signal

GRACE_SECONDS: Final = 5.0
"""How long a replica may take to stop by itself."""

_OUTPUT_NAME: Final = "stderr"
_LAST_BYTES: Final = 16 * 1024
"""What is read of that for its last line."""
_PAUSE_SECONDS: Final = 0.02


class Child:
    """One replica, started by this process."""

    def __init__(
        self,
        files: GroupFile,
        replica: int,
        misbehaviour: str | None = None,
        colluders: Sequence[int] = (),
    ) -> None:
        """Start it. It ends when this process does, however that comes.

        With a `misbehaviour`, as `pbft liar` takes it, a liar starts in its place, with the keys of its colluders.
        """
        self.replica = replica
        folder = files.data(replica)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._output = folder / _OUTPUT_NAME
        program, options = "pbft.lab.child", ["--with-parent"]
        if misbehaviour is not None:
            program = "pbft.lab.liar"
            options = [misbehaviour, f"--colluders={','.join(map(str, colluders))}", *options]
        with self._output.open("wb") as output:
            # A process group of its own: a Ctrl-C at the terminal is for the launcher, which stops replicas in order.
            # And one that stands still when its parent dies is then woken and hung up on, by a rule of POSIX for groups
            # that nobody is left to care for, where otherwise it would never notice.
            self._process = subprocess.Popen(
                # -P: what lies in the working directory must not stand in for Python's own modules.
                [sys.executable, "-P", "-m", program, str(files.directory), str(replica), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=output,
                env=python_environment(),
                process_group=0,
            )
        self._sending = self._to_send = b""

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._process.poll()

    def last_words(self) -> str:
        """Return the last line it wrote to standard error, empty when there is none."""
        return last_words(self._output)

    def send(self, number: int) -> None:
        """Send it a signal, if it still runs: until we have asked for its exit code, its number is no one else's."""
        self._process.send_signal(number)

    def tell(self, line: bytes) -> None:
        """Write a line to its standard input, in place of any that it has not begun to read; never waits for it.

        What does not fit now is left for `go_on_telling`.
        """
        self._to_send = line
        self.go_on_telling()

    @property
    def unsaid(self) -> bool:
        """Whether lines wait that its pipe had no room for."""
        return bool(self._sending or self._to_send)

    def go_on_telling(self) -> None:
        """Write what is left of lines, as far as it goes."""
        pipe = self._process.stdin
        while pipe is not None and not pipe.closed and self.unsaid:
            if not self._sending:
                self._sending, self._to_send = self._to_send, b""
            os.set_blocking(pipe.fileno(), False)
            try:
                written = os.write(pipe.fileno(), self._sending)
            except BlockingIOError:
                # It stands still, perhaps, and its pipe is full.
                return
            except OSError:
                self._sending = self._to_send = b""
                return
            self._sending = self._sending[written:]

    def let_go(self) -> None:
        """Close our end of its standard input, which ends it."""
        if self._process.stdin is not None:
            self._process.stdin.close()


def last_words(file: Path) -> str:
    """Return the last line of a process's output in a file, empty when there is none, or no file."""
    try:
        with file.open("rb") as output:
            # Whatever it said before that, were it for days.
            output.seek(max(0, output.seek(0, os.SEEK_END) - _LAST_BYTES))
            return last_line(output.read(_LAST_BYTES))
    except OSError:
        return ""


def last_line(output: bytes) -> str:
    """Return the last line that says something, empty when there is none."""
    lines = output.decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def python_environment() -> dict[str, str]:
    """Return the environment in which another Python finds this very pbft, installed or not."""
    environment = dict(os.environ)
    home = str(Path(__file__).resolve().parents[2])
    if home not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        known = environment.get("PYTHONPATH", "")
        if home not in known.split(os.pathsep):
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (home, known)))
    return environment


def running(files: GroupFile) -> dict[int, int]:
    """Return the replicas of a group that run on this machine, each with its process, whoever started them."""
    found = ((replica, holder(files.data(replica))) for replica in range(files.group.n))
    return {replica: pid for replica, pid in found if pid is not None}


def stop_children(children: Sequence[Child], hurry: Callable[[], bool]) -> None:
    """Stop replicas that this process started; on return none of them runs.

    `hurry` is asked all the while: once it says so, nobody is given more time.
    """
    for child in children:
        child.send(signal.SIGTERM)
        # A paused one would never hear it.
        child.send(signal.SIGCONT)
    wait_until(lambda: all(child.exit_code is not None for child in children), GRACE_SECONDS, hurry)
    for child in children:
        child.send(signal.SIGKILL)
    wait_until(lambda: all(child.exit_code is not None for child in children), None)
    for child in children:
        child.let_go()


def stop_running(files: GroupFile) -> dict[int, int]:
    """Stop every replica of a group on this machine, whoever started it; return those that ran."""
    found = running(files)
    for number in (signal.SIGTERM, signal.SIGCONT):
        for replica in found:
            send_signal(files.data(replica), number)
    wait_until(lambda: not running(files), GRACE_SECONDS)
    for replica in running(files):
        send_signal(files.data(replica), signal.SIGKILL)
    wait_until(lambda: not running(files), GRACE_SECONDS)
    return found


def wait_until(done: Callable[[], bool], seconds: float | None, hurry: Callable[[], bool] = lambda: False) -> None:
    """Wait for something that other processes do, until it comes or waiting is over."""
    end = None if seconds is None else time.monotonic() + seconds
    while not done():
        if hurry() or (end is not None and time.monotonic() >= end):
            return
        time.sleep(_PAUSE_SECONDS)
