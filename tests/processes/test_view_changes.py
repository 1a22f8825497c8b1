"""Real replicas that die, stop or fall behind: the group goes on, and whoever comes back catches up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pbft.client import connect
from tests.processes.shell import Shell, shell_in, wait_until

pytestmark = pytest.mark.processes

COUNTER = "pbft_apps.counter:Counter"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Give a shell with a detached group `g` of four, whose log is short."""
    with shell_in(tmp_path) as shell:
        shell.do("init", "g", "--app", COUNTER, "--limit", "checkpoint_interval=8", "--limit", "log_size=16")
        shell.do("up", "g", "--detach")
        yield shell


def replicas(shell: Shell) -> list[Any]:
    """Return what every replica reports, the silent included."""
    return list(shell.ask("status", "g")["replicas"])


def add(shell: Shell, count: int) -> int:
    """Add one so many times, each time in a request of its own, and return the total."""
    total = 0
    with connect(shell.directory / "g", key="alice", timeout=30.0) as counter:
        for _ in range(count):
            total = counter.call("add", 1)
    return total


def test_killing_one_primary_after_another_replica_came_back(shell: Shell):
    """SIGKILL the primary: the next call succeeds after one view change, and all who live are in the new view.

    The killed one is started again without a memory, catches up with view and state, and then the next primary dies.
    """
    assert shell.ask("call", "add", "5")["view"] == 0
    os.kill(shell.running("g")[0], signal.SIGKILL)
    told = shell.ask("call", "add", "1")
    assert (told["result"], told["view"]) == (6, 1)
    wait_until(lambda: [each["view"] for each in replicas(shell)] == [None, 1, 1, 1])

    with shell.start("replica", "g", "0"):
        wait_until(lambda: [each["executed"] for each in replicas(shell)] == [2, 2, 2, 2])
        assert [each["role"] for each in replicas(shell)] == ["backup", "primary", "backup", "backup"]
        os.kill(shell.running("g")[1], signal.SIGKILL)
        told = shell.ask("call", "add", "1")
        assert (told["result"], told["view"]) == (7, 2)
        wait_until(lambda: [each["view"] for each in replicas(shell)] == [2, None, 2, 2])
        os.kill(shell.running("g")[0], signal.SIGTERM)


def test_a_replica_that_missed_more_than_the_window_takes_over_the_state(shell: Shell):
    """Gone while the others executed far beyond its watermarks, it fetches a stable checkpoint and goes on from it."""
    os.kill(shell.running("g")[3], signal.SIGKILL)
    assert add(shell, 60) == 60
    with shell.start("replica", "g", "3"):
        wait_until(lambda: replicas(shell)[3]["executed"] == 60)
        told = replicas(shell)
        assert len({each["state_digest"] for each in told}) == 1
        # No peer kept what led to the last checkpoint but one, so the state itself must have been fetched.
        assert [each["stable_checkpoint"] for each in told] == [56] * 4
        assert [each["view"] for each in told] == [0, 0, 0, 0]
        assert add(shell, 20) == 80
        wait_until(lambda: [each["executed"] for each in replicas(shell)] == [80] * 4)
        os.kill(shell.running("g")[3], signal.SIGTERM)


@pytest.mark.slow
def test_a_primary_stopped_for_half_a_minute_comes_back_as_a_backup(shell: Shell):
    """SIGSTOP for 30 s, and on: one view change replaces it, and its return causes no other (catalogue C6)."""
    stopped = shell.running("g")[0]
    assert add(shell, 1) == 1
    os.kill(stopped, signal.SIGSTOP)
    end = time.monotonic() + 30
    total = 1
    while time.monotonic() < end:
        total = add(shell, 3)
    os.kill(stopped, signal.SIGCONT)
    wait_until(lambda: [each["executed"] for each in replicas(shell)] == [total] * 4)
    assert add(shell, 20) == total + 20
    wait_until(lambda: [each["executed"] for each in replicas(shell)] == [total + 20] * 4)
    assert [each["view"] for each in replicas(shell)] == [1, 1, 1, 1]
    assert [each["health"] for each in replicas(shell)] == ["ok"] * 4
