"""Starting the replicas of a local group as processes of one's own: for tests, and for the tour.

Owns: the order of a start, and that a failed start leaves nothing running. Commands start groups through a keeper
(`pbft.lab.kept`). Knows processes and surveys; knows nothing of terminals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from pbft.group_file import GroupFile
from pbft.lab.processes import Child, stop_children
from pbft.lab.readiness import wait_ready
from pbft.lab.registry import note_started
from pbft.lab.starting import Interrupted, claim
from pbft.lab.state import ReplicaState
from pbft.lab.survey import Survey
from pbft.node.marks import Mark


class LocalGroup:
    """The replicas of one local group, as processes of ours. Leaving it stops them."""

    def __init__(
        self,
        files: GroupFile,
        interrupted: Callable[[], bool],
        hurry: Callable[[], bool],
        liars: Mapping[int, str] | None = None,
    ) -> None:
        """`interrupted` is asked between steps of a start, and `hurry` while stopping.

        `liars` says in place of which replicas a liar starts, and how it lies; all of them collude.
        """
        self.files = files
        self.liars = dict(liars or {})
        self.children: list[Child] = []
        self._interrupted = interrupted
        self._hurry = hurry
        self._mark: Mark | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop_children(self.children, self._hurry)
        if self._mark is not None:
            self._mark.release()

    def start(self, client: str, note: bool = True) -> Survey:
        """Start all replicas and wait until each of them answers `client`; return what they say.

        Of a liar, which may never answer anybody, it is enough that it listens. Raises GroupStartError, PortError or
        Interrupted. `note` makes this the group that commands mean by default.
        """
        self._mark = claim(self.files)
        for replica in range(self.files.group.n):
            if self._interrupted():
                raise Interrupted
            colluders = list(self.liars) if replica in self.liars else ()
            self.children.append(Child(self.files, replica, self.liars.get(replica), colluders))
        ready = asyncio.run(wait_ready(self.files, client, self.ended, self._interrupted, self.liars))
        if note:
            note_started(self.files.directory)
        return ready

    def ended(self) -> list[ReplicaState]:
        """Return the replicas whose process has ended."""
        return [
            ReplicaState(each.replica, None, "ended", exit_code=each.exit_code, words=each.last_words())
            for each in self.children
            if each.exit_code is not None
        ]
