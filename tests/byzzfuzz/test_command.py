"""`pbft byzzfuzz`: what it prints, for people and for programs, and how it ends."""

from __future__ import annotations

import json
import shlex
import sys

import pytest

from pbft.cli import main
from pbft.testing.byzzfuzz import Scenario, Shape, command


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command and return its exit code and what it printed."""
    code = main(["byzzfuzz", *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_runs_are_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    """How many, in what time, and how many violations there were."""
    code, out, err = ran(capsys, "--runs", "3:6")
    assert (code, err, len(out.splitlines())) == (0, "", 1)
    assert out.startswith("3 runs in ")
    assert " s, no violations: " in out


def test_as_json_there_is_an_object_a_run_and_one_of_sums(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "--runs", "3:5", "--small-scope", "--json")
    first, second, counts = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(each["run"], each["ok"]) for each in (first, second)] == [(3, True), (4, True)]
    assert (counts["runs"], counts["violations"], counts["interrupted"]) == (2, 0, False)
    for name in ("deliveries", "parted", "lies", "view_changes"):
        assert counts[name] == first[name] + second[name]


def test_one_run_is_traced(capsys: pytest.CaptureFixture[str]) -> None:
    """Its scenario, every line, and what it came to."""
    code, out, _ = ran(capsys, "--runs", "3:4", "--trace", "--any-scope")
    told = Scenario.draw(3, Shape(scope="any")).told()
    lines = out.splitlines()
    assert code == 0
    assert lines[: len(told)] == told
    assert lines[-1].startswith("run 3: ")
    assert len([line for line in lines if " executed v" in line]) > 10


def test_a_violation_is_told_with_the_command_that_shows_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug that raises: the others go on, the code is 1, and the command printed fails in the same way."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr("pbft.testing.station.Station.perform", broken)
    code, out, _ = ran(capsys, "--runs", "1:3", "--rounds", "4")
    assert code == 1
    assert "run 1 failed." in out
    assert "ZeroDivisionError: broken" in out
    replay = "pbft byzzfuzz --runs 1:2 --trace --rounds 4"
    assert f"replay: {replay}" in out
    assert "3 runs" not in out
    assert "2 runs in " in out.splitlines()[-1]
    assert " s, 2 violations: " in out.splitlines()[-1]

    code, out, _ = ran(capsys, *shlex.split(replay)[2:])
    assert code == 1
    assert "ZeroDivisionError: broken" in out

    code, out, _ = ran(capsys, "--runs", "1:2", "--json")
    assert code == 1
    assert "ZeroDivisionError: broken" in json.loads(out.splitlines()[0])["failure"]


def test_the_command_spells_a_shape() -> None:
    """What is as usual is left out."""
    assert command(7) == "pbft byzzfuzz --runs 7:8 --trace"
    shape = Shape(10, 1, 3, "small")
    assert command(7, shape) == (
        "pbft byzzfuzz --runs 7:8 --trace --small-scope --rounds 10 --network-faults 1 --process-faults 3"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--runs", "12"], '--runs takes a first run and the one after the last, as in 0:100, not "12"'),
        (["--runs", "5:5"], "--runs takes a first run and the one after the last"),
        (["--runs", "0:9", "--trace"], "--trace shows one run, as in --runs 0:1"),
        (["--runs", "0:9", "--small-scope", "--any-scope"], "choose one of --small-scope and --any-scope"),
        (["--runs", "0:9", "--rounds", "1"], "--network-faults is at most the 1 round of --rounds, not 2"),
        (["--runs", "0:9", "--process-faults", "9"], "--process-faults is at most the 8 rounds of --rounds, not 9"),
        ([], "--runs"),
    ],
)
def test_bad_arguments_get_one_sentence(capsys: pytest.CaptureFixture[str], words: list[str], sentence: str) -> None:
    code, out, err = ran(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("pbft: ")
    assert sentence in err
    assert err.count("\n") == 1
