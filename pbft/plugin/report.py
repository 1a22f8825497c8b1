"""What a failure's report says of a test's group: its seed, what the test did and when, and how to see it again.

Owns: the diary of a test, and the words around it. Where replicas stand is told by each kind of group.
"""

from __future__ import annotations

import re
import shlex
from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import Final

from pbft.wording import count

FLOW_LINES: Final = 40
"""The last lines of the message flow that are shown."""

_KEPT_LINES: Final = 60


class Diary:
    """What a test did to its group, and what its clients were told, in order; the last lines of it."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._written = 0

    def note(self, at_ms: int, what: str) -> None:
        """Add a line."""
        self._written += 1
        self._lines.append(f"{at_ms:>8} ms  {what}")

    def told(self) -> list[str]:
        """Return it as lines of a report."""
        if not self._lines:
            return ["the test did nothing to the group yet"]
        left_out = self._written - len(self._lines)
        before = [f"  … {count(left_out, 'earlier line')} left out"] if left_out else []
        return ["what the test did, and what its clients were told:", *before, *(f"  {line}" for line in self._lines)]


def told_of_faults(faults: Collection[str]) -> str:
    """Return what to add about faults of the network that are in force."""
    return f"; {', '.join(faults)}: heal() first where they are to converge" if faults else ""


def command(nodeid: str, path: Path, invoked_in: Path, seed: int | None) -> str:
    """Return what shows a test again: of a simulated group under its seed, of a real one (`seed` None) as near as can.

    The test's id is told from the folder in which pytest was called; what the plugin added to it for a seed is left
    out, since the option says it.
    """
    _, _, names = nodeid.partition("::")
    names = re.sub(r"\[seed=\d+\]$", "", names)
    names = re.sub(r"(?<=[\[-])seed=\d+-|-seed=\d+(?=[\]-])", "", names)
    try:
        where = str(path.relative_to(invoked_in))
    except ValueError:
        where = str(path)
    option = "--pbft-real" if seed is None else f"--pbft-seed={seed}"
    return f"pytest {shlex.quote(f'{where}::{names}')} {option}"
