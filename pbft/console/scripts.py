"""Sessions as files: what is entered is written down, and such a file is read again.

Owns: the form of a script, one line of the input language a line with pauses in between, and the bounds of what is
read. Runs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pbft.console.outcome import Failure

MAX_DEPTH: Final = 8
"""How many scripts may run each other, one inside the other."""

MAX_BYTES: Final = 2**20
MAX_LINES: Final = 10_000

_PAUSE_SECONDS: Final = 1.0
"""A shorter pause is somebody typing; a longer one was waiting for something."""


def read_script(path: Path) -> list[str]:
    """Return the lines of a script. Raises Failure for what is none."""
    try:
        if path.exists() and not path.is_file():
            raise Failure(f"{path} is no file that can be run")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        lines = content.decode("utf-8").split("\n")
    except FileNotFoundError:
        raise Failure(f"there is no file {path}") from None
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Failure(f"{path} is no text: scripts are written in UTF-8") from None
    if len(content) > MAX_BYTES or len(lines) > MAX_LINES:
        raise Failure(f"{path} is too long for a script, which has at most {MAX_LINES} lines and {MAX_BYTES} bytes")
    return [line.rstrip("\r") for line in lines]


class Recorder:
    """Writes lines to a new file as they are entered, with `:wait` between them for pauses that somebody made."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin the file. Raises Failure where one is there already, or none can be."""
        self.path = path
        self.lines = 0
        self._clock = clock
        self._idle_since: float | None = None
        try:
            self._file = path.open("x", encoding="utf-8", errors="replace", buffering=1)
            self._file.write("# Written by :record; run it with :run in pbft shell, or pbft shell --script.\n")
        except FileExistsError:
            raise Failure(f"{path} is there already; name a new file to record into") from None
        except OSError as error:
            raise Failure(f"{path} cannot be written: {error.strerror}") from None

    def begin(self, line: str) -> None:
        """Write a line that is about to run. Raises OSError."""
        if self._idle_since is not None:
            pause = self._clock() - self._idle_since
            if pause > _PAUSE_SECONDS:
                self._file.write(f":wait {pause:.1f}\n")
        # While it runs nobody pauses; until it ends, another line may come.
        self._idle_since = None
        self._file.write(f"{line.strip()}\n")
        self.lines += 1

    def end(self) -> None:
        """Note that a line has ended: what comes until the next is a pause."""
        self._idle_since = self._clock()

    def close(self) -> None:
        """End the file. Raises OSError."""
        self._file.close()
