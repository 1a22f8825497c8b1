"""What stands below a line while it is typed: what comes next, or what is wrong already."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.console.completion import Vocabulary
from pbft.console.hints import hint
from pbft.console.outcome import Failure
from pbft.console.statements import split
from pbft.machine import ArgumentError, describe, parse_arguments
from tests.console.board import Board

SPECS = {spec.name: spec for spec in describe(Board)}
KNOWN = Vocabulary(SPECS, ("alice", "bob", "carol"), ("alice", "bob"), 4)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "pin, paint, store, crash, read, amount · help · : for commands and faults"),
        ("p", "pin, paint"),
        ("pin", "pin ACCOUNT AMOUNT [MEMO] · Pin a memo."),
        ("pin ", "pin »ACCOUNT« AMOUNT [MEMO] · account: str · Pin a memo."),
        ("pin ali", "pin »ACCOUNT« AMOUNT [MEMO] · account: str · Pin a memo."),
        ("pin alice ", "pin ACCOUNT »AMOUNT« [MEMO] · amount: int · Pin a memo."),
        ("pin alice 5 'a mem", 'pin ACCOUNT AMOUNT »[MEMO]« · memo: str = "" · Pin a memo.'),
        ("pin alice 5 x ", "pin ACCOUNT AMOUNT [MEMO] · Pin a memo."),
        ("paint blue t", "paint COLOR »[TWICE]« · twice: bool = False · Paint the board."),
        ("store ", "store »DATA« NUMBERS [NAME] · data: bytes"),
        ("# a note", "a comment: nothing happens"),
        (":", ":kill, :pause, :resume, "),
        (":kill", ":kill I · End a replica's process at once (SIGKILL)."),
        (":ki", ":kill I · End a replica's process at once (SIGKILL)."),
        (":kill 2", ":kill I · "),
        (":byzantine 2 equi", ":byzantine I HOW · "),
        (":byzantine 2 censor al", ":byzantine I HOW · "),
        (":loss 2", ":loss PERCENT% [A B] · "),
        (":delay 50", ":delay MS [A B] · "),
        (":delay 50ms 0", ":delay MS [A B] · "),
        (":let prep", ":let SENTENCE · "),
        (":load 200 pin alice ", "pin ACCOUNT »AMOUNT« [MEMO] · amount: int"),
        (":load o", ":load RATE [OP ARGS…] · "),
        (":wait 1.", ":wait SECONDS|ok · "),
        (":record ", ":record FILE|off · "),
        ("client b", "client NAME · Speak as another client"),
        ("help", "help [NAME] · "),
    ],
)
def test_what_comes_next(line: str, says: str):
    """Usage, the parameter that is being typed with its type, and what the operation or command does."""
    told = hint(line, KNOWN)
    assert not told.wrong, told
    assert told.text.startswith(says)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("pim", 'there is no operation "pim"; did you mean "pin"?'),
        ("pim alice", 'there is no operation "pim"; did you mean "pin"?'),
        ("pin alice x", 'pin() needs amount: int, got "x"'),
        ("pin alice 5x ", 'pin() needs amount: int, got "5x"'),
        ("pin alice 1 2 3", "pin() takes 3 arguments"),
        ("read now", "read() takes no arguments, got 1"),
        ("paint g", 'paint() needs color: "red" | "rose" | "blue", got "g"'),
        ("paint re ", 'got "re"'),
        ("store 0 ", "write bytes as hex digits"),
        (":kil 2", 'there is no command ":kil"; did you mean "kill"?'),
        (":kill 4", "there is no replica 4; they are 0 to 3"),
        (":kill two", "kill takes a replica's number"),
        (":byzantine 2 equivocite ", '"equivocite"'),
        (":byzantine 2 censor dave", "dave"),
        (":cut 1 1", "replica 1 has none to itself"),
        (":loss 200%", "a loss is a whole number of percent"),
        (":load many", ':load takes a number or off, not "many"'),
        (":load 200 pin alice x", "needs amount: int"),
        (":wait okay", ':wait takes a number or ok, not "okay"'),
        (":heal now", "after heal comes nothing more"),
        (":status now", ":status takes nothing after it"),
        ("client dave", 'there is no key of "dave" here'),
    ],
)
def test_what_is_wrong_already(line: str, says: str):
    """The one sentence that entering it would end with, as soon as nothing that is typed next could mend it."""
    told = hint(line, KNOWN)
    assert told.wrong, told
    assert says in told.text


def test_without_the_code_nothing_is_wrong():
    """Where the application's code is elsewhere, replicas judge."""
    known = Vocabulary({}, (), (), 4)
    for line in ("add", "add ", "add 5"):
        assert hint(line, known).text == "add · the application's code is not here: replicas judge"
        assert not hint(line, known).wrong


LINES = st.sampled_from(
    [
        "pin alice -5 'a memo'",
        "pin alice +1_0",
        "paint rose true",
        "paint blue false",
        "store 0x00ff '[1, 2]' null",
        "store 00 1,-2,3 'it''s me'",
        "amount alice",
    ]
)


@given(LINES, st.data())
def test_a_line_on_its_way_to_right_is_never_called_wrong(line: str, data: st.DataObject):
    """Every beginning of a right line may still become right, wherever it is cut."""
    words = split(line)
    parse_arguments(SPECS[words[0]], words[1:])
    cut = data.draw(st.integers(0, len(line)))
    assert not hint(line[:cut], KNOWN).wrong, line[:cut]


@given(
    st.sampled_from(sorted(SPECS)),
    st.lists(st.sampled_from(["alice", "1", "-", "red", "00", "[1", "x", ""]), max_size=4),
)
def test_what_is_called_wrong_cannot_be_entered(operation: str, words: list[str]):
    """A complete line is called wrong exactly when its arguments do not fit, but for those that are missing still."""
    line = " ".join([operation, *(word or "''" for word in words), ""])
    try:
        parse_arguments(SPECS[operation], split(line)[1:])
        fits = True
    except ArgumentError as error:
        fits = "which is missing" in str(error)
    except Failure:
        return
    assert hint(line, KNOWN).wrong is not fits


@given(st.text(max_size=40))
def test_any_text_has_a_hint(line: str):
    """Whatever is typed or pasted, something harmless is said of it."""
    told = hint(line, KNOWN)
    assert told.text.isprintable() or not told.text.isascii()
    assert "\n" not in told.text
    assert "\x1b" not in told.text
