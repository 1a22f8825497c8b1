"""`pbft shell`: the console's lines at a prompt, from a pipe, or from a script.

Owns: where lines come from, how what they came to is printed, and the code that it all ends with. What lines mean is
`pbft.console`'s matter.
"""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeVar

import typer

from pbft.cli.output import console as screen
from pbft.cli.output import say, say_json
from pbft.cli.where import TIMEOUT_SECONDS, GroupArgument, JsonOption, KeyOption, TimeoutOption, find_client, find_group
from pbft.console.outcome import ExitCode
from pbft.console.text import clean
from pbft.group_file import GroupFile, read_group

if TYPE_CHECKING:
    from pbft.console.history import History
    from pbft.console.said import Said
    from pbft.console.session import Console

T = TypeVar("T")

_ENDING_SECONDS: Final = 5.0
_MAX_INPUT_CHARACTERS: Final = 1 << 20
"""Of a longer line from a pipe the rest is passed over: what is left is too long to be run."""


def shell(
    directory: GroupArgument = None,
    script: Annotated[
        Path | None,
        typer.Option("--script", metavar="FILE", show_default=False, help="Run the lines of a file, then end."),
    ] = None,
    key: KeyOption = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Go on after a line that fails; end with the first one's code.")
    ] = False,
    as_json: JsonOption = False,
    timeout: TimeoutOption = TIMEOUT_SECONDS,
) -> None:
    """Enter operations, faults and commands line by line: help lists them, Tab completes them.

    Lines from a pipe or a script are run up to the first that fails, and its code, as of pbft call, is the shell's.
    """
    from pbft.console.scripts import read_script
    from pbft.console.session import Console

    if isinstance(sys.stdin, io.TextIOWrapper):
        # Bytes that are no text are refused where they are used, in a sentence.
        sys.stdin.reconfigure(errors="surrogateescape")
    files = read_group(find_group(directory))
    lines = None if script is None else read_script(script)
    at_terminal = lines is None and sys.stdin.isatty()
    console = Console(
        files, find_client(files, key), screen=False, keep_going=keep_going and not at_terminal, timeout=timeout
    )
    with _Worker(console) as worker:
        printer = _Printer(as_json, at_terminal)
        if at_terminal:
            _converse(files, worker, printer)
            return
        name = "line" if script is None else f"{script}, line"
        source = _piped() if lines is None else lines
        code = _run(source, worker, printer, name, keep_going)
    if code is not ExitCode.FINE:
        raise typer.Exit(code)


class _Worker:
    """A console in a thread with an event loop of its own: a load goes on while somebody thinks what to type."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pbft console", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait(self.console.__aexit__(kind, error, trace))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_ENDING_SECONDS)
            if not self._thread.is_alive():
                self._loop.close()

    def steps(self, line: str) -> Iterator[Said]:
        """Run a line, and give what it came to, step by step. A Ctrl-C ends the waiting."""
        steps = self.console.steps(line)
        try:
            while True:
                said = self.wait(_next(steps))
                if said is None:
                    return
                yield said
        except GeneratorExit:
            # Nobody wants the rest: of a script that was told to quit, for instance.
            self.wait(steps.aclose())
            raise

    def wait(self, answer: Coroutine[Any, Any, T]) -> T:
        """Return what the loop comes to. Whoever stops waiting leaves nothing behind that waits on."""
        future = asyncio.run_coroutine_threadsafe(answer, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


async def _next(steps: AsyncIterator[Said]) -> Said | None:
    return await anext(steps, None)


class _Printer:
    """Prints what lines came to: for programs, for people at a prompt, or as `pbft call` does."""

    def __init__(self, as_json: bool, at_terminal: bool) -> None:
        self._as_json = as_json
        self._at_terminal = at_terminal

    def show(self, said: Said, where: str = "") -> None:
        """Print one step; `where` names the place of a line that failed."""
        if self._as_json:
            self._show_json(said)
        elif said.kind == "error":
            self._show_error(said, where)
        elif said.kind == "result" and not self._at_terminal:
            # How the answer came is for eyes, or for --json; a script compares values.
            say(said.lines[0])
        else:
            for number, line in enumerate(said.lines):
                say(line, "dim" if said.kind == "result" and number else "")

    def _show_json(self, said: Said) -> None:
        if not said.words:
            return
        told: dict[str, Any] = {"line": said.line, "exit": said.code.value}
        if said.kind == "error":
            told |= {"error": said.lines[0], "lines": list(said.lines[1:])}
        elif said.kind == "note":
            told |= {"lines": list(said.lines)}
        say_json(told | dict(said.details))

    def _show_error(self, said: Said, where: str) -> None:
        out = screen(error=True)
        first = f"pbft: {where}{said.lines[0]}" if not self._at_terminal else said.lines[0]
        out.print(clean(first), style="red" if self._at_terminal else None)
        for line in said.lines[1:] if self._at_terminal or said.reply is None else ():
            out.print(clean(line), style="dim")


def _run(
    lines: Sequence[str] | Iterator[str], worker: _Worker, printer: _Printer, name: str, keep_going: bool
) -> ExitCode:
    """Run lines up to the first that fails, or all of them; return the code of the first that failed."""
    first = ExitCode.FINE
    for number, line in enumerate(lines, start=1):
        said = None
        for said in worker.steps(line):
            printer.show(said, f"{name} {number}: ")
        if said is None:
            continue
        first = first or said.code
        if said.wish == "quit" or (said.code is not ExitCode.FINE and not keep_going):
            break
    return first


def _piped() -> Iterator[str]:
    """Give lines from standard input as they come."""
    while line := sys.stdin.readline(_MAX_INPUT_CHARACTERS):
        rest = line
        while rest and not rest.endswith("\n"):
            rest = sys.stdin.readline(_MAX_INPUT_CHARACTERS)
        yield line.rstrip("\n")


# At a terminal.


def _converse(files: GroupFile, worker: _Worker, printer: _Printer) -> None:
    """Prompt for lines until Ctrl-D or :quit. Ctrl-C clears what is typed, or ends a waiting call."""
    from pbft.console.history import History

    history = History()
    _prepare_keys(worker.console.complete, history)
    n, faults = files.group.n, files.group.quorums.faults
    say(f"{files.group.genesis.application} in {files.directory}: {n} replicas, of which {faults} may lie.")
    say("help lists what can be entered, Tab completes it, Ctrl-D leaves.")
    while True:
        try:
            line = input(f"{clean(worker.console.client)}> ")
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print("^C")
            continue
        history.add(line)
        try:
            for said in worker.steps(line):
                if said.wish == "clear":
                    screen().clear()
                printer.show(said)
                if said.wish == "quit":
                    return
        except KeyboardInterrupt:
            # The terminal has shown the key itself.
            print()
            say("nobody waits for it any more; what was sent may still run", "dim")


def _prepare_keys(complete: Callable[[str], list[str]], history: History) -> None:
    """Give the prompt its history and its Tab key, where Python has readline."""
    try:
        import readline
    except ImportError:
        return
    for line in history.lines:
        readline.add_history(line)
    found: list[str] = []

    def offer(_word: str, number: int) -> str | None:
        if number == 0:
            # Readline replaces the last word only, so that is what it is given of each line.
            start, line = readline.get_begidx(), readline.get_line_buffer()[: readline.get_endidx()]
            found[:] = [each[start:] for each in complete(line) if each[:start] == line[:start]]
        return found[number] if number < len(found) else None

    readline.set_completer(offer)
    readline.set_completer_delims(" \t")
    editline = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if editline else "tab: complete")
