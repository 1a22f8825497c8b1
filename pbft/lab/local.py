"""Starting the replicas of a local group, and knowing when they are ready.

Owns: the order of a start, what is said when it fails, and that a failed start leaves nothing running. Knows processes
and surveys; knows nothing of terminals.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from pbft.client import Client
from pbft.errors import PbftError
from pbft.group_file import GroupFile
from pbft.lab.ports import is_free, refuse_taken
from pbft.lab.processes import Child, running, stop_children
from pbft.lab.registry import note_started
from pbft.lab.survey import Survey, survey
from pbft.node.marks import Mark

READY_SECONDS: Final = 30.0
"""How long a group may take from its first process to the last one's first answer."""

_ASK_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 0.05


class GroupStartError(PbftError):
    """A local group that cannot start. The message is one sentence that says what to do."""


class Interrupted(Exception):
    """Somebody asked to stop before the group was ready."""


class LocalGroup:
    """The replicas of one local group, as processes of ours. Leaving it stops them, unless they are detached."""

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
        self._detached = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._detached:
            stop_children(self.children, self._hurry)
        if self._mark is not None:
            self._mark.release()

    def start(self, client: str, detach: bool = False, note: bool = True) -> Survey:
        """Start all replicas and wait until each of them answers `client`; return what they say.

        Of a liar, which may never answer anybody, it is enough that it listens. Raises GroupStartError, PortError or
        Interrupted. `note` makes this the group that commands mean by default.
        """
        self._refuse_others()
        refuse_taken([*self.files.replica_addresses, *self.files.client_addresses])
        for replica in range(self.files.group.n):
            if self._interrupted():
                raise Interrupted
            colluders = list(self.liars) if replica in self.liars else ()
            self.children.append(Child(self.files, replica, detach, self.liars.get(replica), colluders))
        ready = asyncio.run(self._wait_ready(client))
        self._detached = detach
        if note:
            note_started(self.files.directory)
        return ready

    def ended(self) -> list[Child]:
        """Return the replicas whose process has ended."""
        return [child for child in self.children if child.exit_code is not None]

    def _lies(self, replica: int) -> bool:
        """Say whether a liar has its sockets open in place of a replica."""
        return replica in self.liars and not is_free(self.files.client_addresses[replica])

    def _refuse_others(self) -> None:
        directory = self.files.directory
        if not self.files.lab:
            raise GroupStartError(
                f"the group in {directory} is not one machine's to start; run each replica where its key is: "
                f"pbft replica {directory} NUMBER"
            )
        self._mark = Mark.take(directory / "data")
        if self._mark is None:
            raise GroupStartError(f"the group in {directory} is running already, or just starting; see pbft status")
        if found := running(self.files):
            missing = [replica for replica in range(self.files.group.n) if replica not in found]
            advice = (
                f"start what is missing by itself: pbft replica {directory} {missing[0]}"
                if missing
                else f"stop it first: pbft down {directory}"
            )
            raise GroupStartError(
                f"the group in {directory} is running already (replicas {', '.join(map(str, found))}); {advice}"
            )

    async def _wait_ready(self, client: str) -> Survey:
        end = time.monotonic() + READY_SECONDS
        async with Client.open(self.files.directory, key=client) as asking:
            while True:
                if self._interrupted():
                    raise Interrupted
                for child in self.ended():
                    words = child.last_words() or f"its process ended with code {child.exit_code}"
                    raise GroupStartError(f"replica {child.replica} did not start: {words}")
                found = await survey(asking, self.files, _ASK_SECONDS)
                missing = [each.replica for each in found.seen if each.report is None and not self._lies(each.replica)]
                if not missing:
                    return found
                if time.monotonic() > end:
                    raise GroupStartError(
                        f"replicas {', '.join(map(str, missing))} did not answer within {READY_SECONDS:.0f} seconds; "
                        f"see {self.files.directory / 'data'}"
                    )
                await asyncio.sleep(_PAUSE_SECONDS)
