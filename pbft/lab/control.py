"""Speaking with the keeper of a lab's group, over the Unix socket beside the group's data.

Owns: the questions, one JSON line each, and what becomes of answers; for coroutines, and for commands that have none.
What a fault is stands in `pbft.lab.faults`; who answers is `pbft.lab.keeping`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

from pbft.group_file import GroupFile
from pbft.lab.faults import FaultError
from pbft.lab.starting import control_path
from pbft.lab.state import LabState
from pbft.node.marks import read_mark

__all__ = ["ANSWER_SECONDS", "MAX_ANSWER_BYTES", "Control", "FaultError", "LabState", "control_path", "find_state"]

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

    async def state(self) -> LabState:
        """Return how the group's processes and links are. Raises FaultError."""
        return _state(await self.ask({"do": "state"}))

    async def stop(self) -> str:
        """Ask the keeper to stop its replicas and itself; return what it said to that. Raises FaultError."""
        return _said(await self.ask({"do": "stop"}))

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

    def ask_now(self, question: Mapping[str, Any], seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        """Ask one question and wait for the answer, as `ask` does."""
        self._refuse_strangers()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
                asking.settimeout(seconds)
                asking.connect(control_path(self.files))
                asking.sendall(_line(question))
                with asking.makefile("rb") as answers:
                    return self._read(answers.readline(MAX_ANSWER_BYTES))
        except (OSError, ValueError):
            raise self._nobody() from None

    def fault_now(self, words: Sequence[str]) -> str:
        """Do what the words of a fault say, as `fault` does."""
        return _said(self.ask_now({"do": "fault", "words": list(words)}))

    def state_now(self) -> LabState:
        """Return how the group's processes and links are, as `state` does."""
        return _state(self.ask_now({"do": "state"}))

    def stop_now(self) -> str:
        """Ask the keeper to stop its replicas and itself, as `stop` does."""
        return _said(self.ask_now({"do": "stop"}))

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
        held = read_mark(directory / "data")
        if held is not None and held.keeps:
            return FaultError(
                f"the keeper of the group in {directory}, process {held.pid}, does not answer; stop the group: "
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


def _state(answer: Mapping[str, Any]) -> LabState:
    try:
        return LabState.from_json(answer.get("state"))
    except ValueError as error:
        raise FaultError(f"the keeper of another release answered: {error}") from None


async def find_state(files: GroupFile, seconds: float = 2.0) -> LabState | None:
    """Return what a group's keeper tells, None where it has none, or none that answers in time."""
    held = read_mark(files.directory / "data")
    if not files.lab or held is None or not held.keeps:
        return None
    with contextlib.suppress(FaultError):
        return _state(await Control(files).ask({"do": "state"}, seconds))
    return None
