"""Stopping a group on this machine, whoever started it: its keeper, and whatever else runs of it.

Owns: the order in which that is done, and that neither a keeper that hangs nor one that is gone prevents it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Final

from pbft.group_file import GroupFile
from pbft.lab.control import Control
from pbft.lab.faults import FaultError
from pbft.lab.processes import GRACE_SECONDS, running, stop_running, wait_until
from pbft.node.marks import keeper, send_signal

_ASK_SECONDS: Final = 2.0


def stop_group(files: GroupFile) -> dict[int, int]:
    """Stop every replica of a group on this machine, and its keeper; return the replicas that ran, by process."""
    found = running(files)
    if _is_kept(files):
        with contextlib.suppress(FaultError):
            asyncio.run(Control(files).stop(_ASK_SECONDS))
            # It gives its replicas as long as it takes to stop by themselves, and then no longer.
            wait_until(lambda: not _is_kept(files), 2 * GRACE_SECONDS)
    found |= stop_running(files)
    if _is_kept(files):
        # It hangs: its replicas are gone already, or end with it.
        send_signal(files.data_folder, signal.SIGKILL)
        wait_until(lambda: not _is_kept(files), GRACE_SECONDS)
        found |= stop_running(files)
    return dict(sorted(found.items()))


def _is_kept(files: GroupFile) -> bool:
    return files.lab and keeper(files.data_folder) is not None
