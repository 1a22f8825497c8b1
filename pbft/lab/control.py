"""Speaking with the keeper of a lab's group, over the Unix socket beside the group's data.

Owns: the questions, one JSON line each, and what becomes of answers.
What a fault is stands in `pbft.lab.faults`; who answers is `pbft.lab.keeping`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

from pbft.group_file import GroupFile
from pbft.lab.faults import FaultError
from pbft.lab.starting import control_path
from pbft.lab.state import LabState
from pbft.node.marks import keeper

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""More than the state of the largest group takes."""

ANSWER_SECONDS: Final = 60.0
"""What no fault takes: a restart waits for one process to end and for another to begin."""


class Control:
    """A lab's keeper, as whoever asks it sees it. Each question goes over a connection of its own."""

    def __init__(self, files: GroupFile) -> None:
        self.files = files

    async def ask(self, question: Mapping[str, Any], seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        """Ask one question and return the answer. Raises FaultError, with what the keeper said where it refused."""
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await self._open()
                try:
                    writer.write(_line(question))
                    return self._read(await reader.readline())
                finally:
                    writer.close()
        except (OSError, ValueError):
            raise self._nobody() from None

    async def fault(self, words: Sequence[str]) -> str:
        """Do what the words of a fault say, and return what was done, in a sentence. Raises FaultError."""
        return _said(await self.ask({"do": "fault", "words": list(words)}))

    async def state(self, seconds: float = ANSWER_SECONDS) -> LabState:
        """Return how the group's processes and links are. Raises FaultError."""
        answer = await self.ask({"do": "state"}, seconds)
        try:
            return LabState.from_json(answer.get("state"))
        except ValueError as error:
            raise FaultError(f"the keeper of another release answered: {error}") from None

    async def stop(self, seconds: float = ANSWER_SECONDS) -> str:
        """Ask the keeper to stop its replicas and itself; return what it said to that. Raises FaultError."""
        return _said(await self.ask({"do": "stop"}, seconds))

    async def follow(self) -> AsyncGenerator[dict[str, Any], None]:
        """Give each event of the keeper, until it ends: its state, at once and after each change, and faults.

        Raises FaultError where no keeper is there to begin with.
        """
        try:
            reader, writer = await self._open()
        except OSError:
            raise self._nobody() from None
        try:
            writer.write(_line({"do": "follow"}))
            while line := await reader.readline():
                event = json.loads(line)
                if isinstance(event, dict):
                    yield event
        except (OSError, ValueError):
            # It ended in the middle of a line.
            return
        finally:
            writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._refuse_strangers()
        return await asyncio.open_unix_connection(control_path(self.files), limit=MAX_ANSWER_BYTES)

    def _refuse_strangers(self) -> None:
        if not self.files.lab:
            raise FaultError(
                f"the group in {self.files.directory} is no lab's, and nobody may hurt it; make one to play with: "
                "pbft init DIR"
            )

    def _nobody(self) -> FaultError:
        directory, quoted = self.files.directory, shlex.quote(str(self.files.directory))
        pid = keeper(self.files.data_folder)
        if pid is not None:
            return FaultError(
                f"the keeper of the group in {directory}, process {pid}, does not answer; stop the group: "
                f"pbft down {quoted}"
            )
        return FaultError(
            f"no keeper looks after the group in {directory}, so nobody can hurt it; start the group with "
            f"pbft up {quoted}"
        )

    def _read(self, line: bytes) -> dict[str, Any]:
        if not line.endswith(b"\n"):
            raise ValueError("half an answer")
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise ValueError("no answer")
        if "error" in answer:
            raise FaultError(str(answer["error"]))
        return answer


def _line(question: Mapping[str, Any]) -> bytes:
    return json.dumps(question).encode("ascii") + b"\n"


def _said(answer: Mapping[str, Any]) -> str:
    return str(answer.get("said", ""))


async def find_state(files: GroupFile, seconds: float = 2.0) -> LabState | None:
    """Return what a group's keeper tells, None where it has none, or none that answers in time."""
    if not files.lab or keeper(files.data_folder) is None:
        return None
    with contextlib.suppress(FaultError):
        return await Control(files).state(seconds)
    return None
