"""`pbft check`: what it prints, how it ends, and how it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pbft.conformance.telling import NO_PROOF
from pbft.lab.processes import python_environment
from tests.cli.conftest import Run

pytestmark = pytest.mark.processes

AUCTION = """
from pbft import StateMachine, operation


class Auction(StateMachine):
    best: int = 0

    def __init__(self, reserve: int, owner: str = "nobody") -> None:
        self.best = reserve

    @operation
    def bid(self, amount: int) -> int:
        self.best = max(self.best, amount)
        return RESULT
"""
HONEST = AUCTION.replace("RESULT", "self.best")
PLANTED = AUCTION.replace("RESULT", 'hash(f"{amount}") if amount > 1 else 0')


@pytest.fixture
def auction(run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "auction.py"
    path.write_text(PLANTED)
    return path


def test_an_honest_application_passes_and_nothing_is_left_behind(run: Run, auction: Path):
    auction.write_text(HONEST)

    ran = run("check", "auction.py", "--set", "reserve=5", "--examples", "10", "--faults", "0:1")

    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["source", "worlds", "faults", "Passing"]
    assert lines[-1] == NO_PROOF
    assert sorted(path.name for path in auction.parent.iterdir() if path.name != "__pycache__") == ["auction.py"]


def test_a_finding_ends_it_with_1_and_leaves_a_script(run: Run, auction: Path):
    words = ("check", "auction.py", "--set", "reserve=5", "--examples", "10", "--only", "worlds")
    first, second = run(*words), run(*words, "--save", "found", "--client", "zoe")

    assert (first.code, second.code) == (1, 1)
    assert "    1  zoe  bid(2)" in second.out.splitlines()
    assert "  python check_auction.py shows it again" in first.out.splitlines()
    assert "  python found/check_auction.py shows it again" in second.out.splitlines()

    again = subprocess.run(
        [sys.executable, "check_auction.py"],
        cwd=auction.parent,
        env=python_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 1
    assert "the answer" in again.stdout


def test_programs_read_one_object(run: Run, auction: Path):
    ran = run("check", "auction.py", "--set", "reserve=5", "--examples", "10", "--only", "worlds", "--json")

    told = json.loads(ran.out)
    assert (ran.code, told["ok"], told["source"], told["faults"]) == (1, False, None, None)
    assert told["parameters"] == {"reserve": 5}
    assert told["worlds"]["finding"]["steps"][0]["operation"] == "bid(2)"
    assert told["worlds"]["finding"]["takes"] == ["hash seed"]
    assert (auction.parent / told["script"]).exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nothing.py"], "there is no file nothing.py"),
        (["countr"], 'no installed package has an application "countr"'),
        (["broken.py"], "broken.py does not import: ZeroDivisionError"),
        (["auction.py"], "reserve"),
        (["auction.py", "--set", "reserve"], "--set takes NAME=VALUE"),
        (["auction.py", "--set", "reserve=much"], "Auction needs reserve: int"),
        (["auction.py", "--set", "reserv=5"], 'Auction has no parameter "reserv"; did you mean "reserve"?'),
        (["counter", "--save", "auction.py"], '--save takes a folder, and "auction.py" is a file'),
        (["counter", "--faults", "5"], "--faults takes a first seed"),
        (["counter", "--client", "al ice"], '"al ice"'),
        (["counter", "--client", "al", "--client", "al"], "al"),
        (["counter", "--only", "everything"], "everything"),
        (["counter", "--examples", "0"], "examples"),
    ],
)
def test_what_cannot_be_checked_is_refused_in_a_sentence(run: Run, auction: Path, words: list[str], says: str):
    (auction.parent / "broken.py").write_text("1 / 0\n")

    ran = run("check", *words)

    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1


def test_without_the_extra_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)

    ran = run("check", "counter")

    assert (ran.code, ran.out) == (2, "")
    assert "pip install 'pbft[test]'" in ran.err


def test_ctrl_c_ends_it_quietly(tmp_path: Path):
    """In the middle of the search, whose processes end with it: a file that an operation writes tells that it began."""
    path = tmp_path / "slow.py"
    began = tmp_path / "began"
    path.write_text(HONEST.replace("self.best = max", f"open({str(began)!r}, 'a').close()\n        self.best = max"))
    os.mkfifo(began)
    command = [sys.executable, "-m", "pbft.cli", "check", str(path), "--set", "reserve=1", "--only", "worlds"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=python_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        # Opened once an operation opens it as well.
        with began.open():
            process.send_signal(signal.SIGINT)
        out, err = process.communicate()

    assert (process.returncode, out, err) == (130, "", "")
