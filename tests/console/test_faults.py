"""What is told of faults, and how files of code are named to whoever loads them elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbft.console.faults import absolute, exceeded
from pbft.lab.state import LabState, ReplicaState


def test_too_many_faults_are_told():
    """Beyond f nothing is promised: the sentence names each that counts, and why."""
    replicas = (
        ReplicaState(0, 10, "running"),
        ReplicaState(1, None, "killed", restarted=True),
        ReplicaState(2, 12, "running", "Equivocator"),
        ReplicaState(3, 13, "running"),
    )
    assert exceeded(LabState(replicas, 1)) == (
        "2 are faulty, and the group survives 1: nothing is promised any more; "
        "replica 1 (killed), replica 2 (lies: Equivocator)"
    )
    assert exceeded(LabState((*replicas[:1], ReplicaState(1, None, "killed"), *replicas[2:]), 1)) == (
        "2 are faulty, and the group survives 1: answers stay right, but that there will be any is no longer promised; "
        "replica 1 (killed), replica 2 (lies: Equivocator)"
    )


def test_files_are_named_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The keeper works in another folder; words that name no file stay as they are."""
    monkeypatch.chdir(tmp_path)
    assert absolute(("byzantine", "2", "mine.py:Liar+silent")) == ["byzantine", "2", f"{tmp_path}/mine.py:Liar+silent"]
    assert absolute(("byzantine", "2", "censor", "alice")) == ["byzantine", "2", "censor", "alice"]
    assert absolute(("kill", "2")) == ["kill", "2"]
