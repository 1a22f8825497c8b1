"""The console on a group that runs: what each line comes to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pbft.client import Client
from pbft.console.outcome import ExitCode, Failure
from pbft.console.session import Console
from pbft.group_file import read_group
from tests.console.groups import at_board, board_files

HOSTILE = (
    "\x1b]0;owned\x07\x1b]52;c;cm0gLXJm\x07\x1b[2J\x1b[10;10H\x9b31m\r\n\x08\u202e\u2066moc\u2069\u200f\u2028"
    "[bold red]rich[/] [link=file:///etc]x[/link] :skull:"
)
SHOWN = (
    "\\u001b]0;owned\\u0007\\u001b]52;c;cm0gLXJm\\u0007\\u001b[2J\\u001b[10;10H\\u009b31m\\u000d\\u000a\\u0008\\u202e"
    "\\u2066moc\\u2069\\u200f\\u2028[bold red]rich[/] [link=file:///etc]x[/link] :skull:"
)


def test_an_operation_and_its_answer(tmp_path: Path):
    """A line with the value, and one that says how it came; the reply is there for whoever draws it."""

    async def body() -> None:
        async with at_board(tmp_path) as (_, console):
            assert (await console.submit("pin alice 5 'a memo'")).lines[0] == "5"
            said = await console.submit("read")
            assert (said.kind, said.code, said.lines[0], said.line) == ("result", ExitCode.FINE, "a memo", "read")
            assert said.reply is not None
            assert said.reply.sequence == 2
            assert " ms · sequence 2 · view 0 · replicas 0" in said.lines[1].replace("replicas 1", "replicas 0")
            assert "matched" in said.lines[1]
            assert said.details["result"] == "a memo"
            assert said.details["matching"] == list(said.reply.matching)
            assert (await console.submit("amount bob")).lines[0] == '{"bob": 1}'
            assert (await console.submit("store 00ff 1,2")).lines[0] == "00ff"

    asyncio.run(body())


def test_who_answers_late_is_shown_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A line waits a moment beyond the f+1 equal answers, for a no as for a value; its time is that of the answer."""
    monkeypatch.setattr("pbft.console.session.TALLY_SECONDS", 60.0)

    async def body() -> None:
        async with at_board(tmp_path) as (_, console):
            for line, code in (("read", ExitCode.FINE), ("pin alice -5 you", ExitCode.REJECTED)):
                said = await console.submit(line)
                assert (said.code, said.details["matching"]) == (code, [0, 1, 2, 3])
                assert said.reply is not None
                assert said.lines[1].startswith(f"{said.reply.ms} ms · ")
                assert said.lines[1].endswith("replicas 0, 1, 2 and 3 matched")

    asyncio.run(body())


def test_who_was_silent_is_named(tmp_path: Path):
    """Of four replicas one does not run: the line says that nothing came from it."""

    async def body() -> None:
        async with at_board(tmp_path, 0, 1, 2) as (_, console):
            said = await console.submit("read")
            assert said.reply is not None
            assert 3 in said.reply.silent
            assert "silent so far" in said.lines[1]

    asyncio.run(body())


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("pin alice -5 you", ExitCode.REJECTED, "nobody owes you you"),
        ("crash 0", ExitCode.REJECTED, "the operation failed inside the application"),
        ("pin alice x", ExitCode.USAGE, "pin() needs amount: int"),
        ("pim alice", ExitCode.USAGE, 'Board has no operation "pim"; did you mean "pin"?'),
        ("pin 'alice", ExitCode.USAGE, "a quote is open"),
        ("client carol", ExitCode.USAGE, "the key of carol is not here; put it at"),
        ("client dave", ExitCode.USAGE, 'the group knows no client "dave"'),
        ("client", ExitCode.USAGE, "write client NAME"),
        (":kil 2", ExitCode.USAGE, 'there is no command ":kil"; did you mean "kill"?'),
        (":kill 9", ExitCode.USAGE, "there is no replica 9"),
        (":kill 2", ExitCode.USAGE, "is no lab's, and nobody may hurt it"),
        (":load many", ExitCode.USAGE, ":load takes the operations a second"),
        (":load 0", ExitCode.USAGE, ":load takes the operations a second"),
        (":load nan", ExitCode.USAGE, ":load takes the operations a second"),
        (":load 5 pim", ExitCode.USAGE, 'Board has no operation "pim"'),
        (":wait", ExitCode.USAGE, "write :wait SECONDS|ok"),
        (":wait -1", ExitCode.USAGE, ":wait takes seconds"),
        (":wait nan", ExitCode.USAGE, ":wait takes seconds"),
        (":status now", ExitCode.USAGE, ":status takes nothing after it"),
        (":run nosuch", ExitCode.USAGE, "there is no file"),
        (":run ~nobody.at.all/x", ExitCode.USAGE, "there is no file"),
        (":record nosuch/file", ExitCode.USAGE, "cannot be written"),
        ("help nosuch", ExitCode.USAGE, "there is neither an operation nor a command"),
    ],
)
def test_every_no_is_one_sentence(line: str, code: ExitCode, says: str, tmp_path: Path):
    """Nothing is raised; the code is that of pbft call."""

    async def body() -> None:
        async with at_board(tmp_path) as (_, console):
            said = await console.submit(line)
            assert (said.kind, said.code, said.line) == ("error", code, line)
            assert says in said.lines[0]

    asyncio.run(body())


def test_nothing_steers_the_screen(tmp_path: Path):
    """Titles, clipboards, cursors, turned lines and markup, in a memo and in a refusal, come as harmless text."""

    async def body() -> None:
        async with at_board(tmp_path) as (_, console):
            # No line of ours holds such a text, so another program has pinned it.
            async with Client.open(tmp_path / "group", key="bob") as bob:
                assert await bob.call("pin", "alice", 1, HOSTILE) == 1
            said = await console.submit("read")
            assert said.lines[0] == SHOWN
            refused = await console.submit("pin alice -1 '\x1b]0;owned\x07\u202e'")
            assert refused.lines[0] == "nobody owes you \\u001b]0;owned\\u0007\\u202e"
            assert refused.line == "pin alice -1 '\\u001b]0;owned\\u0007\\u202e'"
            for each in (said, refused, await console.submit("\x1b[2J"), await console.submit(":\x1b[2J")):
                assert all("\x1b" not in line and "\n" not in line for line in (each.line, *each.lines))
            for line in ("\x1b[2J", "pin \x1b[2J \x1b[2J", ":kill \x1b[2J", "client \x1b"):
                assert "\x1b" not in console.hint(line).text

    asyncio.run(body())


def test_another_client_speaks(tmp_path: Path):
    """`client bob` holds for the lines that follow, each under its own key and session."""

    async def body() -> None:
        async with at_board(tmp_path) as (_, console):
            await console.submit("read")
            assert (await console.submit("client bob")).lines == ("you speak as bob now",)
            assert console.client == "bob"
            await console.submit("read")
            await console.submit("client alice")
            said = await console.submit("read")
            # The second request of the session that alice had before.
            assert said.reply is not None
            assert said.reply.timestamp == 2

    asyncio.run(body())


def test_few_clients_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever spoke longest ago is closed for the next one, and begins a new session when it speaks again."""
    monkeypatch.setattr("pbft.console.callers.MAX_OPEN", 1)

    async def body() -> None:
        async with at_board(tmp_path) as (_, console):
            timestamps = []
            for line in ("read", "read", "client bob", "read", "client alice", "read"):
                said = await console.submit(line)
                assert said.code is ExitCode.FINE
                timestamps += [said.reply.timestamp] if said.reply is not None else []
            assert timestamps == [1, 2, 1, 1]

    asyncio.run(body())


def test_comments_and_empty_lines_say_nothing(tmp_path: Path):
    """They are part of scripts."""

    async def body() -> None:
        async with Console(board_files(tmp_path / "group"), "alice") as console:
            for line in ("", "   ", "# transfer"):
                said = await console.submit(line)
                assert (said.kind, said.code, said.lines) == ("note", ExitCode.FINE, ())

    asyncio.run(body())


def test_wishes_of_whoever_owns_a_screen(tmp_path: Path):
    """The dashboard fulfils them; where nobody draws, a drawing is refused and the rest is told in lines."""

    async def body() -> None:
        async with at_board(tmp_path) as (_, console):
            for line, wish in ((":quit", "quit"), ("exit", "quit"), (":clear", "clear"), ("help", "help")):
                assert (await console.submit(line)).wish == wish
            said = await console.submit(":mermaid 'my flow.md'")
            assert (said.wish, said.words) == ("diagram", (":mermaid", "my flow.md"))
            evidence = await console.submit(":evidence")
            assert evidence.wish == "evidence"
            assert "keeps evidence here" in evidence.lines[0]
            explained = await console.submit(":explain")
            assert (explained.wish, explained.code) == ("explain", ExitCode.FINE)
            assert explained.lines
            plain = Console(read_group(tmp_path / "group"), "alice", screen=False)
            refused = await plain.submit(":mermaid x.md")
            assert (refused.code, refused.wish) == (ExitCode.USAGE, None)
            assert "only a dashboard draws" in refused.lines[0]

    asyncio.run(body())


def test_looking_and_waiting(tmp_path: Path):
    """Every replica's account, and a wait that ends when all that run are well."""

    async def body() -> None:
        async with at_board(tmp_path) as (_, console):
            await console.submit("pin alice 5")
            said = await console.submit(":status")
            assert said.code is ExitCode.FINE
            assert said.lines[0].startswith("replica 0: ok · primary · view 0 · executed ")
            assert said.lines[-1] == "4 of 4 answer; 3 are enough"
            assert [each["id"] for each in said.details["replicas"]] == [0, 1, 2, 3]
            assert (await console.submit(":wait ok")).lines == ("all replicas that run answer and keep up",)
            assert (await console.submit(":wait 0")).code is ExitCode.FINE

    asyncio.run(body())


def test_too_few_replicas(tmp_path: Path):
    """No answer in time is a sentence with who said what, and a code of its own."""

    async def body() -> None:
        async with at_board(tmp_path, 0, timeout=0.5) as (_, console):
            said = await console.submit("read")
            assert said.code is ExitCode.NO_QUORUM
            assert "no 2 equal answers within 0.5 s" in said.lines[0]
            assert set(said.details["heard"]) == {"0", "1", "2", "3"}

    asyncio.run(body())


def test_a_group_that_does_not_run(tmp_path: Path):
    """A lab's group that nobody started is told of at once; and nobody keeps it, so nobody can hurt it."""

    async def body() -> None:
        async with Console(board_files(tmp_path / "group", lab=True), "alice") as console:
            for line in ("read", ":load 5 read"):
                said = await console.submit(line)
                assert said.code is ExitCode.NO_QUORUM
                assert "is not running; start it: pbft up" in said.lines[0]
            hurt = await console.submit(":kill 2")
            assert hurt.code is ExitCode.USAGE
            assert "pbft up" in hurt.lines[0]
            assert console.load is None

    asyncio.run(body())


def test_a_call_that_nobody_waits_for_any_more(tmp_path: Path):
    """Ctrl-C ends the waiting, and the console goes on."""

    async def body() -> None:
        async with at_board(tmp_path) as (_, console):
            waiting = asyncio.create_task(console.submit(":wait 1000"))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert (await console.submit("read")).code is ExitCode.FINE

    asyncio.run(body())


def test_nobody_speaks_without_a_key(tmp_path: Path):
    """A console is some client's from the start."""
    files = board_files(tmp_path / "group")
    for name, says in (("carol", "the key of carol is not here"), ("dave", "the group knows no client")):
        with pytest.raises(Failure, match=says):
            Console(files, name)


def test_the_end_of_a_console_ends_what_it_began(tmp_path: Path):
    """No task and no socket of it is left, and the recording is closed."""

    async def body() -> None:
        async with at_board(tmp_path) as (_, console):
            before = len(asyncio.all_tasks())
            async with Console(read_group(tmp_path / "group"), "bob", record=tmp_path / "session") as other:
                await other.submit(":load 100")
                await other.submit("read")
                assert len(asyncio.all_tasks()) > before
            assert other.load is None
            assert other.recording is None
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == before
            assert ":load 100\nread\n" in (tmp_path / "session").read_text()
            assert console.load is None

    asyncio.run(body())
