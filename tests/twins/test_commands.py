"""`pbft twins`: what it prints, for people and for programs, and how it ends."""

from __future__ import annotations

import json
import sys

import pytest

from pbft.cli import main
from pbft.testing import twins


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command and return its exit code and what it printed."""
    code = main(["twins", *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_sum_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "--scenarios", "3:9")
    assert (code, err) == (0, "")
    assert out.startswith("6 scenarios agreed and finished: ")
    assert out.endswith(" scenarios a second)\n")


def test_as_json_there_are_counts(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "--scenarios", "3:9", "--json")
    told = json.loads(out)
    assert (code, told["scenarios"], told["failed"], told["interrupted"]) == (0, 6, 0, False)
    assert told["deliveries"] == sum(twins.play(twins.SPACE.scenario(number)).deliveries for number in range(3, 9))


def test_one_is_shown_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    twins.play(twins.SPACE.scenario(5), echo=lines.append)
    code, out, _ = ran(capsys, "--scenarios", "5:6", "--trace")
    told = twins.SPACE.scenario(5).told()
    assert code == 0
    assert out.splitlines()[: len(told)] == told
    assert out.splitlines()[len(told) : -1] == lines
    assert out.splitlines()[-1].startswith("scenario 5: n 4, deliveries ")


@pytest.mark.parametrize("form", ["", "--json", "--trace"])
def test_what_breaks_is_told_with_the_way_to_see_it_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """An exception within a run is a failed scenario, told with its phases and one command; the code is 1."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr("pbft.testing.station.Station.perform", broken)
    code, out, _ = ran(capsys, "--scenarios", "7:8", *([form] if form else []))
    assert code == 1
    assert "ZeroDivisionError: broken" in out
    assert "pbft twins --scenarios 7:8 --trace" in out
    assert twins.SPACE.scenario(7).told()[0] in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "scenarios"),
        (["--scenarios", "12"], '--scenarios takes a first number and the one after the last, as in 0:100, not "12"'),
        (["--scenarios", "5:5"], "--scenarios takes a first number and the one after the last"),
        (["--scenarios", f"0:{len(twins.SPACE) + 1}"], f"there are {len(twins.SPACE)} scenarios"),
        (["--scenarios", "0:2", "--trace"], "--trace is for one scenario"),
    ],
)
def test_bad_arguments_get_one_sentence(capsys: pytest.CaptureFixture[str], words: list[str], sentence: str) -> None:
    code, out, err = ran(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("pbft: ")
    assert sentence in err
    assert err.count("\n") == 1
