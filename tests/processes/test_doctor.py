"""A real replica whose application is not like the others': it rejoins, and `pbft doctor` tells what it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from pbft.client import Client
from pbft.node.divergences import FILE_NAME, read_file
from tests.processes.lab import Lab, lab, level, run
from tests.processes.shell import SECONDS, shell_in

pytestmark = pytest.mark.processes

APPLICATION = '''
"""A ledger of deposits that asks its host for what differs from host to host."""

import os
from pathlib import Path

from pbft import StateMachine, Table, operation

TOGGLE = Path(__file__).with_name("odd")


class Deposits(StateMachine):
    balances: Table[str, int]

    @operation
    def deposit(self, account: str, amount: int) -> int:
        """Add to an account; the host whose process the toggle names adds one more."""
        if TOGGLE.exists() and TOGGLE.read_text() == str(os.getpid()) and account == "crooked":
            amount += 1
        self.balances[account] = self.balances.get(account, 0) + amount
        return len(self.balances)
'''


async def play(group: Lab, found: Callable[[], bool]) -> None:
    """Let one host do something else once, and go on until that replica has found it out and is level again."""
    async with Client.open(group.files.directory, "alice") as alice:
        for _ in range(10):
            await alice.call("deposit", "straight", 1)
        await alice.call("deposit", "crooked", 5)
        for _ in range(8):
            await alice.call("deposit", "straight", 1)
        async with asyncio.timeout(SECONDS):
            while not found():
                await alice.call("deposit", "straight", 1)
        for _ in range(10):
            await alice.call("deposit", "straight", 1)
        await level(alice, *range(group.files.group.n))


def test_the_operation_is_named_and_the_replica_goes_on(tmp_path: Path) -> None:
    """The file appears, the doctor names operation, key and both values, and all four have one state again."""
    code = tmp_path / "deposits.py"
    code.write_text(APPLICATION)
    with lab(tmp_path / "group", application=f"{code}:Deposits") as group:
        pid = group.children[2].pid
        (tmp_path / "odd").write_text(str(pid))
        file = group.files.data(2) / FILE_NAME
        run(play(group, file.exists))
        said = read_file(file)
        assert group.all_live()
    (found,) = said["divergences"]
    assert (said["replica"], found["unknown"]) == (2, "")
    assert (found["operation"]["name"], found["operation"]["args"]) == ("deposit", ["crooked", 5])
    keys = [each for each in found["keys"] if each["field"] == "balances"]
    crooked = {"field": "balances", "key": {"value": "crooked"}, "own": {"value": 6}, "right": {"value": 5}}
    assert keys == [crooked]
    assert found["rejoined_at"] == found["sequence"]

    with shell_in(tmp_path) as shell:
        told = shell.do("doctor", "group")
        (entry,) = shell.ask("doctor", "group")
    assert 'deposit("crooked", 5)' in told
    assert 'balances["crooked"] was 6 here, and 5 is right' in told
    assert "it rejoined" in told
    assert entry["divergences"] == said["divergences"]
