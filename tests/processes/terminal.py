"""A terminal that tests sit at: a command on a pseudo-terminal, and the screen that a person would see.

Owns: the terminal's size, keys as the bytes that xterm sends for them, waiting for what the screen shows, and the
processes that the command leaves, which are found by a mark in their environment wherever they went. Knows nothing of
what runs. Nothing is read behind the test's back: whatever waits reads.
"""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyte

COLUMNS: Final = 100
LINES: Final = 30
SECONDS: Final = 60.0
"""What nothing takes that a test waits for."""

_READ_BYTES: Final = 65_536
_LOOK_SECONDS: Final = 0.05
_VARIABLE: Final = "PBFT_TEST_TERMINAL"
# The command gets the terminal as its own, and signals as nobody has ignored them, so that Ctrl-C and hangups reach it
# as they reach a person's.
_LOGIN: Final = (
    "import fcntl, os, signal, sys, termios\n"
    "for each in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):\n"
    "    signal.signal(each, signal.SIG_DFL)\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)

_PLAIN_KEYS: Final = {"enter": "\r", "tab": "\t", "shift+tab": "\x1b[Z", "escape": "\x1b", "backspace": "\x7f"}
_ARROWS: Final = {"up": "A", "down": "B", "right": "C", "left": "D", "home": "H", "end": "F"}
_TILDES: Final = {"insert": 2, "delete": 3, "pageup": 5, "pagedown": 6} | dict(
    zip((f"f{number}" for number in range(5, 13)), (15, 17, 18, 19, 20, 21, 23, 24), strict=True)
)
_FIRST_F: Final = {"f1": "P", "f2": "Q", "f3": "R", "f4": "S"}
_MODIFIERS: Final = {"shift": 2, "alt": 3, "ctrl": 5}

# What pyte has no words for: private control sequences (keyboards, mice, modes) and strings that a terminal keeps.
_UNKNOWN: Final = re.compile(
    r"\x1b\[[<=>][0-9;:]*[A-Za-z]"
    r"|\x1b\[\?[0-9;]*\$?[a-gi-km-z]"
    r"|\x1b\[[0-9;]*(?:[tq]| q)"
    r"|\x1b[P_^][^\x1b\x07]*(?:\x1b\\|\x07)"
)
_UNFINISHED: Final = re.compile(r"\x1b(?:\[[0-9;:<=>?$ ]*|[P_^\]][^\x07\x1b]*\x1b?)?$")
_UNFINISHED_CHARACTERS: Final = 65_536


def key(name: str) -> bytes:
    """Return what xterm sends for a key: "a", "f5", "ctrl+c", "shift+up", "alt+2". Raises KeyError."""
    modifier, _, plain = name.rpartition("+") if len(name) > 1 else ("", "", name)
    if name in _PLAIN_KEYS:
        return _PLAIN_KEYS[name].encode("ascii")
    if plain in _ARROWS:
        return (f"\x1b[1;{_MODIFIERS[modifier]}" if modifier else "\x1b[").encode("ascii") + _ARROWS[plain].encode()
    if plain in _TILDES:
        return f"\x1b[{_TILDES[plain]}{f';{_MODIFIERS[modifier]}' if modifier else ''}~".encode("ascii")
    if plain in _FIRST_F and not modifier:
        return f"\x1bO{_FIRST_F[plain]}".encode("ascii")
    if len(plain) == 1 and modifier == "ctrl":
        return bytes([ord(plain.upper()) & 0x1F])
    if len(plain) == 1 and modifier == "alt":
        return f"\x1b{plain}".encode()
    if len(plain) == 1 and not modifier:
        return plain.encode()
    raise KeyError(name)


class View(pyte.Screen):
    """A screen that bytes draw on, cut however they come, and that answers questions about the terminal."""

    def __init__(self, columns: int, lines: int, answer: Callable[[bytes], None] = lambda _: None) -> None:
        super().__init__(columns, lines)
        self._answer = answer
        self._stream = pyte.Stream(self)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data: bytes) -> None:
        """Draw what a program wrote."""
        text, self._held = self._held + self._decoder.decode(data), ""
        unfinished = _UNFINISHED.search(text)
        if unfinished is not None and len(text) - unfinished.start() < _UNFINISHED_CHARACTERS:
            # The rest of the sequence comes with the next bytes.
            text, self._held = text[: unfinished.start()], text[unfinished.start() :]
        self._stream.feed(_UNKNOWN.sub("", text))

    def write_process_input(self, data: str) -> None:
        self._answer(data.encode())


class Terminal:
    """A command that runs on a terminal of its own, and its screen.

    Use it as a context: at the end the command and whatever it started are killed, if the test has not seen to it.
    """

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        columns: int = COLUMNS,
        lines: int = LINES,
    ) -> None:
        """Start a command. Its environment is the given one, with a terminal's own words in it."""
        self._mark = uuid.uuid4().hex
        self._master, slave = pty.openpty()
        self._screen = View(columns, lines, self.send)
        self._hung_up = False
        self._resize(columns, lines)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LOGIN, *command],
                cwd=directory,
                env=self._environment(environment),
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(SECONDS)
        # One that is killed may just have started another.
        while left := self.processes():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        os.close(self._master)

    # What a person sees.

    @property
    def lines(self) -> list[str]:
        """The screen's lines as they are, without what is blank at their ends."""
        self._read(0.0)
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.lines)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return self._screen.columns, self._screen.lines

    @property
    def title(self) -> str:
        """The window's title, as programs may set it."""
        self._read(0.0)
        title: str = self._screen.title
        return title

    def shows(self, *words: str) -> bool:
        """Say whether all of these texts are on the screen now."""
        text = self.text
        return all(each in text for each in words)

    def line_with(self, words: str) -> str:
        """Return the first line with a text, which must be there."""
        found = next((line for line in self.lines if words in line), None)
        assert found is not None, f"no line shows {words!r}:\n{self.text}"
        return found

    def stable(self) -> list[str]:
        """Return the lines with every number as #, and without what draws a curve: what a moment does not change."""
        return [re.sub(r"[▁▂▃▄▅▆▇█]+", "~", re.sub(r"[0-9][0-9.,]*", "#", line)) for line in self.lines]

    # What a person does.

    def wait_for(self, *words: str, seconds: float = SECONDS) -> None:
        """Wait until the screen shows all of these texts at once."""
        self.wait_until(lambda: self.shows(*words), f"shows {' and '.join(map(repr, words))}", seconds)

    def wait_gone(self, *words: str, seconds: float = SECONDS) -> None:
        """Wait until the screen shows none of these texts."""
        told = f"no longer shows {' or '.join(map(repr, words))}"
        self.wait_until(lambda: not any(each in self.text for each in words), told, seconds)

    def wait_match(self, pattern: str, seconds: float = SECONDS) -> re.Match[str]:
        """Wait until a line of the screen matches a regular expression; return the match."""
        found: list[re.Match[str]] = []

        def matches() -> bool:
            found[:] = [match for line in self.lines if (match := re.search(pattern, line))]
            return bool(found)

        self.wait_until(matches, f"matches {pattern!r}", seconds)
        return found[0]

    def wait_until(self, done: Callable[[], bool], told: str, seconds: float = SECONDS) -> None:
        """Wait until something holds that depends on the screen; fail with the screen when it never does."""
        end = time.monotonic() + seconds
        while not done():
            over = self._hung_up and self.process.poll() is not None
            assert not over, f"the command ended with {self.process.returncode} before the screen {told}:\n{self.text}"
            assert time.monotonic() < end, f"{seconds:g} s have passed and never the screen {told}:\n{self.text}"
            self._read(_LOOK_SECONDS)

    def press(self, *names: str) -> None:
        """Press keys, one after the other."""
        for name in names:
            self.send(key(name))

    def type(self, text: str) -> None:
        """Type a text, without Enter."""
        self.send(text.encode())

    def enter(self, text: str) -> None:
        """Type a line."""
        self.type(text)
        self.press("enter")

    def send(self, data: bytes) -> None:
        """Send bytes as they are; what the command writes meanwhile is read, so that neither waits for the other."""
        end = time.monotonic() + SECONDS
        while data and not self._hung_up:
            assert time.monotonic() < end, f"the command reads no keys:\n{self._screen.display}"
            readable, writable, _ = select.select([self._master], [self._master], [], _LOOK_SECONDS)
            if readable:
                self._take()
            if writable:
                with contextlib.suppress(BlockingIOError, OSError):
                    data = data[os.write(self._master, data[:256]) :]

    def resize(self, columns: int, lines: int) -> None:
        """Change the terminal's size, of which the command is told."""
        self._read(0.0)
        self._screen.resize(lines, columns)
        self._resize(columns, lines)

    # How it ends.

    def exit_code(self, seconds: float = SECONDS) -> int:
        """Wait until the command ends; return its exit code, negative for a signal."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"the command does not end:\n{self.text}"
            self._read(_LOOK_SECONDS)
        self._read(0.0)
        return self.process.returncode

    def processes(self) -> list[int]:
        """Return the command and all that it started, at whatever remove, as far as they live."""
        return sorted(pid for pid in _marked(f"{_VARIABLE}={self._mark}") if pid != os.getpid())

    def wait_alone(self, seconds: float = SECONDS) -> None:
        """Wait until nothing is left of what the command started, nor of itself."""
        self.wait_left([], seconds)

    def wait_left(self, pids: Sequence[int], seconds: float = SECONDS) -> None:
        """Wait until just these processes are left of all that the command started."""
        end = time.monotonic() + seconds
        while (left := self.processes()) != sorted(pids):
            assert time.monotonic() < end, f"{left} live, where {sorted(pids)} should"
            self.process.poll()
            self._read(_LOOK_SECONDS)

    # Below.

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        without = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI", "TERM_PROGRAM")
        own = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", _VARIABLE: self._mark}
        return {name: value for name, value in given.items() if name not in without} | own

    def _resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self, seconds: float) -> None:
        """Take in what the command has written; wait so long for the first of it."""
        if self._hung_up:
            time.sleep(seconds)
            return
        while select.select([self._master], [], [], seconds)[0] and self._take():
            seconds = 0.0

    def _take(self) -> bool:
        """Draw some of what was written; say False when nothing ever comes any more."""
        try:
            data = os.read(self._master, _READ_BYTES)
        except OSError:
            # Linux says so when nobody holds the other end any more; other systems send an empty read.
            data = b""
        self._hung_up = not data
        self._screen.feed(data)
        return bool(data)


def _marked(mark: str) -> Iterator[int]:
    """Find the processes with a variable in the environment that they were started with."""
    if sys.platform == "linux":
        wanted = mark.encode()
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                with contextlib.suppress(OSError):
                    if wanted in (folder / "environ").read_bytes().split(b"\0"):
                        yield int(folder.name)
    else:
        listed = subprocess.run(["ps", "-AEww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            if mark in line.split():
                yield int(line.split(None, 1)[0])
