"""What all tallies share that many runs are counted in, and how a run of the tests tells them at its end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from pbft.testing.runs import Outcome


class Tally:
    """Runs that ended well, what they came to, and how long all took with all processors at work."""

    summed: Sequence[str] = ()
    """The counts of an outcome that are added up."""

    def __init__(self) -> None:
        self.ended = 0
        self.sums: Counter[str] = Counter()
        self.seconds = 0.0
        self._began = 0.0

    def begin(self) -> None:
        """Start to measure."""
        self._began = time.perf_counter()

    def end(self) -> None:
        """Stop measuring."""
        self.seconds += time.perf_counter() - self._began

    def add(self, outcome: Outcome) -> None:
        """Add a run that ended well."""
        self.ended += 1
        self.sums.update({name: getattr(outcome, name) for name in self.summed})


def telling(title: str, told: Callable[[], Sequence[str]]) -> Callable[[pytest.TerminalReporter], None]:
    """Return a hook for a conftest that prints lines under a title where there are any; no test asserts them."""

    def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
        lines = told()
        if lines:
            terminalreporter.write_sep("-", title)
        for line in lines:
            terminalreporter.write_line(line)

    return pytest_terminal_summary
