"""Running commands inside the test process, in an empty folder and without anybody's settings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pbft.cli import main

LEDGER = "pbft_apps.ledger:Ledger"


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Return a function that runs one command in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("PBFT_GROUP", raising=False)
    monkeypatch.delenv("PBFT_TRACEBACK", raising=False)

    def run_command(*words: str) -> Ran:
        code = main(list(words))
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run_command


@pytest.fixture
def group(run: Run, tmp_path: Path) -> Path:
    """Return the folder of a ledger's group that does not run."""
    assert run("init", "group", "--app", LEDGER).code == 0
    return tmp_path / "group"
