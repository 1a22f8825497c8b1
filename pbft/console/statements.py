"""A line's words: split as a shell splits them, while it is being typed and when it is entered.

Owns: quotes, comments, and where the word that is being typed begins. Knows nothing of what words mean.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final

from pbft.console.outcome import Failure

MAX_LINE_CHARACTERS: Final = 65_536
"""A longer line is no line that anybody typed."""

COMMENT: Final = "#"
"""What a line begins with that says nothing."""

_QUOTES: Final = ("'", '"')


@dataclass(frozen=True)
class Typed:
    """A line that may be half done."""

    words: tuple[str, ...]
    """The words that are complete: a space stands after each."""
    word: str
    """The word at the end, empty behind a space."""
    start: int
    """Where that word begins in the line."""
    is_open: bool
    """Whether a quote is open, or a backslash waits for what it protects."""

    @property
    def all(self) -> tuple[str, ...]:
        """All words, the last one included if there is anything of it."""
        return (*self.words, self.word) if self.word or self.is_open else self.words


def split(line: str) -> tuple[str, ...]:
    """Return the words of a line that was entered, none for a comment or an empty one. Raises Failure."""
    if len(line) > MAX_LINE_CHARACTERS:
        raise Failure(f"a line has at most {MAX_LINE_CHARACTERS} characters, not {len(line)}")
    if any(each in line.strip() for each in "\n\r\0"):
        raise Failure("a line ends where the next begins: enter them one at a time")
    if line.lstrip().startswith(COMMENT):
        return ()
    try:
        return tuple(shlex.split(line))
    except ValueError:
        raise Failure("a quote is open at the end of the line; close it, or write \\' for the character") from None


def read_typed(line: str) -> Typed:
    """Return the words of a line while it is being typed: nothing is wrong with one that is half done."""
    words: list[str] = []
    word: list[str] = []
    start, quoted, escaped, begun = 0, "", False, False
    for i, each in enumerate(line):
        if not begun and each.isspace():
            continue
        if not begun:
            begun, start = True, i
        if escaped:
            # As in a shell: between double quotes a backslash protects those two only.
            word.append(each if not quoted or each in ('"', "\\") else "\\" + each)
            escaped = False
        elif each == "\\" and quoted != "'":
            escaped = True
        elif quoted:
            if each == quoted:
                quoted = ""
            else:
                word.append(each)
        elif each in _QUOTES:
            quoted = each
        elif each.isspace():
            words.append("".join(word))
            word, begun = [], False
        else:
            word.append(each)
    return Typed(tuple(words), "".join(word), start if begun else len(line), bool(quoted) or escaped)


def join(words: tuple[str, ...]) -> str:
    """Return a line that is split into these words."""
    return " ".join(shlex.quote(word) for word in words)
