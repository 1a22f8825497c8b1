"""What an operation does that no operation may: files, sockets, threads, processes, the environment, lost writes.

Owns: the listening, in a process of a check, by Python's audit hook and a few replaced functions. Says what was done;
whether it mattered shows elsewhere.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pbft.encoding import encode
from pbft.table import Table
from pbft.wording import quote

_CODE: Final = (".py", ".pyc", ".so", ".dylib")
"""Files that Python opens by itself when something is imported or a traceback is told."""

_STARTED: Final = {
    "subprocess.Popen": "a process",
    "os.system": "a process",
    "os.posix_spawn": "a process",
    "os.fork": "a process",
    "os.forkpty": "a process",
    "os.exec": "a process",
}
_LISTINGS: Final = ("os.listdir", "os.scandir")
_IMPORTING: Final = "<frozen importlib"
"""How the files are called from which Python itself looks through folders when something is imported."""
_USED: Final = {
    "socket.connect": "used the network",
    "socket.bind": "used the network",
    "socket.sendto": "used the network",
    "socket.getaddrinfo": "asked for the address of a host",
    "socket.gethostname": "asked for the name of this host",
    "time.sleep": "slept",
    "sqlite3.connect": "opened a database",
    "os.putenv": "changed the environment",
    "os.unsetenv": "changed the environment",
    "os.chdir": "changed the working directory",
    "os.remove": "removed a file",
    "os.rename": "renamed a file",
    "os.mkdir": "made a folder",
    "os.rmdir": "removed a folder",
    "builtins.input": "asked a person for input",
}


@dataclass(frozen=True)
class Copy:
    """A value with a dict in it that came out of a Table, and how it was stored then."""

    table: Table[Any, Any]
    key: Any
    value: Any
    stored: bytes


class Touches:
    """Listens while an operation runs. There is one in a process, since nobody can take an audit hook back."""

    def __init__(self) -> None:
        self._listening = False
        self.started: dict[str, None] = {}
        """What was started: "a thread", "a process"."""
        self.used: dict[str, None] = {}
        """What else was done, as the end of a sentence that begins with the operation."""
        self._copies: list[Copy] = []

    def install(self) -> None:
        """Begin to be told of what happens in this process."""
        sys.addaudithook(self._on_event)
        self._watch_threads()
        self._watch_environment()
        self._watch_tables()

    def begin(self) -> None:
        """Listen to an operation."""
        self.started.clear()
        self.used.clear()
        self._copies.clear()
        self._listening = True

    def end(self) -> None:
        """Listen no more."""
        self._listening = False

    def lost_writes(self, answer: bytes) -> Iterator[tuple[Any, Any]]:
        """Yield key and changed value of what came from a Table, was changed, and is stored there no more than before.

        What is part of the answer was changed for that.
        """
        for copy in self._copies:
            now = encode(copy.value)
            if now == copy.stored or now in answer:
                continue
            stored = copy.table._contents.get(encode(copy.key))
            if stored == copy.stored:
                yield copy.key, copy.value

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._listening:
            return
        if event == "open":
            path, mode, _ = arguments
            if isinstance(path, str) and not path.endswith(_CODE):
                verb = "wrote to" if isinstance(mode, str) and mode.strip("rbt") else "read"
                self.used[f"{verb} the file {quote(path)}"] = None
        elif event in _LISTINGS:
            if not sys._getframe(1).f_code.co_filename.startswith(_IMPORTING):
                where = arguments[0] if isinstance(arguments[0], str) and arguments[0] else "."
                self.used[f"listed the folder {quote(where)}"] = None
        elif event in _STARTED:
            self.started[_STARTED[event]] = None
        elif event in _USED:
            self.used[_USED[event]] = None

    def _watch_threads(self) -> None:
        real, bare = threading.Thread.start, _thread.start_new_thread

        def note() -> None:
            if self._listening:
                self.started["a thread"] = None

        def start(thread: threading.Thread) -> None:
            note()
            real(thread)

        def start_new(*arguments: Any) -> int:
            note()
            return bare(*arguments)

        threading.Thread.start = start  # type: ignore[method-assign, assignment]
        _thread.start_new_thread = start_new

    def _watch_environment(self) -> None:
        kind = type(os.environ)
        real = kind.__getitem__

        def look_up(environment: os._Environ[Any], name: Any) -> Any:
            if self._listening:
                self.used[f"read the variable {quote(str(name))} of the environment"] = None
            return real(environment, name)

        kind.__getitem__ = look_up  # type: ignore[method-assign]

    def _watch_tables(self) -> None:
        real = Table.__getitem__

        def get(table: Table[Any, Any], key: Any) -> Any:
            value = real(table, key)
            if self._listening and _holds_dict(value):
                self._copies.append(Copy(table, key, value, encode(value)))
            return value

        Table.__getitem__ = get  # type: ignore[method-assign]


def _holds_dict(value: Any) -> bool:
    return type(value) is dict or (type(value) is tuple and any(_holds_dict(each) for each in value))
