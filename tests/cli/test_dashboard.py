"""`pbft dashboard`: what it asks for before it draws."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbft.cli import main
from pbft.lab.making import make_group


def test_without_a_terminal_it_says_what_else_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe is no screen: one sentence names what works on one, and nothing is started."""
    make_group(tmp_path / "group", "counter")

    assert main(["dashboard", str(tmp_path / "group")]) == 2
    assert "a dashboard needs a terminal" in capsys.readouterr().err
    assert not (tmp_path / "group" / "data").exists()


def test_an_unknown_client_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--key` names one of the group's clients."""
    make_group(tmp_path / "group", "counter")

    assert main(["dashboard", str(tmp_path / "group"), "--key", "nobody"]) == 2
    assert "no client" in capsys.readouterr().err
