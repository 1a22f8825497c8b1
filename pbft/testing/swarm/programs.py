"""What sessions do in a run, as data: programs that call, wait, think and call again.

Owns: the program, the clients there are, and how a cluster labels their sessions. Calls nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CLIENTS: Final = ("alice", "bob", "carol", "dave")


@dataclass(frozen=True)
class Program:
    """What one session does: so many calls, each once the one before has ended, and no more once the run has healed."""

    client: str
    """A name that repeats in a plan is one key used by several programs."""
    start_ms: int
    calls: int
    operations: int
    """Operations called together each time: they ride in one request."""
    think_ms: int
    """How long it waits between an answer and the next call."""


def session_labels(programs: tuple[Program, ...]) -> list[str]:
    """Return the labels that a cluster gives these programs' sessions, in order: "alice", "alice/2"."""
    labels: list[str] = []
    for place, program in enumerate(programs):
        before = sum(1 for each in programs[:place] if each.client == program.client)
        labels.append(program.client if before == 0 else f"{program.client}/{before + 1}")
    return labels
