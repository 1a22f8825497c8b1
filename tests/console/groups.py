"""A board's group: its folder, its replicas in this process, and a console on it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pbft.console.session import Console
from pbft.group_file import GroupFile, write_group
from pbft.lab.making import make_group
from tests.node.groups import RunningGroup, running

BOARD = f"{Path(__file__).with_name('board.py')}:Board"


def board_files(directory: Path, lab: bool = False) -> GroupFile:
    """Make a board's group that does not run, of which alice's and bob's keys lie here and carol's does not."""
    files = replace(make_group(directory, BOARD, clients=("alice", "bob", "carol")), lab=lab)
    files.path.unlink()
    write_group(files)
    files.client_key("carol").unlink()
    return files


@contextlib.asynccontextmanager
async def at_board(tmp_path: Path, *replicas: int, **settings: Any) -> AsyncIterator[tuple[RunningGroup, Console]]:
    """A running group, and alice's console."""
    files = board_files(tmp_path / "group")
    async with running(files, *replicas) as group, Console(files, "alice", **settings) as console:
        yield group, console
