"""Marks of running processes: exclusive, never stale, and the only way to a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbft.lab.processes import python_environment
from pbft.node.marks import FILE_NAME, Held, Mark, holder, read_mark, send_signal

HOLD = """
import sys, pathlib
from pbft.node.marks import Mark
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


def test_what_a_holder_notes_is_read_with_its_number(tmp_path: Path):
    """How it lies, that it serves, that it keeps a group: the last note holds, and goes with the mark."""
    mark = Mark.take(tmp_path)
    assert mark is not None
    assert read_mark(tmp_path) == Held(os.getpid())
    mark.note("mine.py:Liar", ready=True)
    assert read_mark(tmp_path) == Held(os.getpid(), "mine.py:Liar", ready=True)
    mark.note(keeps=True)
    assert read_mark(tmp_path) == Held(os.getpid(), keeps=True)
    assert holder(tmp_path) == os.getpid()
    mark.note("\N{PILE OF POO}" * 10_000)
    held = read_mark(tmp_path)
    assert held is not None
    assert held.lies is not None
    assert 100 < len(held.lies) < 1_000
    mark.release()
    assert read_mark(tmp_path) is None


@pytest.mark.parametrize(
    "second", ["", "{", "[" * 4_000, "[]", "5", '{"lies": 5, "ready": "yes", "keeps": 1}', '{"lies": {}}']
)
def test_a_note_that_is_none(tmp_path: Path, second: str):
    """Half written, or written by somebody else: the process is known all the same, and no more."""
    mark = Mark.take(tmp_path)
    assert mark is not None
    (tmp_path / FILE_NAME).write_text(f"{os.getpid()}\n{second}\n")
    assert read_mark(tmp_path) == Held(os.getpid())
    mark.release()


@pytest.mark.parametrize("first", ["9" * 4_000, "4294967296000", "-5", "1", "five"])
def test_a_number_that_no_process_has(tmp_path: Path, first: str):
    """Whoever holds a mark writes what it likes into it: nobody tries to signal that."""
    mark = Mark.take(tmp_path)
    assert mark is not None
    (tmp_path / FILE_NAME).write_text(f"{first}\n")
    assert read_mark(tmp_path) is None
    assert not send_signal(tmp_path, 0)
    mark.release()
