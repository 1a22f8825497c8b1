"""The places of a local group's replicas, as their keeper holds them: who sits in each, and what became of it.

Owns: what is known of each replica's process, whoever started it, and how signals reach it. Waits for nothing; knows no
sockets and no words of faults.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pbft.group_file import GroupFile
from pbft.lab.processes import Child
from pbft.lab.state import Condition, ReplicaState
from pbft.node.marks import Held, holder, read_mark, send_signal

_SHOWN_CHARACTERS: Final = 500
_SYSTEM: Final = Path("/proc")


class Seat:
    """One replica's place. A keeper's own child sits in it, or a guest: one that somebody else started there."""

    def __init__(self, files: GroupFile, replica: int) -> None:
        self.replica = replica
        self.killed = False
        """Whether a fault ended whoever sat here last."""
        self._files = files
        self._folder = files.data(replica)
        self._child: Child | None = None
        self._misbehaviour: str | None = None
        self._restarted = False
        self._guest: int | None = None
        self._paused: int | None = None
        self._words: str | None = None

    def start(self, misbehaviour: str | None = None, colluders: Sequence[int] = ()) -> None:
        """Start the replica, or a liar in its place, as a child of this process. Nobody may sit there any more."""
        if self._child is not None:
            self._child.let_go()
            self._restarted = True
        self._child = Child(self._files, self.replica, misbehaviour, colluders)
        self._misbehaviour = misbehaviour
        self._guest = self._paused = self._words = None
        self.killed = False

    @property
    def child(self) -> Child | None:
        """The child that sits here, if one does."""
        return self._child if self._child is not None and self._child.exit_code is None else None

    @property
    def last_child(self) -> Child | None:
        """The child that sat here last, whether it still does or not."""
        return self._child

    def runs(self) -> bool:
        """Say whether anybody sits here."""
        return self.child is not None or read_mark(self._folder) is not None

    def ready(self) -> bool:
        """Say whether the child that sits here has its sockets open."""
        held = read_mark(self._folder)
        return held is not None and held.ready and self.child is not None and held.pid == self.child.pid

    def send(self, number: int) -> None:
        """Send a signal to whoever sits here, if anybody does."""
        child = self.child
        if number == signal.SIGSTOP:
            self._paused = holder(self._folder) if child is None else child.pid
        elif number == signal.SIGCONT:
            self._paused = None
        if child is not None:
            child.send(number)
            return
        # A guest may be another user's: only they may.
        with contextlib.suppress(PermissionError):
            send_signal(self._folder, number)

    def tell(self, line: bytes) -> None:
        """Write a line to the child that sits here; a guest has no pipe of ours."""
        if (child := self.child) is not None:
            child.tell(line)

    def look(self) -> ReplicaState:
        """Return how this replica is now."""
        held = read_mark(self._folder)
        child = self.child
        if child is not None:
            child.go_on_telling()
            return self._running(child.pid, self._misbehaviour)
        if held is not None:
            self._welcome(held)
            return self._running(held.pid, held.lies)
        return self._gone()

    def _welcome(self, guest: Held) -> None:
        if guest.pid != self._guest:
            self._guest = guest.pid
            self._restarted = True
            self.killed = False

    def _running(self, pid: int, lies: str | None) -> ReplicaState:
        state: Condition = "paused" if self._stands_still(pid) else "running"
        return ReplicaState(self.replica, pid, state, lies, self._restarted)

    def _gone(self) -> ReplicaState:
        child = None if self._guest is not None else self._child
        code = None if child is None else child.exit_code
        if child is not None and self._words is None:
            self._words = child.last_words()[:_SHOWN_CHARACTERS]
        state: Condition = "killed" if self.killed else "stopped" if code == 0 else "ended"
        lies = None if child is None else self._misbehaviour
        return ReplicaState(self.replica, None, state, lies, self._restarted, code, self._words or "")

    def _stands_still(self, pid: int) -> bool:
        """Say whether a process is stopped: by the system's word where it gives one, else by what we did to it."""
        try:
            with open(_SYSTEM / str(pid) / "stat", "rb") as file:
                # The second field is the program's name, which may hold spaces and brackets.
                return file.read().rpartition(b")")[2].split()[0] == b"T"
        except (OSError, IndexError):
            return self._paused == pid


def all_seats(files: GroupFile) -> tuple[Seat, ...]:
    """Return a seat for each replica of a group, nobody in it yet."""
    return tuple(Seat(files, replica) for replica in range(files.group.n))
