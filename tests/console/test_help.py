"""Help: what can be entered, from the application's own words."""

from __future__ import annotations

import pytest

from pbft.console.commands import COMMANDS, find_command
from pbft.console.help import tell_all, tell_one
from pbft.console.outcome import Failure
from pbft.lab.faults import FAULTS, HOWS
from pbft.machine import describe
from tests.console.board import Board

SPECS = {spec.name: spec for spec in describe(Board)}


def test_operations_come_first():
    """Then commands, then faults, where there may be any."""
    lines = tell_all(SPECS, "Board", lab=True)
    assert lines[:2] == ["Operations of Board:", "  pin ACCOUNT AMOUNT [MEMO]  Pin a memo."]
    assert "  read                       Return the memo." in lines
    assert "  store DATA NUMBERS [NAME]  An operation without a docstring." in lines
    usages = [*(each.usage for each in COMMANDS.values()), *(each.usage for each in FAULTS.values())]
    assert all(any(usage in line for line in lines) for usage in usages)
    assert not any("Faults" in line for line in tell_all(SPECS, "Board", lab=False))
    assert any("its code is not on this machine" in line for line in tell_all({}, "Board", lab=False))


def test_one_operation():
    """Its types, its defaults, what it returns, and the whole docstring, line by line."""
    assert tell_one("pin", SPECS) == [
        "pin ACCOUNT AMOUNT [MEMO] → int",
        "  an operation: it may change the state",
        "  account: str",
        "  amount: int",
        '  memo: str = ""',
        "",
        "  Pin a memo.",
        "",
        "  It stays until the next one comes.",
    ]
    assert "  a query: it changes nothing" in tell_one("read", SPECS)


@pytest.mark.parametrize("word", ["client", "load", ":load", "kill", ":kill", "exit", "quit"])
def test_one_command(word: str):
    """With its sign or without, by any of its names."""
    usage, summary, *_ = tell_one(word, SPECS)
    assert usage
    assert summary.startswith("  ")


def test_the_misbehaviours():
    """Whoever asks for help on byzantine reads what a replica may do."""
    lines = tell_one("byzantine", SPECS)
    assert lines[0] == ":byzantine I HOW"
    assert all(any(how in line for line in lines) for how in HOWS)


def test_no_such_thing():
    """A slip is recognised."""
    with pytest.raises(Failure, match='did you mean "kill"'):
        tell_one("kil", SPECS)
    assert find_command("nosuch") is None
