"""What Tab offers: whole lines, by the types of parameters and the usage of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbft.console.completion import MAX_SHOWN, Vocabulary, complete
from pbft.machine import describe
from tests.console.board import Board

SPECS = {spec.name: spec for spec in describe(Board)}
KNOWN = Vocabulary(SPECS, ("alice", "bob", "carol"), ("alice", "bob"), 4)


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("pi", ["pin "]),
        ("  pi", ["  pin "]),
        ("pa", ["paint "]),
        ("cl", ["client "]),
        ("nothing", []),
        ("# pi", []),
        # Any text may be a client's name; a number is nobody's to guess.
        ("pin ", ["pin alice ", "pin bob ", "pin carol "]),
        ("pin 'b", ["pin bob "]),
        ("pin alice ", []),
        ("pin alice 1 c", ["pin alice 1 carol "]),
        ("pin alice 1 memo ", []),
        ("paint r", ["paint red ", "paint rose "]),
        ("paint red ", ["paint red true ", "paint red false "]),
        ("store 00 1,2 n", ["store 00 1,2 null "]),
        ("client ", ["client alice ", "client bob "]),
        ("help amo", ["help amount "]),
        ("help byz", ["help byzantine "]),
        (":kil", [":kill "]),
        (":kill ", [":kill 0 ", ":kill 1 ", ":kill 2 ", ":kill 3 "]),
        (":cut 1 ", [":cut 1 0 ", ":cut 1 2 ", ":cut 1 3 "]),
        (":byzantine 2 eq", [":byzantine 2 equivocate "]),
        (":byzantine 2 censor c", [":byzantine 2 censor carol "]),
        (":byzantine 2 silent ", []),
        (":loss ", [":loss 20% ", ":loss 0% "]),
        (":delay 50ms 3 2", [":delay 50ms 3 2 "]),
        (":heal ", []),
        (":load 200 amo", [":load 200 amount "]),
        (":load 200 amount a", [":load 200 amount alice "]),
        (":wait ", [":wait ok "]),
        (":nosuch ", []),
        ("pin \\", ["pin alice ", "pin bob ", "pin carol "]),
    ],
)
def test_lines(line: str, lines: list[str]):
    """Each candidate is the whole line, ready for the next word."""
    assert complete(line, KNOWN) == lines


def test_an_empty_line_offers_operations_first():
    """What the group is for comes before what can be done to it."""
    assert complete("", KNOWN)[: len(SPECS) + 2] == [f"{name} " for name in (*SPECS, "client", "help")]
    assert ":kill " in complete("", KNOWN)


def test_an_operation_of_the_application_wins_over_a_command():
    """`client` is a word that an application may use; the command is still there with its sign."""
    known = Vocabulary({"client": SPECS["paint"]}, (), ("alice",), 4)
    assert complete("cl", known) == ["client "]
    assert complete("client r", known) == ["client red ", "client rose "]
    assert complete(":client ", known) == [":client alice "]


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder goes on into its files; names that need it are quoted; what is hidden is offered to those who ask."""
    (tmp_path / "one story.txt").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "deep.txt").touch()
    (tmp_path / ".hidden").touch()
    monkeypatch.chdir(tmp_path)
    assert complete(":run o", KNOWN) == [":run 'one story.txt' ", ":run other/"]
    assert complete(":run other/", KNOWN) == [":run other/deep.txt "]
    assert complete(f":record {tmp_path}/ot", KNOWN) == [f":record {tmp_path}/other/"]
    assert complete(":record ", KNOWN) == [":record off ", ":record 'one story.txt' ", ":record other/"]
    assert complete(":run .h", KNOWN) == [":run .hidden "]
    assert complete(":run nosuch/", KNOWN) == []
    monkeypatch.setenv("HOME", str(tmp_path))
    assert complete(":run ~/ot", KNOWN) == [":run ~/other/"]


def test_many_candidates_are_bounded():
    """A group may have thousands of clients."""
    known = Vocabulary(SPECS, [f"c{number}" for number in range(5_000)], (), 4)
    assert len(complete("pin c", known)) == MAX_SHOWN
