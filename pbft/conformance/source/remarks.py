"""What a reading of the source has to say: a place and a sentence that tells what to do instead.

Owns: the kinds of warnings, and how a line is declared fine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class SourceRule(StrEnum):
    """What kind of thing a warning is about."""

    CLOCK = "clock"
    RANDOM = "random"
    UNIQUE = "unique"
    IDENTITY = "identity"
    SET_ORDER = "set order"
    INPUT_OUTPUT = "input and output"
    CONCURRENCY = "concurrency"
    FLOAT = "float"
    GLOBAL = "global"
    DEFAULT = "mutable default"
    CACHE = "cache"
    HIDDEN_FIELD = "hidden field"
    CATCHING = "catching"
    ENVIRONMENT = "environment"
    TIME_ZONE = "time zone"
    MEMORY = "memory"
    OBJECT_TEXT = "object text"
    LOST_WRITE = "lost write"
    PYTHON_RELEASE = "python release"
    UNEXPLAINED = "unexplained"
    """A line is declared fine without a reason."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class SourceWarning:
    """A line to look at."""

    file: str
    """The file's path as Python knows it; empty where there is none."""
    line: int
    """From 1; 0 where it is about the whole file."""
    rule: SourceRule
    place: str
    """The operation, method or function it stands in, as in `Auction.bid`; empty at a module's level."""
    sentence: str
    """What it is, and what to do instead."""


FINE: Final = re.compile(r"#\s*pbft:\s*fine\b[\s,:;.–—-]*(?P<reason>.*)")
"""A comment at the end of a line that is known to do the same everywhere: `# pbft: fine, REASON`."""
