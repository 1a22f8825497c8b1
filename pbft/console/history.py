"""The lines that somebody entered, kept over runs.

Owns: one small private file in the user's state folder. It is a convenience: where it cannot be kept nothing fails.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pbft.lab.registry import state_folder

MAX_LINES: Final = 1_000
MAX_CHARACTERS: Final = 1_024
"""A line longer than this was pasted, and is not kept."""
_MAX_BYTES: Final = 4 * MAX_LINES * MAX_CHARACTERS
"""What the file may hold before it is read: all its lines at four bytes a character."""


class History:
    """Lines entered before, the oldest first, each once in a row."""

    def __init__(self, path: Path | None = None) -> None:
        """Read what is kept; by default in the user's state folder."""
        self.path = state_folder() / "history" if path is None else path
        self._lines = self._read()[-MAX_LINES:]
        self._kept = len(self._lines)

    @property
    def lines(self) -> Sequence[str]:
        """What was entered, the newest last."""
        return self._lines

    def add(self, line: str) -> None:
        """Keep a line: not an empty one, nor one that is the same as the last, nor one that begins with a space."""
        if not line.strip() or line[0].isspace() or len(line) > MAX_CHARACTERS or not line.isprintable():
            return
        if self._lines and self._lines[-1] == line:
            return
        self._lines = [*self._lines[-(MAX_LINES - 1) :], line]
        with contextlib.suppress(OSError):
            self._write(line)

    def _read(self) -> list[str]:
        try:
            with self.path.open("rb") as file:
                content = file.read(_MAX_BYTES)
        except OSError:
            return []
        lines = content.decode("utf-8", "replace").split("\n")
        return [each for each in lines if each and len(each) <= MAX_CHARACTERS and each.isprintable()]

    def _write(self, line: str) -> None:
        """Add a line to the file; where that has become too long, write the newest lines to a new one in its place."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._kept < 2 * MAX_LINES:
            self._kept += 1
            self._put(self.path, [line], os.O_APPEND | os.O_CREAT)
            return
        # Another program may have added lines meanwhile: those that it wrote are in the file, and not in `_lines`.
        newest = [*self._read(), line][-MAX_LINES:]
        self._kept = len(newest)
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        self._put(temporary, newest, os.O_CREAT | os.O_TRUNC)
        temporary.replace(self.path)

    def _put(self, path: Path, lines: Sequence[str], flags: int) -> None:
        with open(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600), "wb") as file:
            # What is entered is nobody else's matter, also where the file came from elsewhere.
            os.fchmod(file.fileno(), 0o600)
            file.write("".join(f"{each}\n" for each in lines).encode("utf-8", "replace"))
