"""A group of real processes that a keeper looks after, as `pbft up` starts it, for tests that do faults to it.

Owns: how tests start such a group and speak to its keeper.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pbft.core.evidence import Finding, Misbehaviour
from pbft.group_file import GroupFile, read_group, write_group
from pbft.keys import Libsodium
from pbft.lab.control import Control
from pbft.lab.making import make_group
from pbft.lab.processes import python_environment
from tests.processes.lab import COUNTER, SMALL_LOG, VIEW_TIMEOUT_MS
from tests.processes.shell import SECONDS

EVERYBODY = (0, 1, 2, 3)


class Kept:
    """A group of four that a keeper looks after."""

    def __init__(self, files: GroupFile) -> None:
        self.files = files
        self.control = Control(files)

    async def fault(self, words: str) -> str:
        """Do what a fault says, as `pbft fault` does."""
        return await self.control.fault(words.split())

    def evidence(self, *replicas: int) -> list[Finding]:
        """Return what some replicas can prove, every file of it checked as `pbft evidence verify` does."""
        paths = [path for each in replicas for path in sorted(self.files.evidence(each).glob("*.cbor"))]
        return [Misbehaviour.from_bytes(path.read_bytes()).verify(self.files.group, Libsodium()) for path in paths]


@contextlib.contextmanager
def kept(
    directory: Path,
    liars: Mapping[int, str] | None = None,
    view_timeout_ms: int = VIEW_TIMEOUT_MS,
    application: str = COUNTER,
) -> Iterator[Kept]:
    """Make a group and start its keeper; both end with the test."""
    made = make_group(directory, application, limits=SMALL_LOG)
    made.path.unlink()
    write_group(replace(made, settings=replace(made.settings, view_timeout_ms=view_timeout_ms)))
    options = [f"--liar={replica}={how}" for replica, how in (liars or {}).items()]
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "pbft.lab.keeper", str(directory), "--with-parent", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=python_environment(),
    ) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        begun = json.loads(keeper.stdout.readline())
        assert begun == {"keeper": keeper.pid}
        try:
            yield Kept(read_group(directory))
        finally:
            keeper.stdin.close()
            assert keeper.wait(SECONDS) == 0
