"""What a line came to, and what is shown while it is typed.

Owns: these shapes, and the rule that nothing in them can steer a screen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pbft.console.outcome import ExitCode, Failure
from pbft.console.text import clean

if TYPE_CHECKING:
    from pbft.client.reply import Reply

Kind = Literal["result", "error", "note"]
"""A result is an operation's value; a note is everything else that went well."""

Wish = Literal["quit", "explain", "help", "clear", "evidence", "diagram"]
"""What a line asks of whoever owns a screen; without one its lines say what there is to say."""


@dataclass(frozen=True)
class Said:
    """What a line came to. Its line and its lines are cleaned, whoever wrote them: any screen may show them."""

    line: str
    code: ExitCode
    lines: tuple[str, ...]
    kind: Kind
    reply: Reply | None = None
    wish: Wish | None = None
    words: tuple[str, ...] = ()
    """The words of the line as they were meant, not cleaned: `:mermaid FILE` has the file's name second."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else a program may want to read; not cleaned."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "line", clean(self.line))
        object.__setattr__(self, "lines", tuple(clean(line) for line in self.lines))

    @classmethod
    def note(cls, *lines: str, wish: Wish | None = None, **details: Any) -> Said:
        """Return what is told of a line that went as it was meant; `Console` adds the line."""
        return cls("", ExitCode.FINE, lines, "note", wish=wish, details=details)

    @classmethod
    def failed(cls, failure: Failure, reply: Reply | None = None, *more: str) -> Said:
        """Return what is told of a line that went wrong; `Console` adds the line."""
        return cls("", failure.code, (str(failure).strip(), *more), "error", reply, details=failure.details)


@dataclass(frozen=True)
class Hint:
    """One line on what is being typed: its usage and what it does, or what is wrong so far."""

    text: str
    wrong: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", clean(self.text))
