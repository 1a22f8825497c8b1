"""Replicas as real processes, each ended by its own id whatever happens."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pbft.client import Client
from pbft.group_file import GroupFile

ROOT = Path(__file__).parents[2]
_PROGRAM = "import sys; from pathlib import Path; from pbft.node.process import run_replica; "
_PROGRAM += "sys.exit(run_replica(Path(sys.argv[1]), int(sys.argv[2]), with_parent=True))"


def start_replica(directory: Path, replica: int) -> subprocess.Popen[str]:
    """Start one replica. It ends with us, since we hold the other end of its standard input."""
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(directory), str(replica)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def started(files: GroupFile, *replicas: int) -> Iterator[dict[int, subprocess.Popen[str]]]:
    """Start replicas of a group, all unless some are named; end whichever still run."""
    running: dict[int, subprocess.Popen[str]] = {}
    try:
        for i in replicas or range(files.group.n):
            running[i] = start_replica(files.directory, i)
        yield running
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


async def answering(client: Client, replicas: int, rounds: int = 60) -> None:
    """Wait until so many replicas answer questions."""
    for _ in range(rounds):
        reports = await client.inspect(timeout=1.0)
        if sum(report is not None for report in reports.values()) >= replicas:
            return
    raise AssertionError(f"fewer than {replicas} replicas came up")
