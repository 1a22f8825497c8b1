"""The script that shows a finding again: it runs as it is, fails alike, and passes once the application is mended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pbft.conformance.findings import Finding, Rule
from pbft.conformance.minimal import Case
from pbft.conformance.scripts import replay, script, write_script
from pbft.conformance.steps import Step
from pbft.conformance.subject import Subject
from pbft.lab.processes import python_environment
from tests.conformance.plants import write_application

CACHED = """
SEEN = {}

class Cached(StateMachine):
    rows: Table[str, int]

    def __init__(self, start: int = 0) -> None:
        self.rows["start"] = start

    @operation
    def put(self, name: str, *, amount: int = 1) -> int:
        SEEN[name] = amount
        self.rows[name] = amount
        return len(SEEN)
"""
MENDED = CACHED.replace("SEEN[name] = amount", "pass").replace("len(SEEN)", "len(self.rows)")

STEPS = (
    Step("bob", 1_000, b"\xff\xfe"),
    Step.call("alice", 1_700_000_000_000, "put", ("lamp \u202e\n'\"",)),
    Step.call("alice", 1_700_000_000_000, "put", (), {"amount": 2, "name": "é"}),
)


def case(restores: tuple[int, ...] = ()) -> Case:
    finding = Finding(Rule.ANSWER_DIFFERS, 1, STEPS[1], 'the answer is 1 here and 2 there: """\\')
    return Case(STEPS, restores, finding)


def run(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(path)],
        cwd=path.parent.parent,
        env=python_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.processes
def test_it_fails_with_the_same_finding_and_passes_when_mended(tmp_path: Path):
    """From any working directory: the application is named by where it lies beside the script."""
    subject = Subject(write_application(tmp_path, CACHED).spec, {"start": 5})
    path = write_script(subject, case(restores=(2,)), 0, tmp_path / "found")

    failing = run(path)

    assert (failing.returncode, failing.stderr) == (1, "")
    assert failing.stdout.startswith("the answer differs, at operation 2 of 3")
    assert "module variable SEEN" in failing.stdout

    write_application(tmp_path, MENDED)
    passing = run(path)

    assert (passing.returncode, passing.stderr) == (0, "")
    assert passing.stdout == "3 operations: the same in all processes; what was found before is mended.\n"


@pytest.mark.processes
def test_it_tells_when_it_cannot_tell(tmp_path: Path):
    """The operation has another name, or the file is gone: that is neither still so nor mended."""
    path = write_script(Subject(write_application(tmp_path, CACHED).spec, {"start": 5}), case(), 0, tmp_path)

    file = write_application(tmp_path, MENDED.replace("def put", "def place")).spec.partition(":")[0]
    renamed = run(path)

    assert (renamed.returncode, renamed.stderr) == (2, "")
    assert "is no call of this application any more: there is no operation" in renamed.stdout

    Path(file).unlink()
    gone = run(path)

    assert (gone.returncode, gone.stderr) == (2, "")
    assert gone.stdout.startswith("nothing was tried: there is no file")


def test_it_is_plain_python_with_calls_where_they_are_calls(tmp_path: Path):
    """The very steps, parameters and take-overs; nothing in it that an editor or a terminal would turn around."""
    subject = Subject(f"{tmp_path}/app.py:Cached", {"start": 5, "key": b"\x00\x01"})

    text = script(subject, case(restores=(2,)), 7, tmp_path / "sub" / "check_cached.py")

    names: dict[str, object] = {"__file__": str(tmp_path / "sub" / "check_cached.py"), "__name__": "read"}
    exec(compile(text, "check_cached.py", "exec"), names)
    assert names["STEPS"] == list(STEPS)
    assert names["PARAMETERS"] == {"start": 5, "key": b"\x00\x01"}
    assert Path(str(names["APPLICATION"]).rpartition(":")[0]).resolve() == tmp_path / "app.py"
    assert "Step.call('alice', 1_700_000_000_000, 'put', (), {'name': 'é', 'amount': 2})" in text
    assert "replay(APPLICATION, STEPS, parameters=PARAMETERS, restores=(2,), seed=7)" in text
    assert "\u202e" not in text


def test_a_module_is_named_as_it_is():
    text = script(Subject("pbft_apps.counter:Counter"), case(), 0, Path("check_counter.py"))

    assert "APPLICATION = 'pbft_apps.counter:Counter'" in text
    assert "import Path" not in text


def test_no_file_is_overwritten(tmp_path: Path):
    subject = Subject("some.module:Auction_2")
    paths = [write_script(subject, case(), 0, tmp_path) for _ in range(3)]

    assert [path.name for path in paths] == ["check_auction_2.py", "check_auction_2_2.py", "check_auction_2_3.py"]
    assert len({path.read_text() for path in paths}) == 3, "each names itself"


@pytest.mark.processes
def test_replaying_what_passes_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    subject = write_application(tmp_path, MENDED)

    assert replay(subject.spec, STEPS, parameters={"start": 1}, restores=(1,)) == 0
    assert capsys.readouterr().out.startswith("3 operations: the same")
