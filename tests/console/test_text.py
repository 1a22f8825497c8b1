"""Strangers' text made harmless, and how values are spelled."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pbft.console.text import clean, fit, spell, to_json
from pbft.encoding import Plain
from pbft.wording import listing


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
def test_values(value: Plain, spelled: str, as_json: object):
    """Every value has one spelling for people and one in JSON, where byte strings are hexadecimal digits."""
    assert spell(value) == spelled
    assert to_json(value) == as_json


@pytest.mark.parametrize(
    ("numbers", "words"), [((2,), "replica 2"), ((0, 3), "replicas 0 and 3"), ((0, 1, 2), "replicas 0, 1 and 2")]
)
def test_listing(numbers: tuple[int, ...], words: str):
    """Replicas are counted as people count."""
    assert listing(numbers) == words


@pytest.mark.parametrize(
    ("text", "cells", "fitted"),
    [
        ("plain", 5, "plain"),
        ("plainer", 5, "plai…"),
        ("a\nb", 9, "a\\u000ab"),
        ("\x1b]0;title\x07", 12, "\\u001b]0;ti…"),
        ("数数数", 6, "数数数"),
        ("数数数", 5, "数数…"),
        ("数数数", 4, "数…"),
        ("e\u0301" * 5, 5, "e\u0301" * 5),
        ("any", 0, ""),
        ("", 3, ""),
    ],
)
def test_text_is_cut_to_cells(text: str, cells: int, fitted: str):
    """Wide characters count twice and accents not at all; what was cut says so."""
    assert fit(text, cells) == fitted


def test_a_tower_of_accents_is_cut():
    """What takes no cells is bounded too: a terminal would draw it over its neighbours, and a megabyte takes long."""
    assert len(fit("e" + "\u0301" * 10**6, 10)) <= 40


@given(st.text(), st.integers(0, 30))
def test_whatever_it_is_it_fits(text: str, cells: int):
    """Nothing is wider than it may be, none of it steers, and what is cleaned is clean already."""
    fitted = fit(text, cells)
    assert cell_len(fitted) <= cells
    assert len(fitted) <= 4 * cells
    assert not any(unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in fitted)
    assert clean(clean(text)) == clean(text)
