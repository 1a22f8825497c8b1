"""Operations from words: by the application's annotations, or by what words look like where it is not here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pbft.console.operations import encode_words, load_specs
from pbft.console.outcome import Failure
from pbft.group_file import GroupFile
from pbft.machine import ArgumentError, encode_operation
from tests.console.groups import board_files


@pytest.fixture
def files(tmp_path: Path) -> GroupFile:
    return board_files(tmp_path / "group")


def test_by_annotations(files: GroupFile):
    """A text that looks like a number stays a text."""
    specs = load_specs(files)
    assert list(specs) == ["pin", "paint", "store", "crash", "read", "amount"]
    assert encode_words(files, specs, "pin", ["5", "5"]) == encode_operation("pin", ("5", 5))
    with pytest.raises(ArgumentError, match="needs amount: int"):
        encode_words(files, specs, "pin", ["5"])
    with pytest.raises(Failure, match='Board has no operation "pim"; did you mean "pin"'):
        encode_words(files, specs, "pim", [])


def test_without_the_code(files: GroupFile, tmp_path: Path):
    """Neither what is missing nor another application's code is taken: words are what they look like."""
    other = tmp_path / "other.py"
    other.write_text("from pbft.machine import StateMachine\n\n\nclass Other(StateMachine):\n    pass\n")
    for spec in (f"{tmp_path}/nosuch.py:Board", f"{other}:Other"):
        elsewhere = replace(files, application=spec)
        assert load_specs(elsewhere) == {}
        encoded = encode_words(elsewhere, {}, "pin", ["alice", "-5", "true", "null", "5x", "²"])
        assert encoded == encode_operation("pin", ("alice", -5, True, None, "5x", "²"))
    with pytest.raises(Failure, match="an integer beyond 64 bits"):
        encode_words(files, {}, "pin", ["9" * 30])
