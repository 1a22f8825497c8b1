"""Which group a command means when it is not told: the one started last that still runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbft.lab.registry import is_running, last_running, note_started
from pbft.node.marks import Mark


def test_the_group_started_last_that_still_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of the groups that were started, those that no longer run do not count, and neither do damaged entries."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert last_running() is None
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    marks = {folder: Mark.take(folder / "data" / "replica-2") for folder in (first, second)}
    for folder in (first, second, third):
        note_started(folder)
    (tmp_path / "state" / "pbft" / "groups" / "bad.json").write_text('{"directory": 1')
    assert last_running() == second
    note_started(first)
    assert last_running() == first
    assert (is_running(first), is_running(third)) == (True, False)
    keeper = Mark.take(third / "data")
    assert keeper is not None
    assert is_running(third)
    keeper.release()
    for mark in marks.values():
        assert mark is not None
        mark.release()
    assert last_running() is None


def test_no_state_folder_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Remembering is a convenience: where it cannot be done, everything else goes on."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    note_started(tmp_path)
    assert last_running() is None
