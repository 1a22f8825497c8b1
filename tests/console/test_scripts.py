"""Sessions as files: what is written down, and what is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbft.console.outcome import Failure
from pbft.console.scripts import MAX_BYTES, MAX_LINES, Recorder, read_script


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_pauses_are_written_between_lines(tmp_path: Path):
    """Somebody who waited for something waits in the script too; how long a line itself took is left out."""
    clock = Clock()
    recorder = Recorder(tmp_path / "session", clock)
    for line, took, pause in (("mint alice 5", 30.0, 0.9), (" :kill 2 ", 0.1, 2.56), (":wait ok", 4.0, 1.0)):
        recorder.begin(line)
        clock.now += took
        recorder.end()
        clock.now += pause
    recorder.begin("balance alice")
    recorder.close()
    assert read_script(tmp_path / "session")[1:] == [
        "mint alice 5",
        ":kill 2",
        ":wait 2.6",
        ":wait ok",
        "balance alice",
        "",
    ]
    assert recorder.lines == 4


def test_lines_that_overlap_leave_no_pause(tmp_path: Path):
    """While any line runs nobody is waiting at the prompt."""
    clock = Clock()
    recorder = Recorder(tmp_path / "session", clock)
    recorder.begin("add 1")
    clock.now += 5
    recorder.begin("add 2")
    recorder.close()
    assert ":wait" not in (tmp_path / "session").read_text()


def test_a_file_that_is_there_stays(tmp_path: Path):
    """Nothing is overwritten, and what cannot be written says so."""
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(Failure, match="is there already; name a new file"):
        Recorder(tmp_path / "mine")
    with pytest.raises(Failure, match="cannot be written: No such file"):
        Recorder(tmp_path / "nowhere" / "x")
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no file"),
        (b"\xff\xfe", "is no text"),
        (b"x\n" * MAX_LINES, "too long for a script"),
        (b"x" * (MAX_BYTES + 1), "too long for a script"),
    ],
)
def test_what_is_no_script(content: bytes | None, says: str, tmp_path: Path):
    """One sentence, before a line of it has run."""
    path = tmp_path / "script"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Failure, match=says):
        read_script(path)
    with pytest.raises(Failure, match="is no file that can be run"):
        read_script(tmp_path)


def test_lines_of_any_system(tmp_path: Path):
    """A script that was written elsewhere ends its lines in its own way."""
    (tmp_path / "script").write_bytes(b"add 1\r\n# more\r\n\r\nadd 2")
    assert read_script(tmp_path / "script") == ["add 1", "# more", "", "add 2"]
