"""The shell without a running group: what ends it how, and what it prints."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pbft.lab.processes import python_environment
from tests.cli.conftest import Run


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch):
    """Return a function that puts lines on standard input."""

    def put(*lines: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    return put


def test_lines_from_a_pipe(run: Run, group: Path, pipe):
    """All went well: help is printed, comments say nothing, and the end of the pipe is the end."""
    pipe("# a comment", "", "help supply", "client bob")
    ran = run("shell", str(group))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "supply → int",
        "  a query: it changes nothing",
        "",
        "  Return all the money there is: what was minted.",
        "you speak as bob now",
    ]


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("mint alice x", 2, 'pbft: line 2: mint() needs amount: int, got "x"'),
        ("mnt alice 5", 2, 'pbft: line 2: Ledger has no operation "mnt"; did you mean "mint"?'),
        ("balance alice", 3, "is not running; start it: pbft up"),
        (":kill 9", 2, "there is no replica 9; they are 0 to 3"),
        (":kill 2", 2, "pbft up"),
        (":mermaid x.md", 2, "only a dashboard draws"),
        (":run nosuch", 2, "there is no file"),
    ],
)
def test_the_first_line_that_fails_is_the_last(line: str, code: int, says: str, run: Run, group: Path, pipe):
    """Its sentence, with its number, and its code."""
    pipe("help supply", line, "client bob")
    ran = run("shell", str(group))
    assert (ran.code, ran.err.count("\n")) == (code, 1)
    assert says in ran.err
    assert "you speak as bob now" not in ran.out


def test_going_on(run: Run, group: Path, pipe):
    """All lines are run, and the first one's code is the shell's."""
    pipe("balance alice", "mint alice x", "client bob")
    ran = run("shell", str(group), "--keep-going")
    assert ran.code == 3
    assert ran.out == "you speak as bob now\n"
    assert [line.split(":")[1] for line in ran.err.splitlines()] == [" line 1", " line 2"]


def test_leaving(run: Run, group: Path, pipe):
    """Nothing is run behind :quit."""
    pipe("client bob", ":quit", "mint alice x")
    ran = run("shell", str(group))
    assert (ran.code, ran.out, ran.err) == (0, "you speak as bob now\n", "")


def test_a_script(run: Run, group: Path, tmp_path: Path, pipe):
    """Its lines stand for a pipe's; the sentence names the file; who speaks is chosen as for pbft call."""
    (tmp_path / "story").write_text("help supply\nclient carol\n")
    pipe("mint alice x")
    ran = run("shell", str(group), "--script", "story", "--key", "bob")
    assert (ran.code, ran.out.count("\n")) == (2, 4)
    assert ran.err.startswith('pbft: story, line 2: the group knows no client "carol"')


def test_programs_read_json(run: Run, group: Path, pipe):
    """One object a line, errors included, in their order."""
    pipe("# nothing", "client bob", "mint \x1b", "balance alice")
    ran = run("shell", str(group), "--json", "--keep-going")
    assert (ran.code, ran.err) == (2, "")
    told = [json.loads(line) for line in ran.out.splitlines()]
    assert [each["line"] for each in told] == ["client bob", "mint \\u001b", "balance alice"]
    assert [each["exit"] for each in told] == [0, 2, 3]
    assert told[0]["lines"] == ["you speak as bob now"]
    assert "mint() needs amount: int, which is missing" in told[1]["error"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nosuch",), "nosuch"),
        (("group", "--key", "dave"), 'the group knows no client "dave"'),
        (("group", "--script", "nosuch"), "there is no file nosuch"),
        (("group", "--sript", "x"), 'did you mean "--script"'),
    ],
)
def test_what_cannot_begin(words: tuple[str, ...], says: str, run: Run, group: Path, pipe):
    """One sentence, and not a line is read."""
    pipe("client bob")
    ran = run("shell", *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert says in ran.err


def test_a_pipe_is_no_terminal(run: Run, group: Path, pipe, tmp_path: Path):
    """No prompt, no greeting, and what a script entered is in nobody's history."""
    pipe("client bob")
    assert run("shell", str(group)).out == "you speak as bob now\n"
    assert not (tmp_path / "state" / "pbft" / "history").exists()


def test_a_line_without_end_is_one_line(run: Run, group: Path, pipe):
    """What is too long is refused as a whole: its end is no line of its own."""
    pipe("x" * (1 << 20) + " client bob", "help supply")
    ran = run("shell", str(group), "--keep-going")
    assert (ran.code, ran.err) == (2, "pbft: line 1: a line has at most 65536 characters, not 1048576\n")
    assert "client" not in ran.out
    assert ran.out.startswith("supply")


def test_bytes_that_are_no_text(group: Path, tmp_path: Path):
    """One sentence says so, and nothing of them reaches the terminal as it is."""
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "pbft.cli", "shell", str(group)],
        input=b"mint alice 5 \xff\x1b]0;x\x07\n",
        capture_output=True,
        env={**python_environment(), "XDG_STATE_HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert ran.stderr.startswith(b"pbft: line 1: mint() needs memo: str")
    assert ran.stderr.count(b"\n") == 1
    assert b"\x1b" not in ran.stderr
