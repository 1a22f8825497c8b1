"""What is printed of strangers' text, and how values are spelled."""

from __future__ import annotations

import json

import pytest

from pbft.cli.output import clean, listing, say, say_json, spell, to_json
from pbft.encoding import Plain


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("größer · 数 🙂", "größer · 数 🙂"),
        ("\x1b[2Jgone", "\\u001b[2Jgone"),
        ("a\r\nb\tc\x07\x7f\x9b", "a\\u000d\\u000ab\\u0009c\\u0007\\u007f\\u009b"),
        ("pay \u202emoc.live\u202c", "pay \\u202emoc.live\\u202c"),
        ("\u2066x\u2069\u200f\u2028", "\\u2066x\\u2069\\u200f\\u2028"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_nothing_steers_the_terminal(text: str, cleaned: str):
    """Control characters, direction marks and lone surrogates are spelled out; all else stays as it is."""
    assert clean(text) == cleaned


def test_markup_is_text(capsys: pytest.CaptureFixture[str]):
    """A stranger's text is not markup: it neither colours nor vanishes, and is not folded."""
    say("[bold red]no[/] :smile: [link=x]y[/link] " + "long " * 100)
    assert capsys.readouterr().out.startswith("[bold red]no[/] :smile: [link=x]y[/link] long long")
    say("long " * 100)
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "spelled", "as_json"),
    [
        (5, "5", 5),
        (2**64 - 1, "18446744073709551615", 2**64 - 1),
        (True, "true", True),
        (None, "null", None),
        ("five\x1b", "five\\u001b", "five\x1b"),
        (b"\x00\xff", "00ff", "00ff"),
        ((1, ("a", b"\x01")), '[1, ["a", "01"]]', [1, ["a", "01"]]),
        ({"name": ("\u202e", None)}, '{"name": ["\\u202e", null]}', {"name": ["\u202e", None]}),
    ],
)
def test_values(value: Plain, spelled: str, as_json: object, capsys: pytest.CaptureFixture[str]):
    """Every value has one spelling for people and one in JSON, where byte strings are hexadecimal digits."""
    assert spell(value) == spelled
    assert to_json(value) == as_json
    say_json({"result": to_json(value)})
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed) == {"result": as_json}


@pytest.mark.parametrize(
    ("numbers", "words"), [((2,), "replica 2"), ((0, 3), "replicas 0 and 3"), ((0, 1, 2), "replicas 0, 1 and 2")]
)
def test_listing(numbers: tuple[int, ...], words: str):
    """Replicas are counted as people count."""
    assert listing(numbers) == words
