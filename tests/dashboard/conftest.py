"""One group on disk for all tests of the dashboard: it never runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbft.group_file import GroupFile
from tests.dashboard.screens import make_files


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> GroupFile:
    """The files of a ledger of four replicas, none of which is started."""
    return make_files(tmp_path_factory.mktemp("dashboard"))


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from, or written to, what the user's own sessions keep."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
