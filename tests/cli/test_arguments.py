"""Options among an operation's words: known ones anywhere, unknown ones nowhere, numbers below zero as they are."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from pbft.cli.arguments import command
from pbft.console.outcome import Failure

app = typer.Typer()


def echo(
    operation: str,
    words: Annotated[list[str] | None, typer.Argument()] = None,
    key: Annotated[str, typer.Option("--key")] = "alice",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    print(json.dumps([operation, words or [], key, as_json]))


command(app, "echo", echo)


@pytest.mark.parametrize(
    ("line", "understood"),
    [
        ("add 5", ["add", ["5"], "alice", False]),
        ("add -5", ["add", ["-5"], "alice", False]),
        ("add -5 --json -6", ["add", ["-5", "-6"], "alice", True]),
        ("--json add -.5", ["add", ["-.5"], "alice", True]),
        ("--key bob add 5", ["add", ["5"], "bob", False]),
        ("add --key=bob 5 -", ["add", ["5", "-"], "bob", False]),
        ("add --key -5 6", ["add", ["6"], "-5", False]),
        ("add -- --json -x --", ["add", ["--json", "-x", "--"], "alice", False]),
        ("--json -- --key", ["--key", [], "alice", True]),
    ],
)
def test_understood(line: str, understood: list[object]):
    """Each word is what it looks like, wherever the options stand."""
    result = CliRunner().invoke(app, line.split())
    assert json.loads(result.stdout) == understood


@pytest.mark.parametrize("line", ["add --jsn", "--key", "add --key", "add -x", "add -k bob", "--json", "add --json=1"])
def test_refused(line: str):
    """A misspelt option is no argument, and an option without its value or with one too many is refused."""
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code != 0
    assert not result.stdout
    assert isinstance(result.exception, Failure | SystemExit)


def test_a_misspelt_option_gets_a_suggestion():
    """The sentence says what was probably meant, and how to send such a word all the same."""
    failure = CliRunner().invoke(app, ["add", "--jsn"]).exception
    assert 'did you mean "--json"' in str(failure)
    assert "after --" in str(failure)
