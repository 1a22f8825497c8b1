"""Marks of running processes: exclusive, never stale, and the only way to a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbft.lab.marks import FILE_NAME, Mark, holder, send_signal
from pbft.lab.processes import python_environment
from pbft.lab.registry import is_running, last_running, note_started

HOLD = """
import sys, pathlib
from pbft.lab.marks import Mark
mark = Mark.take(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return a process that holds the mark of a folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=python_environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_mark_has_one_holder(tmp_path: Path):
    """Who comes second gets none, and a folder that was let go can be taken again."""
    folder = tmp_path / "data" / "replica-0"
    assert holder(folder) is None
    mark = Mark.take(folder)
    assert mark is not None
    assert holder(folder) == os.getpid()
    assert Mark.take(folder) is None
    mark.release()
    assert holder(folder) is None
    again = Mark.take(folder)
    assert again is not None
    again.release()


def test_a_stale_number_leads_nowhere(tmp_path: Path):
    """What a dead process left behind names nobody, even where another process has its number by now."""
    (tmp_path / FILE_NAME).write_text(f"{os.getpid()}\n")
    assert holder(tmp_path) is None
    assert not send_signal(tmp_path, signal.SIGKILL)


def test_a_process_that_dies_lets_go(tmp_path: Path, held: subprocess.Popen[str]):
    """A signal reaches the holder, and a crash leaves no mark behind."""
    assert holder(tmp_path) == held.pid
    assert send_signal(tmp_path, signal.SIGKILL)
    assert held.wait() == -signal.SIGKILL
    assert holder(tmp_path) is None
    assert not send_signal(tmp_path, signal.SIGKILL)


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
