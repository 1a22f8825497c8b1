"""The words of `pbft fault`: which of them name the group, and where code of one's own lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbft.cli.fault import split_folder
from pbft.console.faults import absolute


def test_the_last_word_may_be_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where there is one of that name; a number is a replica's, whatever lies here, and one word is a verb."""
    monkeypatch.chdir(tmp_path)
    for name in ("g", "2", "heal"):
        (tmp_path / name).mkdir()
    assert split_folder(["kill", "2", "g"]) == (["kill", "2"], Path("g"))
    assert split_folder(["kill", "2", "nowhere"]) == (["kill", "2", "nowhere"], None)
    assert split_folder(["kill", "2"]) == (["kill", "2"], None)
    assert split_folder(["heal"]) == (["heal"], None)
    assert split_folder(["heal", str(tmp_path / "g")]) == (["heal"], tmp_path / "g")


def test_code_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file is named by its whole path, since the keeper works in another folder; names stay as they are."""
    monkeypatch.chdir(tmp_path)
    assert absolute(["byzantine", "2", "mine.py:Liar+Silent"]) == ["byzantine", "2", f"{tmp_path}/mine.py:Liar+Silent"]
    assert absolute(["byzantine", "2", "censor", "alice"]) == ["byzantine", "2", "censor", "alice"]
    assert absolute(["let", "prepares", "from", "3:", "drop"]) == ["let", "prepares", "from", "3:", "drop"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "say what is to fail, as in pbft fault kill 2; see pbft fault --list"),
        (("kill", "2", "group"), "no keeper looks after the group in"),
        (("kill", "2", "--group", "nowhere"), "there is no group in nowhere"),
    ],
)
def test_what_cannot_be_is_one_sentence(run, group, words: tuple[str, ...], says: str):
    """Exit code 2, and nothing printed but that; in JSON on request."""
    ran = run("fault", *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert says in ran.err
    told = run("fault", *words, "--json")
    assert (told.code, says in told.out, told.err) == (2, True, "")
