"""What runs beside the lines that are entered: a load on the group, and a recording.

Owns: that there is at most one of each, and how each begins and ends. Knows no lines' meaning.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from pbft.console.calls import client_of, refuse_stopped
from pbft.console.load import Generator, Load
from pbft.console.said import Said
from pbft.console.scripts import Recorder
from pbft.group_file import GroupFile


class Beside:
    """A load and a recording, or none."""

    def __init__(self, files: GroupFile, timeout: float, record: Path | None = None) -> None:
        """Take a group, and a file to record into at once. Raises Failure."""
        self._files = files
        self._timeout = timeout
        self._switching = asyncio.Lock()
        self._generator: Generator | None = None
        self._recorder = None if record is None else Recorder(record)

    @property
    def load(self) -> Load | None:
        """The load that runs, None while there is none."""
        return None if self._generator is None else self._generator.load

    @property
    def recording(self) -> Path | None:
        """The file that lines are written to, None while there is none."""
        return None if self._recorder is None else self._recorder.path

    async def close(self) -> None:
        """End both."""
        async with self._switching:
            await self._stop_load()
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            with contextlib.suppress(OSError):
                recorder.close()

    # The load.

    async def begin_load(self, client: str, rate: float, line: str, operation: bytes) -> Said:
        """Send an operation so many times a second from now on, in the place of what was sent before."""
        refuse_stopped(self._files)
        # A session of its own: what is entered by hand does not wait behind the load.
        sender = client_of(self._files, client, self._timeout)
        async with self._switching:
            await self._stop_load()
            self._generator = Generator(sender, rate, line, operation, self._timeout)
            try:
                await self._generator.start()
            except BaseException:
                await self._stop_load()
                raise
        return Said.note(f"{rate:g} times a second from now on, as {client}: {line}; :load off ends it")

    async def end_load(self) -> Said:
        """End the load, and say how it went."""
        async with self._switching:
            load = self.load
            await self._stop_load()
        if load is None:
            return Said.note("there is no load")
        took = ""
        if load.p50_ms is not None:
            took = f", half of the latest within {load.p50_ms:.0f} ms, 99 % within {load.p99_ms:.0f} ms"
        lines = [f"the load has ended: {load.answered} of {load.sent} were answered{took}"]
        if load.failed or load.late or load.rejected:
            lines.append(f"{load.rejected} were rejected, {load.failed} failed, {load.late} were too late to be sent")
        return Said.note(*lines, *([load.trouble] if load.trouble else []))

    async def _stop_load(self) -> None:
        generator, self._generator = self._generator, None
        if generator is not None:
            await generator.stop()

    # The recording.

    def begin_recording(self, path: Path) -> Said:
        """Write lines to a new file from now on. Raises Failure."""
        recorder = Recorder(path)
        before = self.end_recording().lines if self._recorder is not None else ()
        self._recorder = recorder
        return Said.note(*before, f"what is entered is written to {path}; :record off ends it")

    def end_recording(self) -> Said:
        """End the recording, and say what it has. Raises OSError."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return Said.note("nothing is being recorded")
        recorder.close()
        count = f"{recorder.lines} line{'' if recorder.lines == 1 else 's'}"
        return Said.note(f"{recorder.path} has {count}; run it with :run {recorder.path}")

    def note(self, line: str) -> Recorder | None:
        """Write down a line that is about to run, if that is wanted, and return who must hear of its end.

        Raises OSError where it cannot be written, once: the recording has ended then.
        """
        recorder = self._recorder
        if recorder is None:
            return None
        try:
            recorder.begin(line)
        except OSError:
            self._recorder = None
            raise
        return recorder
