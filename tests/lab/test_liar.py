"""What a liar may join and know, and that nothing that runs a correct replica can come to lie."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pbft.group_file import GroupFile, write_group
from pbft.lab.liar import main, run_liar
from pbft.lab.making import make_group
from pbft.lab.processes import python_environment
from pbft.node.marks import holder

FRAGILE = """
from pbft.testing.byzantine import Adversary


class Fragile(Adversary):
    def __init__(self, core, means):
        raise ValueError(f"{sorted(means.signers)} {len(means.clients)} {means.chance.random()}")
"""


@pytest.fixture
def files(tmp_path: Path) -> GroupFile:
    """Return a group of a lab that does not run, and a misbehaviour that breaks when it is made."""
    (tmp_path / "fragile.py").write_text(FRAGILE)
    return make_group(tmp_path / "group", "pbft_apps.counter:Counter")


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one sentence on standard error."""
    out, said = capsys.readouterr()
    assert (out, said.count("\n")) == ("", 1)
    return said


def test_only_a_lab_has_liars(files: GroupFile, capsys: pytest.CaptureFixture[str]):
    """A group that is not one machine's to play with is refused before anything is read or opened."""
    files.path.unlink()
    write_group(replace(files, lab=False))
    assert run_liar(files.directory, 0, "Silent") == 2
    assert f"the group in {files.directory} is no lab's, and no liar may join it" in refusal(capsys)
    assert not files.data(0).exists()


def test_a_liar_holds_its_own_key_and_its_colluders(files: GroupFile, capsys: pytest.CaptureFixture[str]):
    """Nobody else's, unless the launcher says so; and one seed is one chance."""
    fragile = f"{files.directory.parent / 'fragile.py'}:Fragile"
    said = []
    for colluders, seed in (((), 1), ((), 1), ((), 2), (("2", "3", "bob"), 1)):
        assert run_liar(files.directory, 1, fragile, colluders=colluders, seed=seed) == 2
        said.append(refusal(capsys))
    assert said[0].startswith("Fragile cannot be made: ValueError: [1] 0 0.")
    assert said[0] == said[1] != said[2]
    assert said[3].startswith("Fragile cannot be made: ValueError: [1, 2, 3] 1 0.")
    assert holder(files.data(1)) is None


def _no_key(files: GroupFile) -> None:
    files.replica_key(2).unlink()


def _anothers_key(files: GroupFile) -> None:
    files.replica_key(2).write_bytes(files.replica_key(0).read_bytes())


def _nothing(files: GroupFile) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "index", "misbehaviour", "colluders", "says"),
    [
        (_no_key, 1, "Silent", ("2",), "there is no key file"),
        (_anothers_key, 1, "Silent", ("2",), "is not the key of the party it is named after"),
        (_no_key, 2, "Silent", (), "there is no key file"),
        (
            _nothing,
            1,
            "Silent",
            ("4",),
            'is called "4"; colluders are replicas, 0 to 3, or clients; there are alice, bob',
        ),
        (_nothing, 1, "Silent", ("alic",), 'did you mean "alice"?'),
        (_nothing, 1, "Silnt", (), 'did you mean "Silent"?'),
        (_nothing, 4, "Silent", (), "its replicas are 0 to 3"),
    ],
)
def test_what_hinders_a_liar_is_one_sentence(
    files: GroupFile,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[GroupFile], None],
    index: int,
    misbehaviour: str,
    colluders: tuple[str, ...],
    says: str,
):
    """No traceback, exit code 2, and no mark left behind."""
    spoil(files)
    assert run_liar(files.directory, index, misbehaviour, colluders=colluders) == 2
    assert says in refusal(capsys)


def test_the_words_of_a_launcher(files: GroupFile, capsys: pytest.CaptureFixture[str]):
    """The program takes what launchers write: colluders with commas between, and a seed."""
    fragile = f"{files.directory.parent / 'fragile.py'}"
    assert main([str(files.directory), "0", fragile, "--colluders=0,3", "--seed", "5", "--with-parent"]) == 2
    assert "ValueError: [0, 3] 0 0." in refusal(capsys)


@pytest.mark.parametrize("module", ["pbft.node.process", "pbft.lab.child", "pbft.lab.local", "pbft.cli.commands"])
def test_no_program_of_a_correct_replica_holds_attack_code(module: str):
    """Whatever `pbft replica`, `pbft up` and the replicas they start import, the testing kit is not among it."""
    program = f"import {module}, sys; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", program], env=python_environment(), capture_output=True, text=True, check=True
    ).stdout.split()
    assert "pbft" in loaded
    assert [each for each in loaded if each.startswith(("pbft.testing", "pbft.lab.liar", "pbft.lab.misb"))] == []
