"""One process of a check, as seen from outside: started after a plan, asked, listened to, and ended.

Owns: the command line, environment and folder of such a process, and that none is left behind.
"""

from __future__ import annotations

import contextlib
import os
import site
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pbft.conformance.frames import Frames, send_frame
from pbft.conformance.plans import Plan
from pbft.conformance.subject import Subject
from pbft.lab.processes import last_words, python_environment

_GRACE_S: Final = 5.0


class Process:
    """A process that has imported the application, or says why it could not."""

    def __init__(self, subject: Subject, plan: Plan, folder: Path, patience_s: float) -> None:
        """Start it; `folder` is its own."""
        self.plan = plan
        self.ended = False
        """Whether it is gone, which it never is by itself."""
        self._said = folder / "stderr"
        ours, theirs = socket.socketpair()
        self._stream = ours
        self._frames = Frames(ours)
        with theirs, self._said.open("wb") as said:
            self._process = subprocess.Popen(
                # -P: what lies in the working directory must not stand in for Python's own modules.
                [sys.executable, "-P", "-m", "pbft.conformance.world", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=_environment(plan, folder),
                cwd=folder if plan.moved else None,
                pass_fds=(theirs.fileno(),),
                # A Ctrl-C at the terminal is for whoever checks, who ends this one in order.
                process_group=0,
            )
        self.send(
            {
                "spec": subject.spec,
                "parameters": dict(subject.parameters),
                "path": [os.path.abspath(entry) for entry in sys.path],
                "around": plan.around(),
                "patience_ms": round(patience_s * 1000),
            }
        )

    def fileno(self) -> int:
        """Return the descriptor by which a selector waits for its messages."""
        return self._stream.fileno()

    def send(self, message: dict[str, Any]) -> None:
        """Send a request. One that is gone shows when it is listened to."""
        with contextlib.suppress(OSError):
            send_frame(self._stream, message)

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield what it has said since; a process that is gone says `lost`, with how it ended."""
        try:
            yield from self._frames.read()
        except (EOFError, OSError):
            self.ended = True
            yield {"kind": "lost", "code": self._process.wait(), "notes": ()}

    def interrupt(self) -> None:
        """End the run that is under way, whatever it does."""
        self.send({"kind": "interrupt"})

    def last_words(self) -> str:
        """Return the last line it wrote to standard error, empty when there is none."""
        return last_words(self._said)

    def let_go(self) -> None:
        """Close our end of the socket, which ends it and what it forked."""
        self._stream.close()

    def wait(self) -> None:
        """Wait until it has ended, and make it if it does not."""
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _environment(plan: Plan, folder: Path) -> dict[str, str]:
    environment = {**python_environment(), **plan.environment}
    if plan.moved:
        environment |= {"HOME": str(folder), "PWD": str(folder), "TMPDIR": str(folder), "OLDPWD": str(folder)}
    # A folder of one's own is no reason to lose the packages that lie in the home folder.
    if base := site.getuserbase():
        environment.setdefault("PYTHONUSERBASE", base)
    return {**environment, "PYTHONHASHSEED": str(plan.hash_seed), "TZ": plan.zone, "PYTHONIOENCODING": "utf-8"}
