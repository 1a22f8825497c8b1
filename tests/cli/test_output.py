"""What commands print of strangers' text."""

from __future__ import annotations

import json

import pytest

from pbft.cli.output import say, say_json


def test_markup_is_text(capsys: pytest.CaptureFixture[str]):
    """A stranger's text is not markup: it neither colours nor vanishes, and is not folded."""
    say("[bold red]no[/] :smile: [link=x]y[/link] " + "long " * 100)
    assert capsys.readouterr().out.startswith("[bold red]no[/] :smile: [link=x]y[/link] long long")
    say("long " * 100)
    assert capsys.readouterr().out.count("\n") == 1


def test_json_is_one_line_of_ascii(capsys: pytest.CaptureFixture[str]):
    """What a program reads cannot steer the terminal that it happens to be printed on."""
    told = {"result": "five\x1b \u202e", "n": 2**64 - 1}
    say_json(told)
    printed = capsys.readouterr().out
    assert (printed.isascii(), printed.count("\n")) == (True, 1)
    assert json.loads(printed) == told
