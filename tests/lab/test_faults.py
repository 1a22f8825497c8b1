"""The words of faults: what each says, that it gives its words back, and what people are told where it is none."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from pbft.lab import faults
from pbft.lab.faults import (
    FAULTS,
    HOWS,
    Byzantine,
    Cut,
    Delay,
    Fault,
    FaultError,
    Heal,
    Kill,
    Let,
    Loss,
    Pause,
    Restart,
    Resume,
    Step,
    parse_fault,
)
from pbft.lab.misbehaviours import WORDS
from pbft.lab.processes import python_environment
from pbft.net.verbs import parse

CLIENTS = ("alice", "bob")


def said(line: str) -> Fault:
    """Return what a line says in a group of four."""
    return parse_fault(line.split(), 4, CLIENTS)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("kill 2", Kill(2)),
        ("pause 0", Pause(0)),
        ("resume 3", Resume(3)),
        ("restart 1", Restart(1)),
        ("byzantine 2 equivocate", Byzantine(2, "equivocate")),
        ("byzantine 2 censor alice", Byzantine(2, "censor alice")),
        ("byzantine 2 censor bob+wrong-reply", Byzantine(2, "censor bob+wrong-reply")),
        ("byzantine 2 TimeLiar", Byzantine(2, "TimeLiar")),
        ("byzantine 2 mine.py:Deaf", Byzantine(2, "mine.py:Deaf")),
        ("cut 0 1", Cut(0, 1)),
        ("cut 3", Cut(3)),
        ("loss 20%", Loss(20)),
        ("loss 100% 1 2", Loss(100, (1, 2))),
        ("delay 50ms", Delay(50)),
        ("delay 0ms 0 3", Delay(0, (0, 3))),
        ("let prepares from 3 to 1: drop", Let(parse("prepares from 3 to 1: drop"))),
        ("step", Step()),
        ("heal", Heal()),
    ],
)
def test_every_verb_is_read_and_given_back(line: str, fault: Fault):
    """What a key writes into a script says the same when the script runs."""
    assert said(line) == fault
    assert str(fault) == line


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cut 1 0", "cut 0 1"),
        ("loss 20", "loss 20%"),
        ("loss 20 % 3 1", "loss 20% 1 3"),
        ("delay 50", "delay 50ms"),
        ("delay 50 ms 3 1", "delay 50ms 1 3"),
        ("kill 002", "kill 2"),
        ("byzantine 2 wrong-reply + bad-signature", "byzantine 2 wrong-reply+bad-signature"),
        ("let for the first 2 Prepares of view 0: delay by 5 ms", "let the first 2 prepares of view 0: delay by 5 ms"),
    ],
)
def test_other_spellings_come_to_the_same_words(line: str, words: str):
    """A link is one, whichever end comes first, and a unit may stand apart or be left out."""
    assert str(said(line)) == words


def test_a_sentence_may_be_one_word():
    """As a shell hands on what stands in quotes."""
    assert parse_fault(["let", "prepares from 3 to 1: drop"], 4, ()) == said("let prepares from 3 to 1: drop")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", 'say what is to fail, as in "kill 2"; there are kill, pause'),
        ("kil 2", 'there is no fault "kil"; did you mean "kill"?'),
        ("kill", 'kill is written "kill I", as in "kill 2"'),
        ("kill 1 2", 'kill is written "kill I", as in "kill 2", not "kill 1 2"'),
        ("kill two", 'kill takes a replica\'s number, as in "kill 2", not "two"'),
        ("kill ²", "kill takes a replica's number"),
        ("pause 4", "there is no replica 4; they are 0 to 3"),
        ("cut", 'cut is written "cut A [B]", as in "cut 0 1"'),
        ("cut 0 1 2", 'cut is written "cut A [B]"'),
        ("cut 1 1", "a link lies between two replicas, and replica 1 has none to itself"),
        ("loss", 'loss is written "loss PERCENT% [A B]"'),
        ("loss 20% 1", 'loss is written "loss PERCENT% [A B]", as in "loss 20%", not "loss 20% 1"'),
        ("loss 101%", 'a loss is a whole number of percent, 0 to 100, as in loss 20%, not "101%"'),
        ("loss -1%", "a loss is a whole number of percent"),
        ("delay 1s", "a delay is a whole number of milliseconds, 0 to 60000, as in delay 50ms"),
        ("delay 60001ms", "a delay is a whole number of milliseconds"),
        ("let", 'let is written "let SENTENCE"'),
        ("let prepares", "a sentence says what is meant, then a colon"),
        ("let prepares from 4: drop", "there is no replica 4; they are 0 to 3"),
        ("let requests from alice: drop", 'on links between replicas, 0 to 3, and "alice" is none of them'),
        ("let replies: drop", "replies never pass between replicas, and a lab's faults are on the links between those"),
        ("let prepares and hellos: drop", "hellos never pass between replicas"),
        ("let prepares: delay by 60001 ms", "a lab delays by at most 60000 ms"),
        ("let prepares: duplicate 17 times", "a lab duplicates at most 16 times, not 17"),
        ("step 2", 'after step comes nothing more, not "2"'),
        ("heal all", 'after heal comes nothing more, not "all"'),
        ("byzantine", 'byzantine is written "byzantine I HOW"'),
        ("byzantine 2", "lacks a misbehaviour; write a name, or several with + between, as in equivocate"),
        ("byzantine 9 silent", "there is no replica 9; they are 0 to 3"),
        ("byzantine 2 equivocat", 'there is no misbehaviour "equivocat"'),
        ("byzantine 2 equivocat", 'did you mean "equivocate"?'),
        ("byzantine 2 censor", 'censor is followed by a client\'s name, as in "censor alice"'),
        ("byzantine 2 censor carol", 'no client is called "carol"; there are alice, bob'),
        ("byzantine 2 silent+silent", "do not go together in this order"),
        ("kill " + "2 " * 300, "kill is written"),
        ("kill \x1b[2J", 'not "\\u001b[2J"'),
    ],
)
def test_what_cannot_be_is_one_sentence(line: str, says: str):
    """It says what to write, and holds nothing that a terminal obeys."""
    with pytest.raises(FaultError, match=re.escape(says)) as refused:
        said(line)
    assert str(refused.value).isprintable()


def test_every_verb_has_its_help():
    """Each example is a fault of its verb, and each verb is tried here."""
    for verb, told in FAULTS.items():
        assert told.usage.split()[0] == verb == told.example.split()[0] == str(said(told.example)).split()[0]
        assert told.summary.endswith(".")


def test_every_everyday_word_stands_for_something():
    """The words that help shows are those that are understood."""
    assert set(HOWS) == {*WORDS, faults.CENSOR}
    for how in HOWS:
        words = f"byzantine 1 {how}" + (" bob" if how == faults.CENSOR else "")
        assert str(said(words)) == words


def test_the_grammar_loads_no_attack_code():
    """Reading any fault but byzantine leaves the testing kit out of the process."""
    program = (
        "import sys; from pbft.lab.faults import *; parse_fault(['kill', '2'], 4, []);"
        "parse_fault(['let', 'prepares: drop'], 4, []); print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", program], env=python_environment(), capture_output=True, text=True, check=True
    ).stdout.split()
    assert "pbft.lab.faults" in loaded
    assert [each for each in loaded if each.startswith(("pbft.testing", "pbft.lab.misb"))] == []
