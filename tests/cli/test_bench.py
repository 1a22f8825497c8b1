"""`pbft bench`: what it prints, and how it refuses."""

from __future__ import annotations

import json

import pytest

from pbft.bench.catching_up import CatchUp, Memory
from pbft.bench.delays import CheckpointDelay
from pbft.bench.memory import MANY
from pbft.bench.state import PartReport
from pbft.bench.turns import Turns
from pbft.cli.figures import say_part
from tests.cli.conftest import Run

FEW = ("--accounts", "40,20,40", "--only", "memory,checkpoints")


def test_figures_are_printed_as_json(run: Run) -> None:
    """One object, with every part and size that was asked for, each once, and whether all bounds held."""
    ran = run("bench", "state", *FEW, "--json")
    assert (ran.code, ran.err) == (0, ""), ran
    told = json.loads(ran.out)
    assert told["held"] is True
    assert told["accounts"] == [20, 40]
    assert list(told["parts"]) == ["checkpoints", "memory"]
    assert [each["accounts"] for each in told["parts"]["memory"]["figures"]] == [20, 40]
    assert told["machine"]["processors"] >= 1
    assert "owners" in told["notes"]["accounts"]


def test_figures_are_printed_as_tables(run: Run) -> None:
    """A table a part, with what its words mean, and a verdict at the end."""
    ran = run("bench", "state", *FEW)
    assert (ran.code, ran.err) == (0, ""), ran
    for title in ("What a checkpoint costs", "What an account takes in memory"):
        assert ran.out.count(title) == 1
    assert ran.out.rstrip().endswith("Every bound that applies holds.")


def test_what_broke_its_bound_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Each table says of each row whether the bound held, or that none applies."""
    few, many = Turns(5, 1, 2, 3.25, 0, 3), Turns(7, 1, 2, 99.5, 98, 2)
    behind = CatchUp(MANY, 1_000, False, 0, 0, 0, 1_000, 101, 7, 1, 300, 1.5, few, 3)
    newcomer = CatchUp(MANY - 1, 256, True, 1, 444, 55, 1_000, 1_300, 70, 1, 300, 1.5, many, 99, Memory(2**21, 2**20))
    delay = CheckpointDelay(MANY, 3, 512, few, many, 777, 65, 64)
    say_part(PartReport("returning", (behind, newcomer), 1.0))
    say_part(PartReport("delays", (delay,), 1.0))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines if line.startswith(("1,000,000", "  999,999"))] == ["NO", "–", "NO"]
    (told,) = (line for line in lines if "nothing" in line and "444 nodes" in line)
    assert "130.0%" in told
    assert "99.5 (98.0)" in told
    assert "1.0 MiB + 1.0 MiB" in told
    assert any("65 of 64" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--accounts", "many"), "numbers from 10 to 10000000"),
        (("--accounts", "100,"), "with commas between them"),
        (("--accounts", "9"), 'not "9"'),
        (("--accounts", "100000000000"), "not"),
        (("--accounts", "100", "--quick"), "leave out --accounts"),
        (("--only", "memry"), "memory"),
    ],
)
def test_wrong_words_are_refused(run: Run, words: tuple[str, ...], says: str) -> None:
    """One sentence that says what to do, before anything is measured."""
    ran = run("bench", "state", *words)
    assert ran.code == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert ran.out == ""


def test_without_a_measurement_help_is_printed(run: Run) -> None:
    """`pbft bench` alone says what there is to measure."""
    ran = run("bench")
    assert ran.code == 0
    assert "state" in ran.out
