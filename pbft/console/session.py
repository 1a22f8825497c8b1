"""The console: lines in, what they came to out.

Owns: who speaks, what runs beside the lines (a load, a recording), and which part of this room a line is for. Knows no
screen and no keys: `pbft shell` and the dashboard show what it says.
"""

from __future__ import annotations

import asyncio
import math
import os
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pbft.console.beside import Beside
from pbft.console.callers import Callers
from pbft.console.calls import TALLY_SECONDS, refuse_stopped, summarise_reply
from pbft.console.commands import SIGN, command_name, command_names, find_command
from pbft.console.completion import Vocabulary, complete
from pbft.console.faults import hurt
from pbft.console.help import tell_all, tell_one
from pbft.console.hints import hint
from pbft.console.load import Load, everyday_operation, read_rate
from pbft.console.looking import tell_evidence, tell_status, tell_why, wait_ok
from pbft.console.operations import encode_words, load_specs
from pbft.console.outcome import ExitCode, Failure, describe_reply, judge
from pbft.console.said import Hint, Said, Wish
from pbft.console.scripts import MAX_DEPTH, read_script
from pbft.console.statements import COMMENT, join, split
from pbft.console.text import read_payload, spell, to_json
from pbft.group_file import GroupFile
from pbft.lab.faults import FAULTS, parse_fault
from pbft.wording import quote, suggest

TIMEOUT_SECONDS: Final = 10.0
MAX_WAIT_SECONDS: Final = 86_400
MAX_LINES: Final = 1_000
"""How many lines `submit` returns of a script: the last ones."""

_UNRECORDED: Final = ("help", "record", "quit", "clear", "mermaid")
"""What says something to whoever sits there, and nothing to the group."""

_Deed = Callable[[], Awaitable[Said]]
"""What a line does, checked as far as can be without doing it."""


class Console:
    """One person's way to a group, line by line; see `tell_all` for what can be entered.

        async with Console(read_group("keys/local"), "alice") as console:
            said = await console.submit("balance alice")

    Lines may be submitted while others still run. Everything that a line, a replica or the group can cause comes back
    as a `Said`; only a cancellation ends `submit` otherwise, and leaves the operation to its fate.
    """

    def __init__(
        self,
        files: GroupFile,
        client: str,
        *,
        record: Path | None = None,
        screen: bool = True,
        keep_going: bool = False,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        """Take a group and the name of a client whose key lies here.

        `record` begins a recording at once. `screen` says that somebody fulfils wishes; without, what nobody could
        fulfil is refused. With `keep_going` scripts do not end at the first line that fails. `timeout` is how many
        seconds an operation waits for its answer. Raises Failure.
        """
        self.specs = load_specs(files)
        self._files = files
        self._names = [each.name for each in files.group.genesis.clients]
        self._screen = screen
        self._keep_going = keep_going
        self._timeout = timeout
        self._callers = Callers(files, timeout)
        self._speakers: list[str] = []
        self.client = self._find_speaker(client)
        self._beside = Beside(files, timeout, record)

    @property
    def load(self) -> Load | None:
        """The load that runs, None while there is none."""
        return self._beside.load

    @property
    def recording(self) -> Path | None:
        """The file that lines are written to, None while there is none."""
        return self._beside.recording

    def hint(self, line: str) -> Hint:
        """Return one line on what is being typed: how it goes on, or what is wrong with it so far."""
        return hint(line, self._vocabulary())

    def complete(self, line: str) -> list[str]:
        """Return the whole lines that Tab may turn this one into."""
        return complete(line, self._vocabulary())

    async def submit(self, line: str) -> Said:
        """Run one line to its end. For a script this is its end, with what its lines said before."""
        lines: list[str] = []
        said = Said.note()
        async for said in self.steps(line):
            lines = [*lines, *said.lines][-MAX_LINES:]
        return replace(said, lines=tuple(lines))

    async def steps(self, line: str) -> AsyncGenerator[Said, None]:
        """Run one line, and give what it came to; of a script what each of its lines came to, then its end."""
        async for said in self._steps(line, ()):
            yield said

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._beside.close()
        await self._callers.close()

    # From a line to what it came to.

    async def _steps(self, line: str, scripts: tuple[Path, ...]) -> AsyncIterator[Said]:
        """Run one line inside the scripts that run each other; one that stands in none of them is written down."""
        words: tuple[str, ...] = ()
        recorder = None
        try:
            words = split(line)
            name = command_name(words[0], self.specs) if words else None
            path = _find_script(words[1:], scripts) if name == "run" else None
            deed = self._plan(name, words) if words and path is None else _done(Said.note())
            if words and not scripts and name not in _UNRECORDED:
                recorder = self._beside.note(line)
            if path is None:
                said = await deed()
            else:
                said = Said.note()
                async for said in self._run(path, (*scripts, path)):
                    # The last one is the end of this line.
                    if said.line:
                        yield said
        except Exception as error:
            said = _failed(error)
        finally:
            if recorder is not None:
                recorder.end()
        yield replace(said, line=line, words=words)

    def _plan(self, name: str | None, words: tuple[str, ...]) -> _Deed:
        """Return what a line does. Raises Failure or PbftError for one that says nothing that could be done."""
        if name is None:
            operation = encode_words(self._files, self.specs, words[0], words[1:])
            return partial(self._call, self.client, operation)
        rest = words[1:]
        if name in FAULTS:
            parse_fault((name, *rest), self._files.group.n, self._names)
            return partial(hurt, self._files, (name, *rest))
        plans: Mapping[str, Callable[[Sequence[str]], _Deed]] = {
            "client": self._plan_client,
            "help": self._plan_help,
            "load": self._plan_load,
            "wait": self._plan_wait,
            "record": self._plan_record,
            "status": lambda _: self._ask(tell_status),
            "explain": lambda _: self._ask(tell_why),
            "evidence": lambda _: partial(asyncio.to_thread, tell_evidence, self._files),
            "mermaid": self._plan_mermaid,
            "clear": lambda _: _wish("clear"),
            "quit": lambda _: _wish("quit"),
        }
        found = find_command(name)
        if name not in plans or found is None:
            names = [each.removeprefix(SIGN) for each in command_names()]
            raise Failure(f"there is no command {quote(SIGN + name)}{suggest(name, names)}")
        if found.usage == SIGN + name and rest:
            raise Failure(f"{found.usage} takes nothing after it, not {quote(' '.join(rest))}")
        return plans[name](rest)

    # Operations and faults.

    async def _call(self, name: str, operation: bytes) -> Said:
        refuse_stopped(self._files)
        async with self._callers.speaking(name) as client:
            reply = await client.tally(await client.submit(operation), TALLY_SECONDS)
        try:
            reply.check()
        except Exception as error:
            return Said.failed(judge(error), reply, summarise_reply(reply))
        value = read_payload(reply.payload)
        details = {"result": to_json(value), **describe_reply(reply)}
        lines = (spell(value), summarise_reply(reply))
        return Said("", ExitCode.FINE, lines, "result", reply, details=details)

    def _ask(self, look: Callable[..., Awaitable[Said]]) -> _Deed:
        async def deed() -> Said:
            async with self._callers.speaking(self.client) as client:
                return await look(client, self._files)

        return deed

    # Commands.

    def _plan_client(self, rest: Sequence[str]) -> _Deed:
        name = self._find_speaker(_one("client", rest))

        async def deed() -> Said:
            self.client = name
            return Said.note(f"you speak as {name} now")

        return deed

    def _plan_help(self, rest: Sequence[str]) -> _Deed:
        if len(rest) > 1:
            raise Failure("help takes one name after it, or none")
        application = self._files.group.genesis.application
        lines = tell_one(rest[0], self.specs) if rest else tell_all(self.specs, application, self._files.lab)
        return _done(Said.note(*lines, wish=None if rest else "help"))

    def _plan_load(self, rest: Sequence[str]) -> _Deed:
        if list(rest) == ["off"]:
            return self._beside.end_load
        rate = read_rate(rest[0] if rest else "")
        words = tuple(rest[1:]) or everyday_operation(self.specs, self.client)
        operation = encode_words(self._files, self.specs, words[0], words[1:])
        return partial(self._beside.begin_load, self.client, rate, join(words), operation)

    def _plan_wait(self, rest: Sequence[str]) -> _Deed:
        word = _one("wait", rest)
        if word == "ok":
            return self._ask(wait_ok)
        try:
            seconds = float(word)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds <= MAX_WAIT_SECONDS:
            raise Failure(f":wait takes seconds, at most {MAX_WAIT_SECONDS}, or ok, not {quote(word)}")

        async def deed() -> Said:
            await asyncio.sleep(seconds)
            return Said.note()

        return deed

    def _plan_record(self, rest: Sequence[str]) -> _Deed:
        word = _one("record", rest)
        if word == "off":
            return _now(self._beside.end_recording)
        return _now(partial(self._beside.begin_recording, Path(os.path.expanduser(word))))

    def _plan_mermaid(self, rest: Sequence[str]) -> _Deed:
        _one("mermaid", rest)
        if not self._screen:
            raise Failure(f"only a dashboard draws: pbft dashboard {self._files.directory}")
        return _wish("diagram")

    # Scripts.

    async def _run(self, path: Path, scripts: tuple[Path, ...]) -> AsyncIterator[Said]:
        """Run a script's lines, and give what each came to; then what all came to, which has no line yet."""
        count, failed, first, wish = 0, 0, (0, ExitCode.FINE), None
        for number, line in enumerate(read_script(path), start=1):
            if not line.strip() or line.lstrip().startswith(COMMENT):
                continue
            count += 1
            said = Said.note()
            async for said in self._steps(line, scripts):
                yield said
            if said.code is not ExitCode.FINE:
                failed += 1
                first = first if first[0] else (number, said.code)
            wish = said.wish if said.wish == "quit" else None
            if wish or (failed and not self._keep_going):
                break
        if failed:
            where = f"line {first[0]}" if failed == 1 else f"{failed} lines, line {first[0]} the first of them,"
            yield replace(Said.failed(Failure(f"{path}: {where} failed", first[1])), wish=wish)
        else:
            yield Said.note(f"{path}: {count} line{'' if count == 1 else 's'} done", wish=wish)

    # Who speaks.

    def _find_speaker(self, name: str) -> str:
        """Return the name of a client whose key lies here. Raises Failure."""
        self._speakers = [each for each in self._names if self._files.client_key(each).exists()]
        if name not in self._names:
            raise Failure(f"the group knows no client {quote(name)}{suggest(name, self._names)}")
        if name not in self._speakers:
            raise Failure(f"the key of {name} is not here; put it at {self._files.client_key(name)}")
        return name

    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self.specs, self._names, self._speakers, self._files.group.n)


def _find_script(rest: Sequence[str], scripts: Sequence[Path]) -> Path:
    """Return the script that a line names, if it may run inside those that run already. Raises Failure."""
    path = Path(os.path.abspath(os.path.expanduser(_one("run", rest))))
    if path in scripts:
        raise Failure(f"{path} is running already; a script cannot run itself")
    if len(scripts) >= MAX_DEPTH:
        raise Failure(f"scripts run each other at most {MAX_DEPTH} deep")
    read_script(path)
    return path


def _one(name: str, rest: Sequence[str]) -> str:
    """Return the one word that a command takes. Raises Failure."""
    found = find_command(name)
    if len(rest) != 1 and found is not None:
        raise Failure(f"write {found.usage}, with one word after {found.usage.partition(' ')[0]}")
    return rest[0]


def _done(said: Said) -> _Deed:
    async def deed() -> Said:
        return said

    return deed


def _now(do: Callable[[], Said]) -> _Deed:
    async def deed() -> Said:
        return do()

    return deed


def _wish(wish: Wish) -> _Deed:
    return _done(Said.note(wish=wish))


def _failed(error: Exception) -> Said:
    failure = judge(error)
    if failure.code is ExitCode.INTERNAL_ERROR and os.environ.get("PBFT_TRACEBACK"):
        return Said.failed(failure, None, *"".join(traceback.format_exception(error)).split("\n"))
    return Said.failed(failure)
