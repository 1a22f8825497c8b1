"""What commands print: for people by rich, for programs as JSON, and never what a stranger wants a terminal to do.

Owns: consoles. How text and values are spelled is `pbft.console.text`'s matter. Knows no commands.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from pbft.console.text import clean

if TYPE_CHECKING:
    from rich.console import Console

_WIDE: Final = 200
"""Columns where no terminal sets a width: what a program reads is not to be folded."""


def console(error: bool = False) -> Console:
    """Return a console that prints text as it is: no markup, no emoji names, no colouring of numbers."""
    # Imported here: what programs read is printed without it, and sooner.
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    return Console(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
        width=None if stream.isatty() else _WIDE,
    )


def say(text: str, style: str = "") -> None:
    """Print a line for people, cleaned."""
    console().print(clean(text), style=style or None)


def say_json(value: Any) -> None:
    """Print one JSON object on one line; what is not ASCII is escaped."""
    print(json.dumps(value), flush=True)
