"""Which process runs a replica: a mark in its data folder that no crash leaves behind.

Owns: the mark (a locked file that names its process, and what that process notes about itself) and signals to that
process. The lock is the kernel's: it is gone the moment its process is, so a stale mark never leads a signal to a
stranger that inherited the number.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

FILE_NAME: Final = "running"

_ATTEMPTS: Final = 25
_PAUSE_SECONDS: Final = 0.02
_LARGEST_BYTES: Final = 4_096
_LONGEST_NUMBER: Final = 9
"""Digits of a process's number: no system counts further than this."""
_SHOWN_CHARACTERS: Final = 300
"""Of how somebody lies: escaped, it still fits into what is read of a mark."""


@dataclass(frozen=True)
class Held:
    """What a mark says of the process that holds it: the system knows the process, the rest is its own word."""

    pid: int
    lies: str | None = None
    """How it misbehaves on purpose, as whoever started it put it; None of a correct replica."""
    ready: bool = False
    """Whether it serves already: its sockets are bound."""
    keeps: bool = False
    """Whether it is the keeper of a local group, and the folder that of all its data."""


class Mark:
    """Held by a process for as long as it runs a replica, or for as long as it is the one that starts them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, folder: Path) -> Self | None:
        """Return the mark of a folder, made when missing, or None while another process holds it. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for patience in reversed(range(_ATTEMPTS)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not patience:
                    os.close(descriptor)
                    return None
                # Whoever only asks who holds it locks it for a moment too.
                time.sleep(_PAUSE_SECONDS)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        return cls(descriptor)

    def note(self, lies: str | None = None, ready: bool = False, keeps: bool = False) -> None:
        """Write a second line, in place of the one before: what `Held` says of its holder besides the process."""
        shown = None if lies is None else lies[:_SHOWN_CHARACTERS]
        text = f"{os.getpid()}\n{json.dumps({'lies': shown, 'ready': ready, 'keeps': keeps})}\n".encode("ascii")
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))

    def release(self) -> None:
        """Let go. The file stays, empty: deleting it would let two processes hold a lock on two files of one name."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def read_mark(folder: Path) -> Held | None:
    """Return what the mark of a folder says of the process that holds it, None when there is none."""
    try:
        descriptor = os.open(folder / FILE_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        # A holder writes its number right after it has locked: for an instant there is none to read.
        return _parse(os.pread(descriptor, _LARGEST_BYTES, 0).decode("ascii", "replace"))
    finally:
        os.close(descriptor)
    return None


def holder(folder: Path) -> int | None:
    """Return the process that holds the mark of a folder, None when there is none."""
    held = read_mark(folder)
    return None if held is None else held.pid


def keeper(folder: Path) -> int | None:
    """Return the keeper that holds the mark of a group's data, None when nobody does or nobody who keeps."""
    held = read_mark(folder)
    return held.pid if held is not None and held.keeps else None


def _parse(text: str) -> Held | None:
    first, _, second = text.partition("\n")
    if not (first.isdecimal() and len(first) <= _LONGEST_NUMBER and int(first) > 1):
        return None
    try:
        note = json.loads(second)
    except (ValueError, RecursionError):
        # None yet, or one that is being written.
        note = None
    if not isinstance(note, dict):
        return Held(int(first))
    lies = note.get("lies")
    return Held(
        int(first), lies if isinstance(lies, str) else None, note.get("ready") is True, note.get("keeps") is True
    )


def send_signal(folder: Path, number: int) -> bool:
    """Send a signal to the process that holds the mark of a folder; say whether there was one."""
    pid = holder(folder)
    if pid is None:
        return False
    if not hasattr(os, "pidfd_open"):
        os.kill(pid, number)
        return True
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        # The descriptor holds on to one process. If that is the holder still, it is no stranger with the same number.
        if holder(folder) != pid:
            return False
        signal.pidfd_send_signal(process, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(process)
    return True
