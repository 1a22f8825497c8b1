"""The swarm catches planted bugs: a fixed sample, each of another kind, within as many seeds as the others have."""

from __future__ import annotations

import json

import pytest

from pbft.cli import main
from pbft.testing.mutants import catalogue
from pbft.testing.mutants.hunt import Fate, hunt, hunts
from pbft.testing.swarm import Pool
from tests.mutants.tally import FATES, SAMPLE

pytestmark = pytest.mark.pooled

SEEDS = range(500)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_of_mutants_is_killed(name: str) -> None:
    """Each is caught by an invariant of the protocol, not by an error that ended the run."""
    fate = hunt(name, SEEDS)
    FATES.append(fate)
    assert fate.is_kill, f"{name} survived {fate.seeds} seeds"
    assert fate.oracle.startswith("O") or fate.oracle in ("persist-before-send", "end")


def test_there_are_enough_mutants() -> None:
    """At least forty, with names of kebab words, or of the count that is short; each says what it breaks."""
    assert len(catalogue()) >= 40
    assert all(name in catalogue() for name in SAMPLE)
    for name, mutant in catalogue().items():
        assert name == mutant.name
        assert name.replace("-", "").replace("_", "").isalpha()
        assert name == name.lower()
        assert mutant.breaks.endswith(".")
        assert "(OSDI'99 section" in mutant.breaks or "(design " in mutant.breaks


def test_a_kill_says_how_to_see_it_again() -> None:
    """What the oracle said in one line, and the command; the same whenever it is hunted."""
    fate = hunt("committed", range(3))
    assert fate == hunt("committed", range(3))
    assert (fate.mutant, fate.oracle, fate.seeds) == ("committed", "O6", 1)
    assert "commit certificate" in fate.sentence
    assert "\n" not in fate.sentence
    assert fate.replay == "pbft sim --seed 0 --trace --plant committed"


def test_a_mutant_that_no_seed_shows_survives() -> None:
    """Nobody lies in this seed, so nobody notices that lies would be believed."""
    fate = hunt("primarys-prepare-counts", range(1))
    assert fate == Fate("primarys-prepare-counts", "", 1)
    assert not fate.is_kill


def test_hunts_tell_in_order_whoever_hunts() -> None:
    names = ("prepared", "primarys-prepare-counts", "committed")
    with Pool(1) as pool:
        alone = list(hunts(names, range(1), pool))
    with Pool(2) as pool:
        shared = list(hunts(names, range(1), pool))
    assert [each.mutant for each in alone] == list(names)
    assert shared == alone


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A line a mutant, then how many were killed; the code is 1 as soon as one survives."""
    assert main(["mutants", "prepared", "committed", "--seeds", "1", "--jobs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["mutant", "oracle", "seeds", "needed"],
        ["prepared", "O6", "1"],
        ["committed", "O6", "1"],
    ]
    assert lines[3:] == ["2 of 2 mutants killed"]

    assert main(["mutants", "primarys-prepare-counts", "--seeds", "1"]) == 1
    assert capsys.readouterr().out.splitlines()[1].split() == ["primarys-prepare-counts", "survived", "1"]


def test_the_command_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a mutant, then one of counts."""
    code = main(["mutants", "prepared", "primarys-prepare-counts", "--seeds", "1", "--jobs", "1", "--json"])
    first, second, counts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 1
    assert (first["mutant"], first["oracle"], first["seeds"], first["killed"]) == ("prepared", "O6", 1, True)
    assert first["replay"] == "pbft sim --seed 0 --trace --plant prepared"
    assert (second["mutant"], second["killed"]) == ("primarys-prepare-counts", False)
    assert counts == {"mutants": 2, "killed": 1, "survived": 1, "interrupted": False}


def test_the_command_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mutants", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{name}: {mutant.breaks}" for name, mutant in catalogue().items()]


def test_the_command_knows_its_mutants(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mutants", "prepares"]) == 2
    assert capsys.readouterr().err == 'pbft: there is no mutant "prepares"; did you mean "prepared"?\n'
