"""`pbft swarm` at a terminal: whoever has seen enough presses Ctrl-C."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.shell import SECONDS, Shell, interrupt, read_until, shell_in

pytestmark = pytest.mark.processes


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Give a shell in an empty folder."""
    with shell_in(tmp_path) as shell:
        yield shell


def test_ctrl_c_ends_a_swarm_with_its_counts(shell: Shell):
    """What ran so far is summed up, the processes beside it end too, and nothing is said on standard error."""
    with shell.start("swarm", "--seeds", "0:100000", "--jobs", "2", "--json") as process:
        read_until(process, '"seed": 2')
        interrupt(process, signal.SIGINT)
        # Its output ends only when the last process that holds it has ended.
        out, err = process.communicate(timeout=SECONDS)
    counts = json.loads(out.splitlines()[-1])
    assert (process.returncode, err) == (130, "")
    assert counts["interrupted"]
    assert (counts["failed"], counts["seeds"] >= 3) == (0, True)
