"""Commands as a person runs them: real processes, in a folder of their own, nothing left behind.

Owns: how the tests beside it start commands, wait for what they print, and clean up after themselves.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pbft.group_file import read_group
from pbft.lab.ending import stop_group
from pbft.lab.processes import python_environment, running

SECONDS = 60
"""What no command takes; a test that waits so long has failed."""

PBFT = [sys.executable, "-P", "-m", "pbft.cli"]


class Shell:
    """One person's working directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {
            **python_environment(),
            "XDG_STATE_HOME": str(directory / "state"),
            "COLUMNS": "200",
        }
        self.environment.pop("PBFT_GROUP", None)

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [*PBFT, *words],
            cwd=self.directory,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def do(self, *words: str) -> str:
        """Run a command that must succeed, and return what it printed."""
        ran = self.run(*words)
        assert (ran.returncode, ran.stderr) == (0, ""), (words, ran)
        return ran.stdout

    def ask(self, *words: str) -> Any:
        """Run a command that must succeed, with --json, and return the object it printed."""
        return json.loads(self.do(*words, "--json"))

    @contextmanager
    def start(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command as the terminal's own job: a Ctrl-C reaches whoever is in its process group."""
        with (
            obeying_signals(),
            subprocess.Popen(
                [*PBFT, *words],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                process_group=0,
            ) as process,
        ):
            try:
                yield process
            except BaseException:
                # A test that failed must not wait for what it will never stop.
                process.kill()
                raise

    def running(self, group: str) -> dict[int, int]:
        """Return the replicas of a group that run, each with its process."""
        return running(read_group(self.directory / group))


@contextmanager
def obeying_signals() -> Iterator[None]:
    """Let commands hear Ctrl-C and hangups, which tests that run in the background were started to ignore."""
    before = {
        number: signal.signal(number, signal.SIG_DFL)
        for number in (signal.SIGINT, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal to a process and all in its group, as a terminal does."""
    os.killpg(process.pid, number)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Return what a process prints up to and including the line with these words."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError(f"{process.args!r} ended without {words!r}: {lines} {process.communicate()}")


def wait_until(done: Callable[[], bool]) -> None:
    """Wait for something that other processes do, and fail when it never comes."""
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def shell_in(directory: Path) -> Iterator[Shell]:
    """Give a shell, and stop every group that it leaves running."""
    try:
        yield Shell(directory)
    finally:
        for path in directory.rglob("group.toml"):
            stop_group(read_group(path.parent))
