"""Lines that are kept over runs: private, bounded, and never in the way."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pbft.console.history import MAX_CHARACTERS, MAX_LINES, History


def test_lines_are_kept_over_runs(tmp_path: Path):
    """The next run has what the last one entered, in that order, and repetitions once."""
    path = tmp_path / "pbft" / "history"
    history = History(path)
    for line in ("balance alice", "balance alice", "", "  ", " a secret", ":kill 2", "größer 数"):
        history.add(line)
    assert list(history.lines) == ["balance alice", ":kill 2", "größer 数"]
    assert list(History(path).lines) == ["balance alice", ":kill 2", "größer 数"]


def test_nobody_else_reads_them(tmp_path: Path):
    """The file is its owner's alone, and its folder too, also where it was more open before."""
    path = tmp_path / "pbft" / "history"
    History(path).add("balance alice")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    History(path).add(":status")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_lies_in_the_users_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where the specification of such folders says."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert History().path == tmp_path / "state" / "pbft" / "history"


def test_it_stays_small(tmp_path: Path):
    """The oldest lines go; what no person typed is not kept at all."""
    path = tmp_path / "history"
    history = History(path)
    history.add("x" * (MAX_CHARACTERS + 1))
    for number in range(3 * MAX_LINES):
        history.add(f"add {number}")
    kept = [f"add {number}" for number in range(2 * MAX_LINES, 3 * MAX_LINES)]
    assert list(history.lines) == list(History(path).lines) == kept
    assert path.read_text().count("\n") <= 2 * MAX_LINES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["history"]


def test_two_at_once_lose_nothing(tmp_path: Path):
    """What another shell entered meanwhile is there for the next run."""
    one, other = History(tmp_path / "history"), History(tmp_path / "history")
    one.add("balance alice")
    other.add("balance bob")
    one.add(":status")
    assert list(History(tmp_path / "history").lines) == ["balance alice", "balance bob", ":status"]


def test_what_cannot_be_kept_harms_nobody(tmp_path: Path):
    """A folder in its place, a link to somebody's file, or bytes that are no text: the shell goes on."""
    folder, link, odd = tmp_path / "folder", tmp_path / "link", tmp_path / "odd"
    folder.mkdir()
    (tmp_path / "precious").write_text("mine\n")
    link.symlink_to(tmp_path / "precious")
    odd.write_bytes(b"\xff\xfe\nadd 1\n\x1b[2J\n")
    for path in (folder, link, odd):
        history = History(path)
        history.add("add 2")
        assert history.lines[-1] == "add 2"
    assert (tmp_path / "precious").read_text() == "mine\n"
    assert "\x1b[2J" not in History(odd).lines
