"""Waiting until the replicas of a local group answer.

Owns: how long that may take, and what is said of those that do not come up. Knows processes only as what has ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

from pbft.client import Client
from pbft.group_file import GroupFile
from pbft.lab.starting import GroupStartError, Interrupted
from pbft.lab.state import ReplicaState
from pbft.lab.survey import Survey, survey
from pbft.node.marks import read_mark

READY_SECONDS: Final = 30.0
"""How long a group may take from its first process to the last one's first answer."""

_ASK_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 0.05


async def wait_ready(
    files: GroupFile,
    client: str,
    ended: Callable[[], Sequence[ReplicaState]],
    interrupted: Callable[[], bool],
    liars: Collection[int] = (),
) -> Survey:
    """Wait until each replica answers `client`, and return what they say; of a liar it is enough that it listens.

    `ended` says which replicas have ended meanwhile, and `interrupted` whether anybody asked to stop. Raises
    GroupStartError or Interrupted.
    """
    end = time.monotonic() + READY_SECONDS
    async with Client.open(files.directory, key=client) as asking:
        while True:
            if interrupted():
                raise Interrupted
            for each in ended():
                words = each.words or f"its process ended with code {each.exit_code}"
                raise GroupStartError(f"replica {each.id} did not start: {words}")
            found = await survey(asking, files, _ASK_SECONDS)
            missing = [
                each.replica
                for each in found.seen
                if each.report is None and not (each.replica in liars and serves(files, each.replica))
            ]
            if not missing:
                return found
            if time.monotonic() > end:
                raise GroupStartError(
                    f"replicas {', '.join(map(str, missing))} did not answer within {READY_SECONDS:.0f} seconds; "
                    f"see {files.data_folder}"
                )
            await asyncio.sleep(_PAUSE_SECONDS)


def serves(files: GroupFile, replica: int) -> bool:
    """Say whether a process has its sockets open in a replica's place, by its own word."""
    held = read_mark(files.data(replica))
    return held is not None and held.ready
