"""How a line becomes words, while it is typed and when it is entered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.console.outcome import Failure
from pbft.console.statements import MAX_LINE_CHARACTERS, Typed, join, read_typed, split


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ()),
        ("  # transfer alice bob 5", ()),
        ("transfer alice  bob 5 ", ("transfer", "alice", "bob", "5")),
        ("pin alice 1 'a memo # of mine'", ("pin", "alice", "1", "a memo # of mine")),
        ('pin alice 1 "say \\"hi\\""', ("pin", "alice", "1", 'say "hi"')),
        ("pin alice -1 ''", ("pin", "alice", "-1", "")),
        ("a#b", ("a#b",)),
    ],
)
def test_words_are_split_as_in_a_shell(line: str, words: tuple[str, ...]):
    """Quotes, comments and spaces mean what people expect."""
    assert split(line) == words


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("pin 'alice", "a quote is open"),
        ("pin alice\n:kill 2", "one at a time"),
        ("pin \0", "one at a time"),
        ("x" * (MAX_LINE_CHARACTERS + 1), "at most 65536 characters"),
    ],
)
def test_what_is_no_line(line: str, says: str):
    """One sentence says what is wrong."""
    with pytest.raises(Failure, match=says):
        split(line)


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("", Typed((), "", 0, False)),
        ("tra", Typed((), "tra", 0, False)),
        ("pin ", Typed(("pin",), "", 4, False)),
        ("pin ali", Typed(("pin",), "ali", 4, False)),
        ("pin 'two wo", Typed(("pin",), "two wo", 4, True)),
        ("pin 'two words'", Typed(("pin",), "two words", 4, False)),
        ("pin a\\", Typed(("pin",), "a", 4, True)),
    ],
)
def test_a_line_that_is_half_done(line: str, typed: Typed):
    """What is complete, what is being typed, and where that begins."""
    assert read_typed(line) == typed


@given(st.text("ab '\"\\ #:\t"))
def test_a_finished_line_has_the_same_words_either_way(line: str):
    """What a hint is about is what will be entered: both readings agree wherever the line can be entered."""
    try:
        words = split(line)
    except Failure:
        return
    if line.lstrip().startswith("#"):
        return
    assert read_typed(line + " ").words == words


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"), max_size=8), min_size=1))
def test_joined_words_are_split_again(words: list[str]):
    """A line that is written for somebody means what it was made of."""
    if not words[0].startswith("#"):
        assert split(join(tuple(words))) == tuple(words)
