"""The commands of the input language, beside the application's operations.

Owns: their names, how each is written and what it does. What runs them is `pbft.console.session`; the faults, which are
commands too, are `pbft.lab.faults`'s matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pbft.lab.faults import FAULTS
from pbft.machine import OperationSpec

SIGN: Final = ":"
"""What commands begin with, so that no operation is ever mistaken for one."""

BARE: Final = ("client", "help", "quit", "exit")
"""What may be written without the sign, unless the application has an operation of that name."""

_SAME: Final = {"exit": "quit", "q": "quit", "?": "help"}


@dataclass(frozen=True)
class Command:
    """How a command is written, and what it does."""

    usage: str
    summary: str


COMMANDS: Final[Mapping[str, Command]] = MappingProxyType(
    {
        "client": Command("client NAME", "Speak as another client from now on; its key must lie here."),
        "help": Command("help [NAME]", "List what can be entered, or tell more of one operation or command."),
        ":load": Command(":load RATE [OP ARGS…]", "Send so many operations a second until :load off."),
        ":wait": Command(":wait SECONDS|ok", "Wait so long, or until all replicas that run answer and keep up."),
        ":status": Command(":status", "Ask every replica how it is."),
        ":explain": Command(":explain", "Say why the group is stuck or slow, and what to do."),
        ":evidence": Command(":evidence", "List what replicas here can prove against others."),
        ":record": Command(":record FILE|off", "Write what is entered from now on to a new file, for :run."),
        ":run": Command(":run FILE", "Enter the lines of a file, up to the first that fails."),
        ":mermaid": Command(":mermaid FILE", "Write the message flow on the screen as a Mermaid diagram."),
        ":clear": Command(":clear", "Clear the screen."),
        ":quit": Command(":quit", "Leave."),
    }
)
"""Every command with its help, in the order in which help shows them."""


def command_name(word: str, specs: Mapping[str, OperationSpec]) -> str | None:
    """Return the command or fault that a line's first word names, without its sign; None for an operation."""
    if word.startswith(SIGN):
        name = word[len(SIGN) :]
        return _SAME.get(name, name)
    return _SAME.get(word, word) if word in BARE and word not in specs else None


def find_command(name: str) -> Command | None:
    """Return the help on a command or a fault by its name without the sign, None where there is neither."""
    if name in FAULTS:
        return Command(SIGN + FAULTS[name].usage, FAULTS[name].summary)
    return COMMANDS.get(name) or COMMANDS.get(SIGN + name)


def command_names() -> tuple[str, ...]:
    """Return all faults and commands as they are written."""
    return (*(SIGN + verb for verb in FAULTS), *COMMANDS)
