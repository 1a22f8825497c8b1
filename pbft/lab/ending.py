"""Stopping a group on this machine, whoever started it: its keeper, and whatever else runs of it.

Owns: the order in which that is done, and that neither a keeper that hangs nor one that is gone prevents it.
"""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Final

from pbft.group_file import GroupFile
from pbft.lab.control import Control, FaultError
from pbft.lab.processes import GRACE_SECONDS, running, stop_running
from pbft.node.marks import read_mark, send_signal

_ASK_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.02


def stop_group(files: GroupFile) -> dict[int, int]:
    """Stop every replica of a group on this machine, and its keeper; return the replicas that ran, by process."""
    found = running(files)
    if _is_kept(files):
        with contextlib.suppress(FaultError):
            Control(files).ask_now({"do": "stop"}, _ASK_SECONDS)
            # It gives its replicas as long as it takes to stop by themselves, and then no longer.
            _wait(files, 2 * GRACE_SECONDS)
    found |= stop_running(files)
    if _is_kept(files):
        # It hangs: its replicas are gone already, or end with it.
        send_signal(files.directory / "data", signal.SIGKILL)
        _wait(files, GRACE_SECONDS)
        found |= stop_running(files)
    return dict(sorted(found.items()))


def _is_kept(files: GroupFile) -> bool:
    held = read_mark(files.directory / "data")
    return files.lab and held is not None and held.keeps


def _wait(files: GroupFile, seconds: float) -> None:
    end = time.monotonic() + seconds
    while _is_kept(files) and time.monotonic() < end:
        time.sleep(_PAUSE_SECONDS)
