"""A local group that a keeper looks after, as whoever starts it sees it.

Owns: starting a keeper, what it tells from then on, and that a start that fails leaves nothing running. The keeper is
`pbft.lab.keeper`, a process of its own; knows nothing of terminals.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from pbft.group_file import GroupFile
from pbft.lab.keeper import STAY
from pbft.lab.processes import GRACE_SECONDS, last_line, python_environment
from pbft.lab.registry import note_started
from pbft.lab.starting import GroupStartError, Interrupted, control_path, refuse_strangers
from pbft.lab.state import LabState, ReplicaState

if TYPE_CHECKING:
    from pbft.lab.survey import Survey

START_SECONDS: Final = 30.0
"""How long a keeper may take to start its replicas: none of them need be ready by then."""

_OUTPUT_NAME: Final = "keeper.stderr"
_PAUSE_SECONDS: Final = 0.05
_READ_BYTES: Final = 65_536
_FOLLOW: Final = b'{"do": "follow"}\n'


class KeptGroup:
    """The replicas of one local group, and their keeper. Leaving it stops them all, unless they are detached."""

    def __init__(
        self,
        files: GroupFile,
        interrupted: Callable[[], bool] = lambda: False,
        hurry: Callable[[], bool] = lambda: False,
        liars: Mapping[int, str] | None = None,
    ) -> None:
        """`interrupted` is asked between steps of a start, and `hurry` while stopping.

        `liars` says in place of which replicas a liar starts, and how it lies; all of them collude.
        """
        self.files = files
        self.liars = dict(liars or {})
        self.state: LabState | None = None
        """How the group's processes and links are, as far as `news` has read; None until the keeper has said so."""
        self._interrupted = interrupted
        self._hurry = hurry
        self._process: subprocess.Popen[bytes] | None = None
        self._following: socket.socket | None = None
        self._heard = b""
        self._output_begins = 0
        self._detached = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, client: str, detach: bool = False, note: bool = True) -> Survey:
        """Start the group, wait until each replica answers `client`, and return what they say: all steps in one.

        Of a liar, which may never answer anybody, it is enough that it listens. Detached, the group outlives this
        process. Raises GroupStartError or Interrupted. `note` makes this the group that commands mean by default.
        """
        self.spawn()
        ready = asyncio.run(self.wait_ready(client))
        if detach:
            self.detach()
        if note:
            note_started(self.files.directory)
        return ready

    def spawn(self) -> None:
        """Start the keeper, which starts the replicas; none need be ready when this returns.

        Raises GroupStartError or Interrupted.
        """
        refuse_strangers(self.files)
        data = self.files.data_folder
        options = [f"--liar={replica}={misbehaviour}" for replica, misbehaviour in self.liars.items()]
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (data / _OUTPUT_NAME).open("ab") as output:
                self._output_begins = output.tell()
                self._process = subprocess.Popen(
                    # -P: what lies in the working directory must not stand in for Python's own modules.
                    [
                        *(sys.executable, "-P", "-m", "pbft.lab.keeper", str(self.files.directory), "--with-parent"),
                        *options,
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    env=python_environment(),
                    # No terminal of ours reaches it: it lives as long as we hold its standard input, or let it stay.
                    start_new_session=True,
                )
        except OSError as error:
            raise GroupStartError(f"nothing can be written to {data}: {(error.strerror or str(error))}") from None
        told = self._first_line()
        if "error" in told:
            raise GroupStartError(str(told["error"]))
        self._follow()

    async def wait_ready(self, client: str) -> Survey:
        """Wait until each replica answers `client`, and return what they say. Raises GroupStartError or Interrupted."""
        # Here, and not above: the replicas are on their way by now, and load much the same.
        from pbft.lab.readiness import wait_ready

        def interrupted() -> bool:
            self.news()
            if self.state is not None and not self.alive and not self.ended():
                raise GroupStartError(f"the group's keeper has ended; see {self.files.data_folder}")
            return self._interrupted()

        return await wait_ready(self.files, client, self.ended, interrupted, self.liars)

    def detach(self) -> None:
        """Let the group outlive this process."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(STAY)
            self._process.stdin.close()
        self._detached = True

    def ended(self) -> list[ReplicaState]:
        """Return the replicas whose process has ended and that no fault killed, as far as `news` has read."""
        replicas = () if self.state is None else self.state.replicas
        return [each for each in replicas if each.pid is None and each.state != "killed"]

    @property
    def alive(self) -> bool:
        """Whether the keeper still runs: it ends itself once no replica is left."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the keeper ended, None while it runs."""
        return None if self._process is None else self._process.poll()

    def last_words(self) -> str:
        """Return the last line that the keeper wrote to standard error, empty when there is none."""
        try:
            content = (self.files.data_folder / _OUTPUT_NAME).read_bytes()
        except OSError:
            return ""
        # A keeper empties the file once the group is its own.
        return last_line(content[self._output_begins :] if len(content) >= self._output_begins else content)

    def fileno(self) -> int | None:
        """Return what becomes readable when there is news; None once there will be none."""
        return None if self._following is None else self._following.fileno()

    def news(self) -> list[dict[str, Any]]:
        """Return the keeper's events since the last time, without waiting: `state` is the last one's from now on."""
        found: list[dict[str, Any]] = []
        while self._following is not None:
            try:
                some = self._following.recv(_READ_BYTES)
            except BlockingIOError:
                break
            except OSError:
                some = b""
            if not some:
                self._following.close()
                self._following = None
                break
            *lines, self._heard = (self._heard + some).split(b"\n")
            found += map(json.loads, lines)
        for event in found:
            if event["event"] == "lab":
                self.state = LabState.from_json(event["state"])
        return found

    def close(self) -> None:
        """Stop the replicas and their keeper, unless they are detached. On return nothing of them runs."""
        if self._following is not None:
            self._following.close()
            self._following = None
        if self._process is None:
            return
        if not self._detached:
            self._stop(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        # Its replicas get that long to stop by themselves, and it some more to see to it.
        end, hurried = time.monotonic() + 2 * GRACE_SECONDS, False
        while process.poll() is None and time.monotonic() < end:
            if self._hurry() and not hurried:
                hurried = True
                process.terminate()
            try:
                process.wait(_PAUSE_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        # Its replicas end with it, however it ends.
        process.kill()
        process.wait()

    def _first_line(self) -> dict[str, Any]:
        """Return what the keeper says first. Raises GroupStartError or Interrupted."""
        process, heard = self._process, b""
        if process is None or process.stdout is None:
            raise ValueError("no keeper was started")
        end = time.monotonic() + START_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not heard.endswith(b"\n"):
                if self._interrupted():
                    raise Interrupted
                if time.monotonic() > end:
                    raise GroupStartError(f"the group's keeper did not start within {START_SECONDS:.0f} seconds")
                if not selector.select(_PAUSE_SECONDS):
                    continue
                some = os.read(process.stdout.fileno(), _READ_BYTES)
                if not some:
                    words = self.last_words() or f"it ended with code {process.wait()}"
                    raise GroupStartError(f"the group's keeper did not start: {words}")
                heard += some
        told = json.loads(heard)
        return told if isinstance(told, dict) else {}

    def _follow(self) -> None:
        following = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            following.connect(control_path(self.files))
            following.sendall(_FOLLOW)
        except OSError as error:
            following.close()
            raise GroupStartError(f"the group's keeper does not answer: {error}") from None
        following.setblocking(False)
        self._following = following
